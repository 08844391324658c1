"""Waits until a message published at one broker reaches a subscriber at another.

Brokers need a moment to find each other and to learn who listens. Messages sent into that moment
are rightly lost, so a row must not begin in it. Probes are sent until one arrives, then one last of
another kind: when that is there, every earlier one has arrived or never will. Every handshake is
brought to its end, so that the row finds two quiet connections.
"""

import select
import time
from dataclasses import dataclass

from bench import wire
from bench.wire import BrokerError, Connection

ROUTE_TIMEOUT_S = 20.0
PROBE_INTERVAL_S = 0.1
PROBE = b"?" * 64
LAST = b"!" * 64


@dataclass(slots=True)
class _End:
    """One end of the route and what went through it."""

    connection: Connection
    messages: int = 0  # sent or received
    settled: int = 0  # of these, with a handshake that is done
    last: bool = False  # whether LAST was among them


def await_route(publisher: Connection, subscriber: Connection, topic: str, qos: int) -> None:
    """Blocks until the route is open and quiet. Raises BrokerError after ROUTE_TIMEOUT_S."""
    near, far = _End(publisher), _End(subscriber)
    ends = {publisher.socket: near, subscriber.socket: far}
    timeout_at = time.monotonic() + ROUTE_TIMEOUT_S
    next_probe_at = 0.0
    while time.monotonic() < timeout_at:
        if far.last and near.settled == near.messages and far.settled == far.messages:
            return
        if not near.last and (far.messages or time.monotonic() >= next_probe_at):
            near.last = far.messages > 0
            near.messages += 1
            near.settled += qos == 0
            payload = LAST if near.last else PROBE
            publisher.socket.sendall(wire.publish(topic, qos, near.messages, payload))
            next_probe_at = time.monotonic() + PROBE_INTERVAL_S
        for readable in select.select(list(ends), [], [], PROBE_INTERVAL_S)[0]:
            _answer(ends[readable])
    raise BrokerError(f"no message came through in {ROUTE_TIMEOUT_S:.0f} s")


def _answer(end: _End) -> None:
    """Takes one packet and does what its handshake asks."""
    packet = end.connection.read_packet()
    first, reply = packet[0], b""
    if first >> 4 == wire.PUBLISH >> 4:
        qos = first >> 1 & 3
        end.messages += 1
        end.settled += qos < 2
        end.last = packet.endswith(LAST)
        after_topic = 4 + int.from_bytes(packet[2:4], "big")
        kind = wire.PUBACK if qos == 1 else wire.PUBREC
        if qos:
            reply = wire.packet(kind, packet[after_topic : after_topic + 2])
    elif first in (wire.PUBACK, wire.PUBCOMP):
        end.settled += 1
    elif first == wire.PUBREC:
        reply = wire.packet(wire.PUBREL, packet[2:4])
    elif first == wire.PUBREL:
        reply = wire.packet(wire.PUBCOMP, packet[2:4])
        end.settled += 1
    else:
        raise BrokerError(f"a packet of type {first:#04x} answered a probe")
    if reply:
        end.connection.socket.sendall(reply)
