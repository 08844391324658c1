"""A mesh of real daemons: on a LAN of namespaces, or on addresses of loopback. Knows no client."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from tests.chaos.lan import Lan
from tests.gateways import ClusterOptions, Gateway, loopback_addresses, wait_until

NAMES = ("gw1", "gw2", "gw3")
FOUND_S_MAX = 10.0  # from the start of the last gateway until each sees all
COPIED_S_MAX = 20.0


class Mesh:
    """Gateways by name, and the means to add more. `kinds` says which of them are special ones."""

    def __init__(
        self,
        directory: Path,
        lan: Lan | None,
        names: Sequence[str] = NAMES,
        kinds: Mapping[str, type[Gateway]] = MappingProxyType({}),
    ) -> None:
        self.lan = lan
        self.names = tuple(names)
        self._kinds = kinds
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
        kind = self._kinds.get(name, Gateway)
        if self.lan is None:
            return kind(name, self._addresses.pop(0), self._directory / name, cluster, mqtt=mqtt)
        namespace, address = self.lan.box(name)
        return kind(
            name,
            "0.0.0.0",
            self._directory / name,
            cluster,
            host=address,
            namespace=namespace,
            mqtt=mqtt,
        )

    def start(self) -> None:
        for name in self.names:
            self.gateways[name] = self.gateway(name, self.cluster)
        for gateway in self.gateways.values():
            gateway.start(wait=False)
        for gateway in self.gateways.values():
            gateway.wait_until_it_accepts()

    def __getitem__(self, name: str) -> Gateway:
        return self.gateways[name]

    def complete(self) -> bool:
        """Whether every gateway sees every one alive."""
        everyone = dict.fromkeys(self.names, "alive")
        return all(
            gateway.running() and self._ours(gateway.states()) == everyone
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

    def _ours(self, states: dict[str, str]) -> dict[str, str]:
        return {name: state for name, state in states.items() if name in self.names}

    def has_two_copies(self, name: str) -> bool:
        """Whether its status says so."""
        return bool(self[name].status()["copies"]["state"] == "two")

    def stand_in_of(self, name: str) -> Gateway:
        """Who keeps the copy of its store, once that is whole."""
        wait_until(
            lambda: self.has_two_copies(name), f"two copies of what {name} has", COPIED_S_MAX
        )
        return self[self[name].status()["copies"]["stand_in"]]
