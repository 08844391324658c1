"""Waits until a message published at one broker reaches a subscriber at another.

Brokers need a moment to find each other and to learn who listens. Messages sent into that moment are
rightly lost, so a row must not begin in it. Probes are sent until one arrives; then every handshake
that is open is brought to its end, so that the row finds two quiet connections.
"""

import select
import time

from bench import wire
from bench.wire import BrokerError, Connection

ROUTE_TIMEOUT_S = 20.0
PROBE_INTERVAL_S = 0.1
PROBE = b"?" * 64


def await_route(publisher: Connection, subscriber: Connection, topic: str, qos: int) -> None:
    """Blocks until the route is open and quiet. Raises BrokerError after ROUTE_TIMEOUT_S."""
    end = time.monotonic() + ROUTE_TIMEOUT_S
    sent = arrived = settled_out = settled_in = 0
    while time.monotonic() < end:
        if not arrived:
            sent += 1
            publisher.socket.sendall(wire.publish(topic, qos, sent, PROBE))
        while True:
            readable, _, _ = select.select(
                [publisher.socket, subscriber.socket], [], [], PROBE_INTERVAL_S
            )
            if not readable:
                break
            if publisher.socket in readable:
                settled_out += _answer(publisher)[1]
            if subscriber.socket in readable:
                came, settled = _answer(subscriber)
                arrived += came
                settled_in += settled
        outgoing_done = settled_out >= (sent if qos else 0)
        incoming_done = settled_in >= arrived
        if arrived and outgoing_done and incoming_done:
            return
    raise BrokerError(f"no message came through in {ROUTE_TIMEOUT_S:.0f} s")


def _answer(connection: Connection) -> tuple[int, int]:
    """Takes one packet and answers it: (messages that came, messages that are now settled)."""
    packet = connection.read_packet()
    first = packet[0]
    if first >> 4 == wire.PUBLISH >> 4:
        qos = first >> 1 & 3
        if qos == 0:
            return 1, 1
        after_topic = 4 + int.from_bytes(packet[2:4], "big")
        packet_id = packet[after_topic : after_topic + 2]
        kind = wire.PUBACK if qos == 1 else wire.PUBREC
        connection.socket.sendall(wire.packet(kind, packet_id))
        return 1, int(qos == 1)
    if first in (wire.PUBACK, wire.PUBCOMP):
        return 0, 1
    if first == wire.PUBREC:
        connection.socket.sendall(wire.packet(wire.PUBREL, packet[2:4]))
        return 0, 0
    if first == wire.PUBREL:
        connection.socket.sendall(wire.packet(wire.PUBCOMP, packet[2:4]))
        return 0, 1
    raise BrokerError(f"a packet of type {first:#04x} answered a probe")
