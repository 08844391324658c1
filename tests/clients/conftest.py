"""Every test here runs against Mosquitto too: what fails there is a mistake of the test."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.aiomqtt_driver import AiomqttDriver
from tests.clients.face import Client, Driver, Login, Message, Version
from tests.clients.javascript_driver import JavascriptDriver
from tests.clients.paho_driver import PahoDriver
from tests.gateways import Broker, Gateway, Mosquitto, free_port
from tests.requires import needs, prepared

_numbers = itertools.count(1)


@pytest.fixture(scope="session", params=["mosquitto", "gateway"])
def broker(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Broker]:
    """One broker for all tests; topics and client ids keep the tests apart."""
    directory = tmp_path_factory.mktemp(request.param)
    if request.param == "mosquitto":
        needs("mosquitto")
        with Mosquitto("mosquitto", "127.0.0.1", free_port(), directory) as mosquitto:
            yield mosquitto
    else:
        with Gateway("gw1", "127.0.0.1", directory, port=free_port()) as gateway:
            yield gateway
            assert gateway.running(), f"the gateway died on the way: {gateway.state()}"
            assert "Traceback" not in gateway.log(), "the gateway stumbled: see its log"


def _javascript() -> JavascriptDriver:
    node = needs("node")
    prepared(Path(__file__).parent / "javascript.sh")
    return JavascriptDriver(node)


DRIVERS = {"paho": PahoDriver, "aiomqtt": AiomqttDriver, "MQTT.js": _javascript}


@pytest.fixture(scope="session", params=list(DRIVERS))
def driver(request: pytest.FixtureRequest) -> Iterator[Driver]:
    made = DRIVERS[request.param]()
    yield made
    made.close()


class Site:
    """One broker, one library, one protocol version; the names in it are of this test alone."""

    def __init__(self, broker: Broker, driver: Driver, version: Version) -> None:
        self.broker = broker
        self.driver = driver
        self.version = version
        self._number = next(_numbers)

    def topic(self, rest: str) -> str:
        return f"site{self._number}/{rest}"

    def name(self, who: str) -> str:
        """A client id; 3.1 allows 23 characters."""
        return f"{who}{self._number}"

    def stranger(self) -> Client:
        """A client that is not connected."""
        return self.driver.client(self.broker.host, self.broker.port, self.version)

    def client(self, who: str, will: Message | None = None) -> Client:
        """A client with a clean session, connected."""
        client = self.stranger()
        assert client.connect(Login(client_id=self.name(who), will=will)) is False
        return client

    def keeper(self, who: str, client: Client | None = None) -> tuple[Client, bool]:
        """A client with a session that stays, and whether it was present."""
        client = client or self.stranger()
        login = Login(client_id=self.name(who), clean=False, session_expiry_s=300)
        return client, client.connect(login)


@pytest.fixture(params=list(Version), ids=["3.1", "3.1.1", "5.0"])
def version(request: pytest.FixtureRequest) -> Version:
    chosen: Version = request.param
    return chosen


@pytest.fixture
def site(broker: Broker, driver: Driver, version: Version) -> Iterator[Site]:
    yield Site(broker, driver, version)
    driver.close_clients()


@pytest.fixture
def site5(broker: Broker, driver: Driver) -> Iterator[Site]:
    """As `site`, for what only 5.0 has."""
    yield Site(broker, driver, Version.MQTT5)
    driver.close_clients()
