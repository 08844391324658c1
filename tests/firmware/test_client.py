"""The device client against real brokers: what it promises when its gateway dies, freezes or talks
nonsense.
"""

import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from tests.firmware.conftest import Broker, Device, until

pytestmark = pytest.mark.slow
Devices = Callable[..., Device]
Brokers = tuple[Broker, Broker]

LIMIT_MS = 1000  # connect_s and answer_s of stream.py
SHORT_LIMIT_MS = 500  # of one.py
GRACE_MS = 600  # for a machine that is busy with other things


def taken(lines: list[str]) -> list[tuple[int, str, int]]:
    words = [line.split() for line in lines if line.startswith("taken ")]
    return [(int(number), gateway, int(ms)) for _, number, gateway, ms in words]


def nothing_is_missing(brokers: Brokers, last: int) -> Counter[str]:
    """Every reading was delivered by one broker or the other; how often each."""
    wanted = {str(number) for number in range(last + 1)}
    until(
        lambda: wanted <= {*brokers[0].readings, *brokers[1].readings},
        f"readings 0 to {last}",
    )
    return Counter(brokers[0].readings) + Counter(brokers[1].readings)


def test_readings_reach_the_first_gateway_of_the_list(
    two_brokers: Brokers, device: Devices
) -> None:
    first, second = two_brokers
    lines = device("stream.py", f"{second.door},{first.door},{second.door}").ends()
    assert {gateway for _, gateway, _ in taken(lines)} == {second.door}
    assert nothing_is_missing(two_brokers, 49) == Counter(map(str, range(50)))


def test_a_killed_gateway_costs_no_reading(two_brokers: Brokers, device: Devices) -> None:
    first, second = two_brokers
    stream = device("stream.py", f"{first.door},{second.door}")
    stream.says("taken 100 ")
    first.kill()
    lines = stream.ends()
    last = int(stream.says("last ").split()[1])
    assert [number for number, _, _ in taken(lines)] == list(range(last + 1))
    times = nothing_is_missing(two_brokers, last)
    doubled = {number for number, count in times.items() if count > 1}
    assert max(times.values()) <= 2
    assert len(doubled) <= 1  # the one that was under way


def test_a_frozen_gateway_is_left_when_its_time_is_over(
    two_brokers: Brokers, device: Devices
) -> None:
    first, second = two_brokers
    stream = device("stream.py", f"{first.door},{second.door}")
    stream.says("taken 100 ")
    first.freeze()
    lines = stream.ends()
    longest = max(ms for _, _, ms in taken(lines))
    assert LIMIT_MS <= longest < LIMIT_MS + GRACE_MS
    nothing_is_missing(two_brokers, int(stream.says("last ").split()[1]))


def test_a_gateway_that_freezes_while_nothing_is_published_is_left_too(
    two_brokers: Brokers, device: Devices
) -> None:
    first, second = two_brokers
    commands = device("commands.py", f"{first.door},{second.door}")
    commands.says(f"at {first.door}")
    first.freeze()
    commands.says(f"at {second.door}")
    assert [line for line in commands.lines if line.startswith("poll ")] == []


def test_subscriptions_are_made_again_at_the_next_gateway(
    two_brokers: Brokers, device: Devices
) -> None:
    first, second = two_brokers
    commands = device("commands.py", f"{first.door},{second.door}")
    commands.says(f"at {first.door}")
    first.command("commands/led", "on")
    commands.says("command commands/led on")
    until(lambda: "did on" in first.readings, "an answer from inside the callback")
    first.kill()
    commands.says(f"at {second.door}")
    second.command("commands/led", "end")
    commands.ends()
    assert "did end" in second.readings


def test_newer_versions_of_umqtt_do_as_well(
    broker_at: Callable[[str], Broker], device: Devices
) -> None:
    with broker_at("127.0.0.2") as broker:
        commands = device("newer.py", broker.door)
        commands.says(f"at {broker.door}")
        broker.command("commands/led", "on")
        commands.says("done on")
        broker.command("commands/led", "end")
        commands.ends()
    assert commands.lines[-1] == "error None"


