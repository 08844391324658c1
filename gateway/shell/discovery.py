"""mDNS: tells the LAN where this gateway is, and the mesh whom it might dial.

Services (RFC 6762, RFC 6763):

    _gw-ibc._tcp   the link port at gw-ID.local; TXT: id, store, name, cluster, protocol, and
                   the fingerprints of the keys that hold, the oldest as key, the others as keys
    _mqtt._tcp     the MQTT port at NAME.local, for clients; TXT: gateway

So NAME.local, which people type, has an address wherever gatewayd runs, without another responder
beside it. Links do not rely on it: names are given by people, and two boxes may have the same.
What mDNS says is a hint: it never decides who lives. Must not know links.
"""

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass

from zeroconf import (
    InterfaceChoice,
    IPVersion,
    NonUniqueNameException,
    ServiceStateChange,
    Zeroconf,
)
from zeroconf.asyncio import AsyncServiceBrowser, AsyncServiceInfo, AsyncZeroconf

from gateway.limits import TARGETS_MAX
from gateway.mesh.frames import PROTOCOL
from gateway.shell.hardware import addresses

LINK_SERVICE = "_gw-ibc._tcp.local."
CLIENT_SERVICE = "_mqtt._tcp.local."
RESOLVE_TIMEOUT_MS = 3_000
ADDRESS_CHECK_S = 5.0  # how often to look whether the box has other addresses than before

logger = logging.getLogger("gatewayd")


@dataclass(frozen=True, slots=True)
class Announcement:
    """What this gateway says of itself; `link_port` 0 says that it stands alone.

    `fingerprints` are those of the cluster keys that hold, the newest first.
    """

    gateway: str
    store: str
    name: str
    cluster: str
    fingerprints: tuple[str, ...]
    link_port: int
    mqtt_port: int


@dataclass(frozen=True, slots=True)
class Sighting:
    """What another gateway says of itself."""

    gateway: str
    store: str
    name: str
    cluster: str
    fingerprints: tuple[str, ...]
    address: str
    port: int


class Discovery:
    """Announces and browses on one address, or on all when `address` is 0.0.0.0."""

    def __init__(
        self,
        announcement: Announcement,
        address: str,
        advertise: str,
        seen: Callable[[Sighting], None],
    ) -> None:
        self._announcement = announcement
        self._address = address
        self._advertise = advertise
        self._seen = seen
        self._zeroconf: AsyncZeroconf | None = None
        self._browser: AsyncServiceBrowser | None = None
        self._resolving: set[asyncio.Task[None]] = set()
        self._other_words = asyncio.Event()

    async def run(self) -> None:
        """Announces and browses until cancelled, anew whenever the box's addresses change."""
        try:
            while True:
                current = self._addresses()
                try:
                    await self._open(current)
                except (OSError, NonUniqueNameException) as error:
                    logger.warning("mDNS does not work: %s; trying again", error)
                await self._until_changed(current)
                await self._close()
        finally:
            await self._close()

    def announce(self, announcement: Announcement) -> None:
        """From here on this is said."""
        if announcement != self._announcement:
            self._announcement = announcement
            self._other_words.set()

    async def _until_changed(self, current: list[str]) -> None:
        """Returns when there is something else to say, or it is time to try again."""
        while True:
            with contextlib.suppress(TimeoutError):  # other addresses are no event to wait for
                async with asyncio.timeout(ADDRESS_CHECK_S):
                    await self._other_words.wait()
            other_words = self._other_words.is_set()
            self._other_words.clear()
            if other_words or self._zeroconf is None or self._addresses() != current:
                return

    def _addresses(self) -> list[str]:
        if self._advertise:
            return [self._advertise]
        if ipaddress.ip_address(self._address).is_unspecified:
            return addresses()
        return [self._address]

    async def _open(self, told: list[str]) -> None:
        if not told:
            return
        everywhere = ipaddress.ip_address(self._address).is_unspecified
        interfaces = InterfaceChoice.All if everywhere else [self._address]
        self._zeroconf = AsyncZeroconf(interfaces=interfaces, ip_version=IPVersion.V4Only)
        for info in self._infos(told):
            # names carry the gateway's id, so that there is nothing to probe for
            await self._zeroconf.async_register_service(info, cooperating_responders=True)
        if self._announcement.link_port:
            self._browser = AsyncServiceBrowser(
                self._zeroconf.zeroconf, LINK_SERVICE, handlers=[self._changed]
            )

    async def _close(self) -> None:
        for task in self._resolving:
            task.cancel()
        zeroconf, self._zeroconf = self._zeroconf, None
        if self._browser is not None:
            with contextlib.suppress(OSError):
                await self._browser.async_cancel()
            self._browser = None
        if zeroconf is not None:
            with contextlib.suppress(OSError):
                await zeroconf.async_close()  # says goodbye for what was announced

    def _infos(self, told: list[str]) -> list[AsyncServiceInfo]:
        me = self._announcement
        binary = [socket.inet_aton(address) for address in told]
        infos = [
            AsyncServiceInfo(
                CLIENT_SERVICE,
                f"{me.name} {me.gateway}.{CLIENT_SERVICE}",
                addresses=binary,
                port=me.mqtt_port,
                server=f"{me.name}.local.",
                properties={"gateway": me.name},
            )
        ]
        if me.link_port:
            properties = {
                "id": me.gateway,
                "store": me.store,
                "name": me.name,
                "cluster": me.cluster,
                "key": me.fingerprints[-1],
                "keys": " ".join(me.fingerprints[:-1]),
                "protocol": str(PROTOCOL),
            }
            infos.append(
                AsyncServiceInfo(
                    LINK_SERVICE,
                    f"{me.gateway}.{LINK_SERVICE}",
                    addresses=binary,
                    port=me.link_port,
                    server=f"gw-{me.gateway}.local.",
                    properties=properties,
                )
            )
        return infos

    def _changed(
        self, zeroconf: Zeroconf, service_type: str, name: str, state_change: ServiceStateChange
    ) -> None:
        own = name == f"{self._announcement.gateway}.{LINK_SERVICE}"
        if own or state_change is ServiceStateChange.Removed or len(self._resolving) >= TARGETS_MAX:
            return
        task = asyncio.get_running_loop().create_task(self._resolve(zeroconf, name))
        self._resolving.add(task)
        task.add_done_callback(self._resolving.discard)

    async def _resolve(self, zeroconf: Zeroconf, name: str) -> None:
        info = AsyncServiceInfo(LINK_SERVICE, name)
        if not await info.async_request(zeroconf, RESOLVE_TIMEOUT_MS):
            return
        said = {
            key.decode(errors="replace"): (value or b"").decode(errors="replace")
            for key, value in info.properties.items()
        }
        for address in info.parsed_addresses(IPVersion.V4Only):
            self._seen(
                Sighting(
                    said.get("id", ""),
                    said.get("store", ""),
                    said.get("name", "") or name,
                    said.get("cluster", ""),
                    (*said.get("keys", "").split(), said.get("key", "")),
                    address,
                    info.port or 0,
                )
            )
