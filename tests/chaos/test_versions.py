"""A mesh of this version is updated to a later one, gateway by gateway, while it serves.

The later version is a copy of this one's code, changed: it speaks the next link protocol, says a frame
that this one does not know, and adds a field to Hello, to a heartbeat and to each message.
"""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.clients.face import Login, Message, Version
from tests.clients.paho_driver import PahoDriver
from tests.gateways import ClusterOptions, Gateway, free_port, loopback_addresses, wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
NAMES = ("gw1", "gw2", "gw3")
FOUND_S_MAX = 10.0
WELL_S_MAX = 20.0  # there are two copies of everything again
COUNT = 20

NOVELTY = """
class Novelty(Frame, frozen=True, tag="novelty"):
    what: str = "?"


"""
MOVES = """
    (LinkState.UP, Novelty): lambda *_: None,
    (LinkState.GREETED, Novelty): lambda *_: None,
"""


def replaced(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"what is changed here is not as it was: {old!r}"
    return text.replace(old, new)


def with_field(text: str, name: str, field: str) -> str:
    """One field more at the end of a class."""
    begin = text.index(f"\nclass {name}(")
    end = text.index("\n\n\n", begin)
    return f"{text[:end]}\n    {field}{text[end:]}"


def later_frames(text: str) -> str:
    text, changed = re.subn(
        r"^PROTOCOL: Final = (\d+)",
        lambda found: f"PROTOCOL: Final = {int(found[1]) + 1}",
        text,
        flags=re.MULTILINE,
    )
    assert changed == 1
    text = replaced(text, "\nAnyFrame = (\n", f"{NOVELTY}\nAnyFrame = (\n    Novelty\n    | ")
    for name in ("Hello", "Beat", "Entry"):
        text = with_field(text, name, 'novelty: str = "new"')
    return text


def later_membership(text: str) -> str:
    """Says the frame before each heartbeat."""
    text = replaced(text, "frames import Beat\n", "frames import Beat, Novelty\n")
    begin = "def beat(state: MeshState, link: Link) -> None:\n"
    return replaced(text, begin, f"{begin}    link.say(Novelty())\n")


def later_conversation(text: str) -> str:
    text = replaced(text, "mesh.frames import (\n", "mesh.frames import (\n    Novelty,\n")
    text, changed = re.subn(
        r"^(_MOVES: .* = \{)$", lambda found: found[1] + MOVES, text, flags=re.MULTILINE
    )
    assert changed == 1
    return text


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the later version in it."""
    folder = tmp_path_factory.mktemp("later")
    shutil.copytree(ROOT / "gateway", folder / "gateway")
    changes = {
        "frames": later_frames,
        "membership": later_membership,
        "conversation": later_conversation,
    }
    for name, change in changes.items():
        path = folder / "gateway" / "mesh" / f"{name}.py"
        path.write_text(change(path.read_text()))
    (folder / "gateway" / "__init__.py").write_text('__version__ = "later"\n')
    return folder


class Either(Gateway):
    """A gateway that runs this version, or the one in `code`."""

    code: Path | None = None

    def command(self) -> list[str]:
        _, *arguments = super().command()
        path = [] if self.code is None else ["env", f"PYTHONPATH={self.code}"]
        return [*path, sys.executable, "-m", "gateway.shell.daemon", *arguments]


def carries(gateways: list[Either], what: str) -> None:
    """Messages go from each gateway to each, once and in order."""
    driver = PahoDriver()
    readers = {}
    for gateway in gateways:
        reader = driver.client(gateway.host, gateway.port, Version.MQTT5)
        reader.connect(Login(client_id=f"reader-{gateway.name}"))
        reader.subscribe(f"{what}/#", 2)
        readers[gateway.name] = reader
    for gateway in gateways:
        writer = driver.client(gateway.host, gateway.port, Version.MQTT5)
        writer.connect(Login(client_id=f"writer-{gateway.name}"))
        for n in range(COUNT):
            writer.publish([Message(f"{what}/{gateway.name}", b"%d" % n, 1 + n % 2)])
    for reader in readers.values():
        came = [reader.inbox.next() for _ in range(COUNT * len(gateways))]
        for gateway in gateways:
            mine = [int(m.payload) for m in came if m.topic == f"{what}/{gateway.name}"]
            assert [n for n in mine if n % 2] == [n for n in range(COUNT) if n % 2]
            assert [n for n in mine if not n % 2] == [n for n in range(COUNT) if not n % 2]
    driver.close()


def test_a_mesh_is_updated_one_by_one_while_it_serves(
    later: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory, port = tmp_path_factory.mktemp("v"), free_port()
    addresses = loopback_addresses(3)
    peers = tuple(f"{address}:{port}" for address in addresses)
    cluster = ClusterOptions(link_port=port, discovery=False, peers=peers)
    everyone = {"allow_anonymous": "everywhere"}
    gateways = [
        Either(name, address, directory / name, cluster, mqtt={**everyone})
        for name, address in zip(NAMES, addresses, strict=True)
    ]

    def complete() -> bool:
        alive = dict.fromkeys(NAMES, "alive")
        return all(gateway.states() == alive for gateway in gateways)

    try:
        for gateway in gateways:
            gateway.start(wait=False)
        for gateway in gateways:
            gateway.wait_until_it_accepts()
        wait_until(complete, "the mesh is whole", FOUND_S_MAX)
        carries(gateways, "none")
        for gateway in gateways:
            gateway.stop()
            gateway.code = later
            gateway.start()
            wait_until(complete, f"the mesh is whole with {gateway.name} updated", FOUND_S_MAX)
            carries(gateways, gateway.name)
        for gateway in gateways:
            assert "malformed" not in gateway.log() and "Traceback" not in gateway.log()
            wait_until(lambda g=gateway: g.problems() == "", "all is well", WELL_S_MAX)  # type: ignore[misc]
            assert {row["version"] for row in gateway.status()["gateways"]} == {"later"}
    finally:
        for gateway in gateways:
            gateway.close()
