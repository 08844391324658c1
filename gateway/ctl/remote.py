"""Runs a command of gwctl on other gateways over the system's ssh.

The user's own ssh configuration, keys and known hosts count; here is only what keeps an operator
from waiting. Must not know what the remote gwctl prints.
"""

import sys

from gateway.ctl.exits import UNREACHABLE

CONNECT_TIMEOUT_S = 5
ALIVE_INTERVAL_S = 5  # twice without a sign of life, and ssh gives up
SSH_FAILED = 255
COMMAND_NOT_FOUND = 127


def run(host: str, command: list[str], terminal: bool) -> int:
    """The exit status of `command` on `host`, or UNREACHABLE after saying why on stderr."""
    import subprocess  # only here: it costs as much as the rest of gwctl

    sys.stdout.flush()
    try:
        status = subprocess.call(ssh_arguments(host, command, terminal))
    except OSError as error:
        return _unreachable(
            host, f"ssh cannot be run: {error.strerror}. Try: apt install openssh-client"
        )
    if status == SSH_FAILED:
        return _unreachable(host, f"ssh could not reach it. Try: ssh {host}")
    if status == COMMAND_NOT_FOUND:
        return _unreachable(host, "there is no gwctl on it; is it a gateway?")
    return status


def ssh_arguments(host: str, command: list[str], terminal: bool) -> list[str]:
    """`terminal`: a person sits here, so ssh may ask for a password, and Ctrl-C goes there."""
    import shlex

    options = {
        "ConnectTimeout": str(CONNECT_TIMEOUT_S),
        "ServerAliveInterval": str(ALIVE_INTERVAL_S),
        "ServerAliveCountMax": "2",
        "LogLevel": "ERROR",  # no farewell of ssh's own below the table
        "BatchMode": "no" if terminal else "yes",
    }
    words = ["ssh", "-t" if terminal else "-T"]
    for name, value in options.items():
        words += ["-o", f"{name}={value}"]
    return [*words, "--", host, shlex.join(command)]


def _unreachable(host: str, why: str) -> int:
    print(f"gwctl: {host}: {why}", file=sys.stderr)
    return UNREACHABLE
