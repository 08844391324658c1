"""How two gateways come to one link, and who stays out."""

import pytest

from gateway.config import ClusterSection
from gateway.effects import Dial
from gateway.mesh.frames import PROTOCOL, Hello, Refuse
from gateway.mesh.life import Life
from gateway.mesh.link import LinkState
from tests.mesh.room import Gate, Room, stranger
from tests.mesh.transcript import check


def hello(**said: object) -> Hello:
    """Of a gateway z, as it should be but for what is said."""
    fields = {
        "protocol": PROTOCOL,
        "protocol_min": 1,
        "cluster": "room",
        "gateway": "z",
        "name": "z",
        "store": "store-z",
        "boot": 1,
        "nonce": "nonce-z",
        "version": "1.0",
        "mesh_time_ms": 5,
        "address": "z",
        "link_port": 7883,
        "mqtt_port": 1883,
        **said,
    }
    return Hello(**fields)  # type: ignore[arg-type]


def up(gate: Gate) -> list[str]:
    """Whom a gate has a link with that is up."""
    return [link.gateway for link in gate.mesh.state.links if link.state is LinkState.UP]


def test_link_up() -> None:
    room = Room()
    a, b = room.gate("a"), room.gate("b")
    a.client("reader").subscribe("plant/+/level")
    b.client("writer").publish("plant/1/level", b"full", retain=True)
    room.settle()
    room.frames.clear()
    room.line(a, b)
    room.settle()
    check("link-up", room.talk)
    assert up(a) == ["b"] and up(b) == ["a"]
    assert a.peer("b").synced and b.peer("a").synced
    assert a.peer("b").life is b.peer("a").life is Life.ALIVE


@pytest.mark.parametrize("first", ["a", "b"])
def test_a_double_dial_settles_to_the_link_that_the_lower_id_began(first: str) -> None:
    room = Room()
    a, b = room.gate("a"), room.gate("b")
    for name in (first, "b" if first == "a" else "a"):
        room.line(*((a, b) if name == "a" else (b, a)))
    room.settle()
    check(f"double-dial-{first}-first", room.talk)
    assert [line.gates for line in room.lines] == [(a, b)]
    assert up(a) == ["b"] and up(b) == ["a"]
    room.wait(5)
    assert not a.mesh.operating.refusals(room.now) and not b.mesh.operating.refusals(room.now)


def test_a_half_open_link_gives_way_when_it_is_no_longer_heard() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    room.lines[0].muted = {0, 1}  # b's host forgot it, a has not noticed
    b.mesh.lost(room.lines[0].links[1], room.now)
    room.line(b, a)
    room.settle()
    assert up(b) == []  # refused as a second one: the first may live
    room.wait(1.6)
    room.line(b, a)
    room.settle()
    assert up(a) == ["b"] and up(b) == ["a"]


REFUSED = [
    ("protocol-newer", hello(protocol=PROTOCOL + 2, protocol_min=PROTOCOL + 1), "protocol"),
    ("protocol-older", hello(protocol=0, protocol_min=0), "protocol"),
    ("cluster", hello(cluster="greenhouse"), "cluster"),
    ("clone", hello(gateway="a", name="a", nonce="another"), "clone"),
    ("identity", hello(gateway="y", name="y"), "identity"),
]


@pytest.mark.parametrize(("name", "said", "code"), REFUSED, ids=[each[0] for each in REFUSED])
def test_who_does_not_belong_here_stays_out(name: str, said: Hello, code: str) -> None:
    room = Room()
    a = room.gate("a")
    link, say = stranger(room, a)
    answers = say(said)
    refuse = next(frame for frame in answers if isinstance(frame, Refuse))
    assert refuse.code == code
    check(f"refused-{name}", [refuse.detail, *a.notes])
    assert link.closed and not a.mesh.state.peers
    assert [refusal.code for refusal in a.mesh.operating.refusals(room.now)] == [code]


def test_a_refusal_is_said_in_the_log_once_and_in_the_status_for_a_minute() -> None:
    room = Room()
    a = room.gate("a")
    for _ in range(5):
        stranger(room, a)[1](hello(cluster="greenhouse"))
        room.now += 5
    assert len([note for note in a.notes if "greenhouse" in note]) == 1
    room.now += 54.9
    assert len(a.mesh.operating.refusals(room.now)) == 1
    room.now += 0.2
    assert not a.mesh.operating.refusals(room.now)


def test_a_refusal_is_forgotten_when_the_gateway_comes_in() -> None:
    room = Room()
    a, b = room.gate("a"), room.gate("b", cluster=ClusterSection("other", "", 7883))
    room.line(a, b)
    room.settle()
    assert a.mesh.operating.refusals(room.now) and b.mesh.operating.refusals(room.now)
    b.said["cluster"] = ClusterSection("room", "", 7883)
    b.restart()
    room.line(a, b)
    room.settle()
    assert not a.mesh.operating.refusals(room.now)


def test_the_own_address_is_dialled_once() -> None:
    room = Room()
    a = room.gate("a")
    a.mesh.found("", "a", 7883, room.now)
    room.wait(1)
    assert [dial.address for dial in a.dials] == ["a"]
    room.line(a, a)
    room.settle()
    room.wait(30)
    assert [dial.address for dial in a.dials] == ["a"]
    assert not a.mesh.operating.refusals(room.now)


def test_two_that_greet_a_third_at_the_same_time_hear_of_each_other() -> None:
    room = Room()
    a, b, c = room.gate("a"), room.gate("b"), room.gate("c")
    room.line(b, a)
    room.line(c, a)
    room.settle()
    room.wait(0.2)
    assert Dial("c", 7883) in b.dials
    assert Dial("b", 7883) in c.dials


def test_a_link_that_says_nothing_is_closed() -> None:
    room = Room()
    a = room.gate("a")
    link, _ = stranger(room, a)
    room.wait(4.9)
    assert not link.closed
    room.wait(1)
    assert link.closed
    assert [refusal.text for refusal in a.mesh.operating.refusals(room.now)] == ["said nothing"]


def test_a_link_that_was_closed_is_not_refused_as_well() -> None:
    room = Room()
    a, _b = room.linked("a", "b")
    room.wait(6)
    room.lines[0].muted = {0, 1}  # nothing arrives, and the socket lingers
    room.wait(4)
    assert a.peer("b").life is Life.DEAD
    assert not a.mesh.operating.refusals(room.now)
