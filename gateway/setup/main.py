"""gateway-setup: makes of the installer's file what the box runs on, once at each start.

    installer's file  ->  /etc/gateway/gateway.toml                       for the daemons
                          /etc/hostname, /etc/hosts, the kernel's name
                          /etc/systemd/network/10-gateway.network
                          /etc/ssh/authorized_keys/gw, /etc/ssh/keys/

Each step is tried, whatever became of the others: a box that can be reached can be put right. Must
not know what the daemons do with their file.
"""

import argparse
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gateway import __version__
from gateway.board import serial_number
from gateway.config import Config
from gateway.ids import gateway_id
from gateway.notify import log_to_stderr
from gateway.setup import errors_file
from gateway.setup.daemon_file import daemon_file
from gateway.setup.files import Target, group_id, write
from gateway.setup.found import Found, find, keep
from gateway.setup.host_key import ensure_host_key
from gateway.setup.installer import Installation
from gateway.setup.system_files import (
    authorized_keys_file,
    hostname_file,
    hosts_file,
    network_file,
)

INSTALLER = "/boot/config/gateway.toml"
KEPT = "var/lib/gateway-setup"
NAME_DIGITS = 6  # of the gateway's id: enough to tell apart what stands in one building

logger = logging.getLogger("gateway-setup")


@dataclass(frozen=True, slots=True)
class Step:
    """One thing to do: `work` says whether it changed anything, and raises OSError."""

    what: str
    work: Callable[[], bool]


def set_up(installer: Path, root: Path) -> bool:
    """Does everything below `root`. Whether every step succeeded."""
    found = find(installer, root / KEPT)
    steps = [*_steps(found.installation, root), *_reports(found, installer, root)]
    done = [_done(step) for step in steps]
    return all(done)


def _done(step: Step) -> bool:
    try:
        changed = step.work()
    except OSError as error:
        logger.error("%s: failed: %s", step.what, error)
        return False
    logger.info("%s: %s", step.what, "written" if changed else "as before")
    return True


def _steps(installation: Installation, root: Path) -> list[Step]:
    config = _named(installation.config)
    name = config.gateway.name
    etc = root / "etc"

    def file(what: str, path: str, text: str, **rights: int | None) -> Step:
        return Step(what, lambda: write(Target(etc / path, **rights), text))

    return [
        file("who may log in", "ssh/authorized_keys/gw", authorized_keys_file(installation.ssh)),
        Step("SSH host key", lambda: ensure_host_key(etc / "ssh/keys")),
        file(
            "network",
            "systemd/network/10-gateway.network",
            network_file(installation.network),
        ),
        file(f"host name {name}", "hostname", hostname_file(name)),
        Step("hosts", lambda: _write_hosts(etc / "hosts", name)),
        Step("the kernel's host name", lambda: _tell_kernel(root, name)),
        file(
            "configuration",
            "gateway/gateway.toml",
            daemon_file(config),
            mode=0o640,
            group=group_id(root, "gateway"),
        ),
    ]


def _named(config: Config) -> Config:
    """A gateway without a name has one by its hardware, so that two new ones differ."""
    if config.gateway.name:
        return config
    name = f"gw-{gateway_id(serial_number())[:NAME_DIGITS]}"
    return replace(config, gateway=replace(config.gateway, name=name))


def _write_hosts(path: Path, name: str) -> bool:
    before = path.read_text(errors="replace") if path.is_file() else ""
    return write(Target(path), hosts_file(before, name))


def _tell_kernel(root: Path, name: str) -> bool:
    if root != Path("/") or socket.gethostname() == name:
        return False
    socket.sethostname(name)
    return True


def _reports(found: Found, installer: Path, root: Path) -> list[Step]:
    """Last, because the partition of the installer's file is the one that may be broken."""
    if found.error is None:
        return [
            Step("last good file", lambda: keep(found.text, root / KEPT)),
            Step("errors", lambda: errors_file.withdraw(installer.parent)),
        ]
    for line in found.error.lines():
        logger.warning("%s", line)
    logger.warning("this gateway runs %s", found.source.value)
    error, source = found.error, found.source
    return [Step("errors", lambda: errors_file.tell(installer.parent, error, source.value))]


def _arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="gateway-setup", description="Makes of the installer's file what the box runs on."
    )
    parser.add_argument(
        "--installer", default=INSTALLER, metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument(
        "--root", default="/", metavar="FOLDER", help="write below this folder; default: /"
    )
    parser.add_argument("--version", action="version", version=f"gateway-setup {__version__}")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, also when the installer's file is wrong: that is told elsewhere; 1 when a
    step failed."""
    options = _arguments(arguments)
    log_to_stderr("info")
    os.umask(0o022)  # sshd reads the keys of gw as gw, so folders are open; files have a mode
    return 0 if set_up(Path(options.installer), Path(options.root).resolve()) else 1


if __name__ == "__main__":
    sys.exit(main())
