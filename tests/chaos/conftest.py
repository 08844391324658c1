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
from tests.chaos.mesh import Mesh
from tests.clients.face import Login, Version
from tests.clients.paho_driver import PahoClient, PahoDriver
from tests.gateways import Gateway
from tests.requires import missing, needs


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
