"""Three real gateways are one service: found by mDNS, killed, cut off, and never doubled."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.conftest import Mesh, People
from tests.chaos.mesh import FOUND_S_MAX, NAMES
from tests.clients.face import Login, Message, Properties, Refused, Version
from tests.clients.paho_driver import PahoDriver
from tests.clients.tools import Door, Subscriber, publish
from tests.gateways import Gateway, in_namespace, wait_until
from tests.requires import needs

pytestmark = pytest.mark.slow
LAN_ONLY = pytest.mark.parametrize("whole_mesh", ["lan"], indirect=True)

END = b"end"
DEAD_S_MAX = 4.0  # from the last sign of life until every status says so
STREAM = 2_000


def door(mesh: Mesh, name: str, version: Version = Version.MQTT311) -> Door:
    return Door(mesh[name].host, mesh[name].port, version)


def test_each_status_shows_all_three_alive(mesh: Mesh) -> None:
    assert mesh.found_s < FOUND_S_MAX
    for name in NAMES:
        rows = {row["name"]: row for row in mesh[name].status()["gateways"]}
        assert {row: rows[row]["state"] for row in NAMES} == dict.fromkeys(NAMES, "alive")
        assert [row for row in NAMES if rows[row]["self"]] == [name]
        assert {row: rows[row]["address"] for row in NAMES} == {n: mesh[n].host for n in NAMES}


def test_each_status_shows_how_far_the_others_are(mesh: Mesh) -> None:
    def times(name: str) -> dict[str, float | None]:
        return {row["name"]: row["rtt_ms"] for row in mesh[name].status()["gateways"]}

    def measured(name: str) -> bool:
        return all((times(name)[other] or 0) > 0 for other in NAMES if other != name)

    for name in NAMES:
        wait_until(lambda: measured(name), f"round-trip times at {name}", 5)  # noqa: B023
        assert times(name)[name] is None


def test_a_reading_at_one_gateway_reaches_mosquitto_sub_at_another(mesh: Mesh) -> None:
    needs("mosquitto_sub")
    with Subscriber(door(mesh, "gw3"), ["plant/+/temperature"], 1).start() as subscriber:
        publish(door(mesh, "gw1"), "plant/boiler/temperature", "71.5", 1)
        message = Message("plant/boiler/temperature", b"71.5", 1)
        assert subscriber.inbox.next() == message


def test_a_killed_gateway_is_dead_in_seconds_and_the_others_go_on(
    mesh: Mesh, people: People
) -> None:
    reader, writer = people.at(mesh["gw3"], "reader"), people.at(mesh["gw1"], "writer")
    reader.subscribe("on/#", 1)
    mesh["gw2"].kill()
    killed_at = time.monotonic()
    writer.publish([Message("on/during", b"1", 1)])
    assert reader.inbox.next().payload == b"1"
    for name in ("gw1", "gw3"):
        left_s = DEAD_S_MAX - (time.monotonic() - killed_at)
        wait_until(lambda: mesh[name].states()["gw2"] == "dead", f"dead at {name}", left_s)  # noqa: B023
        assert "gw2" in mesh[name].problems()
        assert mesh[name].status()["health"] == "degraded"
    writer.publish([Message("on/after", b"2", 1)])
    assert reader.inbox.next().payload == b"2"
    mesh["gw2"].start()
    wait_until(mesh.complete, "gw2 alive again everywhere", FOUND_S_MAX)
    again = people.at(mesh["gw2"], "again")
    again.publish([Message("on/again", b"3", 1)])
    assert reader.inbox.next().payload == b"3"


def test_retained_messages_reach_a_gateway_that_starts_later(mesh: Mesh, people: People) -> None:
    writer = people.at(mesh["gw1"], "writer")
    writer.publish([Message("late/cleared", b"old", 1, retain=True)])
    mesh["gw3"].stop()
    writer.publish([Message("late/kept", b"1", 1, retain=True)])
    writer.publish([Message("late/kept", b"2", 1, retain=True)])
    writer.publish([Message("late/cleared", b"", 1, retain=True)])
    mesh["gw3"].start()
    reader = people.at(mesh["gw3"], "reader")
    # Before the links are up the gateway may not answer, or not yet know; what counts is what a
    # subscriber has in the end, and that it never sees what was cleared.
    reader.subscribe("late/#", 1)
    assert reader.inbox.next() == Message("late/kept", b"2", 1, retain=True)
    mesh.settle()
    late = people.at(mesh["gw3"], "late")
    late.subscribe("late/#", 1)
    late.publish([Message("late/end", END, 1)])
    assert late.inbox.until(END) == [Message("late/kept", b"2", 1, retain=True)]
    assert reader.inbox.until(END) == []


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_comes_once_however_many_subscriptions_match(
    mesh: Mesh, people: People, qos: int
) -> None:
    filters = ["once/#", "once/+/x", "once/a/x", "+/a/x", "#"]
    readers = [people.at(mesh[name], f"reader{name}") for name in NAMES]
    writers = {name: people.at(mesh[name], f"writer{name}") for name in NAMES}
    for reader in readers:
        for topic_filter in filters:
            reader.subscribe(topic_filter, qos)
    for n in range(5):
        for name, writer in writers.items():
            writer.publish([Message("once/a/x", f"{name}-{n}".encode(), qos)])
    for writer in writers.values():
        writer.publish([Message("once/end", END, qos)])
    for reader in readers:
        came: list[bytes] = []
        for _ in NAMES:
            came += [m.payload for m in reader.inbox.until(END) if m.topic == "once/a/x"]
        assert sorted(came) == sorted(f"{name}-{n}".encode() for name in NAMES for n in range(5))


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_stream_crosses_two_gateways_whole_and_in_order(
    mesh: Mesh, people: People, qos: int
) -> None:
    reader, writer = people.at(mesh["gw3"], "reader"), people.at(mesh["gw1"], "writer")
    reader.subscribe("stream/+", qos)
    writer.publish([Message("stream/x", b"%d" % n, qos) for n in range(STREAM)])
    writer.publish([Message("stream/x", END, qos)])
    came = [int(m.payload) for m in reader.inbox.until(END)]
    assert came == list(range(STREAM))


def test_a_subscription_counts_everywhere_once_it_is_acknowledged(
    mesh: Mesh, people: People
) -> None:
    reader, writer = people.at(mesh["gw3"], "reader"), people.at(mesh["gw1"], "writer")
    for n in range(50):
        topic = f"barrier/{n}"
        reader.subscribe(topic, 1)
        writer.publish([Message(topic, b"%d" % n, n % 2, retain=n % 3 == 0)])
        assert reader.inbox.next() == Message(topic, b"%d" % n, n % 2)
    assert reader.inbox.waiting() == 0


def test_a_subscription_is_acknowledged_when_the_others_know_of_it(
    mesh: Mesh, people: People
) -> None:
    reader, writer = people.at(mesh["gw3"], "reader"), people.at(mesh["gw1"], "writer")
    with ThreadPoolExecutor(1) as pool:
        with mesh["gw1"].frozen():
            answer = pool.submit(reader.subscribe, "known", 1)
            with pytest.raises(FutureTimeout):
                answer.result(0.3)
        assert answer.result(5) == 1
    writer.publish([Message("known", END, 1)])
    assert reader.inbox.until(END) == []


def test_after_unsubscribing_nothing_comes_from_elsewhere(mesh: Mesh, people: People) -> None:
    reader, writer = people.at(mesh["gw3"], "reader"), people.at(mesh["gw1"], "writer")
    reader.subscribe("left/a", 1)
    reader.subscribe("left/end", 1)
    reader.unsubscribe("left/a")
    writer.publish([Message("left/a", b"no", 1), Message("left/end", END, 1)])
    assert reader.inbox.until(END) == []


def test_what_describes_a_message_crosses_a_link(mesh: Mesh, people: People) -> None:
    reader, writer = people.at(mesh["gw3"], "reader"), people.at(mesh["gw1"], "writer")
    old = people.at(mesh["gw2"], "old", Version.MQTT311)
    for client in (reader, old):
        client.subscribe("described", 1)
    sent = Properties(
        payload_format_indicator=1,
        content_type="text/plain",
        response_topic="answers",
        correlation_data=b"\x00\x01",
        user_properties=(("a", "1"), ("a", "2")),
    )
    writer.publish([Message("described", b"x", 1, properties=sent)])
    assert reader.inbox.next().properties == sent
    assert old.inbox.next() == Message("described", b"x", 1)


def test_a_message_published_just_after_a_restart_is_not_lost(mesh: Mesh, people: People) -> None:
    reader = people.at(mesh["gw3"], "reader")
    reader.subscribe("early", 1)
    mesh["gw1"].kill()
    mesh["gw1"].start()
    people.at(mesh["gw1"], "writer").publish([Message("early", END, 1)])
    assert reader.inbox.until(END) == []


def test_a_will_is_seen_at_another_gateway(mesh: Mesh, people: People) -> None:
    watcher = people.at(mesh["gw3"], "watcher")
    watcher.subscribe("wills/#", 1)
    driver = PahoDriver()
    client = driver.client(mesh["gw1"].host, mesh["gw1"].port, Version.MQTT311)
    will = Message("wills/c", b"gone", 1, retain=True)
    client.connect(Login(client_id="mortal", will=will))
    client.abort()
    driver.close()
    assert watcher.inbox.next().payload == b"gone"
    late = people.at(mesh["gw2"], "late")
    late.subscribe("wills/#", 1)
    assert late.inbox.next() == Message("wills/c", b"gone", 1, retain=True)


def test_a_gateway_with_another_key_stays_out(mesh: Mesh, people: People) -> None:
    other = replace(mesh.cluster, key="another-key-2c9b7e4d18a05f63")
    stranger = mesh.gateway("badkey", other)
    with stranger:
        for gateway in (stranger, mesh["gw1"]):
            wait_until(lambda: "key" in gateway.problems(), "named in status", 10)  # noqa: B023
        assert "badkey" not in mesh["gw1"].states()
        assert set(stranger.states()) & set(NAMES) == set()
        _assert_apart(mesh, people, stranger.host)


def test_a_gateway_of_another_cluster_stays_out(mesh: Mesh, people: People) -> None:
    other = replace(mesh.cluster, name=f"{mesh.cluster.name}-other")
    stranger = mesh.gateway("foreign", other)
    with stranger:
        wait_until(lambda: "foreign" in mesh["gw1"].problems(), "named in status", 10)
        wait_until(lambda: "gw1" in stranger.problems(), "named in the other's status", 10)
        assert "foreign" not in mesh["gw1"].states()
        assert set(stranger.states()) & set(NAMES) == set()
        _assert_apart(mesh, people, stranger.host)


def _assert_apart(mesh: Mesh, people: People, host: str) -> None:
    """Nothing crosses between the mesh and a gateway that stays out, and the mesh is whole."""
    driver = PahoDriver()
    outsider = driver.client(host, 1883, Version.MQTT5)
    outsider.connect(Login(client_id="outsider"))
    reader, writer = people.at(mesh["gw1"], "reader"), people.at(mesh["gw3"], "writer")
    for client in (outsider, reader):
        client.subscribe("apart/#", 1)
    outsider.publish([Message("apart/x", b"outside", 1)])
    writer.publish([Message("apart/x", b"inside", 1), Message("apart/x", END, 1)])
    assert [m.payload for m in reader.inbox.until(END)] == [b"inside"]
    outsider.publish([Message("apart/x", END, 1)])
    assert [m.payload for m in outsider.inbox.until(END)] == [b"outside"]
    driver.close()
    assert mesh.complete()


@LAN_ONLY
@pytest.mark.parametrize(
    ("version", "code"), [(Version.MQTT31, 5), (Version.MQTT311, 5), (Version.MQTT5, 0x87)]
)
def test_anonymous_clients_come_from_the_gateway_itself_only(
    mesh: Mesh, version: Version, code: int
) -> None:
    name = f"strict{int(version)}"
    driver = PahoDriver()
    with mesh.gateway(name, None, anonymous="loopback") as strict:
        client = driver.client(strict.host, strict.port, version)
        with pytest.raises(Refused) as refusal:
            client.connect(Login(client_id="anyone"))
        # paho tells 3.1.1's return codes in 5.0's words.
        assert refusal.value.code in (code, 0x87)
        driver.close()
        local = Door("127.0.0.1", strict.port, version, strict.namespace)
        publish(local, "local", "x", 1)


def test_a_client_id_has_one_connection_in_the_mesh_the_newest(mesh: Mesh, people: People) -> None:
    for name in (*NAMES, *NAMES):
        newest = people.at(mesh[name], "roaming")
        doors = [each for each in NAMES if "roaming" in clients(mesh[each])]
        assert doors == [name]
        newest.publish([Message("roaming/here", b"1", 1)])


def operator(gateway: Gateway, command: str, **arguments: object) -> dict[str, Any]:
    """What the gateway says to a command of the operator's."""
    answer = gateway.ask({"command": command, "arguments": arguments})
    assert answer["ok"], answer
    result: dict[str, Any] = answer["result"]
    return result


