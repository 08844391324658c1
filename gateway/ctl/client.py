"""Asks the gatewayd of this box: finds its socket, sends one line, reads one line, in five seconds; or
reads on, line by line, for as long as they come and somebody reads what gwctl writes.

Must not know what is in the answer, nor how it is shown.
"""

import os
import select
import socket
import sys
import time
from collections.abc import Iterator

from gateway.control_lines import ANSWER_BYTES_MAX

TIMEOUT_S = 5.0  # a gateway that is slower than this is in trouble, and the operator should hear so
SYSTEM_SOCKET = "/run/gatewayd/control.sock"
CHECKOUT_SOCKET = "var/gw1/control.sock"  # the first gateway that `make run` starts
_CHUNK_BYTES = 65_536
_STDOUT = 1


class UnreachableError(Exception):
    """No answer could be had; the text is a sentence for the operator."""


def find_socket(given: str | None) -> str:
    """The path to ask at: as given, from $GWCTL_SOCKET, or the first of the usual ones that exists.

    Raises UnreachableError when there is none.
    """
    named = given or os.environ.get("GWCTL_SOCKET")
    if named:
        return named
    usual = [
        SYSTEM_SOCKET,
        os.path.join(os.path.dirname(sys.prefix), CHECKOUT_SOCKET),
        os.path.abspath(CHECKOUT_SOCKET),
    ]
    for path in usual:
        if _may_exist(path):
            return path
    raise UnreachableError(
        f"no gatewayd runs here: there is no {' and no '.join(dict.fromkeys(usual))}. "
        "Start it with: systemctl start gatewayd"
    )


def _may_exist(path: str) -> bool:
    """Also where a folder on the way is closed to this user: then connecting says so."""
    try:
        os.stat(path)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def ask(path: str, request: bytes, timeout_s: float = TIMEOUT_S) -> bytes:
    """The line that gatewayd answers. Raises UnreachableError."""
    deadline = time.monotonic() + timeout_s
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(path)
            connection.sendall(request)
            return _read_line(connection, path, deadline)
    except (TimeoutError, BlockingIOError):
        raise UnreachableError(_slow(path, timeout_s)) from None
    except OSError as error:
        raise UnreachableError(_sentence(error, path)) from None


def follow(path: str, request: bytes, timeout_s: float = TIMEOUT_S) -> Iterator[bytes]:
    """Every line that gatewayd sends until it hangs up; only the first has to come in time.

    Ends, too, when nobody reads standard output any more: an operator's line that broke must not keep
    a quiet stream open. Raises UnreachableError.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(timeout_s)
            connection.connect(path)
            connection.sendall(request)
            watch = select.poll()
            watch.register(connection, select.POLLIN)
            watch.register(_STDOUT, 0)  # when nobody reads it, that is told without being asked for
            yield from _lines(connection, watch, path, timeout_s)
    except (TimeoutError, BlockingIOError):
        raise UnreachableError(_slow(path, timeout_s)) from None
    except OSError as error:
        raise UnreachableError(_sentence(error, path)) from None


def _lines(
    connection: socket.socket, watch: select.poll, path: str, timeout_s: float
) -> Iterator[bytes]:
    waiting, wait_ms = b"", timeout_s * 1_000
    while events := watch.poll(wait_ms):
        if any(handle == _STDOUT for handle, _ in events):
            return
        chunk = connection.recv(_CHUNK_BYTES)
        if not chunk:
            if wait_ms >= 0:
                raise UnreachableError(_hung_up(path))
            return
        *lines, waiting = (waiting + chunk).split(b"\n")
        if len(waiting) > ANSWER_BYTES_MAX:
            raise UnreachableError(_endless(path))
        for line in lines:
            yield line + b"\n"
            wait_ms = -1.0  # for ever
    raise TimeoutError


def _slow(path: str, timeout_s: float) -> str:
    return (
        f"gatewayd did not answer within {timeout_s:g} s at {path}: it hangs or is overloaded. "
        "See: journalctl -u gatewayd"
    )


def _hung_up(path: str) -> str:
    return f"gatewayd hung up at {path} without an answer. See: journalctl -u gatewayd"


def _endless(path: str) -> str:
    return f"what answers at {path} is no gatewayd: its answer has no end"


def _read_line(connection: socket.socket, path: str, deadline: float) -> bytes:
    answer = bytearray()
    while not answer.endswith(b"\n"):
        if len(answer) > ANSWER_BYTES_MAX:
            raise UnreachableError(_endless(path))
        connection.settimeout(max(deadline - time.monotonic(), 0.001))
        chunk = connection.recv(_CHUNK_BYTES)
        if not chunk:
            raise UnreachableError(_hung_up(path))
        answer += chunk
    return bytes(answer)


def _sentence(error: OSError, path: str) -> str:
    match error:
        case PermissionError():
            return f"this user may not ask gatewayd at {path}. Try: sudo gwctl status"
        case FileNotFoundError():
            return f"no gatewayd runs here: there is no {path}. Try: systemctl start gatewayd"
        case ConnectionRefusedError():
            return (
                f"no gatewayd answers at {path}: it ended without tidying up. "
                "Try: systemctl restart gatewayd"
            )
        case _:
            reason = error.strerror or error
            return f"gatewayd cannot be asked at {path}: {reason}. See: journalctl -u gatewayd"
