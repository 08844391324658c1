"""What one broker counts. Totals since the start; the rates are taken from them once a second."""

from dataclasses import dataclass, fields

RATE_SMOOTHING = 0.4  # share of the newest second in a rate: settles within five seconds


@dataclass(slots=True)
class Vitals:
    """Counters in messages, except where the name says otherwise. What is a whole number is shown to
    operators by its name, which is kept from then on."""

    messages_in: int = 0
    messages_out: int = 0
    bytes_in: int = 0  # of MQTT, from clients
    bytes_out: int = 0  # the same, to them
    payload_bytes_in: int = 0  # of messages_in
    payload_bytes_out: int = 0  # of messages_out, and of messages that were sent again
    packets_in: int = 0  # of every kind, from clients
    others_out: int = 0  # packets to clients besides messages_out: answers, messages sent again
    sockets: int = 0  # that were opened
    connections: int = 0  # that were let in
    dropped_congested: int = 0  # QoS 0 to a client that does not read
    dropped_queue_full: int = 0  # a session's queue was at its limit
    dropped_room_full: int = 0  # all sessions together had as much as they may
    dropped_expired: int = 0
    dropped_too_large: int = 0  # over the client's maximum packet size
    dropped_shared: int = 0  # no member of a shared subscription could be given it
    shared_again: int = 0  # sent to a member that went away, and then to another
    shared_passed_on: int = (
        0  # no member here could take it, and one at another gateway was given it
    )
    refused_retained_full: int = 0
    refused_by_rule: int = 0  # messages that their publisher may not write
    subscriptions_refused_by_rule: int = 0
    subscriptions_refused_full: int = 0  # their session had as many as it may
    refused_own: int = 0  # published to $SYS, which is the broker's
    refused_payload: int = 0  # said to be UTF-8, and was not
    refused_room_full: int = 0  # not taken, for too much waits for all sessions together
    refused_disk: int = 0  # not taken, for the disk could not keep them
    connections_refused: int = 0
    refused_strangers: int = 0  # connections: no user name, or one while there is no user
    logins_wrong: int = 0  # no such user, or another password
    logins_busy: int = 0  # refused, for too many passwords were being checked
    refused_per_address: int = 0  # connections: their address had its share
    closed_unauthenticated: int = 0  # connections: pushed out by newer ones before their CONNECT
    refused_proxies: int = 0  # connections to a port for proxies, from elsewhere
    malformed_proxies: int = 0  # connections of a proxy that did not begin with its header
    closed_unfinished: int = 0  # connections: others needed the room of their unfinished packets
    closed_unread: int = 0  # connections: others needed the room of what they did not take
    refused_full: int = 0  # connections: there were as many clients, or sessions, as there may be
    last_refused_at: float = 0.0  # of the seven above, monotonic seconds; 0: never
    handshakes_failed: int = 0  # connections with which there was no TLS
    protocol_errors: int = 0
    internal_errors: int = 0  # connections ended by a mistake of ours
    publishers_slowed: int = 0  # times that a client was not read, for it published too fast
    comebacks_slowed: int = 0  # times that CONNECT was answered late, after a client was cut off
    takeovers_slowed: int = 0  # times that CONNECT was answered late: two clients with one id
    sessions_came: int = 0  # from other gateways
    sessions_went: int = 0  # to other gateways
    sessions_bare: int = 0  # begun with their subscriptions only: their gateway could not be asked
    sessions_merged: int = 0  # that had a queue at two gateways
    clients_max: int = 0  # connected at once
    sessions_expired: int = 0  # whose client did not come back in time
    messages_in_per_s: float = 0.0
    messages_out_per_s: float = 0.0
    last_drop_at: float = 0.0  # monotonic seconds; 0: never
    last_slowed_at: float = 0.0  # the same
    last_internal_error_at: float = 0.0  # the same
    last_login_refused_at: float = 0.0  # the same, wrong or busy
    last_stranger_at: float = 0.0  # the same
    last_subscription_refused_at: float = 0.0  # the same, for there were too many
    last_full_at: float = 0.0  # the same: all sessions together had as much as they may
    _dropped: int = 0
    _slowed: int = 0
    _at: float = 0.0
    _in: int = 0
    _out: int = 0

    def tick(self, now: float) -> None:
        """Brings the rates up to date; to be called about once a second."""
        elapsed_s = now - self._at
        if self._at and elapsed_s > 0:
            came, went = self.messages_in - self._in, self.messages_out - self._out
            self.messages_in_per_s += RATE_SMOOTHING * (came / elapsed_s - self.messages_in_per_s)
            self.messages_out_per_s += RATE_SMOOTHING * (went / elapsed_s - self.messages_out_per_s)
        if self.dropped() != self._dropped:
            self._dropped, self.last_drop_at = self.dropped(), now
        if self.publishers_slowed != self._slowed:
            self._slowed, self.last_slowed_at = self.publishers_slowed, now
        self._at, self._in, self._out = now, self.messages_in, self.messages_out

    def count_wrong_login(self, now: float) -> None:
        """Somebody is not who he says, or has forgotten how to show it."""
        self.logins_wrong += 1
        self.last_login_refused_at = now

    def counters(self) -> dict[str, int]:
        """Every count, by its name."""
        names = [each.name for each in fields(self) if each.type is int]
        return {name: getattr(self, name) for name in names if not name.startswith("_")}

    def packets_out(self) -> int:
        """Packets of every kind to clients."""
        return self.messages_out + self.others_out

    def dropped(self) -> int:
        """Messages that a limit cost, in all."""
        lost = self.dropped_congested + self.dropped_queue_full + self.dropped_too_large
        lost += self.dropped_room_full
        return lost + self.dropped_shared + self.refused_retained_full
