"""What the fuzzer does: a list of actions, made from a seed, written to a file, read from one.

An action is a list of plain values, so that a failing script can be kept and played again. Clients
are numbered; two or three are there at once and share client ids, topics and packet ids, so that
they take each other's sessions and acknowledge what was never sent to them. Bytes are valid packets in
any order, vectors with bytes changed, and cuts of both; what answers a challenge is not known before it
is played ("again", "prove"). Must not know what plays it.
"""

from dataclasses import replace
from itertools import pairwise
from random import Random

from gateway.broker.backlog import DROP_OLDEST, DROP_QOS0_FIRST, REFUSE_NEW
from gateway.broker.scram import METHOD
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import (
    Auth,
    Connect,
    Disconnect,
    Packet,
    PingReq,
    PubAck,
    PubComp,
    Publish,
    PubRec,
    PubRel,
    Subscribe,
    Subscription,
    Unsubscribe,
    Version,
    Will,
)
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from gateway.mqtt.reasons import Reason
from tests.mqtt.vectors import load

Action = list[object]  # ["open", client, version], ["say", client, hex], ["lose", client], ...

CLIENTS = 3
VECTORS = [vector.frame for vector in load() if len(vector.frame) < 4_096]
TOPICS = ("a", "a/b", "a/b/c", "$d", "x" * 200, "é")
FILTERS = ("a", "a/+", "#", "+/b", "a/#", "$d", "$share/g/a", "$share/g/#")
POLICIES = (REFUSE_NEW, DROP_OLDEST, DROP_QOS0_FIRST)
USER, PASSWORD, CLIENT_NONCE = "ann", "pencil", "fuzz"
SCRAM_FIRST = f"n,,n={USER},r={CLIENT_NONCE}".encode()
SCRAM_DATA = (*(SCRAM_FIRST,) * 8, b"n,,n=eve,r=x", b"p=x,,n=ann,r=x", b"c=biws", b"", None)
METHODS = (*(METHOD,) * 9, "SCRAM-SHA-1")
SIZES = (0, 1, 125, 126, 127, 128, 300, 16_383, 16_384)


def make(seed: int, steps: int) -> list[Action]:
    """The script of this seed."""
    random = Random(seed)
    versions = [random.choice(list(Version)) for _ in range(CLIENTS)]
    actions: list[Action] = [["queues", random.choice(POLICIES)]]
    for client in range(CLIENTS):
        actions += _opening(random, client, versions)
    for _ in range(steps):
        client = random.randrange(CLIENTS)
        match random.choices(range(7), (80, 6, 4, 4, 4, 2, 6))[0]:
            case 0:
                actions += _saying(random, client, versions[client])
            case 1:
                actions += _opening(random, client, versions)
            case 2:
                actions.append(["lose", client])
            case 3:
                actions.append(["pass", random.choice((0.01, 0.2, 2.0, 61.0, 700.0))])
            case 4:
                actions.append(["deaf", client, random.random() < 0.5])
            case 5:
                actions.append([random.choice(("fail", "cut", "rewrite"))])
            case 6:
                actions += [["again", client], ["prove", client, random.random() < 0.9]]
    return actions


def mutated(random: Random, data: bytes) -> bytes:
    """The bytes with a few of them changed, put in, left out, doubled or cut off."""
    changed = bytearray(data)
    for _ in range(random.randint(1, 4)):
        at = random.randrange(len(changed) + 1)
        match random.randrange(5):
            case 0 if at < len(changed):
                changed[at] = random.choice((0, 1, 0x7F, 0x80, 0xFF, random.randrange(256)))
            case 1:
                changed.insert(at, random.randrange(256))
            case 2:
                del changed[at : at + random.randint(1, 4)]
            case 3:
                changed[at:at] = changed[at : at + random.randint(1, 16)]
            case _:
                del changed[max(at, 1) :]
    return bytes(changed)


