"""A LAN of its own with gateways on it: twins in containers, on one bridge in a network namespace.

Nothing outside the namespace sees any of it, and its end takes everything along. A gateway's
data partition is a folder here; the paths of image/persist.list are bound from it, as the initrd
does on a board.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import uuid
from pathlib import Path

from tests.image.cgroup import ControlGroup
from tests.image.installer import InstallerFile
from tests.image.waiting import wait_until

REPOSITORY = Path(__file__).parent.parent.parent
BRIDGE = "lan"
OWN_ADDRESS = "10.77.0.254/24"
START_S = 60.0  # for a machine that is busy with other things
STOP_S = 30.0


def persistent_paths() -> list[str]:
    """The list, without its comments; a folder ends with a slash."""
    lines = (REPOSITORY / "image/persist.list").read_text().splitlines()
    return [line.strip() for line in lines if line.startswith("/")]


class Twin:
    """One gateway. It can be started again after its end, and knows then what it knew."""

    def __init__(self, site: "Site", folder: Path, file: InstallerFile) -> None:
        self._site = site
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._leader = 0
        self._group: ControlGroup | None = None
        self.name = file.name
        self.address = file.address.partition("/")[0]
        self.bootcfg = folder / "bootcfg"
        self.bootcfg.mkdir(parents=True)
        self.write(file.text())
        self._fill_data()

    def write(self, text: str) -> None:
        (self.bootcfg / "gateway.toml").write_text(text)

    def _fill_data(self) -> None:
        """As the initrd does at the first boot."""
        for path in persistent_paths():
            kept, there = self._kept(path), self._site.system / path.strip("/")
            kept.parent.mkdir(parents=True, exist_ok=True)
            if not path.endswith("/"):
                kept.write_text(f"{uuid.uuid4().hex}\n")  # the machine id is the only file
            elif there.is_dir():
                shutil.copytree(there, kept, symlinks=True)
            else:
                kept.mkdir()

    def _kept(self, path: str) -> Path:
        return self._folder / "data" / path.strip("/")

    def start(self) -> None:
        """Returns when the container is there; not yet when it is up."""
        binds = [f"--bind={self._kept(path)}:{path.rstrip('/')}" for path in persistent_paths()]
        # nspawn has no machine manager to talk to here, and mounts in a namespace of its own.
        command = [
            *self._site.inside("unshare", "--mount", "--propagation", "private"),
            *("systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--volatile=overlay"),
            *("--boot", "--console=pipe", f"--directory={self._site.system}"),
            *(f"--machine={self.name}", f"--network-bridge={BRIDGE}"),
            *(f"--bind={self.bootcfg}:/boot/config", *binds),
        ]
        if self._group is None:
            self._group = ControlGroup(f"gateway-test-{os.getpid()}-{self.name}")
        with (self._folder / "console.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._group.entering(*command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(self._has_leader, START_S, f"{self.name} begins", self.story)

    def _has_leader(self) -> bool:
        """Finds process 1 of the container, which is nspawn's only child of that name."""
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} did not start\n{self.story()}"
        number = self._process.pid
        children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        for child in children:
            with contextlib.suppress(OSError):
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    self._leader = int(child)
                    return True
        return False

    def story(self) -> str:
        """What the console shows, and the journal where it can be read."""
        journal = ""
        if self._leader and self._process is not None and self._process.poll() is None:
            journal = self.run("journalctl", "--no-pager", "--boot", "--lines=600").stdout
        return (self._folder / "console.log").read_text(errors="replace") + journal

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Runs a command in the container, as root."""
        words = ["nsenter", "--all", f"--target={self._leader}", *command]
        return subprocess.run(words, capture_output=True, text=True, timeout=30, check=False)

    def wait_for_running(self) -> None:
        """Until systemd says that everything is up, and nothing failed."""
        wait_until(self._is_up, START_S, f"{self.name} is up", self.story)

    def _is_up(self) -> bool:
        return self.run("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")

    def cut_power(self) -> None:
        """No goodbye: every process of the container is gone at once."""
        assert self._process is not None
        os.kill(self._leader, signal.SIGKILL)
        self._process.wait(STOP_S)
        self._leader = 0

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            if self._leader:
                self.cut_power()
            else:
                self._process.kill()
                self._process.wait(STOP_S)
        if self._group is not None:
            self._group.remove()
        for kind in ("propagate", "unix-export"):  # nspawn leaves its empty folders
            with contextlib.suppress(OSError):
                Path("/run/systemd/nspawn", kind, self.name).rmdir()


class Site:
    """The LAN. `close` ends every gateway on it, and itself."""

    def __init__(self, system: Path, folder: Path) -> None:
        self.system = system
        self._folder = folder
        self._name = f"gateway-test-{os.getpid()}"
        self._twins: list[Twin] = []
        _do("ip", "netns", "add", self._name)
        try:
            _do(*self.inside("ip", "link", "set", "lo", "up"))
            # A bridge that listens in on who wants which multicast would need somebody who asks.
            bridge = ("ip", "link", "add", BRIDGE, "type", "bridge", "mcast_snooping", "0")
            _do(*self.inside(*bridge))
            _do(*self.inside("ip", "address", "add", OWN_ADDRESS, "dev", BRIDGE))
            _do(*self.inside("ip", "link", "set", BRIDGE, "up"))
        except BaseException:
            self.close()
            raise

    def inside(self, *command: str) -> list[str]:
        """The command, as it is run by somebody on the LAN."""
        return ["nsenter", f"--net=/run/netns/{self._name}", *command]

    def run(self, *command: str, within_s: float = 30) -> subprocess.CompletedProcess[str]:
        words = self.inside(*command)
        return subprocess.run(words, capture_output=True, text=True, timeout=within_s, check=False)

    def add(self, file: InstallerFile) -> Twin:
        """A new gateway, not yet started."""
        twin = Twin(self, self._folder / file.name, file)
        self._twins.append(twin)
        return twin

    def close(self) -> None:
        for twin in self._twins:
            twin.close()
        _do("ip", "netns", "delete", self._name)


def _do(*command: str) -> None:
    subprocess.run(command, check=True, timeout=10)
