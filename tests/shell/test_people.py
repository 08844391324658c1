"""Users and rules against a real gatewayd, with gwctl and the tools that people use."""

import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Connect, Version
from gateway.mqtt.reasons import Reason
from tests.gateways import Gateway, loopback_addresses, wait_until

GWCTL = Path(sys.executable).parent / "gwctl"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    (address,) = loopback_addresses(1)
    with Gateway("gw1", address, tmp_path / "gw1") as running:
        yield running


def gwctl(gateway: Gateway, *words: str, secret: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GWCTL, *words, "--socket", str(gateway.control_socket)],
        input=secret + "\n",
        capture_output=True,
        text=True,
        timeout=30,
    )


def said(gateway: Gateway, *words: str, secret: str = "") -> str:
    done = gwctl(gateway, *words, secret=secret)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stdout.split())


def publish(gateway: Gateway, user: str, password: str, topic: str = "t") -> str:
    """What mosquitto_pub complains of; "" when all is well."""
    command = ["mosquitto_pub", "-V", "5", "-h", gateway.host, "-u", user, "-P", password]
    command += ["-q", "1", "-t", topic, "-m", "x"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    return (done.stdout + done.stderr).strip()


def test_a_user_logs_in_until_he_is_removed_also_after_a_restart(gateway: Gateway) -> None:
    said(gateway, "user", "add", "ann", "--groups", "staff", secret="correct horse")
    assert "ann staff" in said(gateway, "user", "list")
    assert publish(gateway, "ann", "correct horse") == ""
    assert "Bad User Name or Password" in publish(gateway, "ann", "wrong horse")
    assert "Bad User Name or Password" in publish(gateway, "eve", "correct horse")
    gateway.stop()
    gateway.start()
    assert publish(gateway, "ann", "correct horse") == ""
    said(gateway, "user", "passwd", "ann", secret="battery staple")
    assert "Bad User Name or Password" in publish(gateway, "ann", "correct horse")
    assert publish(gateway, "ann", "battery staple") == ""
    said(gateway, "user", "add", "bob", secret="another one")
    said(gateway, "user", "remove", "ann")
    assert "Bad User Name or Password" in publish(gateway, "ann", "battery staple")
    log = gateway.log_path.read_text() + (gateway.state_dir / "state.db").read_bytes().hex()
    for secret in ("correct horse", "battery staple"):
        assert secret not in log and secret.encode().hex() not in log


def test_a_removed_users_client_is_disconnected_at_once(gateway: Gateway) -> None:
    said(gateway, "user", "add", "ann", secret="correct horse")
    command = ["mosquitto_sub", "-V", "5", "-h", gateway.host, "-u", "ann", "-P", "correct horse"]
    with subprocess.Popen([*command, "-i", "c", "-t", "#"], stderr=subprocess.PIPE) as client:
        try:
            wait_until(lambda: "c" in said(gateway, "clients").split(), "connected", 10.0)
            said(gateway, "user", "remove", "ann")
            wait_until(lambda: "no client" in said(gateway, "clients"), "disconnected", 10.0)
        finally:
            client.kill()


def test_rules_hold_at_once_and_say_why(gateway: Gateway) -> None:
    said(gateway, "user", "add", "ann", secret="correct horse")
    said(gateway, "rule", "add", "allow", "user", "ann", "write", "home/%u/#")
    assert publish(gateway, "ann", "correct horse", "home/ann/x") == ""
    assert "Not authorized" in publish(gateway, "ann", "correct horse", "home/bob")
    told = gwctl(gateway, "rule", "test", "ann", "c", "write", "home/bob").stdout
    assert told == "no: rules are for this user, and none allows it\n"
    assert "'allow user ann write home/%u/#'" in gwctl(gateway, "log").stdout
    told = said(gateway, "rule", "test", "ann", "c", "write", "home/ann/x")
    assert told == "yes: by the rule: allow user ann write home/%u/#"
    assert "allow user ann write home/%u/#" in said(gateway, "rule", "list")
    said(gateway, "rule", "remove", "allow", "user", "ann", "write", "home/%u/#")
    assert publish(gateway, "ann", "correct horse", "home/bob") == ""


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (
            "deny user ann write plant/#",
            "; ann may read and write nothing now, for no rule allows it",
        ),
        ("allow user ann read home/#", "; ann may write nothing now, for no rule allows it"),
        (
            "allow everybody read public/#",
            "; who is named in no other rule may write nothing now, for no rule allows it",
        ),
        ("deny user anne write #", "; there is no user anne yet, unless by a certificate"),
        ("deny group guests write #", "; nobody is in the group guests yet"),
        ("deny group staff write #", ""),
    ],
)
def test_a_rule_that_takes_more_than_it_says_or_is_for_nobody_is_told(
    gateway: Gateway, rule: str, told: str
) -> None:
    said(gateway, "user", "add", "ann", "--groups", "staff", secret="correct horse")
    assert said(gateway, "rule", "add", *rule.split()) == f"it holds: {rule}{told}"


