"""What a gateway of a mesh has besides: the keys of its links, the link port, copies of others.

Made first of all: the cluster's key is stretched on a thread of its own, while the disk is waited for.
What takes long or much memory to load is loaded when it is needed; a gateway alone makes none of this.
Must not know MQTT clients, or what the mesh does with what it is told.
"""

from __future__ import annotations

import logging
import secrets
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gateway import __version__
from gateway.config import ClusterSection, Config
from gateway.effects import Dial, SaveKeys
from gateway.mesh.identity import Identity
from gateway.shell.commands import Commands
from gateway.shell.disk import Disk
from gateway.shell.durable import Settings
from gateway.shell.hardware import is_every_address
from gateway.shell.runtime import Runtime
from gateway.shell.store import Store

if TYPE_CHECKING:
    from gateway.mesh.mesh import Mesh
    from gateway.shell.copy_keeper import CopyKeeper
    from gateway.shell.discovery import Sighting
    from gateway.shell.link_keys import LinkKeys
    from gateway.shell.peers import Peers
    from gateway.shell.tls import ClusterKeys

LINK_PORT_DEFAULT = 7883

logger = logging.getLogger("gatewayd")


class InMesh:
    """Its side of the links: `know` comes next, `serve` when there is a node, then `listen`."""

    def __init__(self, config: Config, cluster: ClusterSection, gateway: str) -> None:
        self._config, self._cluster, self._gateway = config, cluster, gateway
        self._keys: LinkKeys | None = None
        self._store: Store | None = None
        self._runtime: Runtime | None = None
        self._peers: Peers | None = None
        self._copies: CopyKeeper | None = None
        threads = ThreadPoolExecutor(1, "cluster-key")
        self._stretched: Future[ClusterKeys] = threads.submit(_stretch, cluster)
        threads.shutdown(wait=False)

    @property
    def keys(self) -> LinkKeys:
        """Those that hold, and those that are over."""
        assert self._keys is not None, "the store is known first"
        return self._keys

    @property
    def _mesh(self) -> Mesh:
        assert self._runtime is not None and self._runtime.node.mesh is not None
        return self._runtime.node.mesh

    def know(self, store: Store) -> Identity:
        """The state directory is open: who this gateway is among the others."""
        from gateway.shell.link_keys import LinkKeys

        gateway, kept = self._config.gateway, store.kept
        self._store = store
        self._keys = LinkKeys(gateway.state_dir, self._stretched.result(), self._gateway)
        for note in self._keys.notes:
            logger.warning(note)
        own = "" if is_every_address(gateway.address) else gateway.address
        return Identity(
            self._gateway,
            gateway.name,
            kept.store,
            kept.boot,
            secrets.token_hex(8),
            __version__,
            gateway.advertise or own,
            self._config.mqtt.port,
            self._cluster,
        )

    def serve(self, runtime: Runtime, settings: Settings, disk: Disk, commands: Commands) -> None:
        """The runtime gives copies to the disk, and an operator may ask for what concerns the mesh."""
        from gateway.shell.cluster import register
        from gateway.shell.copy_keeper import CopyKeeper
        from gateway.shell.draining import register as register_draining

        gateway = self._config.gateway
        self._runtime = runtime
        self._copies = CopyKeeper(gateway.state_dir, replace(settings, ballast_bytes=0), disk)
        self._copies.serve(runtime, self._mesh)
        runtime.keep_copy = self._copies.do
        register(commands, runtime, self.keys, self._cluster.name, gateway.state_dir)
        register_draining(commands, runtime, Path(gateway.control_socket).parent)

    async def listen(self) -> None:
        """Opens the link port, and names the peers of the configuration. Raises OSError."""
        from gateway.shell.peers import Peers

        runtime, address = self._runtime, self._config.gateway.address
        assert runtime is not None
        source = "" if is_every_address(address) else address
        self._peers = Peers(self._mesh, self.keys, source)
        await self._peers.listen(runtime, address, self._cluster.link_port)
        for peer in self._cluster.peers:
            host, _, port = peer.partition(":")
            self._mesh.found("", host, int(port or LINK_PORT_DEFAULT), runtime.now())

    def dial(self, effect: Dial) -> None:
        """Connects to another gateway."""
        assert self._peers is not None, "nobody is dialled before the links are open"
        self._peers.dial(effect)

    def write_keys(self, effect: SaveKeys) -> Future[None]:
        """Puts the keys on disk, behind what is written already."""
        assert self._store is not None
        return self._store.run(lambda _: self.keys.write(effect.keys))

    def keys_saved(self, effect: SaveKeys) -> None:
        """They are there: from now on links are made by them."""
        self.keys.use(effect.keys)
        self._mesh.keys_saved(effect.version, self._now())

    def seen(self, sighting: Sighting) -> None:
        """mDNS shows a gateway: one of ours is dialled, another is named in the status."""
        mesh, now = self._mesh, self._now()
        if sighting.cluster != self._cluster.name:
            text = f"it belongs to the cluster {sighting.cluster!r}"
            mesh.refused("other-cluster", sighting.name, text, now)
        elif not set(sighting.fingerprints) & set(self.keys.fingerprints()):
            from gateway.shell.peers import ANOTHER_KEY, KEY_IS_OVER

            over = any(self.keys.over(each) for each in sighting.fingerprints)
            code, text = KEY_IS_OVER if over else ANOTHER_KEY
            mesh.refused(code, sighting.name, text, now)
        else:
            place = (sighting.gateway, sighting.address, sighting.port)
            mesh.seen(sighting.name, sighting.store, *place, now)

    def written_bytes(self) -> int:
        """What copies of others have cost the disk since the start."""
        return 0 if self._copies is None else self._copies.written_bytes()

    async def close_links(self) -> None:
        """Nobody is heard any more."""
        if self._peers is not None:
            await self._peers.close()

    def close_copies(self) -> None:
        """Blocks until the disk has them."""
        if self._copies is not None:
            self._copies.close()

    def _now(self) -> float:
        assert self._runtime is not None
        return self._runtime.now()


def _stretch(cluster: ClusterSection) -> ClusterKeys:
    from gateway.shell.tls import stretch

    return stretch(cluster.name, cluster.key)
