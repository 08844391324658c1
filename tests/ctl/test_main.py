"""gwctl as it is typed: exit statuses, what goes to which stream, watching, other hosts."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time

import pytest

from gateway.control import to_document
from gateway.control_lines import encode_refusal
from gateway.ctl.main import main
from tests.ctl.daemon import answer_with, listening
from tests.ctl.statuses import SITUATIONS

GWCTL = [sys.executable, "-m", "gateway.ctl.main"]
HEALTHY = SITUATIONS["three-gateways"]
DEGRADED = SITUATIONS["one-dead-one-suspect"]
TOO_LONG_S = 10


@pytest.fixture
def path(tmp_path):
    return tmp_path / "control.sock"


@pytest.mark.parametrize(("status", "code"), [(HEALTHY, 0), (DEGRADED, 1)])
def test_the_exit_status_is_the_health(path, capsys, status, code):
    with listening(path, answer_with(status)):
        assert main(["status", "--socket", str(path)]) == code
    written = capsys.readouterr()
    assert written.out.startswith("home: ")
    assert written.err == ""


def test_nobody_there_is_two_and_a_sentence(path, capsys):
    assert main(["status", "--socket", str(path)]) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("gwctl: no gatewayd runs here")


def test_a_refusal_is_two_and_the_words_of_the_daemon(path, capsys):
    def answer(connection, line):
        connection.sendall(encode_refusal("it is starting", "try again"))

    with listening(path, answer):
        assert main(["status", "--json", "--socket", str(path)]) == 2
    assert capsys.readouterr().err == "gwctl: it is starting. Do: try again\n"


def test_json_is_the_document(path, capsys):
    with listening(path, answer_with(DEGRADED)):
        assert main(["status", "--json", "--socket", str(path)]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document == json.loads(json.dumps(to_document(DEGRADED)))
    assert [gateway["state"] for gateway in document["gateways"]] == ["alive", "suspect", "dead"]


def test_a_table_that_is_not_for_a_terminal_has_no_colours(path, capsys):
    with listening(path, answer_with(DEGRADED)):
        main(["status", "--socket", str(path)])
    assert "\x1b" not in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["stop"],
        ["status", "--watch", "0"],
        ["status", "--watch", "nan"],
        ["status", "--watch", "often"],
        ["--host=-oProxyCommand=x", "status"],
        ["--host", "gw1,", "status"],
        ["--host", "gw1", "status", "--colour"],
    ],
)
def test_what_is_mistyped_is_not_taken_for_unreachable(arguments, capsys):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 64
    assert "usage: gwctl" in capsys.readouterr().err


def test_the_version_is_the_package_s(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert re.fullmatch(r"gwctl \d+\.\d+\.\d+\n", capsys.readouterr().out)


def test_nothing_heavy_is_imported(path):
    """A Pi Zero is ten times slower than a desk computer, and each import is a wait."""
    heavy = "asyncio msgspec zeroconf psutil serial cryptography subprocess dataclasses logging ssl"
    script = (
        "import sys; from gateway.ctl.main import main; code = main(sys.argv[1:]);"
        f"print(code, sorted(set({heavy.split()!r}) & set(sys.modules)))"
    )
    with listening(path, answer_with(HEALTHY)):
        ran = subprocess.run(
            [sys.executable, "-c", script, "status", "--socket", str(path)],
            capture_output=True,
            text=True,
            timeout=TOO_LONG_S,
            check=True,
        )
    assert ran.stdout.splitlines()[-1] == "0 []"


def test_a_reader_that_leaves_early_is_no_mistake(path):
    read, write = os.pipe()
    os.close(read)
    with listening(path, answer_with(HEALTHY)):
        ran = subprocess.run(
            [*GWCTL, "status", "--socket", str(path)],
            stdout=write,
            stderr=subprocess.PIPE,
            timeout=TOO_LONG_S,
            check=False,
        )
    os.close(write)
    assert (ran.returncode, ran.stderr) == (0, b"")


class Terminal:
    """gwctl on a terminal of its own."""

    def __init__(self, *arguments: str, rows: int = 24, **environment: str) -> None:
        self.master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (rows, 80))
        self.seen = ""
        self.process = subprocess.Popen(
            [*GWCTL, *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm", **environment},
            start_new_session=True,
        )
        os.close(slave)

    def read_until(self, pattern: str) -> None:
        deadline = time.monotonic() + TOO_LONG_S
        while not re.search(pattern, self.seen, re.DOTALL):
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0], repr(self.seen)
            self.seen += os.read(self.master, 65_536).decode()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.wait()

    def wait(self) -> int:
        try:
            return self.process.wait(timeout=TOO_LONG_S)
        finally:
            self.process.kill()
            os.close(self.master)


@pytest.mark.slow
@pytest.mark.parametrize(("status", "code"), [(HEALTHY, 0), (DEGRADED, 1)])
def test_watching_draws_over_the_last_frame_and_ends_with_the_last_health(path, status, code):
    with listening(path, answer_with(status)):
        terminal = Terminal("status", "--watch", "0.1", "--socket", str(path))
        terminal.read_until(r"\x1b\[H.*\x1b\[J.*\x1b\[H.*\x1b\[J")
        assert terminal.interrupt() == code
    assert terminal.seen.count("\x1b[2J") == 1
    assert "\x1b[32malive" in terminal.seen


@pytest.mark.slow
def test_watching_goes_on_while_the_gateway_is_away(path):
    terminal = Terminal("status", "--watch", "0.1", "--socket", str(path))
    terminal.read_until("no gatewayd runs here.*trying again")
    with listening(path, answer_with(HEALTHY)):
        terminal.read_until("nothing is wrong")
    terminal.seen = ""
    terminal.read_until("no gatewayd answers")
    assert terminal.interrupt() == 2


@pytest.mark.slow
def test_a_watched_frame_is_cropped_so_that_the_screen_does_not_scroll(path):
    with listening(path, answer_with(SITUATIONS["everything-is-long"])):
        terminal = Terminal("status", "--watch", "0.1", "--socket", str(path), rows=6)
        terminal.read_until(r"\x1b\[J.*\x1b\[J")
        terminal.interrupt()
    frame = terminal.seen.split("\x1b[J")[0]
    assert frame.count("\n") == 5
    assert "kitche~01" in frame


@pytest.mark.slow
def test_no_color_is_honoured_on_a_terminal(path):
    with listening(path, answer_with(HEALTHY)):
        for environment, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
            terminal = Terminal("status", "--socket", str(path), **environment)
            terminal.read_until("nothing is wrong")
            assert terminal.wait() == 0
            assert ("\x1b[" in terminal.seen) is coloured


@pytest.mark.slow
def test_watching_into_a_file_writes_one_document_a_line(path):
    with listening(path, answer_with(DEGRADED)):
        process = subprocess.Popen(
            [*GWCTL, "status", "--json", "--watch", "0.1", "--socket", str(path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=TOO_LONG_S) == 1
        process.stdout.close()
    assert [json.loads(line)["health"] for line in lines] == ["degraded", "degraded"]
