"""What the status says of a mesh: rows, ports, problems in words, the worst first."""

import json
from dataclasses import replace

import pytest

from gateway.broker.traces import Trace
from gateway.config import ClusterSection, MqttSection
from gateway.control import (
    CopyState,
    GatewayState,
    Health,
    PortState,
    Severity,
    Status,
    to_document,
)
from gateway.control_lines import encode_answer
from gateway.mesh.copier import Standing
from gateway.mesh.frames import Vitals
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Connect, Version
from gateway.report import Reporter
from tests.mesh.room import CLUSTER, PORT, Gate, Room

VITALS = Vitals(60.0, 3, 10.0, 20.0, 5, 0.5, 40.0, 10.0, 45.0)


def status(gate: Gate, vitals: Vitals = VITALS) -> Status:
    """The document that this gateway would answer with."""
    reporter = Reporter(gate.node, gate.name, gate.name, "1.0")
    return reporter.status(vitals, "192.0.2.9", gate.room.now)


def texts(document: Status) -> list[str]:
    return [problem.text for problem in document.problems]


def say_ports(gate: Gate, name: str, *ports: object, topic: str = "") -> None:
    payload = json.dumps({"online": True, "ports": ports}).encode()
    gate.node.broker.publish(topic or f"gateways/{name}/devices", payload, 1, True, gate.room.now)
    gate.room.settle()


def test_a_mesh_that_is_well_is_healthy_and_names_every_gateway() -> None:
    room = Room()
    a, b, _ = room.linked("a", "b", "c")
    b.mesh.measured(VITALS, room.now)
    room.wait(1)
    document = status(a)
    assert document.health is Health.HEALTHY and document.problems == ()
    assert [(row.name, row.state, row.self) for row in document.gateways] == [
        ("a", GatewayState.ALIVE, True),
        ("b", GatewayState.ALIVE, False),
        ("c", GatewayState.ALIVE, False),
    ]
    own, told, silent = document.gateways
    assert (own.address, own.clients, own.rtt_ms) == ("192.0.2.9", 3, None)
    assert (told.clients, told.waiting, told.temperature_c) == (3, 5, 45.0)
    assert told.uptime_s == pytest.approx(61, abs=0.2) and told.rtt_ms is not None
    assert silent.clients is None  # it has not said how it is


def test_a_dead_gateway_is_an_error_with_its_address_and_its_ports_are_offline() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    say_ports(b, "b", {"name": "boiler", "path": "/dev/ttyUSB0", "state": "open", "readings": 7})
    assert [(port.gateway, port.state, port.readings) for port in status(a).serial_ports] == [
        ("b", PortState.OPEN, 7)
    ]
    room.lines[0].muted |= {0, 1}
    room.wait(4)
    document = status(a)
    assert document.health is Health.DEGRADED
    assert document.gateways[1].state is GatewayState.DEAD
    assert document.gateways[1].clients is None
    assert document.serial_ports[0].state is PortState.OFFLINE
    first = document.problems[0]
    assert first.severity is Severity.ERROR
    assert first.text == "b is dead: nothing heard from it for 4 s"
    assert "(b)" in first.remedy  # where it was


def test_a_gateway_that_was_stopped_on_purpose_is_no_error() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    b.node.leave(room.now)
    room.settle()
    room.lines[0].cut()
    room.gates.remove(b)
    room.wait(4)
    assert [(p.severity, p.text) for p in status(a).problems] == [
        (Severity.WARNING, "b was stopped on purpose")
    ]


def test_a_full_room_is_an_error_and_then_for_some_minutes_a_warning() -> None:
    room = Room()
    (a,) = room.linked("a")
    state = a.node.broker.state
    state.room.used += state.room.bytes_max
    room.wait(2)
    (problem,) = status(a).problems
    assert problem.severity is Severity.ERROR
    assert (
        problem.text
        == "messages that wait take 64 of 64 MB. 0 that must be kept were refused so far"
    )
    assert "gwctl sessions" in problem.remedy
    state.room.used = 0
    (problem,) = status(a).problems
    assert problem.severity is Severity.WARNING
    room.wait(601)
    assert status(a).problems == ()


