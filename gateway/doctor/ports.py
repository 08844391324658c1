"""Checks of the ports on which clients are served: each is tried as its clients would.

    port -> TLS handshake -> WebSocket opening -> CONNECT        each only where the port has it

The certificate that a port shows is read, and nobody is asked whether to trust it: clients decide that.
Must not know where certificates come from, nor what else gatewayd does.
"""

import base64
import os
import socket
import ssl
from contextlib import closing
from datetime import datetime

from gateway.doctor.finding import Finding, error, ok, warning
from gateway.doctor.network import START, TIMEOUT_S, reachable
from gateway.wording import several

# MQTT 3.1.1: a clean session, no client id, keep-alive of ten seconds.
_CONNECT = bytes.fromhex("100c 0004 4d515454 04 02 000a 0000")
_DISCONNECT = bytes.fromhex("e000")
_CONNACK = b"\x20\x02\x00"
_REFUSALS = {4: "bad user name or password", 5: "not authorised"}  # a broker that wants a user
_BINARY, _MASKED = 0x82, 0x80  # of a WebSocket's frame, RFC 6455 section 5.2
_HEAD_BYTES_MAX = 4_096  # of an HTTP answer; ours has under 200
REFUSAL_S = 0.2  # on one box
DAYS_WARNING = 30  # until a certificate ends; who makes them by hand needs some


class Refused(Exception):
    """What answers is not what should be there; the text says so."""


def mqtt(address: str, port: int) -> Finding:
    """MQTT by TCP."""
    return _tried(f"MQTT port {port}", address, port, False)[0]


def websocket(address: str, port: int) -> Finding:
    """MQTT by WebSocket."""
    return _tried(f"WebSocket port {port}", address, port, False, websocket=True)[0]


def mqtt_tls(address: str, port: int, now: datetime) -> list[Finding]:
    """MQTT by TLS, and the certificate that is shown."""
    return _secure(f"TLS port {port}", address, port, False, now)


def websocket_tls(address: str, port: int, now: datetime) -> list[Finding]:
    """MQTT by secure WebSocket, and the certificate that is shown."""
    return _secure(f"secure WebSocket port {port}", address, port, True, now)


def local(path: str) -> Finding:
    """MQTT by a Unix socket."""
    check = "local MQTT socket"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(path)
            return _judged(check, f" at {path}", _plainly(connection))
    except PermissionError:
        return ok(check, f"this user may not use {path}, so it was not tried")
    except (OSError, EOFError) as problem:
        return error(check, f"{path} does not answer as MQTT does: {problem}", START)
    except Refused as problem:
        return error(check, f"{path}: {problem}", f"see who has it: ss -lxp src {path}")


def metrics(address: str, port: int) -> Finding:
    """The page for Prometheus."""
    check = f"metrics port {port}"
    try:
        with socket.create_connection((reachable(address), port), TIMEOUT_S) as connection:
            connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = _head(connection)
    except (OSError, EOFError) as problem:
        return error(check, f"does not answer: {problem}", START)
    if not answer.startswith(b"HTTP/1.1 200 "):
        return error(check, "something answers that has no metrics", _who_has(port))
    return ok(check, "answers")


def certificate(check: str, der: bytes, now: datetime) -> Finding:
    """Whether the certificate is of use at this time, and for how long."""
    from cryptography import x509  # only here: it is slow to load

    try:
        shown = x509.load_der_x509_certificate(der)
    except ValueError as problem:
        return error(check, f"cannot be read: {problem}", "give the port another certificate")
    begins, ends = shown.not_valid_before_utc, shown.not_valid_after_utc
    days = (ends - now).days
    if begins > now:
        text = f"is not valid before {begins:%Y-%m-%d}, and the clock says {now:%Y-%m-%d}"
        return error(check, text, "see whether the clock is right: date; else take another")
    if ends < now:
        text = f"ended on {ends:%Y-%m-%d}: clients refuse it"
        return error(check, text, "put a new one in its place")
    if days < DAYS_WARNING:
        text = f"ends in {several(days, 'day[s]')}, on {ends:%Y-%m-%d}"
        return warning(check, text, "put a new one in its place before that")
    return ok(check, f"valid until {ends:%Y-%m-%d}")