def clients(gateway: Gateway) -> list[str]:
    """Who is connected there."""
    return [row["client"] for row in operator(gateway, "clients")["clients"]]


def logs_in(gateway: Gateway, user: str, password: str) -> bool:
    """Whether mosquitto_pub may publish there as this user."""
    login = ("-u", user, "-P", password)
    host = ("-h", gateway.host, "-p", str(gateway.port))
    words = in_namespace(gateway.namespace)
    done = subprocess.run(
        [*words, "mosquitto_pub", "-V", "5", *host, *login, "-q", "1", "-t", "t", "-m", "x"],
        capture_output=True,
        timeout=30,
    )
    return done.returncode == 0


def test_users_are_the_meshs_and_a_removal_names_who_has_not_heard_of_it(mesh: Mesh) -> None:
    for user in ("ann", "bob"):
        said = operator(mesh["gw1"], "user add", user=user, password="correct horse")
        assert said["done"] == f"the user {user} may log in"
    assert all(logs_in(mesh[name], "ann", "correct horse") for name in NAMES)
    mesh["gw3"].stop()
    wait_until(lambda: mesh["gw2"].states()["gw3"] == "dead", "gw3 is gone", DEAD_S_MAX + 1)
    removed = operator(mesh["gw2"], "user remove", user="ann")
    assert removed["done"] == "the user ann is removed, and disconnected, but not yet known at gw3"
    assert not logs_in(mesh["gw1"], "ann", "correct horse")
    mesh["gw3"].start()
    wait_until(mesh.complete, "gw3 is back", FOUND_S_MAX)
    assert not logs_in(mesh["gw3"], "ann", "correct horse")
    assert logs_in(mesh["gw3"], "bob", "correct horse")
    operator(mesh["gw3"], "user remove", user="bob")  # nobody else is to need a password