def test_missing_gateways_are_counted_against_the_expected() -> None:
    cluster = ClusterSection("room", "not used here", PORT, discovery=False, expected_gateways=3)
    room = Room()
    a, b = room.gate("a", cluster=cluster), room.gate("b")
    room.line(a, b)
    room.settle()
    assert texts(status(a)) == ["2 of 3 expected gateways are here"]


def test_who_stays_out_is_named_and_another_cluster_is_only_a_notice() -> None:
    room = Room()
    (a,) = room.linked("a")
    a.mesh.refused("other-cluster", "gw7", "it belongs to the cluster 'office'", room.now)
    document = status(a)
    assert document.health is Health.HEALTHY
    assert [(p.severity, p.text) for p in document.problems] == [
        (Severity.NOTICE, "gw7 stays out: it belongs to the cluster 'office'")
    ]
    a.mesh.refused("key", "gw8", "its cluster key is another one", room.now)
    document = status(a)
    assert document.health is Health.DEGRADED
    assert [p.severity for p in document.problems] == [Severity.WARNING, Severity.NOTICE]
    room.wait(61)
    assert status(a).problems == ()


def test_two_gateways_of_one_name_are_a_problem() -> None:
    room = Room()
    a = room.gate("a")
    b = room.gate("a", gateway="b", store="store-b")
    room.line(a, b).links[0].certified = "b"
    room.settle()
    assert texts(status(a)) == ["two gateways are called a"]


def test_full_disks_full_memories_and_heat_are_named() -> None:
    room = Room()
    (a,) = room.linked("a")
    vitals = Vitals(1.0, 0, 0.0, 0.0, 0, 0.1, 95.0, 96.0, 85.0)
    assert texts(status(a, vitals)) == [
        "the disk of a is 96% full",
        "the memory of a is 95% full",
        "a is 85 degrees hot",
    ]


def test_ports_that_are_not_open_are_problems_with_their_reason() -> None:
    room = Room()
    (a,) = room.linked("a")
    say_ports(
        a,
        "a",
        {"name": "one", "state": "missing", "detail": "no such device"},
        {"name": "two", "state": "open", "last_reading_s": 1.5},
    )
    document = status(a)
    assert texts(document) == ["serial port one of a is missing: no such device"]
    assert [port.last_reading_s for port in document.serial_ports] == [None, 1.5]


def test_nonsense_on_the_topics_of_devices_is_not_shown_and_harms_nothing() -> None:
    room = Room()
    (a,) = room.linked("a")
    for ports in ([1], ["x"], [{"name": "p"}], [{"name": "p", "state": "melted"}], 7, None):
        payload = json.dumps({"ports": ports}).encode()
        a.node.broker.publish("gateways/a/devices", payload, 0, True, room.now)
        assert status(a).serial_ports == ()
    for payload in (
        b"\xff",
        b"[]",
        b"{",
        b'{"ports":[{"name":"p","state":"open","readings":1e999}]}',
    ):
        a.node.broker.publish("gateways/a/devices", payload, 0, True, room.now)
        assert status(a).serial_ports == ()


def test_a_limit_that_was_reached_is_shown_for_ten_minutes() -> None:
    room = Room()
    (a,) = room.linked("a")
    a.node.broker.vitals.dropped_queue_full += 4
    a.node.broker.vitals.refused_retained_full += 2
    room.wait(2)
    assert texts(status(a)) == [
        "6 messages were dropped since the start"
        " (4 at full queues, 2 not retained, for lack of room)"
    ]
    room.now += 601
    assert status(a).problems == ()


def test_who_was_turned_away_at_the_door_is_told_by_reason() -> None:
    room = Room()
    (a,) = room.linked("a")
    vitals = a.node.broker.vitals
    vitals.refused_proxies, vitals.malformed_proxies, vitals.last_refused_at = 3, 1, room.now
    assert texts(status(a)) == [
        "connections were turned away since the start"
        " (3 to a port for proxies, from elsewhere, 1 from a proxy, without a PROXY header)"
    ]
    room.now += 601
    assert status(a).problems == ()


