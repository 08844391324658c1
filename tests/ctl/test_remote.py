"""What gwctl hands to ssh, and what it makes of ssh's end. A stand-in for ssh writes it down."""

import os
import subprocess
import sys
import termios

import pytest

from gateway.ctl.main import main
from gateway.ctl.remote import ssh_arguments
from tests.requires import needs

SSH = """#!/bin/sh
for word in "$@"; do printf '%s\\n' "$word"; done >> "$SSH_SEEN"
echo --- >> "$SSH_SEEN"
for last in "$@"; do :; done
echo "ran $last"
case "$*" in *gone*) exit 255 ;; *bare*) exit 127 ;; *sick*) exit 1 ;; *away*) exit 2 ;; esac
"""


@pytest.fixture
def seen(tmp_path, monkeypatch):
    """What ssh was called with: a list of words for each call."""
    ssh = tmp_path / "ssh"
    ssh.write_text(SSH)
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SSH_SEEN", str(tmp_path / "seen"))

    def calls():
        text = (tmp_path / "seen").read_text()
        return [call.splitlines() for call in text.split("---\n")[:-1]]

    return calls


@pytest.mark.parametrize(
    ("typed", "command"),
    [
        (["status"], "gwctl status"),
        (["status", "--json"], "gwctl status --json"),
        (["status", "--watch"], "gwctl status --watch 1"),
        (["status", "--watch", "0.5"], "gwctl status --watch 0.5"),
        (["cluster", "key", "rotate", "--key"], "gwctl cluster key rotate --key"),
        (["cluster", "key", "finish", "--force"], "gwctl cluster key finish --force"),
        (["forget", "gw4"], "gwctl forget gw4"),
        (["status", "--socket", "/a b/$(id)"], "gwctl status --socket '/a b/$(id)'"),
    ],
)
def test_the_same_command_runs_there(seen, capfd, typed, command):
    assert main(["--host", "gw@gw1", *typed]) == 0
    (words,) = seen()
    assert words[-3:] == ["--", "gw@gw1", command]
    assert capfd.readouterr().out == f"ran {command}\n"


@pytest.mark.parametrize(("host", "code"), [("well", 0), ("sick", 1), ("away", 2)])
def test_the_exit_status_of_the_command_there_is_the_exit_status_here(seen, capfd, host, code):
    assert main(["--host", host, "status"]) == code
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("host", "words"),
    [("gone", "gwctl: gone: ssh could not reach it"), ("bare", "gwctl: bare: there is no gwctl")],
)
def test_a_host_that_cannot_be_asked_is_two_and_a_sentence(seen, capfd, host, words):
    assert main(["--host", host, "status"]) == 2
    assert capfd.readouterr().err.startswith(words)


def test_a_box_without_ssh_says_so(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--host", "gw1", "status"]) == 2
    assert "ssh cannot be run" in capfd.readouterr().err


def test_several_hosts_are_asked_in_turn_and_the_worst_counts(seen, capfd):
    assert main(["--host", "well,sick,well", "status"]) == 1
    assert [words[-2] for words in seen()] == ["well", "sick", "well"]
    assert capfd.readouterr().out.count("== ") == 3


def test_one_host_can_be_watched_and_not_several(seen, capfd):
    assert main(["--host", "gw1,gw2", "status", "--watch"]) == 64
    assert "--watch shows one host" in capfd.readouterr().err


def test_ssh_waits_for_nobody_unless_somebody_is_there():
    batch = ssh_arguments("gw1", ["gwctl", "status"], terminal=False)
    assert batch[:2] == ["ssh", "-T"]
    assert {"ConnectTimeout=5", "BatchMode=yes"} < set(batch)
    person = ssh_arguments("gw1", ["gwctl", "status"], terminal=True)
    assert person[:2] == ["ssh", "-t"]
    assert "BatchMode=no" in person


@pytest.mark.slow
def test_on_a_terminal_ssh_gets_a_terminal(seen):
    master, slave = os.openpty()
    termios.tcsetwinsize(slave, (24, 80))
    ran = subprocess.run(
        [sys.executable, "-m", "gateway.ctl.main", "--host", "gw1", "status"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        timeout=10,
        check=False,
    )
    os.close(slave)
    os.close(master)
    assert ran.returncode == 0
    assert seen()[0][0] == "-t"


def test_the_system_s_ssh_understands_the_options():
    """`ssh -G` reads a command line and its configuration, and connects nowhere."""
    needs("ssh")
    ssh, *words = ssh_arguments("gw@gw1", ["gwctl", "status"], terminal=False)
    ran = subprocess.run(
        [ssh, "-F", "none", "-G", *words], capture_output=True, text=True, timeout=10, check=True
    )
    lines = ran.stdout.splitlines()
    assert {"user gw", "hostname gw1", "connecttimeout 5", "batchmode yes"} <= set(lines)