def _opening(random: Random, client: int, versions: list[Version]) -> list[Action]:
    versions[client] = random.choice(list(Version))
    version = versions[client]
    clean = random.random() < 0.4
    properties = NO_PROPERTIES
    if version is Version.MQTT5 and random.random() < 0.8:
        properties = Properties(
            session_expiry_interval_s=random.choice((None, 0, 60, 600)),
            receive_maximum=random.choice((None, 1, 2, 65_535)),
            maximum_packet_size_bytes=random.choice((None, None, 20, 200)),
            topic_alias_maximum=random.choice((None, 1, 10)),
        )
    authenticates = version is Version.MQTT5 and random.random() < 0.4
    if authenticates:
        data = random.choice(SCRAM_DATA)
        method = random.choice(METHODS)
        properties = replace(properties, authentication_method=method, authentication_data=data)
    will = None
    if random.random() < 0.4:
        delay = Properties(will_delay_interval_s=random.choice((1, 30)))
        of_will = delay if version is Version.MQTT5 and random.random() < 0.5 else NO_PROPERTIES
        retain = random.random() < 0.2
        will = Will(random.choice(TOPICS), b"will", random.randrange(3), retain, of_will)
    name = random.choice(("c", "d", f"own{client}"))
    keep_alive_s = random.choice((0, 0, 60, 65_535))
    packet = Connect(version, name, clean, keep_alive_s, will, None, None, properties)
    begin: Action = ["open", client, int(version)]
    said: list[Action] = [begin, ["say", client, encode(packet, version).hex()]]
    if authenticates and random.random() < 0.9:
        said.append(["prove", client, random.random() < 0.9])
    return said


def _saying(random: Random, client: int, version: Version) -> list[Action]:
    """A few packets as one write, or cut somewhere into several."""
    if random.random() < 0.07:
        data = mutated(random, random.choice(VECTORS))
    else:
        packets = [_packet(random, version) for _ in range(random.choice((1, 1, 2, 5, 12)))]
        data = b"".join(encode(packet, version) for packet in packets)
        if random.random() < 0.02:
            data = mutated(random, data)
    if random.random() < 0.3:
        cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.randint(1, 5)))
    else:
        cuts = []
    edges = [0, *cuts, len(data)]
    pieces = [data[begin:end] for begin, end in pairwise(edges)]
    return [["say", client, piece.hex()] for piece in pieces if piece]


def _packet(random: Random, version: Version) -> Packet:
    packet_id = random.choice((1, 1, 2, 3, 4, 5, 65_535))
    new = version is Version.MQTT5
    match random.choices(range(10), (40, 12, 4, 8, 8, 8, 8, 3, 0.3, 0.5 * new))[0]:
        case 0:
            return _publish(random, packet_id, new)
        case 1:
            lines = [_subscription(random, new) for _ in range(random.randint(1, 3))]
            given = NO_PROPERTIES
            if new and random.random() < 0.3:
                given = Properties(subscription_identifiers=(random.choice((1, 2, 268_435_455)),))
            return Subscribe(packet_id, tuple(lines), given)
        case 2:
            return Unsubscribe(packet_id, (random.choice(FILTERS), random.choice(FILTERS)))
        case 3:
            return PubAck(packet_id)
        case 4:
            refused = new and random.random() < 0.2
            return PubRec(packet_id, Reason.QUOTA_EXCEEDED if refused else Reason.SUCCESS)
        case 5:
            return PubRel(packet_id)
        case 6:
            return PubComp(packet_id)
        case 7:
            return PingReq()
        case 8:
            with_will = new and random.random() < 0.5
            reason = Reason.DISCONNECT_WITH_WILL_MESSAGE if with_will else Reason.SUCCESS
            return Disconnect(reason)
        case _:
            return _auth(random)


def _publish(random: Random, packet_id: int, new: bool) -> Publish:
    qos = random.randrange(3)
    properties = NO_PROPERTIES
    if new and random.random() < 0.2:
        properties = Properties(message_expiry_interval_s=random.choice((0, 1, 100)))
    topic = random.choice(TOPICS)
    if new and random.random() < 0.2:
        properties = replace(properties, topic_alias=random.choice((1, 1, 2, 16, 17)))
        topic = random.choice((topic, ""))
    return Publish(
        topic,
        bytes(random.choice(SIZES)),
        qos,
        random.random() < 0.15,
        qos > 0 and random.random() < 0.2,
        packet_id if qos else 0,
        properties,
    )


def _auth(random: Random) -> Auth:
    reason = random.choice(
        (Reason.RE_AUTHENTICATE, Reason.RE_AUTHENTICATE, Reason.CONTINUE_AUTHENTICATION)
    )
    if random.random() < 0.1:
        return Auth()
    given = Properties(
        authentication_method=random.choice(METHODS), authentication_data=random.choice(SCRAM_DATA)
    )
    return Auth(reason, given)


def _subscription(random: Random, new: bool) -> Subscription:
    topic_filter = random.choice(FILTERS)
    qos = random.randrange(3)
    if not new:
        return Subscription(topic_filter, qos)
    no_local = random.random() < 0.2 and not topic_filter.startswith("$share/")
    return Subscription(topic_filter, qos, no_local, random.random() < 0.3, random.randrange(3))
