"""mDNS for this gateway: what it announces of itself, and who hears of the others that it sees.

The library is loaded when the daemon serves already. Must not know what another gateway is good for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gateway.config import Config
from gateway.shell.runtime import Runtime

if TYPE_CHECKING:
    from gateway.shell.discovery import Announcement, Discovery, Sighting
    from gateway.shell.in_mesh import InMesh


class Announcing:
    """For a gateway alone, too: clients look for it. `mesh` is None then."""

    def __init__(
        self, config: Config, gateway: str, store: str, mesh: InMesh | None, runtime: Runtime
    ) -> None:
        self._config, self._gateway, self._store = config, gateway, store
        self._mesh, self._runtime = mesh, runtime
        self._discovery: Discovery | None = None

    async def run(self) -> None:
        """Until it is cancelled; at once over where the configuration wants none."""
        gateway, cluster = self._config.gateway, self._config.cluster
        if cluster is not None and not cluster.discovery:
            return
        from gateway.shell.discovery import Discovery

        self._discovery = Discovery(
            self._announcement(), gateway.address, gateway.advertise, self._seen
        )
        await self._discovery.run()

    def keys_changed(self) -> None:
        """Other fingerprints are announced from now on."""
        if self._discovery is not None:
            self._discovery.announce(self._announcement())

    def _announcement(self) -> Announcement:
        from gateway.shell.discovery import Announcement

        cluster, mesh = self._config.cluster, self._mesh
        return Announcement(
            self._gateway,
            self._store,
            self._config.gateway.name,
            cluster.name if cluster is not None else "",
            tuple(mesh.keys.fingerprints()) if mesh is not None else (),
            cluster.link_port if cluster is not None else 0,
            self._config.mqtt.port,
        )

    def _seen(self, sighting: Sighting) -> None:
        assert self._mesh is not None
        self._mesh.seen(sighting)
        self._runtime.schedule()
