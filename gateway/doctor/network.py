"""Checks over real sockets: what gatewayd listens on, and whether multicast is heard.

Must not know what the mesh does with it.
"""

import secrets
import socket
import struct

from gateway.doctor.finding import Finding, error, ok, warning

TIMEOUT_S = 3.0
GROUP = "224.0.0.251"  # that of mDNS
# MQTT 3.1.1: a clean session, no client id, keep-alive of ten seconds.
_CONNECT = bytes.fromhex("100c 0004 4d515454 04 02 000a 0000")
_DISCONNECT = bytes.fromhex("e000")
_REFUSALS = {4: "bad user name or password", 5: "not authorised"}  # a broker that wants a user
_START = "see: gwctl log, journalctl -u gatewayd; start it with: systemctl start gatewayd"


def control(path: str) -> Finding:
    """Whether gatewayd runs: somebody accepts on its control socket."""
    check = "gatewayd"
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(TIMEOUT_S)
            connection.connect(path)
    except PermissionError:
        text = f"this user may not ask it at {path}"
        return warning(check, text, "try: sudo gwctl doctor")
    except (FileNotFoundError, ConnectionRefusedError):
        return error(check, f"does not run: nobody listens at {path}", _START)
    except OSError as problem:
        return error(check, f"does not answer at {path}: {problem}", _START)
    return ok(check, "runs")


def mqtt(address: str, port: int) -> Finding:
    """Connects as an MQTT client, and leaves."""
    check = f"MQTT port {port}"
    try:
        with socket.create_connection((reachable(address), port), TIMEOUT_S) as connection:
            connection.sendall(_CONNECT)
            answer = _read(connection, 4)
            if answer[:3] == b"\x20\x02\x00" and answer[3] == 0:
                connection.sendall(_DISCONNECT)
    except (OSError, EOFError) as problem:
        return error(check, f"does not answer as MQTT does: {problem}", _START)
    if answer[:3] != b"\x20\x02\x00":
        text = "something answers that is no MQTT broker"
        return error(check, text, f"see who has the port: ss -ltnp sport = :{port}")
    if answer[3] in _REFUSALS:
        return ok(check, f"answers, and wants to know who connects ({_REFUSALS[answer[3]]})")
    if answer[3]:
        return warning(check, f"answers, and refuses with code {answer[3]}", "see: gwctl log")
    return ok(check, "answers")


def listening(check: str, address: str, port: int) -> Finding:
    """For a port on which only another gateway is answered: TCP is all that can be tried."""
    check = f"{check} {port}"
    try:
        with socket.create_connection((reachable(address), port), TIMEOUT_S):
            return ok(check, "accepts connections")
    except OSError as problem:
        return error(check, f"nobody listens: {problem.strerror or problem}", _START)


def multicast(address: str) -> Finding:
    """Joins the group on a port that nobody uses, and listens to itself."""
    interface = "0.0.0.0" if address == "::" else address
    said = secrets.token_bytes(16)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
            ear.settimeout(TIMEOUT_S)
            ear.bind(("", 0))
            joined = struct.pack("4s4s", socket.inet_aton(GROUP), socket.inet_aton(interface))
            ear.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
            if interface != "0.0.0.0":
                ear.setsockopt(
                    socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(interface)
                )
            ear.sendto(said, (GROUP, ear.getsockname()[1]))
            heard = ear.recv(64)
    except OSError as problem:
        text = f"is not heard on this box, so gateways do not find each other: {problem}"
        return warning("multicast", text, "look at the network; or name them in cluster.peers")
    if heard != said:
        return warning("multicast", "something else was heard", "run gwctl doctor again")
    return ok("multicast", "this box hears itself; whether the switch passes it on, it cannot tell")


def reachable(address: str) -> str:
    """The address at which this box reaches itself."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)


def _read(connection: socket.socket, size: int) -> bytes:
    answer = b""
    while len(answer) < size:
        chunk = connection.recv(size - len(answer))
        if not chunk:
            raise EOFError("it hung up")
        answer += chunk
    return answer