def test_what_the_mesh_lost_is_shown_for_ten_minutes() -> None:
    room = Room()
    a, _ = room.linked("a", "b")
    a.peer("b").outgoing.dropped = 3
    a.mesh.state.barriers.timeouts = 2
    a.mesh.measured(VITALS, room.now)
    assert [(p.severity, p.text) for p in status(a).problems] == [
        (Severity.ERROR, "3 messages for other gateways were dropped since the start"),
        (Severity.WARNING, "2 subscriptions were confirmed before every gateway knew them"),
    ]
    for _ in range(601):
        room.wait(1)
    a.mesh.measured(VITALS, room.now)
    assert status(a).problems == ()


@pytest.mark.parametrize("key", ["readings", "last_reading_s"])
@pytest.mark.parametrize("figure", ["NaN", "1e999", "-1", "1e300", '"many"'])
def test_a_figure_that_no_answer_can_carry_is_not_shown(key: str, figure: str) -> None:
    room = Room()
    (a,) = room.linked("a")
    payload = f'{{"ports":[{{"name":"p","state":"open","{key}":{figure}}}]}}'.encode()
    a.node.broker.publish("gateways/a/devices", payload, 0, True, room.now)
    assert status(a).serial_ports == ()
    assert encode_answer(to_document(status(a)))


def test_strangers_at_the_door_are_a_notice_that_says_how_to_let_them_in() -> None:
    room = Room()
    (a,) = room.linked("a")
    a.node.broker.state.settings = MqttSection()
    for number, name in enumerate((None, "ann")):
        line = a.node.broker.entrance.open(f"192.0.2.{number}", False, room.now)
        connect = Connect(Version.MQTT5, "c", True, 0, None, name, b"x")
        line.receive(encode(connect, Version.MQTT5), room.now)
    document = status(a)
    (problem,) = document.problems
    assert problem.text == "clients without a user were refused 2 times"
    assert "gwctl user add" in problem.remedy and document.health is Health.HEALTHY
    room.wait(601)
    assert status(a).problems == ()


def test_what_happened_once_is_told_in_the_words_for_one() -> None:
    room = Room()
    (a,) = room.linked("a")
    vitals, now = a.node.broker.vitals, room.now
    vitals.dropped_queue_full, vitals.last_drop_at = 1, now
    vitals.publishers_slowed, vitals.comebacks_slowed, vitals.last_slowed_at = 1, 1, now
    vitals.subscriptions_refused_full, vitals.last_subscription_refused_at = 1, now
    vitals.logins_wrong, vitals.last_login_refused_at = 1, now
    vitals.refused_strangers, vitals.last_stranger_at = 1, now
    vitals.internal_errors, vitals.last_internal_error_at = 1, now
    assert sorted(problem.text for problem in status(a).problems) == [
        "1 client was cut off by a mistake of this gateway since the start",
        "1 login was wrong since the start",
        "1 message was dropped since the start (1 at full queues)",
        "1 subscription was refused: there are too many",
        "clients published too fast and were slowed once",
        "clients that were cut off came back at once and had to wait once",
        "clients without a user were refused once",
    ]


def test_wrong_logins_are_a_notice_for_a_while() -> None:
    room = Room()
    (a,) = room.linked("a")
    vitals = a.node.broker.vitals
    vitals.logins_wrong, vitals.logins_busy, vitals.last_login_refused_at = 3, 2, room.now
    (problem,) = status(a).problems
    assert problem.severity is Severity.NOTICE
    text = "3 logins were wrong since the start, 2 refused for too many came at once"
    assert problem.text == text and status(a).health is Health.HEALTHY
    vitals.last_login_refused_at -= 601
    assert status(a).problems == ()


def test_clients_that_publish_too_fast_are_a_notice_and_messages_of_groups_without_members_a_loss() -> (
    None
):
    room = Room()
    (a,) = room.linked("a")
    vitals = a.node.broker.vitals
    vitals.publishers_slowed, vitals.last_slowed_at = 7, room.now
    (problem,) = status(a).problems
    assert problem.severity is Severity.NOTICE
    assert problem.text == "clients published too fast and were slowed 7 times"
    vitals.dropped_shared, vitals.last_drop_at = 2, room.now
    texts = [problem.text for problem in status(a).problems]
    assert any("2 for shared subscriptions without a member" in text for text in texts)
    vitals.last_slowed_at, vitals.last_drop_at = room.now - 601, room.now - 601
    assert status(a).problems == ()