@LAN_ONLY
def test_a_cut_cable_leaves_both_sides_serving_and_heals_by_itself(
    mesh: Mesh, people: People
) -> None:
    assert mesh.lan is not None
    reader, writer = people.at(mesh["gw1"], "reader"), people.at(mesh["gw2"], "writer")
    reader.subscribe("cut/#", 1)
    mesh.lan.cut("gw3")
    cut_at = time.monotonic()
    try:
        for name in ("gw1", "gw2"):
            left_s = DEAD_S_MAX - (time.monotonic() - cut_at)
            wait_until(lambda: mesh[name].states()["gw3"] == "dead", "gw3 is dead", left_s)  # noqa: B023
        alone = Door("127.0.0.1", mesh["gw3"].port, Version.MQTT311, mesh["gw3"].namespace)
        publish(alone, "cut/kept", "from the other side", 1, "-r")
        wait_until(lambda: mesh["gw3"].states()["gw1"] == "dead", "gw1 is dead", DEAD_S_MAX)
        writer.publish([Message("cut/x", b"1", 1)])
        assert reader.inbox.next().payload == b"1"
    finally:
        mesh.lan.mend("gw3")
    wait_until(mesh.complete, "the mesh is whole again", FOUND_S_MAX)
    late = people.at(mesh["gw1"], "late")
    late.subscribe("cut/kept", 1)
    assert late.inbox.next().payload == b"from the other side"
