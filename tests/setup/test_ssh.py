"""An operator on the network: the system's own ssh against a real sshd with our settings, the user gw
with our shell, and a gatewayd to ask.
"""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from paho.mqtt import publish

from gateway.ctl.shell import HELP, REFUSED
from gateway.setup.main import set_up
from tests.gateways import free_port
from tests.requires import missing, needs

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent
ADDRESS = "127.0.0.64"
WAIT_S = 20.0


@dataclass(frozen=True)
class Operator:
    """Somebody with a key, and the box he may log in to."""

    folder: Path
    port: int

    def command(
        self, *words: str, user: str = "gw", key: str = "id", options: str = ""
    ) -> list[str]:
        settings = [
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=yes",
            f"UserKnownHostsFile={self.folder}/known_hosts",
            f"IdentityFile={self.folder}/{key}",
            f"ConnectTimeout={WAIT_S:.0f}",
            *options.split(),
        ]
        words_of_ssh = ["ssh", "-F", "none", "-p", str(self.port)]
        for setting in settings:
            words_of_ssh += ["-o", setting]
        return [*words_of_ssh, f"{user}@{ADDRESS}", *words]

    def ssh(self, *words: str, **how: str) -> subprocess.CompletedProcess[str]:
        return run(self.command(*words, **how))