@pytest.mark.parametrize(
    ("words", "secret", "why"),
    [
        (("user", "add", "ann"), "short", "too short"),
        (("user", "remove", "eve"), "", "no user eve"),
        (("user", "passwd", "eve"), "correct horse", "no user eve"),
        (("rule", "add", "allow", "ann"), "", "a rule is"),
        (("rule", "add", "allow", "everybody", "read", "a/#/b"), "", "no topic filter"),
        (("rule", "remove", "deny", "everybody", "read", "#"), "", "no such rule"),
    ],
)
def test_what_cannot_be_done_is_told(
    gateway: Gateway, words: tuple[str, ...], secret: str, why: str
) -> None:
    done = gwctl(gateway, *words, secret=secret)
    assert done.returncode == 1 and why in done.stderr and "Do:" in done.stderr


@pytest.mark.parametrize(
    ("words", "why"), [(("passwd", "eve"), "no user eve"), (("add", "ann"), "the user ann exists")]
)
def test_nobody_types_a_password_for_what_cannot_be_done(
    gateway: Gateway, words: tuple[str, str], why: str
) -> None:
    said(gateway, "user", "add", "ann", secret="correct horse")
    command = [GWCTL, "user", *words, "--socket", str(gateway.control_socket)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as asking:
        assert asking.wait(30) == 1, "it does not wait for what nobody types"
        assert asking.stderr is not None and why in asking.stderr.read()


def test_a_password_that_does_not_come_changes_nothing(gateway: Gateway) -> None:
    done = gwctl(gateway, "user", "add", "ann")
    assert done.returncode == 1 and "no password came" in done.stderr
    assert "there is no user" in said(gateway, "user", "list")
    assert "gwctl user add" not in said(gateway, "log")


def test_five_hundred_clients_of_one_user_come_back_at_once(gateway: Gateway) -> None:
    """They share one check of the password: 500 would take the better part of a minute."""
    said(gateway, "user", "add", "ann", secret="correct horse")
    with ExitStack() as room:
        clients = []
        for number in range(500):
            client = room.enter_context(socket.create_connection((gateway.host, gateway.port), 20))
            connect = Connect(
                *(Version.MQTT311, f"c{number}", True, 0, None, "ann", b"correct horse")
            )
            client.sendall(encode(connect, Version.MQTT311))
            clients.append(client)
        assert [client.recv(4) for client in clients] == [b"\x20\x02\0\0"] * 500


def test_an_address_that_guesses_passwords_all_the_time_keeps_nobody_waiting(
    gateway: Gateway,
) -> None:
    """It has all the checks that may wait; who comes from another address has his turn next."""
    said(gateway, "user", "add", "ann", secret="correct horse")

    def caller(room: ExitStack, source: str, password: bytes) -> socket.socket:
        line = socket.create_connection((gateway.host, gateway.port), 20, (source, 0))
        name = f"c{password.decode()}"
        connect = Connect(Version.MQTT5, name, True, 0, None, "ann", password)
        room.enter_context(line).sendall(encode(connect, Version.MQTT5))
        return line

    with ExitStack() as room:
        guessing = [caller(room, "127.0.0.2", b"guess %d" % number) for number in range(100)]
        begin = time.monotonic()
        honest = caller(room, "127.0.0.3", b"correct horse")
        assert honest.recv(64)[3] == Reason.SUCCESS
        waited_s = time.monotonic() - begin
        busy = [line for line in guessing if select.select([line], (), (), 0)[0]]
        assert len(busy) >= 60 and all(line.recv(64)[3] == Reason.SERVER_BUSY for line in busy)
        print(f"an honest login took {waited_s:.2f} s beside {len(guessing)} wrong ones")
        assert waited_s < 2.0, "three checks, and one of them waits for the machine"
