"""What people type, NAME.local, has an address: asked by mDNS of a Discovery that runs."""

import asyncio
import contextlib

import pytest
from zeroconf import AddressResolverIPv4, IPVersion
from zeroconf.asyncio import AsyncZeroconf

from gateway.shell.discovery import Announcement, Discovery

HERE, ASKING = "127.0.0.61", "127.0.0.62"
GATEWAY_ID = "0123456789abcdef"
QUESTION_MS = 5_000


async def addresses_of(host: str, link_port: int) -> list[str]:
    """Who answers to `host` while a gateway called Gw-Test61 runs."""
    announcement = Announcement(
        *(GATEWAY_ID, "5" * 32, "Gw-Test61", "home", ("f" * 16,), link_port, 18861)
    )
    discovery = Discovery(announcement, HERE, "", lambda _: None)
    running = asyncio.create_task(discovery.run())
    asking = AsyncZeroconf(interfaces=[ASKING], ip_version=IPVersion.V4Only)
    try:
        resolver = AddressResolverIPv4(host)
        await resolver.async_request(asking.zeroconf, QUESTION_MS)
        return [str(address) for address in resolver.ip_addresses_by_version(IPVersion.V4Only)]
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await asking.async_close()


@pytest.mark.slow
@pytest.mark.parametrize("link_port", [0, 17861], ids=["alone", "in a mesh"])
def test_the_gateways_name_is_a_host_name(link_port: int) -> None:
    assert asyncio.run(addresses_of("gw-test61.local.", link_port)) == [HERE]


@pytest.mark.slow
def test_links_have_a_host_name_of_their_own() -> None:
    assert asyncio.run(addresses_of(f"gw-{GATEWAY_ID}.local.", 17861)) == [HERE]
