"""What the parts of one gateway's mesh share. Plain data, made by `mesh.py`.

`now` is the time of the input at work. `holding` are the reasons why clients are held back (the boot
barrier, a link that has not been synced yet), each with the time at which it ends by itself.
`next_beat` is when this gateway says its next heartbeat, `looked_at` when the time was last held against
that; `slept_at` when it was last much too late, by `slept_s`, and `sleeps` how often it was.
`alone_since` is since when no other gateway lives; None: one does. `copied` says of a gateway whether
what it has is at another one, too, that lives. `stand_in` is the gateway that keeps the copy of this
one's store, or empty; before `meeting_until` none is chosen. `is_new`: the store is, and perhaps others
have sessions that its gateway had before; until then, or until one has said all. `copied_store` is the
store of which it has all, `copies` are the gateways of which there is a copy here. `moves` are the
handlers of frames that have a memory of their own, legal while a link is up. `stirred` are the peers to
which something is to be said when the turn ends, so that one to which nothing is said costs nothing;
`laden` are those that cannot keep up.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gateway.clock import MeshClock
from gateway.effects import Effect, Level, Note
from gateway.keyring import Keyring
from gateway.limits import FORGOTTEN_MAX
from gateway.mesh.clients import OwnClients
from gateway.mesh.dialling import Dialling
from gateway.mesh.estates import Estates
from gateway.mesh.frames import Vitals
from gateway.mesh.groups import OwnGroups, PeersGroups
from gateway.mesh.identity import Identity
from gateway.mesh.interest import Barriers, OwnInterest, PeersInterest
from gateway.mesh.life import Life
from gateway.mesh.link import Link
from gateway.mesh.local import Local
from gateway.mesh.own_wills import OwnWills
from gateway.mesh.peer import Peer, Wish
from gateway.mesh.questions import Questions
from gateway.mesh.refusals import Refusal, Refusals
from gateway.mesh.watching import AllWatched, Watching
from gateway.table import Table

FORGOTTEN = "forgotten"  # the table of stores that are gone for good
# Reasons of barriers; others are the ids of gateways.
BOOT = "boot"
SLEPT = "slept"  # this gateway, for too long
_MEETING = (BOOT, SLEPT)  # then it is not known whose sessions are whose


@dataclass(slots=True)
class MeshState:
    """One object for all handlers."""

    identity: Identity
    clock: MeshClock
    dialling: Dialling
    local: Local
    now: float
    peers: dict[str, Peer] = field(default_factory=dict)
    links: dict[Link, None] = field(default_factory=dict)
    own_interest: OwnInterest = field(default_factory=OwnInterest)
    own_clients: OwnClients = field(default_factory=OwnClients)
    peers_interest: PeersInterest = field(default_factory=PeersInterest)
    own_groups: OwnGroups = field(default_factory=OwnGroups)
    peers_groups: PeersGroups = field(default_factory=PeersGroups)
    barriers: Barriers = field(default_factory=Barriers)
    own_wills: OwnWills = field(default_factory=OwnWills)
    estates: Estates = field(default_factory=Estates)
    stopping: bool = False  # this gateway stops on purpose, and its clients are gone
    refusals: Refusals = field(default_factory=Refusals)
    questions: Questions = field(default_factory=Questions)
    watching: Watching = field(default_factory=Watching)
    watched: AllWatched = field(default_factory=AllWatched)
    own_tables: dict[str, Table] = field(default_factory=lambda: {FORGOTTEN: Table(FORGOTTEN_MAX)})
    aged_at: float = 0.0
    alone_since: float | None = None
    wish: Wish | None = None
    copied: Callable[[str], bool] = lambda gateway: True
    keyring: Keyring = field(default_factory=Keyring)
    holding: dict[str, float] = field(default_factory=dict)
    next_beat: float = 0.0
    looked_at: float = 0.0
    slept_at: float = float("-inf")
    slept_s: float = 0.0
    sleeps: int = 0
    vitals: Vitals | None = None
    stand_in: str = ""
    meeting_until: float = 0.0
    is_new: bool = False
    copied_store: str = ""
    copies: dict[str, None] = field(default_factory=dict)
    moves: dict[type, Callable[[Link, Any], None]] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    stirred: dict[Peer, None] = field(default_factory=dict)
    laden: dict[Peer, None] = field(default_factory=dict)

    def know(self, peer: Peer) -> Peer:
        """A gateway is known from now on; what is said to it, or came from it, stirs it."""
        peer.outgoing.stir = peer.incoming.stir = partial(self.stirred.setdefault, peer, None)
        self.peers[peer.gateway] = peer
        return peer

    def note(self, level: Level, text: str) -> None:
        """Says something to the log."""
        self.effects.append(Note(level, text))

    def refused(self, code: str, who: str, text: str) -> None:
        """A gateway stays out; said in the log once, and in the status while it is news."""
        if self.refusals.add(Refusal(code, who, text), self.now):
            self.note("warning", f"refused {who}: {text}")

    def tables(self) -> dict[str, Table]:
        """All tables that are the same on all gateways, by name: the broker's, and the mesh's own."""
        return {**self.local.tables, **self.own_tables}

    def linked(self) -> set[str]:
        """The gateways that are not to be dialled: with a link of their own, which is heard.

        After an outage of two seconds TCP is silent for four, and a new connection is there at once.
        """
        return set(self.hears())

    def hears(self) -> list[str]:
        """The gateways that this one hears itself, now: not over another."""
        return [
            peer.gateway
            for peer in self.peers.values()
            if peer.link is not None
            and not peer.link.closed
            and not peer.link.via
            and self.now - peer.heard_at < self.identity.cluster.suspect_s
        ]

    def check_barriers(self) -> None:
        """After any change of who is linked and who knows what."""
        self.barriers.check(self.peers.values(), self.now)
        keeper = self.peers.get(self.own_wills.keeper)
        self.own_wills.barriers.check(() if keeper is None else (keeper,), self.now)

    def hold(self, reason: str, until: float) -> None:
        """Clients wait for this reason, at most until then."""
        if not self.holding:
            self.local.hold()
        if reason in _MEETING:
            self.local.meet()
        if reason == SLEPT:
            self.local.mute()
        self.holding[reason] = until

    def release(self, reason: str) -> None:
        """The reason is gone; clients go on when it was the last one."""
        if self.holding.pop(reason, None) is None:
            return
        if not self.holding:
            self.local.unhold(self.now)
        if reason == SLEPT:
            self.local.unmute()
        if reason in _MEETING and not any(each in self.holding for each in _MEETING):
            self.local.met(self.now)

    def check_boot(self) -> None:
        """The boot barrier ends when every known gateway is synced, or dead; on a new store, when one
        of those that are found is synced."""
        if all(peer.synced or peer.life is Life.DEAD for peer in self.peers.values()):
            self.release(BOOT)
        if self.is_new:
            met = any(peer.synced for peer in self.peers.values())
            if met or self.now >= self.meeting_until:
                self.is_new = False
                self.local.met(self.now)

    def alive(self) -> list[Peer]:
        """The peers that live."""
        return [peer for peer in self.peers.values() if peer.life is Life.ALIVE]
