"""Asking a gatewayd that answers, and one that is not there, closed, stuck or something else."""

import contextlib
import os
import select
import socket
from contextlib import contextmanager

import pytest

from gateway.control_lines import ANSWER_BYTES_MAX, encode_request
from gateway.ctl.client import UnreachableError, ask, find_socket, follow
from tests.ctl.daemon import listening

REQUEST = encode_request("status")


def test_an_answer_in_pieces_is_put_together(tmp_path):
    def answer(connection, line):
        for byte in b'{"ok":1}\n':
            connection.sendall(bytes([byte]))

    with listening(tmp_path / "s", answer):
        assert ask(str(tmp_path / "s"), REQUEST) == b'{"ok":1}\n'


def test_no_socket_means_that_no_gatewayd_runs(tmp_path):
    with pytest.raises(UnreachableError, match=r"no gatewayd runs here: there is no .*/s"):
        ask(str(tmp_path / "s"), REQUEST)


def test_a_socket_that_was_left_behind_is_told_from_one_that_is_missing(tmp_path):
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "s"))
    left.close()
    with pytest.raises(UnreachableError, match="ended without tidying up"):
        ask(str(tmp_path / "s"), REQUEST)


def test_a_gatewayd_that_does_not_answer_is_given_up(tmp_path):
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen(1)
        with pytest.raises(UnreachableError, match=r"did not answer within 0\.05 s"):
            ask(str(tmp_path / "s"), REQUEST, timeout_s=0.05)


def test_a_gatewayd_that_answers_drop_by_drop_is_given_up_too(tmp_path):
    def answer(connection, line):
        connection.settimeout(0.01)
        hung_up = False
        while not hung_up:
            connection.sendall(b"x")
            try:
                hung_up = connection.recv(1) == b""
            except TimeoutError:
                continue

    with (
        listening(tmp_path / "s", answer),
        pytest.raises(UnreachableError, match=r"did not answer within 0\.1 s"),
    ):
        ask(str(tmp_path / "s"), REQUEST, timeout_s=0.1)


def test_an_answer_without_end_is_not_kept(tmp_path):
    pieces = []

    def answer(connection, line):
        try:
            while True:
                connection.sendall(b"x" * 100_000)
                pieces.append(100_000)
        except OSError:
            return

    with (
        listening(tmp_path / "s", answer),
        pytest.raises(UnreachableError, match="its answer has no end"),
    ):
        ask(str(tmp_path / "s"), REQUEST)
    assert sum(pieces) < 2 * ANSWER_BYTES_MAX


def test_a_gatewayd_that_hangs_up_is_no_gatewayd_without_problems(tmp_path):
    with (
        listening(tmp_path / "s", lambda connection, line: None),
        pytest.raises(UnreachableError, match="hung up"),
    ):
        ask(str(tmp_path / "s"), REQUEST)


def test_a_path_that_no_socket_can_have_is_said_in_words(tmp_path):
    with pytest.raises(UnreachableError, match="cannot be asked"):
        ask("/" + "x" * 200, REQUEST)


def test_a_user_without_permission_is_told_so(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(1)
        with (
            closed_to_this_user(tmp_path),
            pytest.raises(UnreachableError, match=r"may not ask .* sudo gwctl status"),
        ):
            ask(str(tmp_path / "s"), REQUEST)


def test_a_socket_in_a_closed_folder_is_not_passed_over(monkeypatch, tmp_path):
    monkeypatch.delenv("GWCTL_SOCKET", raising=False)
    path = str(tmp_path / "s")
    monkeypatch.setattr("gateway.ctl.client.SYSTEM_SOCKET", path)
    with closed_to_this_user(tmp_path):
        assert find_socket(None) == path


@contextmanager
def closed_to_this_user(folder):
    user = os.geteuid()
    folder.chmod(0o000)
    if user == 0:
        os.seteuid(65534)  # nothing is closed to root
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o700)


def test_the_socket_is_the_given_one_then_that_of_the_environment(monkeypatch):
    monkeypatch.setenv("GWCTL_SOCKET", "/from/environment")
    assert find_socket("/given") == "/given"
    assert find_socket(None) == "/from/environment"


def test_the_socket_of_the_first_gateway_in_the_checkout_is_found(monkeypatch, tmp_path):
    monkeypatch.delenv("GWCTL_SOCKET", raising=False)
    monkeypatch.setattr("gateway.ctl.client.SYSTEM_SOCKET", str(tmp_path / "none"))
    monkeypatch.setattr("sys.prefix", str(tmp_path / "checkout" / ".venv"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnreachableError, match=r"no gatewayd runs here: .*systemctl start"):
        find_socket(None)
    for folder in (tmp_path, tmp_path / "checkout"):
        path = folder / "var" / "gw1" / "control.sock"
        path.parent.mkdir(parents=True)
        path.touch()
        assert find_socket(None) == str(path)


# A stream of lines.


def test_lines_that_come_in_pieces_and_packs_are_put_together(tmp_path):
    def answer(connection, line):
        for piece in (b"fir", b"st\nsec", b"ond\nthird\nfou", b"rth\n"):
            connection.sendall(piece)

    with listening(tmp_path / "s", answer):
        lines = list(follow(str(tmp_path / "s"), REQUEST))
    assert lines == [b"first\n", b"second\n", b"third\n", b"fourth\n"]


def test_only_the_first_line_has_to_come_in_time(tmp_path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s"))
        server.listen(1)
        lines = follow(str(tmp_path / "s"), REQUEST, timeout_s=0.05)
        with pytest.raises(UnreachableError, match=r"did not answer within 0\.05 s"):
            next(lines)

    def answer(connection, line):
        connection.sendall(b"first\n")
        assert not select.select([connection], [], [], 0.2)[0], "it hung up"
        connection.sendall(b"second\n")

    with listening(tmp_path / "t", answer):
        assert len(list(follow(str(tmp_path / "t"), REQUEST, timeout_s=0.05))) == 2


def test_who_hangs_up_before_the_first_line_is_no_end_of_a_stream(tmp_path):
    with (
        listening(tmp_path / "s", lambda connection, line: None),
        pytest.raises(UnreachableError, match="hung up"),
    ):
        list(follow(str(tmp_path / "s"), REQUEST))


def test_a_line_of_a_stream_without_end_is_not_kept(tmp_path):
    def answer(connection, line):
        with contextlib.suppress(OSError):
            while True:
                connection.sendall(b"x" * 100_000)

    with (
        listening(tmp_path / "s", answer),
        pytest.raises(UnreachableError, match="its answer has no end"),
    ):
        list(follow(str(tmp_path / "s"), REQUEST))