def _secure(check: str, address: str, port: int, websocket: bool, now: datetime) -> list[Finding]:
    finding, der = _tried(check, address, port, True, websocket)
    shown = [certificate(f"certificate on port {port}", der, now)] if der else []
    return [finding, *shown]


def _tried(
    check: str, address: str, port: int, secure: bool, websocket: bool = False
) -> tuple[Finding, bytes]:
    """The finding, and the certificate where there was one. Connects as a client does, and leaves."""
    der, by = b"", ""
    try:
        with closing(_connected(address, port, secure)) as connection:
            if isinstance(connection, ssl.SSLSocket):
                der, by = connection.getpeercert(True) or b"", f" by {connection.version()}"
                _hear_refusal(connection)
            answer = _by_websocket(connection) if websocket else _plainly(connection)
    except ssl.SSLError as problem:
        words = str(problem.reason or problem).replace("_", " ").lower()
        if der and "certificate required" in words:
            return ok(check, f"answers{by}, and wants a certificate of its clients"), der
        see = f"see: gwctl log; who has the port: ss -ltnp sport = :{port}"
        return error(check, f"there is no TLS with it: {words}", see), der
    except (OSError, EOFError) as problem:
        return error(check, f"does not answer as MQTT does: {problem}", START), der
    except Refused as problem:
        return error(check, str(problem), _who_has(port)), der
    return _judged(check, by, answer), der


def _judged(check: str, by: str, code: int) -> Finding:
    """By the code of a CONNACK."""
    if code in _REFUSALS:
        return ok(check, f"answers{by}, and wants to know who connects ({_REFUSALS[code]})")
    if code:
        return warning(check, f"answers{by}, and refuses with code {code}", "see: gwctl log")
    return ok(check, f"answers{by}")


def _connected(address: str, port: int, secure: bool) -> socket.socket:
    """Takes every certificate: that it is shown is what is wanted."""
    connection = socket.create_connection((reachable(address), port), TIMEOUT_S)
    if not secure:
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return context.wrap_socket(connection)
    except OSError:  # also SSLError
        connection.close()
        raise


def _hear_refusal(connection: ssl.SSLSocket) -> None:
    """TLS 1.3 says behind the handshake that it was not enough; who goes on at once may miss that."""
    connection.settimeout(REFUSAL_S)
    try:
        if connection.recv(1):
            raise Refused("something answers that is no MQTT broker")
        raise EOFError("it hung up")
    except TimeoutError:
        connection.settimeout(TIMEOUT_S)


def _plainly(connection: socket.socket) -> int:
    """The code of the CONNACK."""
    connection.sendall(_CONNECT)
    code = _code(_read(connection, 4))
    if code == 0:
        connection.sendall(_DISCONNECT)
    return code


def _by_websocket(connection: socket.socket) -> int:
    """The same through the opening of a WebSocket, RFC 6455 section 4."""
    key = base64.b64encode(os.urandom(16)).decode()
    connection.sendall(
        "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: mqtt\r\n\r\n".encode()
    )
    if not _head(connection).startswith(b"HTTP/1.1 101 "):
        raise Refused("something answers that opens no WebSocket for MQTT")
    connection.sendall(_frame(_CONNECT))
    head = _read(connection, 2)
    if head != bytes((_BINARY, 4)):
        raise Refused("something answers that is no MQTT broker")
    code = _code(_read(connection, 4))
    if code == 0:
        connection.sendall(_frame(_DISCONNECT))
    return code


def _frame(packet: bytes) -> bytes:
    """A client masks what it sends; with zeros it stays as it is."""
    return bytes((_BINARY, _MASKED | len(packet))) + bytes(4) + packet


def _code(answer: bytes) -> int:
    if answer[:3] != _CONNACK:
        raise Refused("something answers that is no MQTT broker")
    return answer[3]


def _head(connection: socket.socket) -> bytes:
    """An HTTP answer up to its empty line."""
    answer = b""
    while not answer.endswith(b"\r\n\r\n") and len(answer) < _HEAD_BYTES_MAX:
        answer += _read(connection, 1)
    return answer


def _read(connection: socket.socket, size: int) -> bytes:
    answer = b""
    while len(answer) < size:
        chunk = connection.recv(size - len(answer))
        if not chunk:
            raise EOFError("it hung up")
        answer += chunk
    return answer


def _who_has(port: int) -> str:
    return f"see who has the port: ss -ltnp sport = :{port}"
