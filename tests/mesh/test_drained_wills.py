"""Clients that a gateway sends away have some time to be back before their wills are sent."""

from gateway.limits import RETURN_S
from gateway.mesh.wills import GRACE_S
from gateway.mqtt.packets import Disconnect, Will
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.mesh.room import Gate, Room
from tests.mesh.test_wills import DEAD_S, Watcher, stop, three

LOST = {"b": [b"lost"], "c": [b"lost"]}


def sent_away(*names: str, delay_s: int = 0) -> tuple[Room, Gate, Gate, Gate, Watcher]:
    """Gateways a, b and c, and clients with wills that a has sent away; b keeps the wills."""
    room, a, b, c, watcher = three()
    properties = Properties(will_delay_interval_s=delay_s or None)
    for name in names:
        will = Will(f"gone/{name}", name.encode(), 1, False, properties)
        a.client(name, will=will, expiry_s=60 if delay_s else 0)
    room.settle()
    drain(a)
    room.wait(0.2)
    assert a.node.broker.clients() == 0 and watcher.saw() == {}
    return room, a, b, c, watcher


def drain(gate: Gate) -> None:
    gate.node.broker.drain_clients(gate.mesh.operating.doors, gate.room.now)


def test_who_is_back_anywhere_in_ten_seconds_was_never_away() -> None:
    room, a, b, c, watcher = sent_away("back", "lost")
    room.wait(5)
    c.client("back")
    room.wait(RETURN_S - 5.4)
    assert watcher.saw() == {}
    room.wait(1)
    assert watcher.saw() == LOST
    room.wait(60)
    assert watcher.saw() == {}
    assert not a.node.broker.state.wills and b.mesh.state.estates.count() == 0


def test_who_is_back_here_was_never_away() -> None:
    room, a, b, _, watcher = sent_away("c")
    a.node.broker.undrain_clients()
    a.client("c")
    room.wait(60)
    assert watcher.saw() == {} and b.mesh.state.estates.count() == 0


def test_if_the_gateway_stops_then_it_is_a_planned_stop() -> None:
    room, a, b, c, watcher = sent_away("back", "lost")
    room.wait(2)
    stop(room, a)
    room.settle()
    room.kill(a)
    room.wait(4)
    c.client("back")  # a clean start, as it always does
    room.wait(RETURN_S - 4.5)
    assert watcher.saw() == {}
    room.wait(1)
    assert watcher.saw() == LOST
    room.wait(60)
    assert watcher.saw() == {} and b.mesh.state.estates.count() == 0


def test_a_gateway_that_takes_its_time_to_stop_leaves_the_wills_to_the_other() -> None:
    room, a, _, _, watcher = sent_away("lost")
    room.wait(RETURN_S - 1)
    stop(room, a)
    room.wait(60)
    assert watcher.saw() == LOST


def test_who_was_back_and_said_goodbye_is_not_mourned_when_the_plug_is_pulled() -> None:
    room, a, b, c, watcher = sent_away("c")
    client = c.client("c")
    room.settle()
    client.send(Disconnect(Reason.NORMAL_DISCONNECTION))
    room.settle()
    assert b.mesh.state.estates.count() == 0
    room.kill(a)
    room.wait(60)
    assert watcher.saw() == {}


def test_when_the_plug_is_pulled_too_early_the_other_gateway_sends() -> None:
    room, a, _, _, watcher = sent_away("lost")
    room.kill(a)
    room.wait(DEAD_S + GRACE_S + 1)
    assert watcher.saw() == LOST
    room.wait(60)
    assert watcher.saw() == {}


def test_another_keeper_knows_as_much() -> None:
    room, a, b, c, watcher = sent_away("back", "lost")
    room.kill(b)
    room.wait(DEAD_S + 1)
    assert c.mesh.state.estates.count() == 2
    stop(room, a)
    room.settle()
    room.kill(a)
    c.client("back")
    room.wait(60)
    assert watcher.saw() == {"c": [b"lost"]}


def test_a_delay_runs_and_ends_with_the_session() -> None:
    room, _, _, c, watcher = sent_away("cleaned", "lost", "back", delay_s=20)
    c.client("back", clean=False, expiry_s=60)
    room.settle()
    assert watcher.saw() == {}
    c.client("cleaned")  # [MQTT-3.1.3-9]
    room.settle()
    assert watcher.saw() == {"b": [b"cleaned"], "c": [b"cleaned"]}
    room.wait(19)
    assert watcher.saw() == {}
    room.wait(2)
    assert watcher.saw() == LOST


def test_a_short_delay_is_ten_seconds() -> None:
    room, _, _, _, watcher = sent_away("lost", delay_s=1)
    room.wait(RETURN_S - 1)
    assert watcher.saw() == {}
    room.wait(2)
    assert watcher.saw() == LOST