def run(command: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def keygen(path: Path) -> str:
    subprocess.run(
        [needs("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", path],
        check=True,
        timeout=WAIT_S,
    )
    return path.with_suffix(".pub").read_text().strip()


@pytest.fixture(scope="module")
def operator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    if os.geteuid() != 0:
        missing("only root may run sshd with a user of its own")
    for command in ("sshd", "ssh", "unshare", "setpriv", "systemd-sysusers"):
        needs(command)
    folder = tmp_path_factory.mktemp("ssh")
    root = folder / "root"
    (root / "etc").mkdir(parents=True)
    installer = folder / "gateway.toml"
    installer.write_text(f'[gateway]\nname = "gw-ssh"\n[ssh]\nkeys = ["{keygen(folder / "id")}"]\n')
    keygen(folder / "stranger")
    assert set_up(installer, root)
    port = free_port(ADDRESS)
    host_key = (root / "etc/ssh/keys/ssh_host_ed25519_key.pub").read_text()
    (folder / "known_hosts").write_text(f"[{ADDRESS}]:{port} {host_key}")
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command += [HERE / "box.sh", root, sys.executable, ADDRESS, str(port)]
    log = (folder / "log").open("w")
    box = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        operator = Operator(folder, port)
        wait_for(operator, box)
        yield operator
    finally:
        box.kill()
        box.wait(WAIT_S)
        log.close()
        print((folder / "log").read_text())


def wait_for(operator: Operator, box: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + WAIT_S
    while operator.ssh("gwctl", "status").returncode != 0:
        log = (operator.folder / "log").read_text()
        assert box.poll() is None, log
        assert time.monotonic() < end, log
        time.sleep(0.05)


def test_status_is_shown(operator: Operator) -> None:
    done = operator.ssh("gwctl", "status")
    assert done.returncode == 0, done.stderr
    assert "no cluster: healthy" in done.stdout
    assert "gw-ssh" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_the_document_for_programs_is_whole(operator: Operator) -> None:
    done = operator.ssh("gwctl status --json")
    assert json.loads(done.stdout)["gateway"] == "gw-ssh"


@pytest.mark.parametrize(
    "line",
    [
        "id",
        "gwctl status; id",
        "gwctl status\nid",
        "$(id)",
        "gwctl $(id)",
        "sh -i",
        "gwctl status|id",
    ],
)
def test_nothing_else_is_run(operator: Operator, line: str) -> None:
    done = operator.ssh(line)
    assert (done.returncode, done.stdout, done.stderr) == (64, "", f"{REFUSED}\n")


def test_no_file_goes_in_or_out(operator: Operator) -> None:
    plain = operator.ssh("/usr/lib/openssh/sftp-server")
    assert (plain.returncode, plain.stdout) == (64, "")
    command = operator.command("sftp")
    command.insert(1, "-s")
    subsystem = run(command)
    assert (subsystem.returncode, subsystem.stdout) == (64, "")


def test_nothing_is_forwarded(operator: Operator) -> None:
    command = operator.command()
    command[1:1] = ["-W", f"{ADDRESS}:18864"]
    refused = run(command)
    assert refused.returncode != 0
    assert "administratively prohibited" in refused.stderr


@pytest.mark.parametrize(
    ("user", "key", "options"),
    [
        ("gw", "stranger", ""),
        ("root", "id", ""),
        ("gateway", "id", ""),
        ("gw", "id", "PubkeyAuthentication=no"),
        ("gw", "id", "PreferredAuthentications=password,keyboard-interactive"),
    ],
)
def test_nobody_else_gets_in(operator: Operator, user: str, key: str, options: str) -> None:
    done = operator.ssh("gwctl", "status", user=user, key=key, options=options)
    assert done.returncode == 255
    assert "Permission denied (publickey)" in done.stderr


def test_the_environment_of_a_client_changes_nothing(operator: Operator) -> None:
    command = operator.command("gwctl", "status", options="SendEnv=*")
    shown = run(command, GWCTL_SOCKET="/x", PYTHONPATH="/x", LC_ALL="$(id)")
    assert shown.returncode == 0, shown.stderr
    assert "uid=" not in shown.stdout


def test_doctor_checks_by_what_gatewayd_says_where_this_user_may_not_read(
    operator: Operator,
) -> None:
    done = operator.ssh(
        "gwctl", "doctor", "--json", "--config", f"{operator.folder}/root/gatewayd.toml"
    )
    assert done.stdout, done.stderr
    checks = {check["check"]: check for check in json.loads(done.stdout)["checks"]}
    assert "this user may not read" in checks["configuration"]["text"]
    well = ("configuration", "gatewayd", "MQTT port 18864", "TLS port 18865", "state directory")
    assert {name: checks[name]["level"] for name in well} == dict.fromkeys(well, "ok")
    assert checks["certificate on port 18865"]["text"] == "valid until 9999-12-31"


def test_a_trace_comes_through_and_ends_with_the_line(operator: Operator) -> None:
    def traced() -> bool:
        return "somebody runs gwctl trace" in operator.ssh("gwctl", "status", "--json").stdout

    def wait(there: bool) -> None:
        end = time.monotonic() + WAIT_S
        while traced() is not there:
            assert time.monotonic() < end

    for end_it in (True, False):
        command = operator.command("gwctl", "trace", "'plant/#'", "--count", "1" if end_it else "0")
        with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as line:
            wait(there=True)
            if end_it:
                publish.single("plant/level", "7.5", hostname=ADDRESS, port=18864)
                out, _ = line.communicate(timeout=WAIT_S)
                assert b"plant/level 3B 7.5" in out
            else:
                line.kill()
        wait(there=False)


# At a terminal.


class Terminal:
    """A person's terminal: what was typed and what was seen so far."""

    def __init__(self, command: list[str]) -> None:
        self._here, there = pty.openpty()
        self.process = subprocess.Popen(command, stdin=there, stdout=there, stderr=there)
        os.close(there)
        self.seen = ""
        self._unread = ""

    def type(self, text: str) -> None:
        os.write(self._here, text.encode())

    def until(self, words: str) -> None:
        """Reads on until the words are seen behind what was awaited last."""
        end = time.monotonic() + WAIT_S
        while words not in self._unread:
            ready, _, _ = select.select([self._here], [], [], end - time.monotonic())
            assert ready, f"no {words!r} in {self._unread!r}"
            chunk = os.read(self._here, 4096).decode(errors="replace").replace("\r", "")
            self._unread += chunk
            self.seen += chunk
        self._unread = self._unread.partition(words)[2]

    def ends(self) -> int:
        status = self.process.wait(WAIT_S)
        os.close(self._here)
        return status


def test_watching_goes_on_until_ctrl_c(operator: Operator) -> None:
    terminal = Terminal(operator.command("-t", "gwctl", "status", "--watch", "0.1"))
    for _ in range(3):
        terminal.until("gw-ssh")
    terminal.type("\x03")
    assert terminal.ends() == 0


def test_a_login_is_a_prompt_for_gwctl(operator: Operator) -> None:
    terminal = Terminal(operator.command())
    terminal.until(HELP)
    terminal.until("> ")
    terminal.type("sh\n")
    terminal.until(REFUSED)
    terminal.type("gwctl status\n")
    terminal.until("nothing is wrong")
    terminal.type("exit\n")
    assert terminal.ends() == 0
    assert "uid=" not in terminal.seen


def test_the_first_user_is_made_from_afar_and_his_password_is_not_shown(operator: Operator) -> None:
    assert "there is no user" in operator.ssh("gwctl", "user", "list").stdout
    terminal = Terminal(operator.command("-t", "gwctl", "user", "add", "ann"))
    terminal.until("password: ")
    terminal.type("correct horse\n")
    terminal.until("password, again: ")
    terminal.type("correct horse\n")
    terminal.until("the user ann may log in")
    assert terminal.ends() == 0 and "horse" not in terminal.seen
    assert "ann" in operator.ssh("gwctl", "user", "list").stdout


def test_who_forgets_the_terminal_is_told_what_is_awaited(operator: Operator) -> None:
    process = subprocess.Popen(
        operator.command("gwctl", "user", "add", "bob"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "to be asked for it: ssh -t" in process.stderr.readline()
    assert "the user bob may log in" in process.communicate("correct horse\n", WAIT_S)[0]


# What sshd itself says of its settings.

WANTED = """\
allowusers gw
permitrootlogin no
passwordauthentication no
kbdinteractiveauthentication no
pubkeyauthentication yes
authenticationmethods publickey
permitemptypasswords no
disableforwarding yes
allowtcpforwarding no
allowagentforwarding no
allowstreamlocalforwarding no
x11forwarding no
permittunnel no
gatewayports no
permituserrc no
permituserenvironment no
authorizedkeysfile /etc/ssh/authorized_keys/%u
hostkey /etc/ssh/keys/ssh_host_ed25519_key
"""


def test_our_settings_come_before_debians(operator: Operator) -> None:
    said = set((operator.folder / "root/effective").read_text().splitlines())
    assert [line for line in WANTED.splitlines() if line not in said] == []
