"""gateway-devices as it is installed: a real terminal on one side, a real broker on the other."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.brokers import WAIT_S, Listener, Mosquitto, keeps_sessions, wait_until
from tests.devices.conftest import Daemon, Line, status, wait_for_port

pytestmark = pytest.mark.slow

READINGS = "gateways/box/serial/sensor"
COMMANDS = "gateways/box/serial/sensor/command"


def numbered(numbers: range) -> bytes:
    return b"".join(b'{"n": %d}\n' % n for n in numbers)


def numbers_heard(listener: Listener) -> list[int]:
    return [json.loads(payload)["n"] for payload in listener.on(READINGS)]


def in_order_without_repeats(numbers: list[int]) -> list[int]:
    """What remains when a run that was sent again is taken out; fails when it was not in order."""
    kept: list[int] = []
    for number in numbers:
        if not kept or number > kept[-1]:
            assert number == (kept[-1] + 1 if kept else 0), f"{number} after {kept[-3:]}"
            kept.append(number)
    return kept


@pytest.fixture
def sensor(daemon: Callable[..., Daemon], listener: Listener, line: Line) -> Daemon:
    """gateway-devices with one JSON line, open and connected."""
    started = daemon({"name": "sensor", "path": str(line.link), "format": "json"})
    wait_for_port(listener, state="open")
    return started


def test_each_line_is_published_as_it_was_said(
    sensor: Daemon, listener: Listener, line: Line
) -> None:
    line.say(b'{"temperature_c": 21.4,  "sequence": 1}\r\n{"sequ')
    line.say(b'ence": 2}\n')
    wait_until(lambda: len(listener.on(READINGS)) == 2)
    assert listener.on(READINGS) == [
        b'{"temperature_c": 21.4,  "sequence": 1}',
        b'{"sequence": 2}',
    ]


def test_a_csv_line_is_retained_on_its_own_topic(
    broker: Mosquitto, daemon: Callable[..., Daemon], listener: Listener, line: Line
) -> None:
    daemon(
        {
            "name": "scale",
            "path": str(line.link),
            "format": "csv",
            "columns": ["kg", "unit"],
            "topic": "gateways/{gateway}/weight/{port}",
            "qos": 0,
            "retain": True,
        }
    )
    wait_for_port(listener, state="open")
    line.say(b"+0012.50,kg\r\n")
    wait_until(lambda: listener.on("gateways/box/weight/scale"))
    late = Listener(broker.host, broker.port, "gateways/box/weight/#", client_id="late")
    wait_until(lambda: late.heard == [("gateways/box/weight/scale", b'{"kg":12.5,"unit":"kg"}')])
    late.close()


def test_noise_and_lines_without_end_are_counted_and_the_port_goes_on(
    sensor: Daemon, listener: Listener, line: Line
) -> None:
    line.say(bytes(range(256)) + b"\n")
    line.say(b'{"n": ' + b"1" * 100_000 + b"}\n")
    line.say(b'{"n": 0}\n')
    wait_until(lambda: listener.on(READINGS))
    assert numbers_heard(listener) == [0]
    # The noise holds a line feed of its own, so it is two bad lines, and the long one is a third.
    said = wait_for_port(listener, readings=1)
    assert said["errors"] == 3
    assert said["state"] == "open"
    assert "longer than 4096 bytes" in said["detail"]


def test_a_command_is_written_to_the_port(sensor: Daemon, listener: Listener, line: Line) -> None:
    heard = bytearray()
    listener.publish(COMMANDS, '{"valve":\n"open"}')
    listener.publish(COMMANDS, "interval 0.5\n")
    wait_until(lambda: heard.extend(line.heard()) or heard.count(b"\n") == 2)
    assert heard == b'{"valve": "open"}\ninterval 0.5\n'


def test_a_retained_command_is_not_given_again(
    broker: Mosquitto, daemon: Callable[..., Daemon], listener: Listener, line: Line
) -> None:
    listener.publish(COMMANDS, "dispense", retain=True)
    started = daemon({"name": "sensor", "path": str(line.link)})
    wait_for_port(listener, state="open")
    heard = bytearray()
    listener.publish(COMMANDS, "stop")
    wait_until(lambda: heard.extend(line.heard()) or b"\n" in heard)
    assert heard == b"stop\n"
    assert "without the retain flag" in started.log


def test_the_simulated_sensor_is_read_and_commanded(
    daemon: Callable[..., Daemon], listener: Listener, tmp_path: Path
) -> None:
    link = tmp_path / "simulated"
    program = Path(__file__).parents[2] / "demo" / "sensor.py"
    sensor = subprocess.Popen(
        [sys.executable, program, "--link", link, "--interval", "0.05"], stdout=subprocess.DEVNULL
    )
    try:
        daemon({"name": "sensor", "path": str(link), "format": "json"})
        wait_until(lambda: listener.on(READINGS))
        listener.publish(COMMANDS, "interval 0.01")
        wait_until(lambda: b'{"ok": true, "interval_s": 0.01}' in listener.on(READINGS))
    finally:
        sensor.kill()
        sensor.wait(WAIT_S)
    readings = [json.loads(payload) for payload in listener.on(READINGS)]
    sequence = [reading["sequence"] for reading in readings if "sequence" in reading]
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))


def test_a_port_that_vanishes_and_returns_is_read_again(
    sensor: Daemon, listener: Listener, line: Line
) -> None:
    line.say(numbered(range(3)) + b'{"n": 9')
    wait_until(lambda: len(numbers_heard(listener)) == 3)
    line.unplug()
    wait_for_port(listener, state="missing")
    # It is not there for longer than one attempt, and that is said once.
    wait_until(lambda: sensor.log.count("missing") == 1)
    line.plug_in()
    wait_for_port(listener, state="open")
    line.say(numbered(range(3, 6)))
    wait_until(lambda: len(numbers_heard(listener)) == 6)
    assert numbers_heard(listener) == list(range(6))
    assert sensor.log.count(": missing:") == 1
    assert sensor.log.count(": open:") == 2


def test_a_port_that_is_not_there_yet_is_opened_when_it_comes(
    daemon: Callable[..., Daemon], listener: Listener, line: Line
) -> None:
    line.unplug()
    started = daemon({"name": "sensor", "path": str(line.link), "format": "json"})
    said = wait_for_port(listener, state="missing")
    assert said["path"] == str(line.link)
    assert said["last_reading_s"] is None
    line.plug_in()
    wait_for_port(listener, state="open")
    assert started.log.count(": missing:") == 1


def test_two_ports_do_not_disturb_each_other(
    daemon: Callable[..., Daemon], listener: Listener, line: Line, tmp_path: Path
) -> None:
    other = Line(tmp_path / "other")
    daemon(
        {"name": "sensor", "path": str(line.link), "format": "json"},
        {"name": "door", "path": str(other.link), "format": "text"},
    )
    wait_until(lambda: [p["state"] for p in status(listener)["ports"]] == ["open", "open"])
    line.unplug()
    other.say(b"open\n")
    wait_until(lambda: listener.on("gateways/box/serial/door") == [b"open"])
    wait_until(lambda: [p["state"] for p in status(listener)["ports"]] == ["missing", "open"])
    other.unplug()


@keeps_sessions
def test_readings_taken_while_the_broker_is_dead_arrive_in_order(
    sensor: Daemon, broker: Mosquitto, listener: Listener, line: Line
) -> None:
    line.say(numbered(range(100)))
    wait_until(lambda: len(numbers_heard(listener)) == 100)
    broker.kill()
    line.say(numbered(range(100, 400)))
    wait_until(lambda: "no broker" in sensor.log)
    broker.start()
    line.say(numbered(range(400, 500)))
    wait_until(lambda: numbers_heard(listener)[-1] == 499)
    assert in_order_without_repeats(numbers_heard(listener)) == list(range(500))
    assert sensor.log.count("no broker") == 1


@keeps_sessions
def test_a_stream_goes_through_restarts_of_the_broker(
    sensor: Daemon, broker: Mosquitto, listener: Listener, line: Line
) -> None:
    sent = 0
    for _ in range(3):
        line.say(numbered(range(sent, sent + 500)))
        sent += 500
        broker.stop()
        line.say(numbered(range(sent, sent + 200)))
        sent += 200
        broker.start()
    wait_until(lambda: sent - 1 in numbers_heard(listener))
    assert in_order_without_repeats(numbers_heard(listener)) == list(range(sent))


def test_a_burst_is_published_without_waiting_for_each_answer(
    sensor: Daemon, listener: Listener, line: Line
) -> None:
    line.say(numbered(range(3000)))
    wait_until(lambda: len(numbers_heard(listener)) == 3000, "3,000 readings", 60)
    assert numbers_heard(listener) == list(range(3000))


def test_commands_go_through_after_a_restart_of_the_broker(
    sensor: Daemon, broker: Mosquitto, listener: Listener, line: Line
) -> None:
    broker.kill()
    wait_until(lambda: "no broker" in sensor.log)
    broker.start()
    wait_until(lambda: sensor.log.count("connected to the broker") == 2)
    heard = bytearray()
    listener.publish(COMMANDS, "hello")
    wait_until(lambda: heard.extend(line.heard()) or b"\n" in heard)
    assert heard == b"hello\n"


def test_a_planned_end_is_said_and_the_port_is_free(
    sensor: Daemon, listener: Listener, line: Line
) -> None:
    line.say(numbered(range(50)))
    wait_until(lambda: len(numbers_heard(listener)) == 50)
    assert sensor.stop() == 0
    wait_until(lambda: status(listener)["online"] is False)
    assert status(listener)["ports"] == [
        {
            "name": "sensor",
            "path": status(listener)["ports"][0]["path"],
            "state": "offline",
            "readings": 0,
            "errors": 0,
            "last_reading_s": None,
            "detail": "",
        }
    ]


def test_a_sudden_end_is_said_by_the_broker(sensor: Daemon, listener: Listener) -> None:
    assert sensor.process is not None
    sensor.process.kill()
    wait_until(lambda: status(listener)["online"] is False)
    assert [port["state"] for port in status(listener)["ports"]] == ["offline"]


def test_it_ends_when_told_to_without_a_broker(sensor: Daemon, broker: Mosquitto) -> None:
    broker.kill()
    wait_until(lambda: "no broker" in sensor.log)
    assert sensor.stop() == 0


def test_a_port_without_traffic_costs_no_time(
    sensor: Daemon, listener: Listener, line: Line
) -> None:
    assert sensor.process is not None
    process = psutil.Process(sensor.process.pid)
    wait_for_port(listener, state="open")
    line.say(b'{"n": 0}\n')
    before, switches = process.cpu_times(), process.num_ctx_switches().voluntary
    # Until the next status document: five seconds in which one line came.
    wait_for_port(listener, readings=1)
    after = process.cpu_times()
    assert after.user + after.system - before.user - before.system < 0.1
    assert process.num_ctx_switches().voluntary - switches < 100


def test_a_wrong_configuration_is_said_and_ends_it(
    daemon: Callable[..., Daemon], line: Line
) -> None:
    started = daemon({"name": "sensor", "path": str(line.link), "topic": "a/{nonsense}"})
    assert started.process is not None
    assert started.process.wait(20) == 2
    assert "{nonsense}" in started.log
