"""One gateway without its world: the broker and the mesh, joined.

The one object that a simulator copies. Shells feed its connections and links and write what stands in
them after `drain`. Must not know sockets, files or clocks.
"""

from collections.abc import Iterable, Sequence
from random import Random

from gateway.broker.broker import Broker
from gateway.broker.elsewhere import Elsewhere, Nowhere
from gateway.broker.outbox import Outbox
from gateway.broker.retained import Retained
from gateway.config import MqttSection
from gateway.effects import Effect
from gateway.ids import Stamp
from gateway.mesh.frames import Member
from gateway.mesh.identity import Identity
from gateway.mesh.link import Link
from gateway.mesh.mesh import Mesh
from gateway.mqtt.message import Message


class Node:
    """A gateway; `mesh` is None for one that stands alone."""

    def __init__(
        self,
        settings: MqttSection,
        identity: Identity | None,
        random: Random,
        now: float,
        saved_ms: int = 0,
        members: Iterable[Member] = (),
    ) -> None:
        self.mesh: Mesh | None = None
        self._waiting_for_mesh = _Later()
        elsewhere: Elsewhere = Nowhere() if identity is None else self._waiting_for_mesh
        self.broker = Broker(settings, elsewhere, random)
        if identity is not None:
            self.mesh = Mesh(identity, _Side(self.broker), random, saved_ms, members, now)
