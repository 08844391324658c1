"""gw-shell as sshd starts it: a process of its own; what is not a call of gwctl gets one sentence."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ctl.shell import HELP, REFUSED, words_of

SHELL = [sys.executable, "-m", "gateway.ctl.shell"]
HARMLESS = {chr(code) for code in range(32, 127)} - set("'\\")
WAIT_S = 20


def shell(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*SHELL, *arguments],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("gwctl", []),
        ("gwctl status", ["status"]),
        ("  gwctl   status  --json ", ["status", "--json"]),
        ("gwctl status --watch=0.5", ["status", "--watch=0.5"]),
        ("gwctl trace $SYS/+/a:b/#", ["trace", "$SYS/+/a:b/#"]),
        ("gwctl retained 'a b/#'", ["retained", "a b/#"]),
        ("gwctl client ''", ["client", ""]),
        ("gwctl client '$(id) ; `id` | > <'", ["client", "$(id) ; `id` | > <"]),
    ],
)
def test_a_call_of_gwctl_is_words(line: str, words: list[str]) -> None:
    assert words_of(line) == words


NO_CALLS = [
    "",
    "id",
    "sh",
    "/usr/bin/gwctl status",
    "gwctlstatus",
    "gwctl status; id",
    "gwctl status;id",
    "gwctl status && id",
    "gwctl status | id",
    "gwctl status & id",
    "gwctl status\nid",
    "id\ngwctl status",
    "gwctl status\n",
    "gwctl\tstatus",
    "gwctl status\0",
    "gwctl $(id)",
    "gwctl `id`",
    "gwctl ${IFS}id",
    "gwctl 'status",
    "gwctl 'a'b",
    "gwctl 'a\\'",
    "gwctl 'a\x1bb'",
    'gwctl "status"',
    "gwctl status > /tmp/x",
    "gwctl status < /etc/passwd",
    "gwctl statu*",
    "gwctl ~root",
    "gwctl status \\",
    "gwctl st\u0430tus",
    "gwctl \u0661",
    "gwctl\u00a0status",
    "gwctl status \x1b[2J",
    "A=1 gwctl status",
    "gwctl" + " status" * 64,
    "/usr/lib/openssh/sftp-server",
    "scp -t /tmp",
    "rsync --server . /",
    "internal-sftp",
]


@pytest.mark.parametrize("line", NO_CALLS)
def test_anything_else_is_no_call(line: str) -> None:
    assert words_of(line) is None


@given(st.text())
def test_no_other_character_ever_comes_through(line: str) -> None:
    for words in (words_of(line), words_of(f"gwctl {line}")):
        assert words is None or set("".join(words)) <= HARMLESS


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [["-c", "gwctl status; id"], ["-c", "id"], ["-i"], ["-c"], []]
)
def test_what_is_refused_gets_one_sentence(arguments: list[str]) -> None:
    run = shell(*arguments)
    assert (run.returncode, run.stdout, run.stderr) == (64, "", f"{REFUSED}\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    "line",
    ["gwctl --host gw2 status", "gwctl --ho=gw2 status", "gwctl status --socket=/run/x", "gwctl x"],
)
def test_gwctl_itself_refuses_what_leads_elsewhere(line: str) -> None:
    run = shell("-c", line)
    assert run.returncode == 64
    assert run.stdout == ""
    assert "unrecognized arguments" in run.stderr or "invalid choice" in run.stderr


@pytest.mark.slow
def test_help_is_shown_without_what_is_not_allowed() -> None:
    run = shell("-c", "gwctl --help")
    assert run.returncode == 0
    assert "status" in run.stdout and "--host" not in run.stdout


@pytest.mark.slow
def test_the_environment_names_no_other_socket(tmp_path: Path) -> None:
    run = shell("-c", "gwctl status", GWCTL_SOCKET=str(tmp_path / "trap.sock"))
    assert run.returncode in (0, 1, 2)
    assert "trap.sock" not in run.stdout + run.stderr


def at_a_terminal(typed: bytes) -> str:
    """What a person sees who types this; the process must end by itself."""
    here, there = pty.openpty()
    process = subprocess.Popen(SHELL, stdin=there, stdout=there, stderr=there)
    os.close(there)
    os.write(here, typed)
    seen = b""
    while True:
        try:
            chunk = os.read(here, 4096)
        except OSError:  # EIO: nobody holds the other end any more
            break
        seen += chunk
    os.close(here)
    process.wait(WAIT_S)
    return seen.decode(errors="replace").replace("\r\n", "\n")


@pytest.mark.slow
@pytest.mark.parametrize("end", [b"exit\n", b"\x04"], ids=["exit", "Ctrl-D"])
def test_a_person_gets_a_prompt_that_runs_gwctl_only(end: bytes) -> None:
    seen = at_a_terminal(b"id\ngwctl --version\ngwctl status; id\n!sh\n\n" + end)
    assert seen.count(REFUSED) == 3
    assert "gwctl 0." in seen
    assert HELP in seen
    assert "uid=" not in seen


@pytest.mark.slow
def test_a_line_without_an_end_is_refused_in_pieces() -> None:
    seen = at_a_terminal(b"gwctl " + b"x" * 3000 + b"\nexit\n")
    assert seen.count(REFUSED) >= 1
