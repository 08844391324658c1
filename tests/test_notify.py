"""What systemd is told, through a socket like its own."""

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.notify import log_to_stderr, notify, watchdog_interval_s


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(path))
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(path))
        yield listening


def test_systemd_hears_what_it_is_told(systemd: socket.socket) -> None:
    notify("READY=1")
    assert systemd.recv(100) == b"READY=1"


def test_files_go_with_what_is_said(systemd: socket.socket, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("word")
    with (tmp_path / "file").open() as file:
        notify("FDSTORE=1\nFDNAME=f", [file.fileno()])
    said, files, _, _ = socket.recv_fds(systemd, 100, 2)
    assert said == b"FDSTORE=1\nFDNAME=f"
    (received,) = files
    assert os.read(received, 9) == b"word"
    os.close(received)


def test_an_abstract_socket_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"gateway-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", "@" + name)
        notify("STOPPING=1")
        assert listening.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("address", ["", "relative", "/nobody/listens"])
def test_without_systemd_nothing_fails(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


@pytest.mark.parametrize(
    ("microseconds", "process", "interval_s"),
    [("30000000", "us", 15.0), ("30000000", "1", None), ("", "us", None), ("x", "us", None)],
)
def test_the_watchdog_is_fed_twice_in_its_time(
    microseconds: str,
    process: str,
    interval_s: float | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()) if process == "us" else process)
    assert watchdog_interval_s() == interval_s


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield root
    root.handlers[:], root.level = handlers, level


def test_the_journal_gets_a_priority_on_every_line(
    root_logger: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    log_to_stderr("info")
    root_logger.debug("not asked for")
    root_logger.warning("two\nlines")
    assert capsys.readouterr().err == "<4>two\n<4>lines\n"


def test_elsewhere_a_line_has_a_time(
    root_logger: logging.Logger,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log_to_stderr("warning")
    root_logger.info("not asked for")
    root_logger.error("broken")
    assert capsys.readouterr().err.endswith(" ERROR broken\n")
