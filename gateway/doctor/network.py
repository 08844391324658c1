"""Checks over real sockets of what gateways need: the control socket, the link port, multicast.

Must not know what the mesh does with it.
"""

import secrets
import socket
import struct

from gateway.doctor.finding import Finding, error, ok, warning

TIMEOUT_S = 3.0
GROUP = "224.0.0.251"  # that of mDNS
START = "see: gwctl log, journalctl -u gatewayd; start it with: systemctl start gatewayd"


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
        return error(check, f"does not run: nobody listens at {path}", START)
    except OSError as problem:
        return error(check, f"does not answer at {path}: {problem}", START)
    return ok(check, "runs")


def listening(check: str, address: str, port: int) -> Finding:
    """For a port on which only another gateway is answered: TCP is all that can be tried."""
    check = f"{check} {port}"
    try:
        with socket.create_connection((reachable(address), port), TIMEOUT_S):
            return ok(check, "accepts connections")
    except OSError as problem:
        return error(check, f"nobody listens: {problem.strerror or problem}", START)


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
        text = (
            f"is not heard on this box, so gateways and clients do not find it by mDNS: {problem}"
        )
        return warning("multicast", text, "look at the network; or name them in cluster.peers")
    if heard != said:
        return warning("multicast", "something else was heard", "run gwctl doctor again")
    return ok("multicast", "this box hears itself; whether the switch passes it on, it cannot tell")


def reachable(address: str) -> str:
    """The address at which this box reaches itself."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)