def test_commands_that_arrive_together_are_obeyed_one_after_the_other(
    broker_at: Callable[[str], Broker], device: Devices
) -> None:
    with broker_at("127.0.0.2") as broker:
        commands = device("commands.py", broker.door)
        commands.says(f"at {broker.door}")
        commands.process.send_signal(signal.SIGSTOP)
        for payload in ("one", "two", "end"):
            broker.command("commands/led", payload)
        commands.process.send_signal(signal.SIGCONT)
        lines = commands.ends()
    assert [line for line in lines if line.startswith(("command", "done"))] == [
        "command commands/led one",
        "done one",
        "command commands/led two",
        "done two",
        "command commands/led end",
        "done end",
    ]


def test_the_gateway_that_was_lost_is_tried_last(
    broker_at: Callable[[str], Broker], device: Devices
) -> None:
    late, early = broker_at("127.0.0.2"), broker_at("127.0.0.3")
    with early:
        commands = device("commands.py", f"{late.door},{early.door}")
        commands.says(f"good {early.door}")
        with late:
            early.freeze()
            commands.says(f"at {late.door}")
            assert [line for line in commands.lines if line.startswith("poll ")] == []


def test_a_gateway_that_comes_back_is_used_again(
    broker_at: Callable[[str], Broker], device: Devices
) -> None:
    broker = broker_at("127.0.0.2")
    commands = device("commands.py", broker.door)
    with broker:
        commands.says(f"at {broker.door}")
        broker.kill()
        commands.says("at None")
    with broker:
        until(lambda: commands.lines[-1] == f"at {broker.door}", "the gateway's second life")


def test_umqtt_faults_are_fenced(broker_at: Callable[[str], Broker], device: Devices) -> None:
    with broker_at("127.0.0.2") as broker:
        lines = device("faults.py", broker.door).ends()
        until(lambda: len(broker.readings) >= 2, "both readings at the witness")
    assert lines == [
        "passed characters",
        "passed packet ids",
        "passed long filters",
        "passed large readings",
    ]
    assert broker.readings[:2] == ["21,5 °C", "id 0"]


def test_without_any_gateway_publish_raises_when_its_limit_is_over(device: Devices) -> None:
    lines = device("one.py", "127.0.0.2:9", "2").ends()
    _, ms, *reason = lines[-1].split()
    assert 2000 <= int(ms) < 2000 + GRACE_MS
    assert "127.0.0.2:9" in " ".join(reason)


def test_the_client_runs_in_a_small_heap(
    broker_at: Callable[[str], Broker], device: Devices
) -> None:
    with broker_at("127.0.0.2") as broker:
        device("stream.py", broker.door, heap="96k").ends()


def test_the_example_runs_as_it_is(broker_at: Callable[[str], Broker], device: Devices) -> None:
    with broker_at("127.0.0.2") as broker:
        device("example.py", broker.door)
        until(lambda: broker.readings == ["20.0"], "the example's reading")


CONNACK = b"\x20\x02\x00\x00"
NONSENSE = {
    "another protocol": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "a message larger than a packet may be": CONNACK + b"\x30\x88\x27\0\1a" + bytes(5000),
    "a refusal": b"\x20\x02\x00\x05",
    "silence": b"",
    "half an answer": b"\x20",
    "silence after the answer": CONNACK,
    "zeros": CONNACK + bytes(5000),
    "ones": CONNACK + b"\xff" * 5000,
    "a length without end": CONNACK + b"\x30" + b"\xff" * 5000,
    "a message larger than memory": CONNACK + b"\x30\xff\xff\xff\x7f\x00\x01a",
    "a topic longer than its message": CONNACK + b"\x30\x03\x00\x09abc",
    "an acknowledgement of something else": CONNACK + b"\x40\x02\x7f\x7f",
    "a message at QoS 2": CONNACK + b"\x34\x06\x00\x01a\x00\x01x",
}


def test_a_gateway_that_fails_is_not_hammered(
    talker: Callable[..., "Talker"], device: Devices
) -> None:
    useless = talker(b"go away")
    device("one.py", useless.door, "3").ends()
    assert 2 <= len(useless.visitors) <= 4  # rests of 0.5 to 1, 1 to 2 and 2 to 4 seconds


