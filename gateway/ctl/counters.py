"""The broker's figures in `gwctl status`: what it holds, and of its counts those that say something.

A count that has no words here is in the document only. Must not know where they come from.
"""

from gateway.control import BrokerStatus
from gateway.ctl.text import Line, Span, wrap
from gateway.ctl.units import count

# What went wrong, or was kept from it, by the counter's name. Others are traffic, or have a column.
_WORDS = {
    "dropped_queue_full": "messages lost at full queues",
    "dropped_room_full": "lost because too much waits for all sessions together",
    "dropped_congested": "lost to clients that do not read",
    "dropped_too_large": "too large for their client",
    "dropped_expired": "expired",
    "dropped_shared": "lost for want of a member of a shared subscription",
    "shared_again": "sent again to another member of one",
    "refused_retained_full": "not retained for lack of room",
    "refused_room_full": "refused because too much waits for all sessions together",
    "refused_disk": "refused by the disk",
    "refused_by_rule": "refused by a rule",
    "refused_own": "refused because they were to $SYS",
    "refused_payload": "refused because they were not the text they said",
    "subscriptions_refused_full": "subscriptions refused because there were too many",
    "subscriptions_refused_by_rule": "subscriptions refused by a rule",
    "publishers_slowed": "times a publisher was slowed",
    "comebacks_slowed": "times a client that was cut off came back too soon",
    "takeovers_slowed": "times two clients with one id took its session from each other too often",
    "sessions_came": "sessions came from other gateways",
    "sessions_went": "sessions went to other gateways",
    "sessions_bare": "sessions went on without what waits at a gateway that did not answer",
    "sessions_merged": "sessions got later what had waited elsewhere",
    "sessions_expired": "sessions expired",
    "connections_refused": "connections refused",
    "refused_per_address": "connections turned away because their address had its share",
    "closed_unauthenticated": "closed before they said who they are",
    "closed_unfinished": "closed because others needed the room of their packets",
    "closed_unread": "closed because others needed the room of what they did not read",
    "refused_full": "turned away because there were too many clients or sessions",
    "refused_proxies": "connections to a port for proxies from elsewhere",
    "malformed_proxies": "connections of proxies without their header",
    "handshakes_failed": "TLS handshakes that failed",
    "logins_wrong": "wrong logins",
    "logins_busy": "logins refused because too many came at once",
    "protocol_errors": "clients cut off because they broke the protocol",
}


def lines(broker: BrokerStatus, width: int) -> list[Line]:
    """ "broker: 12 sessions, 40 subscriptions (3 shared), 120 retained messages. ..."."""
    text = f"broker: {count(broker.sessions)} sessions, {count(broker.subscriptions)} subscriptions"
    text += f" ({count(broker.shared_subscriptions)} shared)" if broker.shared_subscriptions else ""
    text += f", {count(broker.retained)} retained messages."
    if broker.replays:
        text += f" {count(broker.replays)} sessions are being sent what is retained."
    told = [
        f"{count(broker.counters[name])} {words}"
        for name, words in _WORDS.items()
        if broker.counters.get(name)
    ]
    if told:
        text += f" Since the start: {', '.join(told)}."
    first, *more = wrap(text, width - 2)
    return [[Span(first)], *([Span(f"  {line}")] for line in more)]
