"""The broker's figures in `gwctl status`: what it holds, and of its counts those that say something.

A count that has no words here is in the document only. Must not know where they come from.
"""

from gateway.control import BrokerStatus
from gateway.ctl.text import Line, Span, wrap
from gateway.ctl.units import count
from gateway.wording import agreed

# What went wrong, or was kept from it, by the counter's name, in the form of `agreed`. Others are
# traffic, or have a column.
_WORDS = {
    "dropped_queue_full": "message[s] lost at full queues",
    "dropped_room_full": "lost because too much waits for all sessions together",
    "dropped_congested": "lost to clients that do not read",
    "dropped_too_large": "too large for [its|their] client",
    "dropped_expired": "expired",
    "dropped_shared": "lost for want of a member of a shared subscription",
    "shared_again": "sent again to another member of one",
    "refused_retained_full": "not retained for lack of room",
    "refused_room_full": "refused because too much waits for all sessions together",
    "refused_disk": "refused by the disk",
    "refused_by_rule": "refused by a rule",
    "refused_own": "refused because [it was|they were] to $SYS",
    "refused_payload": "refused because [it was|they were] not the text [it|they] said",
    "subscriptions_refused_full": "subscription[s] refused because there were too many",
    "subscriptions_refused_by_rule": "subscription[s] refused by a rule",
    "publishers_slowed": "time[s] a publisher was slowed",
    "comebacks_slowed": "time[s] a client that was cut off came back too soon",
    "takeovers_slowed": "time[s] two clients with one id took its session from each other too often",
    "sessions_came": "session[s] came from other gateways",
    "sessions_went": "session[s] went to other gateways",
    "sessions_bare": "session[s] went on without what waits at a gateway that did not answer",
    "sessions_merged": "session[s] got later what had waited elsewhere",
    "sessions_expired": "session[s] expired",
    "connections_refused": "connection[s] refused",
    "refused_per_address": "connection[s] turned away because [its|their] address had its share",
    "closed_unauthenticated": "closed before [it|they] said who [it is|they are]",
    "closed_unfinished": "closed because others needed the room of [its|their] packets",
    "closed_unread": "closed because others needed the room of what [it|they] did not read",
    "refused_full": "turned away because there were too many clients or sessions",
    "refused_proxies": "connection[s] to a port for proxies from elsewhere",
    "malformed_proxies": "connection[s] of [a proxy|proxies] without [its|their] header",
    "handshakes_failed": "TLS handshake[s] that failed",
    "logins_wrong": "wrong login[s]",
    "logins_busy": "login[s] refused because too many came at once",
    "protocol_errors": "client[s] cut off because [it|they] broke the protocol",
    "internal_errors": "client[s] cut off by a mistake of this gateway",
}


def lines(broker: BrokerStatus, width: int) -> list[Line]:
    """ "broker: 12 sessions, 40 subscriptions (3 shared), 120 retained messages. ..."."""
    text = f"broker: {_said(broker.sessions, 'session[s]')}"
    text += f", {_said(broker.subscriptions, 'subscription[s]')}"
    text += f" ({count(broker.shared_subscriptions)} shared)" if broker.shared_subscriptions else ""
    text += f", {_said(broker.retained, 'retained message[s]')}."
    if broker.replays:
        text += f" {_said(broker.replays, 'session[s] [is|are] being sent what is retained.')}"
    told = [
        _said(broker.counters[name], words)
        for name, words in _WORDS.items()
        if broker.counters.get(name)
    ]
    if told:
        text += f" Since the start: {', '.join(told)}."
    first, *more = wrap(text, width - 2)
    return [[Span(first)], *([Span(f"  {line}")] for line in more)]


def _said(number: int, words: str) -> str:
    return f"{count(number)} {agreed(number, words)}"