def test_a_refused_subscription_does_not_stop_readings(
    talker: Callable[..., "Talker"], device: Devices
) -> None:
    strict = talker(CONNACK + b"\x90\x03\x00\x01\x80" + b"\x40\x02\x00\x02")
    lines = device("one.py", strict.door, "2", "secret/#").ends()
    assert lines[-1].startswith(f"taken {strict.door} ")
    assert "secret/#" in lines[-2]


# What can be told from a gateway that thinks for a while is left at once.
SLOW = {
    "silence",
    "half an answer",
    "silence after the answer",
    "a topic longer than its message",
    "an acknowledgement of something else",
}


class Talker:
    """A server on 127.0.0.2 that says the same to everybody; `drip_s` apart, byte by byte, when
    given.
    """

    def __init__(self, speech: bytes, drip_s: float | None = None) -> None:
        self.server = socket.create_server(("127.0.0.2", 0))
        self.door = f"127.0.0.2:{self.server.getsockname()[1]}"
        self.visitors: list[socket.socket] = []
        self._speech, self._drip_s, self._over = speech, drip_s, threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                visitor = self.server.accept()[0]
            except OSError:
                return
            self.visitors.append(visitor)
            if self._drip_s is None:
                visitor.sendall(self._speech)
                continue
            for byte in self._speech:
                if self._over.wait(self._drip_s):
                    break
                try:
                    visitor.send(bytes([byte]))
                except OSError:
                    break

    def close(self) -> None:
        self._over.set()
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self._thread.join()
        for visitor in self.visitors:
            visitor.close()


@pytest.fixture
def talker() -> Iterator[Callable[..., Talker]]:
    talkers: list[Talker] = []

    def start(speech: bytes, drip_s: float | None = None) -> Talker:
        talkers.append(Talker(speech, drip_s))
        return talkers[-1]

    yield start
    for one in talkers:
        one.close()


@pytest.mark.parametrize("nonsense", NONSENSE)
def test_a_server_that_talks_nonsense_is_left_in_time(
    nonsense: str,
    talker: Callable[..., Talker],
    broker_at: Callable[[str], Broker],
    device: Devices,
) -> None:
    liar = talker(NONSENSE[nonsense])
    limit_ms = 2 * SHORT_LIMIT_MS + GRACE_MS if nonsense in SLOW else SHORT_LIMIT_MS
    with broker_at("127.0.0.3") as broker:
        lines = device("one.py", f"{liar.door},{broker.door}", "10").ends()
        assert lines[-1].startswith(f"taken {broker.door} ")
        assert int(lines[-1].split()[-1]) < limit_ms
    assert len(liar.visitors) == 1


@pytest.mark.parametrize("speech", [CONNACK, CONNACK + b"\x30\x7f\x00\x01a" + b"x" * 124])
def test_a_server_that_drips_byte_by_byte_cannot_hold_the_device(
    speech: bytes,
    talker: Callable[..., Talker],
    broker_at: Callable[[str], Broker],
    device: Devices,
) -> None:
    dripping = talker(speech, drip_s=0.2)
    with broker_at("127.0.0.3") as broker:
        lines = device("one.py", f"{dripping.door},{broker.door}", "10").ends()
        assert lines[-1].startswith(f"taken {broker.door} ")
        assert int(lines[-1].split()[-1]) < 2 * SHORT_LIMIT_MS + GRACE_MS


def test_a_host_that_swallows_the_connection_is_left_in_time(
    broker_at: Callable[[str], Broker], device: Devices
) -> None:
    with socket.socket() as deaf, socket.socket() as filler:
        deaf.bind(("127.0.0.2", 0))
        deaf.listen(0)
        filler.connect(
            deaf.getsockname()
        )  # the one place in its queue: further calls get no answer at all
        with broker_at("127.0.0.3") as broker:
            gateways = f"127.0.0.2:{deaf.getsockname()[1]},{broker.door}"
            lines = device("one.py", gateways, "10").ends()
    assert lines[-1].startswith(f"taken {broker.door} ")
    assert SHORT_LIMIT_MS <= int(lines[-1].split()[-1]) < SHORT_LIMIT_MS + GRACE_MS
