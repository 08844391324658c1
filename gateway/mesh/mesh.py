"""Many gateways as one: the inter-broker communicator as a machine.

Joins the parts of this folder: whom to dial, who lives, what is said on a link, what each side wants.
The broker asks `others` and is reached through `Local`; an operator asks `operating`; here is what the
shell reports. Frames stand in the links' outgoing lists, effects in `drain`. Must not know sockets, TLS
or mDNS, only what they found.
"""

from collections.abc import Iterable, Mapping
from random import Random

from gateway.clock import MeshClock
from gateway.copy_place import CopyPlace
from gateway.effects import Dial, Effect
from gateway.errors import LinkError, ProtocolError
from gateway.keyring import Keyring
from gateway.mesh import (
    conversation,
    forgetting,
    keys,
    membership,
    slept,
    standin,
    wills,
)
from gateway.mesh.copier import Copier
from gateway.mesh.copies import Copies
from gateway.mesh.dialling import Dialling
from gateway.mesh.frames import (
    Bye,
    CopyAsk,
    CopyFrom,
    CopyHave,
    CopyKept,
    CopyPart,
    CopyRefused,
    Member,
    Refuse,
    Relayed,
    Synced,
    Taken,
    Vitals,
)
from gateway.mesh.identity import Identity
from gateway.mesh.life import Life
from gateway.mesh.link import Link, LinkState
from gateway.mesh.local import Local
from gateway.mesh.losses import Losses
from gateway.mesh.operating import Operating
from gateway.mesh.others import Others
from gateway.mesh.peer import TABLES_AND_CLIENTS, Peer
from gateway.mesh.roads import Roads
from gateway.mesh.state import BOOT, MeshState
from gateway.table import Row
from gateway.timers import FOREVER


