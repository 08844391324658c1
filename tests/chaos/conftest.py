"""Meshes of real daemons: three boxes on a LAN of namespaces, or three addresses of loopback.

Discovery is real mDNS multicast in both. One mesh serves a whole file; `mesh` hands it to each
test with every gateway alive, whatever the last test did to it.
"""

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.lan import Lan
from tests.clients.face import Login, Version
from tests.clients.paho_driver import PahoClient, PahoDriver
from tests.gateways import ClusterOptions, Gateway, loopback_addresses, wait_until
from tests.requires import missing, needs

NAMES = ("gw1", "gw2", "gw3")
FOUND_S_MAX = 10.0  # from the start of the last gateway until each sees all


class Mesh:
    """Gateways by name, and the means to add more."""

    def __init__(self, directory: Path, lan: Lan | None) -> None:
        self.lan = lan
        self.gateways: dict[str, Gateway] = {}
        self.found_s = 0.0  # how long they took to find each other
        self.cluster = ClusterOptions(name=f"test{os.getpid()}", link_port=7883)
        self._directory = directory
        self._addresses = [] if lan else loopback_addresses(8)

    def gateway(
        self, name: str, cluster: ClusterOptions | None, anonymous: str = "everywhere"
    ) -> Gateway:
        """A gateway of its own address, not started and not counted among the mesh's."""
        mqtt: dict[str, object] = {"allow_anonymous": anonymous}
        if self.lan is None:
            return Gateway(name, self._addresses.pop(0), self._directory / name, cluster, mqtt=mqtt)
        namespace, address = self.lan.box(name)
        return Gateway(
            name,
            "0.0.0.0",
            self._directory / name,
            cluster,
            host=address,
            namespace=namespace,
            mqtt=mqtt,
        )

    def start(self) -> None:
        for name in NAMES:
            self.gateways[name] = self.gateway(name, self.cluster)
        for gateway in self.gateways.values():
            gateway.start(wait=False)
        for gateway in self.gateways.values():
            gateway.wait_until_it_accepts()

    def __getitem__(self, name: str) -> Gateway:
        return self.gateways[name]

    def complete(self) -> bool:
        """Whether every gateway sees every one alive."""
        everyone = dict.fromkeys(NAMES, "alive")
        return all(
            gateway.running() and _ours(gateway.states()) == everyone
            for gateway in self.gateways.values()
        )

    def settle(self) -> None:
        """Start what is not running, and wait until the mesh is whole."""
        for gateway in self.gateways.values():
            if not gateway.running():
                gateway.start()
        wait_until(self.complete, "every gateway sees all others alive", FOUND_S_MAX)

    def close(self) -> None:
        for gateway in self.gateways.values():
            gateway.close()


def _ours(states: dict[str, str]) -> dict[str, str]:
    return {name: state for name, state in states.items() if name in NAMES}


@pytest.fixture(scope="module")
def short_directory() -> Iterator[Path]:
    """A folder whose path leaves room for a Unix socket's name."""
    directory = Path(tempfile.mkdtemp(prefix="gwt"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module", params=["lan", "loopback"])
def whole_mesh(request: pytest.FixtureRequest, short_directory: Path) -> Iterator[Mesh]:
    lan = None
    if request.param == "lan":
        needs("ip")
        if os.geteuid() != 0:
            missing("network namespaces need root")
        lan = Lan()
    mesh = Mesh(short_directory / request.param, lan)
    try:
        if lan is not None:
            lan.open()
        mesh.start()
        started_at = time.monotonic()
        mesh.settle()
        mesh.found_s = time.monotonic() - started_at
        yield mesh
        for gateway in mesh.gateways.values():
            assert "Traceback" not in gateway.log(), f"{gateway.name} stumbled: see its log"
    finally:
        mesh.close()
        if lan is not None:
            lan.close()


@pytest.fixture
def mesh(whole_mesh: Mesh) -> Mesh:
    whole_mesh.settle()
    return whole_mesh


class People:
    """Clients of a test: connected by name, gone when it ends."""

    def __init__(self) -> None:
        self._driver = PahoDriver()

    def at(self, gateway: Gateway, client_id: str, version: Version = Version.MQTT5) -> PahoClient:
        """A client with a clean session at a gateway."""
        client = self._driver.client(gateway.host, gateway.port, version)
        client.connect(Login(client_id=client_id))
        return client

    def close(self) -> None:
        self._driver.close()


@pytest.fixture
def people() -> Iterator[People]:
    clients = People()
    yield clients
    clients.close()
