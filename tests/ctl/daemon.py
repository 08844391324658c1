"""A gatewayd as gwctl sees it: a Unix socket that answers lines, in a thread."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.control import Status, to_document
from gateway.control_lines import decode_request, encode_answer

Answer = Callable[[socket.socket, bytes], None]


def answer_with(status: Status) -> Answer:
    def answer(connection: socket.socket, line: bytes) -> None:
        assert decode_request(line).command == "status"
        connection.sendall(encode_answer(to_document(status)))

    return answer


@contextmanager
def listening(path: Path, answer: Answer) -> Iterator[None]:
    """Calls `answer` with each connection and the line that came, one after the other."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen(8)
    thread = threading.Thread(target=_serve, args=(listener, answer))
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(timeout=10)
        listener.close()
        assert not thread.is_alive()


def _serve(listener: socket.socket, answer: Answer) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:  # shut down
            return
        with connection:
            connection.settimeout(10)
            line = b""
            while not line.endswith(b"\n"):
                chunk = connection.recv(65_536)
                if not chunk:
                    break
                line += chunk
            if line:
                answer(connection, line)
