"""mosquitto_pub and mosquitto_sub, as an operator uses them."""

import itertools
import subprocess
from pathlib import Path

import pytest

from tests.clients.face import MANY_S_MAX, Message, Properties, Version
from tests.clients.tools import Door, Subscriber, publish, publish_lines, run
from tests.gateways import Broker
from tests.requires import needs

END = "end"
MANY = 1_000

pytestmark = pytest.mark.slow
_numbers = itertools.count(1)


@pytest.fixture
def door(broker: Broker, version: Version) -> Door:
    needs("mosquitto_sub")
    return Door(broker.host, broker.port, version)


@pytest.fixture
def door5(broker: Broker) -> Door:
    needs("mosquitto_sub")
    return Door(broker.host, broker.port, Version.MQTT5)


@pytest.fixture
def place() -> str:
    """The beginning of this test's topics and client ids."""
    return f"tools{next(_numbers)}"


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_arrives_at_each_qos(door: Door, place: str, qos: int) -> None:
    with Subscriber(door, [f"{place}/+/wärme"], qos).start() as subscriber:
        publish(door, f"{place}/室/wärme", "21 °C", qos)
        assert subscriber.inbox.next() == Message(f"{place}/室/wärme", "21 °C".encode(), qos)


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_thousand_lines_arrive_once_and_in_order(
    broker: Broker, door: Door, place: str, qos: int
) -> None:
    many = MANY
    if broker.kind == "mosquitto" and qos == 2 and door.version == Version.MQTT5:
        many = 15  # 2.0.11 sticks once the 20 that mosquitto_sub allows were under way
    with Subscriber(door, [f"{place}/#"], qos).start() as subscriber:
        publish_lines(door, f"{place}/t", [*map(str, range(many)), END], qos)
        came = subscriber.inbox.until(END.encode(), MANY_S_MAX)
    assert [int(m.payload) for m in came] == list(range(many))


def test_a_retained_message_is_set_replaced_and_cleared(door: Door, place: str) -> None:
    for value in ("on", "off"):
        publish(door, place, value, 1, "-r")
    with Subscriber(door, [place], 1).start() as subscriber:
        assert subscriber.inbox.next() == Message(place, b"off", 1, retain=True)
    publish(door, place, None, 1, "-r")
    with Subscriber(door, [place], 1).start() as subscriber:
        publish(door, place, END, 1)
        assert subscriber.inbox.until(END.encode()) == []


def test_a_will_is_sent_when_the_client_is_killed(door: Door, place: str) -> None:
    will = ["--will-topic", f"{place}/will", "--will-payload", "gone", "--will-qos", "1"]
    with Subscriber(door, [f"{place}/will"], 1).start() as watcher:
        Subscriber(door, [f"{place}/x"], 0, will).start().kill()
        publish(door, f"{place}/will", END, 1)
        assert watcher.inbox.until(END.encode()) == [Message(f"{place}/will", b"gone", 1)]


def test_a_client_that_is_told_to_stop_says_whether_it_wants_its_will(
    door: Door, place: str
) -> None:
    will = ["--will-topic", f"{place}/will", "--will-payload", "gone"]
    with Subscriber(door, [f"{place}/will"], 1).start() as watcher:
        # In 5.0 mosquitto_sub leaves with reason 0x04, disconnect with will message.
        expected = [b"gone"] if door.version == Version.MQTT5 else []
        Subscriber(door, [f"{place}/x"], 0, will).start().close()
        publish(door, f"{place}/will", END, 1)
        assert [m.payload for m in watcher.inbox.until(END.encode())] == expected


def test_the_second_client_of_a_name_ends_the_first(door: Door, place: str) -> None:
    will = ["--will-topic", f"{place}/will", "--will-payload", "pushed out"]
    with Subscriber(door, [f"{place}/will"], 0).start() as watcher:
        first = Subscriber(door, [f"{place}/t"], 0, ["-i", place, *will]).start()
        publish(door, f"{place}/other", "x", 1, "-i", place)
        assert watcher.inbox.next().payload == b"pushed out"
        first.kill()


def test_a_session_that_stays_collects_what_comes_meanwhile(door: Door, place: str) -> None:
    stays = ["-c", "-i", place]
    run(door, "mosquitto_sub", "-t", place, "-q", "1", *stays, "-E")
    publish_lines(door, place, [*map(str, range(20)), END], 1)
    with Subscriber(door, [place], 1, stays).start(wait=False) as subscriber:
        came = subscriber.inbox.until(END.encode())
    assert [int(m.payload) for m in came] == list(range(20))


def test_a_large_file_arrives_whole(door: Door, place: str, tmp_path: Path) -> None:
    text = "0123456789abcdef" * 16 * 1024
    (tmp_path / "large.txt").write_text(text)
    with Subscriber(door, [place], 2).start() as subscriber:
        run(door, "mosquitto_pub", "-t", place, "-f", str(tmp_path / "large.txt"), "-q", "2")
        assert subscriber.inbox.next().payload.decode() == text


def test_unsubscribing_ends_a_subscription_of_a_session(door: Door, place: str) -> None:
    stays = ["-c", "-i", place]
    both = ["-t", f"{place}/a", "-t", f"{place}/b", "-q", "1"]
    run(door, "mosquitto_sub", *both, *stays, "-E")
    run(door, "mosquitto_sub", "-t", f"{place}/a", "-q", "1", "-U", f"{place}/b", *stays, "-E")
    publish(door, f"{place}/b", "no", 1)
    publish(door, f"{place}/a", END, 1)
    with Subscriber(door, [f"{place}/a"], 1, stays).start(wait=False) as subscriber:
        assert subscriber.inbox.until(END.encode()) == []


def test_what_describes_a_message_travels_with_it(door5: Door, place: str) -> None:
    words = ["content-type", "text/plain", "response-topic", "an/answer", "correlation-data", "77"]
    pairs = [("unit", "°C"), ("way", "one"), ("way", "two")]
    given: list[str] = []
    for name, value in zip(words[::2], words[1::2], strict=True):
        given += ["-D", "publish", name, value]
    for name, value in pairs:
        given += ["-D", "publish", "user-property", name, value]
    with Subscriber(door5, [place], 1).start() as subscriber:
        publish(door5, place, "x", 1, *given)
        assert subscriber.inbox.next().properties == Properties(
            content_type="text/plain",
            response_topic="an/answer",
            correlation_data=b"77",
            user_properties=tuple(pairs),
        )


def test_a_request_is_answered(door5: Door, place: str) -> None:
    with Subscriber(door5, [f"{place}/question"], 1).start() as answerer:
        asker = subprocess.Popen(
            door5.command(
                "mosquitto_rr",
                *("-t", f"{place}/question", "-e", f"{place}/answer", "-m", "?", "-q", "1"),
                *("-W", "15", "-D", "publish", "correlation-data", "7"),
            ),
            stdout=subprocess.PIPE,
            text=True,
        )
        question = answerer.inbox.next().properties
        assert question.response_topic == f"{place}/answer"
        assert question.correlation_data == b"7"
        publish(door5, question.response_topic, "!", 1, "-D", "publish", "correlation-data", "7")
        assert asker.communicate(timeout=20)[0] == "!\n"
