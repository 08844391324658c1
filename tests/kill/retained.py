"""Retained messages: a publisher that sets and deletes them, and a look at all of them after a crash.

Number n goes to topic n % TOPICS; each fifth deletes what is there. What stands in a topic must be the
number that was acknowledged last, or a later one that was sent. Must not know who kills the broker.
"""

from gateway.mqtt.encode import encode
from gateway.mqtt.packets import (
    ConnAck,
    Connect,
    Packet,
    PingReq,
    PingResp,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
)
from tests.numbered.numbers import Publisher
from tests.numbered.peer import V5, connection, packets

TOPICS = 401  # so many that most are not written again between a crash and the look
DELETES = 5
FILTERS = 100  # of one SUBSCRIBE: what is retained under so many is shown at once


class Retainer(Publisher):
    """Retains numbers at its QoS; slowly, so that a lost one stays lost for long enough to be seen."""

    def __init__(self, address: tuple[str, int], client_id: str, qos: int) -> None:
        super().__init__(address, client_id, qos, below="r", version=V5, window=5)

    def message(self, packet_id: int, number: int, dup: bool = False) -> Publish:
        payload = b"" if number % DELETES == 0 else b"%d" % number
        return Publish(topic_of(self, number), payload, self.qos, True, dup, packet_id)


def topic_of(retainer: Retainer, number: int) -> str:
    return f"{retainer.topic}/{number % TOPICS}"


def look(retainer: Retainer, at: int = 0) -> list[str]:
    """What is wrong with the retained messages of a retainer that may be publishing meanwhile.

    Raises OSError when the broker goes away.
    """
    acknowledged: dict[int, int] = {}
    for number in list(retainer.acknowledged):
        acknowledged[number % TOPICS] = number
    found = _retained(retainer)
    sent = retainer.number
    wrong = []
    for slot, number in acknowledged.items():
        later = range(number, sent + 1, TOPICS)
        came = found.get(topic_of(retainer, slot), b"")
        may_be = {b"" if each % DELETES == 0 else b"%d" % each for each in later}
        if came not in may_be:
            what = came.decode() or "nothing"
            wrong.append(f"{topic_of(retainer, slot)}: {what} after {number} was acknowledged")
    return wrong


def _retained(retainer: Retainer) -> dict[str, bytes]:
    """What a new client is shown, by topic. One filter a topic: what they show comes before PINGRESP."""
    found: dict[str, bytes] = {}
    with connection(retainer.address) as line:

        def say(packet: Packet) -> None:
            line.sendall(encode(packet, V5))

        say(Connect(V5, f"look-{retainer.client_id}", True, 60))
        unasked = [Subscription(topic_of(retainer, each), 0) for each in range(TOPICS)]
        for packet in packets(line, V5, lambda: True):
            match packet:
                case SubAck():
                    say(PingReq())
                case ConnAck() | PingResp():
                    if not unasked:
                        return found
                    say(Subscribe(1, tuple(unasked[:FILTERS])))
                    del unasked[:FILTERS]
                case Publish() if packet.retain:
                    found[packet.topic] = packet.payload
    raise ConnectionError("the broker went away")