class Mesh:
    """The mesh of one gateway; `clock` is the gateway's own."""

    def __init__(
        self, identity: Identity, local: Local, random: Random, clock: MeshClock, now: float
    ) -> None:
        self.state = MeshState(identity, clock, Dialling(identity.gateway, random), local, now)
        self.state.next_beat = self.state.looked_at = now
        self.others = Others(self.state)
        self.operating = Operating(self.state)
        self.losses = Losses()
        self.copier = copier = Copier(self.state)
        self.copies = copies = Copies(self.state)
        self.state.copied = self._is_copied
        self.roads = roads = Roads(self.state, self._greet, self._relayed, self._unrelayed)
        self.state.moves |= {
            Relayed: roads.on_relayed,
            CopyAsk: copies.on_ask,
            CopyFrom: copies.on_from,
            CopyPart: copies.on_part,
            CopyHave: copier.on_have,
            CopyKept: copier.on_kept,
            CopyRefused: copier.on_refused,
        }

    def start(self, members: Iterable[Member], stand_in: str, now: float) -> None:
        """Clients wait until the gateways that the disk remembers have spoken, or are dead."""
        state = self.state
        state.stand_in, state.meeting_until = stand_in, now + state.identity.cluster.dead_s
        for member in members:
            peer = Peer(member.gateway, member.name, member.address, member.port, known_since=now)
            peer.away_since = now
            peer.store = member.store
            state.know(peer)
            state.dialling.add((member.address, member.port), member.gateway, now)
        cluster = state.identity.cluster
        if state.peers:
            state.hold(BOOT, now + cluster.dead_s)
        elif state.identity.boot == 1 and (cluster.discovery or cluster.peers):
            state.is_new = True
            state.local.meet()

    # what the shell reports

    def found(self, gateway: str, address: str, port: int, now: float) -> None:
        """Somebody of this cluster is said to answer there; `gateway` is empty if it is not said."""
        self.state.now = now
        self.state.dialling.add((address, port), gateway, now)

    def seen(
        self, name: str, store: str, gateway: str, address: str, port: int, now: float
    ) -> None:
        """As `found`, for one that says its name and store: who is forgotten is not dialled."""
        self.state.now = now
        if forgetting.is_forgotten(self.state, gateway, store):
            text = "it was forgotten by this mesh, and is back"
            self.state.refused(forgetting.CODE, name, text)
        else:
            self.found(gateway, address, port, now)

    def refused(self, code: str, who: str, text: str, now: float) -> None:
        """The shell turned somebody away: another key, another cluster."""
        self.state.now = now
        self.state.refused(code, who, text)

    def opened(
        self, address: tuple[str, int], certified: str, dialled: bool, now: float, key: str = ""
    ) -> Link:
        """A TLS connection stands; `certified` is the id in the other side's certificate, `key` the
        fingerprint of the cluster key by which both know each other."""
        self.state.now = now
        link = Link(address, certified, dialled, now, key)
        self.state.links[link] = None
        if self.state.keyring.over(key):  # since the handshake began
            link.close()
        else:
            conversation.greet(self.state, link)
        return link

    def dial_failed(self, address: tuple[str, int], now: float) -> None:
        """Nobody answered, or the handshake failed."""
        self.state.now = now
        self.state.dialling.failed(address, now)

    def receive(self, link: Link, data: bytes, now: float) -> None:
        """Bytes came over a link."""
        slept.look(self.state, now)
        self.state.now = now
        if link.closed:
            return
        peer = self.state.peers.get(link.gateway)
        if peer is not None and peer.link is link:
            peer.heard_at = now
        try:
            for frame in link.take(data):
                conversation.handle(self.state, link, frame)
                if link.closed:
                    break
            self.copier.look()
        except LinkError as error:
            self._refuse(link, error.code, error.detail)
        except (ProtocolError, UnicodeDecodeError) as error:
            self._refuse(link, "malformed", f"a message that is not MQTT's: {error}")

    def lost(self, link: Link, now: float) -> None:
        """The connection is gone, whoever closed it."""
        slept.look(self.state, now)
        self.state.now = now
        link.close()
        self.state.links.pop(link, None)
        if link.dialled and not link.via:
            self.state.dialling.failed(link.address, now)
        peer = self.state.peers.get(link.gateway)
        if peer is not None and peer.link is link:
            membership.unlink(self.state, peer)
            membership.judge(self.state)
            self.copier.look()

    def copies_found(self, owner: str, places: list[CopyPlace], why: str, now: float) -> None:
        """What the disk has of another gateway's store; `why` it can keep none, or nothing."""
        self.state.now = now
        self.copies.found(owner, places, why)

    def copy_written(self, owner: str, place: CopyPlace, wish: int, why: str, now: float) -> None:
        """A copy is on disk up to this place; `why` it is not, or takes no more. `wish` of the disk."""
        self.state.now = now
        self.copies.written(owner, place, wish, why)

    def _is_copied(self, gateway: str) -> bool:
        """Whether what a gateway keeps is at another one that lives, too, or it keeps nothing."""
        if gateway == self.state.identity.gateway:
            return self.copier.two_copies or not self.copier.keeps
        peer = self.state.peers[gateway]
        keeper = self.state.peers.get(peer.stand_in)
        here = peer.stand_in == self.state.identity.gateway
        lives = here or (keeper is not None and keeper.life is Life.ALIVE)
        return (lives and bool(peer.copied)) or (peer.stores is False and not peer.stand_in)

    def measured(self, vitals: Vitals, now: float) -> None:
        """How this gateway is; told to the others."""
        self.state.now = now
        self.state.vitals = vitals
        self.losses.count(self.state, now)
        for link in self._up():
            link.say(vitals)

    def clients_gone(self) -> None:
        """A planned stop has sent the clients away, `stop` follows. The keeper has their wills."""
        wills.clients_gone(self.state)

    def stop(self, now: float) -> None:
        """A planned stop: the others are told."""
        self.state.now = now
        for link in self._up():
            link.say(Bye())

    def wake(self, now: float) -> None:
        """A deadline passed."""
        state = self.state
        slept.look(state, now)
        state.now = now
        if now >= state.next_beat:
            slept.expect(state, now + state.identity.cluster.heartbeat_s)
            for link in list(state.links):
                if link.state in (LinkState.GREETED, LinkState.UP):
                    membership.beat(state, link)
                elif link.state is LinkState.WAITING and link.hello_by <= now:
                    if link.via:
                        link.close()  # there is no such road: it is no fault of the other end
                    else:
                        self._refuse(link, "malformed", "said nothing")
            self.roads.wake()
        membership.judge(state)
        standin.choose(state)
        self.copier.look()
        self.copies.look()
        forgetting.age(state)
        for reason, until in list(state.holding.items()):
            if until <= now:
                state.release(reason)
        state.check_boot()
        slept.check(state)
        state.check_barriers()
        wills.wake(state)
        state.questions.wake(now)
        state.watching.wake(state.peers, now)
        for address, port in state.dialling.due(state.linked(), now):
            state.effects.append(Dial(address, port, keys.to_dial_with(state)))

    def deadline(self) -> float:
        """When `wake` is due."""
        state = self.state
        return min(
            state.next_beat,
            membership.next_change(state),
            state.barriers.deadline(),
            state.own_wills.barriers.deadline(),
            wills.deadline(state),
            state.dialling.deadline(state.linked()),
            state.questions.deadline(),
            state.watching.deadline(),
            state.watched.deadline(),
            self.copier.deadline(),
            min(state.holding.values(), default=FOREVER),
            state.meeting_until if state.is_new else FOREVER,
        )

    def drain(self) -> list[Effect]:
        """Closes the turn: what changed in it stands in the links afterwards; effects are returned."""
        state = self.state
        self._say_clients()  # before rows: the client decides whose its session is
        state.local.turn(state.now)
        if not self.others.crowded():
            state.local.uncrowd()  # a peer took what waited, or nobody waits for it any more
        state.watched.tell(state.now)
        wills.tell(state)
        self.copies.tell()
        self._say_clients()
        self._say_interest()
        stirred = list(state.stirred)
        state.stirred.clear()
        state.laden = {peer: None for peer in [*state.laden, *stirred] if peer.outgoing.crowded()}
        for peer in stirred:
            self._say_entries(peer)
        self.roads.turn()
        effects, state.effects = state.effects, []
        return effects

    def _say_interest(self) -> None:
        state = self.state
        groups, interest = state.own_groups.delta(state.local.group), state.own_interest.delta()
        for peer in state.peers.values() if groups or interest else ():
            if peer.link is None or not peer.streaming:
                continue
            for frame in [*groups, *interest] if peer.speaks(TABLES_AND_CLIENTS) else interest:
                peer.link.say(frame)

    def _say_entries(self, peer: Peer) -> None:
        """Messages to the peer, and what became of those that came from it."""
        peer.outgoing.seal()
        if peer.link is None or not peer.streaming:
            return  # a new link begins with all of it
        if peer.outgoing.unsent:
            peer.link.out.extend(peer.outgoing.unsent)
            peer.outgoing.unsent.clear()
        self._say_taken(peer, peer.link)

    def writable(self) -> list[Link]:
        """The connections with something to write, after a turn and what follows it."""
        for link in self.state.links:
            if not link.via:
                link.say_next()
        self.roads.carry()
        links = self.state.links
        return [link for link in links if (link.out or link.closed) and not link.via]

    def _say_clients(self) -> None:
        clients = self.state.own_clients.delta()
        for peer in self.state.peers.values() if clients else ():
            if peer.link is not None and peer.streaming and peer.speaks(TABLES_AND_CLIENTS):
                for frame in clients:
                    peer.link.say(frame)

    def recall(
        self,
        keyring: Keyring,
        rows: Iterable[tuple[str, str, Row]] = (),
        dead_s: Mapping[str, float] | None = None,
    ) -> None:
        """What the disk keeps of the mesh besides its members, before the first link: keys, rows of the
        mesh's own tables, for how long gateways have been dead."""
        state = self.state
        state.keyring = keyring
        for table, key, row in rows:
            if table in state.own_tables:
                state.own_tables[table].put(key, row)
        for gateway, seconds in (dead_s or {}).items():
            if gateway in state.peers:
                state.peers[gateway].dead_s = state.peers[gateway].dead_saved_s = seconds
        forgetting.apply(state)  # the power may have gone between the row and the member

    def keys_saved(self, version: int, now: float) -> None:
        """The keys of a `SaveKeys` are on disk, and may be used."""
        self.state.now = now
        keys.saved(self.state, version)

    def _say_taken(self, peer: Peer, link: Link) -> None:
        """What became of the peer's entries since it was told."""
        incoming = peer.incoming
        if incoming.number != peer.taken_said:
            peer.taken_said = incoming.number
            link.say(Taken(incoming.number, incoming.news))
            incoming.news = []
        if not peer.speaks(TABLES_AND_CLIENTS):
            return
        if incoming.kept:
            link.say(Synced(incoming.kept))
            incoming.kept = []
        for why, ranges in incoming.failed.items():
            link.say(Synced(ranges, why))
        incoming.failed.clear()

    def _greet(self, link: Link) -> None:
        conversation.greet(self.state, link)

    def _relayed(self, link: Link, data: bytes) -> None:
        self.receive(link, data, self.state.now)

    def _unrelayed(self, link: Link) -> None:
        self.lost(link, self.state.now)

    def _up(self) -> list[Link]:
        return [link for link in self.state.links if link.state is LinkState.UP]

    def _refuse(self, link: Link, code: str, detail: str) -> None:
        state = self.state
        if link.dialled and not link.via and code in ("self", "double"):
            state.dialling.answered(link.address, link.gateway)
        if not link.closed:
            link.say(Refuse(code, detail))
        link.close()
        if code not in ("self", "double"):
            known = state.peers.get(link.gateway)
            who = known.name if known is not None else f"{link.address[0]}"
            state.refused(code, who, detail)