def test_a_trace_that_runs_is_a_notice() -> None:
    room = Room()
    (a,) = room.linked("a")
    traces = [Trace(("#",), "", lambda: None) for _ in range(2)]
    assert a.node.broker.watching.trace(traces[0])
    (problem,) = status(a).problems
    assert (problem.severity, problem.text) == (Severity.NOTICE, "somebody runs gwctl trace")
    assert a.node.broker.watching.trace(traces[1])
    assert status(a).problems[0].text == "gwctl trace runs 2 times"
    for trace in traces:
        a.node.broker.watching.untrace(trace)
    assert status(a).problems == ()


def test_what_the_broker_holds_and_counts_is_in_the_document() -> None:
    room = Room()
    (a,) = room.linked("a")
    a.node.broker.vitals.dropped_shared = 3
    broker = status(a).broker
    assert broker is not None
    assert broker.counters["dropped_shared"] == 3
    assert (broker.sessions, broker.subscriptions, broker.retained, broker.replays) == (0, 0, 0, 0)
    assert not [name for name in broker.counters if name.startswith(("_", "last_"))]


def test_two_copies_of_everything_is_well_and_says_where() -> None:
    room = Room()
    a, b = room.linked("a", "b", disk=True)
    room.wait(5)
    document = status(a)
    assert document.health is Health.HEALTHY and document.copies is not None
    copies = document.copies
    assert (copies.state, copies.stand_in, copies.reason) == (CopyState.TWO, "b", "")
    assert copies.keeps == ("b",) and copies.made == 1
    assert b.shelves.whole("a") is not None


def test_one_copy_only_degrades_and_says_why_and_since_when() -> None:
    room = Room()
    a, _ = room.linked("a", "b", disk=True)
    room.wait(5)
    room.lines[0].cut()
    room.wait(60)
    document = status(a)
    assert document.copies is not None
    assert (document.copies.state, document.copies.reason) == (CopyState.ONE, "b is away")
    assert 59 <= document.copies.since_s <= 61
    assert "one copy only: b is away" in texts(document)
    assert document.health is Health.DEGRADED


@pytest.mark.parametrize("standing", Standing)
def test_one_copy_only_has_a_reason_however_the_copy_stands(standing: Standing) -> None:
    room = Room()
    a, _ = room.linked("a", "b", disk=True)
    room.wait(5)
    a.mesh.copier.standing = standing
    a.mesh.copier._from += 1  # something that nobody waited for is not there yet
    copies = status(a).copies
    assert copies is not None and copies.state is CopyState.ONE and copies.reason


def test_a_gateway_that_knows_no_other_has_one_copy_and_is_well() -> None:
    document = status(Room().gate("a", disk=True))
    assert document.copies is not None and document.copies.state is CopyState.ONE
    assert document.health is Health.HEALTHY
    assert status(Room().gate("a")).copies is None, "it keeps nothing"


def test_what_waits_for_each_gateway_is_shown_and_what_is_lost_of_it_is_an_error() -> None:
    room = Room(disks=True)
    a, b = room.linked("a", "b", cluster=replace(CLUSTER, courier_messages_max=2))
    client = b.client("s", clean=False)
    room.settle()
    client.subscribe("t", 1)
    room.settle()
    client.leave()
    room.wait(0.5)
    room.kill(b)
    room.wait(5)
    (row,) = status(a).couriers
    assert (row.gateway, row.messages, row.oldest_s) == ("b", 0, None)
    writer = a.client("writer")
    for _ in range(3):
        writer.publish("t", b"x")
    room.wait(3)
    document = status(a)
    (row,) = document.couriers
    assert (row.messages, row.refused, row.dropped, row.expired) == (2, 1, 0, 0)
    assert row.bytes and row.oldest_s is not None and 1 <= row.oldest_s <= 4
    assert "1 message was lost that waited for b (1 not taken)" in texts(document)
    assert document.health is Health.DEGRADED
    room.wait(601)
    assert not [text for text in texts(status(a)) if "waited for b" in text], "not for ever"
