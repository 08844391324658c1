"""Sockets in the file system, and sockets that outlive the daemon (doors.py, handed_over.py)."""

import array
import asyncio
import grp
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.shell.doors import Doors, UnixPlace
from gateway.shell.handed_over import HandedOver
from tests.gateways import Gateway, free_port, wait_until
from tests.requires import missing, needs

WITHIN_S = 10
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01c"
CONNACK = b"\x20\x02\x00\x00"


def dial(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(WITHIN_S)
    client.connect(str(path))
    return client


def is_served(client: socket.socket) -> bool:
    client.sendall(CONNECT)
    return client.recv(4) == CONNACK


def unix_gateway(folder: Path, **mqtt: object) -> Gateway:
    path = {"unix_socket": str(folder / "mqtt.sock")}
    return Gateway("gw1", "127.0.0.1", folder, port=free_port(), mqtt=path | mqtt)


def test_a_process_on_this_box_connects_by_the_file_and_is_local(tmp_path: Path) -> None:
    path = tmp_path / "mqtt.sock"
    with unix_gateway(tmp_path, unix_socket_mode="0600") as gateway:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with dial(path) as client:
            assert is_served(client)
            answer = gateway.ask({"command": "clients", "arguments": {}})
            assert [row["address"] for row in answer["result"]["clients"]] == ["unix"]
        say = [needs("mosquitto_pub"), "--unix", str(path), "-q", "1", "-t", "t", "-m", "x"]
        subprocess.run(say, check=True, timeout=WITHIN_S)
    assert not path.exists()


def test_what_a_killed_gateway_left_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "mqtt.sock"
    gateway = unix_gateway(tmp_path).start()
    gateway.kill()
    assert path.is_socket()
    with gateway, dial(path) as client:
        assert is_served(client)


def place(path: Path, group: str = "") -> UnixPlace:
    return UnixPlace("mqtt.unix_socket", str(path), 0o660, group, asyncio.Protocol)


def bound(*places: UnixPlace) -> list[str]:
    """What is wrong with them."""
    doors = Doors(HandedOver())
    problems = doors.bind(places)
    doors.close()
    return problems


def test_nothing_is_removed_that_is_no_socket_or_that_lives(tmp_path: Path) -> None:
    path = tmp_path / "mqtt.sock"
    path.write_text("precious")
    (problem,) = bound(place(path))
    assert f"mqtt.unix_socket: {path} is there and is no socket; move it away" in problem
    assert path.read_text() == "precious"
    path.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        (problem,) = bound(place(path))
        assert f"{path} is in use by another program; end what listens there (ss -lxp" in problem
        dial(path).close()


def test_a_group_is_given_or_the_reason_why_not(tmp_path: Path) -> None:
    other = next(
        entry for entry in grp.getgrall() if entry.gr_gid in {*os.getgroups(), os.getgid()}
    )
    path = tmp_path / "mqtt.sock"
    doors = Doors(HandedOver())
    assert doors.bind([place(path, other.gr_name)]) == []
    assert path.stat().st_gid == other.gr_gid and stat.S_IMODE(path.stat().st_mode) == 0o660
    doors.close()
    assert not path.exists()
    (problem,) = bound(place(path, "no-such-group"))
    assert "mqtt.unix_socket_group: there is no group 'no-such-group'" in problem


def test_a_group_that_the_daemon_is_not_in_is_told_with_the_remedy(tmp_path: Path) -> None:
    if os.getuid() != 0:
        missing("only root can become somebody who is in no group")
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents[:3]:
        folder.chmod(0o755)
    child = os.fork()
    if not child:
        status = 1
        try:
            os.setgroups([])
            os.setgid(65_534)
            os.setuid(65_534)
            (problem,) = bound(place(tmp_path / "s", "root"))
            status = 0 if "usermod -a -G root gateway" in problem else 2
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


class Manager:
    """What systemd does for the daemon: keeps sockets that it is sent, and hands them over."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "notify"
        self.kept: list[int] = []
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        space = socket.CMSG_SPACE(64 * array.array("i").itemsize)
        while True:
            state, ancillary, _, _ = self._socket.recvmsg(4_096, space)
            files = array.array("i")
            for _, _, data in ancillary:
                files.frombytes(data)
            words = state.decode()
            if words == "END":
                return
            if words.startswith("FDSTOREREMOVE=1"):
                assert words == "FDSTOREREMOVE=1\nFDNAME=door"
                self.close_kept()
            elif words.startswith("FDSTORE=1"):
                self.kept += files
            elif words == "BARRIER=1":
                os.close(files[0])
            self.said.append(words.partition("\n")[0])

    def close_kept(self) -> None:
        kept, self.kept = self.kept, []
        for file in kept:
            os.close(file)

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
            line.sendto(b"END", str(self.path))
        self._thread.join(WITHIN_S)
        self._socket.close()
        self.close_kept()

    def start(self, gateway: Gateway) -> subprocess.Popen[bytes]:
        """The daemon, with what is kept as its files from 3 on."""
        kept = list(self.kept)
        words = gateway.command()
        # By a shell: only the process itself knows its number, and only it can number its files.
        files = " ".join(f"{3 + n}<&{100 + n} {100 + n}<&-" for n in range(len(kept)))
        copies = [os.dup(file) for file in kept]
        script = f'export LISTEN_PID=$$ LISTEN_FDS={len(kept)}; exec "$@" {files}'
        env = {
            **os.environ,
            "NOTIFY_SOCKET": str(self.path),
            "RUNTIME_DIRECTORY": str(gateway.directory),
        }
        moves = {100 + n: copy for n, copy in enumerate(copies)}
        log = gateway.log_path.open("ab")
        process = subprocess.Popen(
            [sys.executable, "-c", _MOVE, repr(moves), "bash", "-c", script, "bash", *words],
            pass_fds=copies,
            env=env,
            stdout=log,
            stderr=log,
        )
        log.close()
        for copy in copies:
            os.close(copy)
        return process

    def wait_for(self, word: str, count: int = 1) -> None:
        wait_until(lambda: self.said.count(word) >= count, f"the daemon says {word}", WITHIN_S)


_MOVE = """
import os, sys
for to, file in eval(sys.argv[1]).items():
    os.dup2(file, to)
    os.close(file)
os.execvp(sys.argv[2], sys.argv[2:])
"""


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(tmp_path)
    yield manager
    manager.close()


@contextmanager
def started(manager: Manager, gateway: Gateway) -> Iterator[subprocess.Popen[bytes]]:
    process = manager.start(gateway)
    try:
        yield process
    finally:
        process.kill()
        process.wait(WITHIN_S)


def tcp(gateway: Gateway) -> socket.socket:
    return socket.create_connection(("127.0.0.1", gateway.port), WITHIN_S)


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_who_comes_during_a_restart_is_served_after_it(
    tmp_path: Path, manager: Manager, end: signal.Signals
) -> None:
    gateway = unix_gateway(tmp_path)
    with started(manager, gateway) as process:
        manager.wait_for("READY=1")
        manager.wait_for("FDSTORE=1")
        assert (tmp_path / "serving").exists() and len(manager.kept) == 2
        process.send_signal(end)
        process.wait(WITHIN_S)
    waiting = [tcp(gateway) for _ in range(50)] + [dial(tmp_path / "mqtt.sock")]
    with started(manager, gateway):
        for client in waiting:
            with client:
                assert is_served(client)
        manager.wait_for("READY=1", 2)
        assert len(manager.kept) == 2  # the same again, and no more


def test_a_socket_that_is_configured_no_more_is_closed(tmp_path: Path, manager: Manager) -> None:
    gateway = unix_gateway(tmp_path)
    with started(manager, gateway):
        manager.wait_for("FDSTORE=1")
    old, gateway.port = gateway.port, free_port()
    gateway.mqtt |= {"port": gateway.port}
    with started(manager, gateway):
        manager.wait_for("FDSTORE=1", 2)
        with tcp(gateway) as client:
            assert is_served(client)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", old), WITHIN_S)
    assert f"nothing is configured for the socket at 127.0.0.1 port {old}" in gateway.log()


def test_another_address_at_the_same_port_is_had_at_once(tmp_path: Path, manager: Manager) -> None:
    gateway = unix_gateway(tmp_path)
    with started(manager, gateway):
        manager.wait_for("FDSTORE=1")
    gateway.address = "0.0.0.0"
    with started(manager, gateway):
        manager.wait_for("FDSTORE=1", 2)
        with tcp(gateway) as client:
            assert is_served(client)
        assert len(manager.kept) == 2
    assert f"nothing is configured for the socket at 127.0.0.1 port {gateway.port}" in gateway.log()


def test_a_start_that_takes_long_lets_the_door_go(tmp_path: Path, manager: Manager) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = listening.getsockname()
        manager.kept.append(os.dup(listening.fileno()))
    program = (
        "import signal; from gateway.shell.handed_over import HandedOver\n"
        "HandedOver().hold(0.2); signal.pause()"
    )
    gateway = unix_gateway(tmp_path)
    gateway.command = lambda: [sys.executable, "-c", program]  # type: ignore[method-assign]
    with started(manager, gateway):
        socket.create_connection(place, WITHIN_S).close()
        manager.wait_for("FDSTOREREMOVE=1")
        wait_until(lambda: _refuses(place), "the door is closed", WITHIN_S)


def _refuses(place: tuple[str, int]) -> bool:
    try:
        socket.create_connection(place, WITHIN_S).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_socket_unit_may_hand_over_as_well(tmp_path: Path) -> None:
    gateway = unix_gateway(tmp_path)
    activate = needs("systemd-socket-activate")
    words = gateway.command()
    with (tmp_path / "activate.log").open("wb") as log:
        listen = ["-l", f"127.0.0.1:{gateway.port}"]
        process = subprocess.Popen([activate, *listen, *words], stdout=log, stderr=log)
    try:
        wait_until(lambda: not _refuses(("127.0.0.1", gateway.port)), "it listens", WITHIN_S)
        with tcp(gateway) as client:
            assert is_served(client)
    finally:
        process.terminate()
        process.wait(WITHIN_S)


def test_every_door_that_cannot_be_had_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    problems = bound(place(tmp_path / "file"), place(tmp_path / "none" / "deeper"))
    assert len(problems) == 2
    assert "no such file or directory; change mqtt.unix_socket" in problems[1]
