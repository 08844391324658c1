"""docs/getting-started.md, typed as it stands: by somebody at a laptop on the LAN of the gateways.

The laptop is this machine in a mount namespace: a home of its own, a resolver that asks mDNS, and avahi,
which answers it. What the card's writer does, the test does: it puts the page's file onto two cards.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.image.installer import InstallerFile
from tests.image.site import Site, Twin
from tests.image.waiting import wait_until
from tests.requires import missing, needs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

REPOSITORY = Path(__file__).parent.parent.parent
PAGE = (REPOSITORY / "docs/getting-started.md").read_text()
COMMANDS = re.findall(r"```sh\n(.*?)\n```", PAGE)
PASSWORD = "correct horse"
FILE = re.search(r"```toml\n(.*?)```", PAGE, re.DOTALL)
RESOLVER = Path("/lib/x86_64-linux-gnu/libnss_mdns4_minimal.so.2")
NETWORK = '[network]\ninterface = "host0"\naddress = "10.77.0.1{number}/24"\n'
AVAHI = """\
[server]
use-ipv6=no
allow-interfaces=lan
enable-dbus=no
"""
# Everything that the laptop has of its own is laid over this machine's, for its own processes only.
LAPTOP = """\
mount --bind {folder}/home /root
mount -t tmpfs run /run
mkdir /run/avahi-daemon
mount --bind {folder}/nsswitch.conf /etc/nsswitch.conf
avahi-daemon --file {folder}/avahi.conf --no-drop-root --no-chroot --no-rlimits &
exec sleep infinity
"""


class Laptop:
    """A shell on the LAN."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._folder = folder
        (folder / "home/.ssh").mkdir(parents=True, mode=0o700)
        # "say yes": there is nobody to be asked
        (folder / "home/.ssh/config").write_text("StrictHostKeyChecking accept-new\n")
        (folder / "nsswitch.conf").write_text("hosts: files mdns4_minimal [NOTFOUND=return]\n")
        (folder / "avahi.conf").write_text(AVAHI)
        script = LAPTOP.format(folder=folder)
        own = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private")
        self._process = subprocess.Popen(site.inside(*own, "sh", "-c", script))
        wait_until(self._is_up, 10, "the laptop's avahi listens")

    def _is_up(self) -> bool:
        if not self._children():
            return False
        asked = self.type("test -S /run/avahi-daemon/socket")
        asked.communicate(timeout=10)
        return asked.returncode == 0

    def type(self, command: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Types one command, in the folder of the download."""
        inner = f"--target={self._children()[0]}"
        words = ["nsenter", "--mount", "--net", "--pid", inner, "bash", "-c"]
        return subprocess.Popen(
            [*words, f"cd {self._folder} && export HOME=/root && {command}"],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def answer(self, command: str, status: int = 0, typed: str = "") -> str:
        """What the command prints; it must end with this status."""
        process = self.type(command, subprocess.PIPE)
        said = process.communicate(typed, timeout=60)[0]
        assert process.returncode == status, f"{command}: {process.returncode}\n{said}"
        return said

    def _children(self) -> list[str]:
        """unshare's child, which is in the namespaces, once it is there."""
        number = self._process.pid
        return Path(f"/proc/{number}/task/{number}/children").read_text().split()

    def close(self) -> None:
        self._process.kill()
        self._process.wait(10)


@pytest.fixture(scope="module")
def laptop(
    site: Site, card_image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Laptop]:
    for command in ("avahi-daemon", "openssl", "mosquitto_sub"):
        needs(command)
    if not RESOLVER.exists():
        missing("libnss-mdns is not installed")
    folder = tmp_path_factory.mktemp("laptop")
    for download in (f"{card_image.name}.zst", f"{card_image.name}.zst.sha256"):
        shutil.copy(card_image.parent / download, folder)
    laptop = Laptop(site, folder)
    yield laptop
    laptop.close()


def command(word: str, gateway: str = "") -> str:
    """The page's first command with this word, for this gateway."""
    return next(line for line in COMMANDS if word in line and gateway in line)


def boot(site: Site, text: str, number: int) -> Twin:
    """A card with the page's file in a gateway. The LAN of the test has no DHCP."""
    address = f"10.77.0.1{number}/24"
    twin = site.add(InstallerFile(f"page{number}", "", "host0", address))
    twin.write(text.replace('"gw1"', f'"gw{number}"') + NETWORK.format(number=number))
    twin.start()
    return twin


def test_the_page_leads_to_a_working_mesh(site: Site, laptop: Laptop) -> None:
    assert FILE is not None
    assert laptop.answer(command("sha256sum")).strip().endswith(".img.zst: OK")
    laptop.answer(command("ssh-keygen"))
    ssh_key = laptop.answer(command("cat")).strip()
    cluster_key = laptop.answer(command("openssl")).strip()
    text = FILE[1].replace("the line from step 2", ssh_key)
    text = text.replace("the line from step 3", cluster_key)
    twins = [boot(site, text, number) for number in (1, 2)]

    look = command("ssh gw@", "gw1")
    shown: list[str] = []

    def healthy() -> bool:
        process = laptop.type(look)
        shown.append(process.communicate(timeout=60)[0])
        return "home: healthy. 2 gateways: 2 alive." in shown[-1]

    wait_until(healthy, 60, "the page's table", lambda: shown[-1] + twins[0].story())

    nobody = command("mosquitto_pub").replace(f"-u ann -P '{PASSWORD}' ", "")
    assert "not authorised" in laptop.type(nobody).communicate(timeout=60)[0]
    added = laptop.answer(command("user add"), typed=f"{PASSWORD}\n")
    assert "the user ann may log in" in added

    listener = laptop.type(command("mosquitto_sub"))
    begun = time.monotonic()
    while listener.poll() is None and time.monotonic() - begun < 20:
        laptop.answer(command("mosquitto_pub"))  # until the other terminal was quick enough
    assert listener.communicate(timeout=1)[0] == "hello world\n"

    twins[0].cut_power()
    again = command("ssh gw@", "gw2")
    wait_until(
        lambda: "gw1 is dead" in laptop.type(again).communicate(timeout=60)[0], 15, "gw1 is dead"
    )
    twins[1].cut_power()


def test_every_command_of_the_page_is_typed_by_the_test_above() -> None:
    words = (
        "sha256sum",
        "ssh-keygen",
        "cat",
        "openssl",
        "ssh gw@",
        "user add",
        "mosquitto_sub",
        "mosquitto_pub",
    )
    assert len(COMMANDS) == 9
    assert all(any(word in line for word in words) for line in COMMANDS)
