"""What a message costs a gateway that has many peers, of which none listens.

Whole nodes in this process, without sockets and disks: one in the midst, linked with all others, each
of which has subscriptions to something else. The figure is processor time for a QoS 1 message that
one local client publishes and another hears. Must not know rows, brokers or sockets.
"""

import time
from collections.abc import Sequence
from random import Random

from bench import wire
from bench.measure import Round
from gateway.broker.connection import Connection
from gateway.config import ClusterSection, MqttSection
from gateway.mesh.identity import Identity
from gateway.mesh.link import Link
from gateway.mesh.mesh import Mesh
from gateway.node import Node

PEERS = (1, 8, 31)
SUBSCRIPTIONS = 100  # of each peer
AT_ONCE = 1  # messages in a read: the turn is not shared
READS = 10_000
TRIES = 5  # of which the least is taken: what else the machine does only adds
NOW = 1_000.0
TALKS_MAX = 1_000
CLUSTER = ClusterSection("crowd", "not used here", discovery=False)
SETTINGS = MqttSection(allow_anonymous="everywhere")
HEARD, UNHEARD = "crowd/heard", "crowd/else/{}/{}"

_End = tuple[Mesh, Link]
_Line = tuple[_End, _End]


def cost() -> Round:
    """How many times the cost with one peer it is with the most; the microseconds are details."""
    crowds = {count: _Crowd(count) for count in PEERS}
    least = dict.fromkeys(PEERS, float("inf"))
    for _ in range(TRIES):
        for count, crowd in crowds.items():
            least[count] = min(least[count], crowd.message_us())
    details = {f"us with {count} peers": us for count, us in least.items()}
    return Round(least[PEERS[-1]] / least[PEERS[0]], details=details)


class _Crowd:
    """Gateways that are all linked with each other and at rest; the first is the one to measure."""

    def __init__(self, peers: int) -> None:
        names = [f"g{number:02d}" for number in range(peers + 1)]
        self.node, *others = nodes = [_node(name) for name in names]
        lines = [
            _line(names, nodes, one, other)
            for one in range(len(nodes))
            for other in range(one + 1, len(nodes))
        ]
        _settle(nodes, lines)
        for number, other in enumerate(others):
            client = _client(other, f"listens-{number}", nodes, lines)
            for each in range(SUBSCRIPTIONS):
                _subscribe(client, UNHEARD.format(number, each))
        self._hears = _client(self.node, "hears", nodes, lines)
        _subscribe(self._hears, HEARD)
        _settle(nodes, lines)
        assert self._hears.outbox.take()[:1] == bytes((wire.SUBACK,)), "nobody subscribed"
        self._says = _client(self.node, "says", nodes, lines)
        ids = range(1, AT_ONCE + 1)
        self._load = b"".join(wire.publish(HEARD, 1, each, bytes(64)) for each in ids)
        self.message_us()  # routes are known from now on

    def message_us(self) -> float:
        """Processor time of a message, until what is to be written stands there."""
        begun = time.process_time()
        for _ in range(READS):
            self._says.receive(self._load, NOW)
            self.node.drain()
            came = self._hears.outbox.take()
            assert len(self._says.outbox.take()) == AT_ONCE * wire.ACK_BYTES
            self._hears.receive(_pubacks(came), NOW)
        return 1e6 * (time.process_time() - begun) / (READS * AT_ONCE)


def _pubacks(came: bytes) -> bytes:
    buffer = bytearray(came)
    at = wire.HEADER_BYTES + len(wire.text(HEARD))
    found = list(wire.runs(buffer, len(buffer)))
    assert sum(run.count for run in found) == AT_ONCE
    return b"".join(wire.answers(wire.PUBACK, buffer, run, at) for run in found)


def _node(name: str) -> Node:
    identity = Identity(name, name, f"store-{name}", 0, f"nonce-{name}", "1.0", name, 1883, CLUSTER)
    return Node(SETTINGS, identity, Random(1), NOW, stand_in="g01")


def _line(names: Sequence[str], nodes: Sequence[Node], one: int, other: int) -> _Line:
    mesh, far = nodes[one].mesh, nodes[other].mesh
    assert mesh is not None and far is not None
    dialled = mesh.opened((names[other], 7883), names[other], True, NOW)
    return (mesh, dialled), (far, far.opened((names[one], 40_000), names[one], False, NOW))


def _settle(nodes: Sequence[Node], lines: Sequence[_Line]) -> None:
    """Carries what stands in the links, until nothing is said any more."""
    for _ in range(TALKS_MAX):
        for node in nodes:
            node.drain()
        ways = [way for line in lines for way in (line, (line[1], line[0]))]
        if not sum(_carried(source, target) for source, target in ways):
            return
    raise AssertionError("they talk without end")


def _carried(source: _End, target: _End) -> bool:
    """Whether there was something to carry."""
    data = b"".join(source[1].out)
    source[1].out.clear()
    if data:
        target[0].receive(target[1], data, NOW)
    return bool(data)


def _client(node: Node, name: str, nodes: Sequence[Node], lines: Sequence[_Line]) -> Connection:
    connection = node.broker.entrance.open("192.0.2.1", True, NOW)
    connection.receive(wire.connect(name, kept=False), NOW)
    _settle(nodes, lines)
    assert connection.outbox.take()[:1] == bytes((wire.CONNACK,)), "the client was not let in"
    return connection


def _subscribe(connection: Connection, topic_filter: str) -> None:
    connection.receive(wire.packet(0x82, b"\0\1" + wire.text(topic_filter) + b"\1"), NOW)
