"""No decision rests on the time of day: gateways that start in 1970 and in 2099, whose clocks then jump.

The daemons are real, and so is the mesh; only what they read as the time of day is made up, by
libfaketime. Their monotonic clocks are the system's.
"""

from pathlib import Path

import pytest

from tests.chaos.kinds import LIBRARY, Dated
from tests.clients.face import Login, Message, Version
from tests.clients.paho_driver import PahoClient, PahoDriver
from tests.gateways import ClusterOptions, Gateway, free_port, loopback_addresses, wait_until
from tests.requires import missing

pytestmark = pytest.mark.slow

FOUND_S_MAX = 10.0
COUNT = 50
JUMPS = ("1970-01-01 00:00:01", "2099-12-31 23:59:50", "2001-02-03 04:05:06")


def dates(gateway: Gateway) -> set[str]:
    """The years that its log speaks of."""
    return {line[:4] for line in gateway.log().splitlines() if line[:4].isdigit()}


def test_gateways_with_wild_clocks_are_one_mesh_and_lose_nothing(tmp_path: Path) -> None:
    if not Path(LIBRARY).exists():
        missing("libfaketime is not installed")
    port, addresses = free_port(), loopback_addresses(2)
    peers = tuple(f"{address}:{port}" for address in addresses)
    cluster = ClusterOptions(link_port=port, discovery=False, peers=peers)
    early, late = (
        Dated(name, address, tmp_path / name, cluster, mqtt={"allow_anonymous": "everywhere"})
        for name, address in zip(("gw1", "gw2"), addresses, strict=True)
    )
    early.set_clock("1970-01-01 00:00:05")
    late.set_clock("2099-06-01 12:00:00")
    both = {"gw1": "alive", "gw2": "alive"}
    driver = PahoDriver()

    def client(gateway: Gateway, name: str) -> PahoClient:
        found = driver.client(gateway.host, gateway.port, Version.MQTT5)
        found.connect(Login(client_id=name))
        return found

    with early, late:
        for gateway in (early, late):
            wait_until(lambda: gateway.states() == both, "they are a mesh", FOUND_S_MAX)  # noqa: B023
        assert dates(early) == {"1970"} and dates(late) == {"2099"}

        reader, writer = client(early, "reader"), client(late, "writer")
        reader.subscribe("jump/#", 1)
        sent = 0
        for when in JUMPS:
            for gateway in (early, late):
                gateway.set_clock(when)
                for _ in range(COUNT):
                    writer.publish([Message("jump/x", b"%d" % sent, 1)])
                    sent += 1
        assert [int(reader.inbox.next().payload) for _ in range(sent)] == list(range(sent))
        for gateway in (early, late):
            assert gateway.states() == both
            assert "suspect" not in gateway.log() and "dead" not in gateway.log()

        # the later of two values stays, whoever has the later date
        early.set_clock(JUMPS[0])
        late.set_clock(JUMPS[1])
        other = client(early, "other")
        writer.publish([Message("kept/value", b"first", 1, retain=True)])
        other.publish([Message("kept/value", b"second", 1, retain=True)])
        for gateway in (early, late):
            looks = client(gateway, f"looks-{gateway.name}")
            looks.subscribe("kept/value", 1)
            assert looks.inbox.next().payload == b"second"
        driver.close()
