"""Many gateways as one: the inter-broker communicator as a machine.

Joins the parts of this folder: whom to dial, who lives, what is said on a link, what each side wants.
Fulfils the broker's `Elsewhere` and reaches the broker through `Local`. Frames stand in the links'
outgoing lists, effects in `drain`. Must not know sockets, TLS or mDNS, only what they found.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any

from gateway.clock import MeshClock
from gateway.copy_place import CopyPlace
from gateway.effects import Dial, Effect, ReadCopy
from gateway.errors import LinkError, ProtocolError
from gateway.ids import NEVER, Stamp
from gateway.keyring import Keyring
from gateway.mesh import (
    conversation,
    forgetting,
    keys,
    lock,
    membership,
    presence,
    standin,
    tables,
    unplugging,
    wills,
)
from gateway.mesh.copier import Copier
from gateway.mesh.copies import Copies
from gateway.mesh.dialling import Dialling
from gateway.mesh.frames import (
    Ask,
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
    Watch,
)
from gateway.mesh.identity import Identity
from gateway.mesh.life import Life
from gateway.mesh.link import Link, LinkState
from gateway.mesh.local import Local
from gateway.mesh.losses import Losses
from gateway.mesh.outlet import PeerOutlet
from gateway.mesh.own_wills import OwnWill
from gateway.mesh.peer import TABLES_AND_CLIENTS, Peer
from gateway.mesh.questions import Asker
from gateway.mesh.refusals import Refusal
from gateway.mesh.roads import Roads
from gateway.mesh.state import BOOT, MeshState
from gateway.mesh.watching import Audience
from gateway.moves import Move
from gateway.mqtt.message import Message
from gateway.table import Row
from gateway.tickets import Ticket
from gateway.timers import FOREVER


class Mesh:
    """The mesh of one gateway; `clock` is the gateway's own."""

    def __init__(
        self, identity: Identity, local: Local, random: Random, clock: MeshClock, now: float
    ) -> None:
        self.state = MeshState(identity, clock, Dialling(identity.gateway, random), local, now)
        self._next_beat = now
        self._outlets: dict[str, PeerOutlet] = {}
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
            state.peers[member.gateway] = peer
            state.dialling.add((member.address, member.port), member.gateway, now)
        if state.peers:
            state.hold(BOOT, now + state.identity.cluster.dead_s)

    # what the broker asks (Elsewhere)

    def interested(self, topic: str) -> Sequence[PeerOutlet]:
        """The gateways with a subscriber to this topic."""
        return [self._outlet(peer) for peer in self.state.peers_interest.match(topic)]

    def shared(self, topic: str) -> dict[str, list[tuple[PeerOutlet, int, int]]]:
        """The shared subscriptions that match the topic and have members elsewhere, by name."""
        found = self.state.peers_groups.match(topic)
        return {name: self._far(name, peers) for name, peers in found.items()}

    def members(self, name: str) -> list[tuple[PeerOutlet, int, int]]:
        """The members that a shared subscription has elsewhere."""
        return self._far(name, self.state.peers_groups.peers(name))

    def group_changed(self, name: str) -> None:
        """A shared subscription has other members here than before, or they came or went."""
        self.state.own_groups.change(name)
        self.state.own_interest.touch()

    def _far(self, name: str, peers: Iterable[Peer]) -> list[tuple[PeerOutlet, int, int]]:
        return [(self._outlet(peer), *peer.groups[name]) for peer in peers]

    def everyone(self) -> Sequence[PeerOutlet]:
        """Every gateway that may be reached: dead ones catch up when they return."""
        peers = self.state.peers.values()
        return [self._outlet(peer) for peer in peers if peer.life is not Life.DEAD and peer.hello]

    def crowded(self) -> bool:
        """Whether publishers should pause."""
        return any(
            peer.outgoing.crowded() for peer in self.state.peers.values() if peer.life is Life.ALIVE
        )

    def stamp(self, now: float) -> Stamp:
        """A stamp newer than every one seen."""
        return self.state.clock.stamp(now)

    def subscribed(self, topic_filter: str) -> None:
        """Sessions here want this filter."""
        self.state.own_interest.change(topic_filter, True)

    def unsubscribed(self, topic_filter: str) -> None:
        """Sessions here do not want this filter any more."""
        self.state.own_interest.change(topic_filter, False)

    def connected(self, client_id: str, clean: bool, ticket: Ticket, now: float) -> None:
        """A client came in here: others that have it let it go, and until then the ticket is held.

        `clean`: what it had before is over.
        """
        self.state.now = now
        if presence.connected(self.state, client_id, clean):
            self.hold_until_known(ticket, now)

    def keep_will(
        self,
        client_id: str,
        will: Message,
        delay_s: float,
        due: float | None,
        ticket: Ticket | None,
        now: float,
    ) -> None:
        """A client here has this will, with this delay, or, its connection being over, it is sent when
        it is due. The ticket is held until another gateway has it, too."""
        self.state.now = now
        wills.keep(self.state, client_id, OwnWill(will, delay_s, due), ticket)

    def forget_will(self, client_id: str) -> None:
        """The will of a client here was sent, or is not to be."""
        wills.forget(self.state, client_id)

    def disconnected(self, client_id: str) -> None:
        """A client is gone from here."""
        presence.disconnected(self.state, client_id)

    def rows_changed(self, table: str, rows: Sequence[tuple[str, Row]]) -> None:
        """Rows of a table that all gateways have were changed here."""
        tables.tell(self.state, table, rows)

    def touched(self) -> None:
        """Rows are about to be told: whoever holds for what is known holds for them, too."""
        self.state.own_interest.touch()

    def hold_until_taken(self, ticket: Ticket) -> None:
        """Holds the ticket until every live peer has taken what it was offered so far."""
        for peer in self.state.alive():
            peer.outgoing.hold(ticket)

    def gateways(self) -> list[str]:
        """The other gateways that can be told of moves, and are not dead."""
        return [peer.gateway for peer in self.state.peers.values() if peer.came]

    def reaches(self, gateway: str) -> bool:
        """Whether the gateway lives and is linked."""
        peer = self.state.peers.get(gateway)
        return peer is not None and peer.came and peer.life is Life.ALIVE

    def name_of(self, gateway: str) -> str:
        """What a person calls the gateway."""
        peer = self.state.peers.get(gateway)
        return gateway if peer is None else peer.name

    def tell(self, gateway: str, move: Move) -> None:
        """Says something about a session that moves, in the order of the messages."""
        peer = self.state.peers.get(gateway)
        if peer is not None and peer.came:
            peer.outgoing.say(move)

    def is_connected(self, client_id: str, gateway: str) -> bool:
        """Whether the client is connected at that gateway, as it says."""
        peer = self.state.peers.get(gateway)
        return peer is not None and client_id in peer.clients

    def connected_since(self, client_id: str) -> Stamp:
        """When a client that is connected here came; NEVER: it is not."""
        return self.state.own_clients.stamps.get(client_id, NEVER)

    def hold_until_known(self, ticket: Ticket, now: float) -> None:
        """Holds the ticket until every linked peer has our interest as it is now."""
        version = self.state.own_interest.version
        self.state.barriers.hold(version, self.state.peers.values(), ticket, now)

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

    def copy_of(self, gateway: str) -> str:
        """A gateway that lives and has a copy of that one's store, this one or another; empty: none."""
        if gateway in self.state.copies:
            return self.state.identity.gateway
        keepers = [peer for peer in self.state.alive() if peer.came and gateway in peer.copies]
        lost = self.state.peers.get(gateway)
        chosen = "" if lost is None else lost.stand_in
        keepers.sort(key=lambda peer: (peer.gateway != chosen, peer.gateway))
        return keepers[0].gateway if keepers else ""

    def read_copy(
        self,
        owner: str,
        lost: bool,
        make: Callable[[Any, Any], Any],
        then: Callable[[Any, str], None],
    ) -> None:
        """Reads the copy of another gateway's store that is here, as the effect says; `lost`: of the one
        that it had before."""
        peer = self.state.peers.get(owner)
        but = peer.store if lost and peer is not None else ""
        self.state.effects.append(ReadCopy(owner, but, make, then))

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
        self._forgive_own_sleep(now)
        state.now = now
        if now >= self._next_beat:
            self._next_beat = now + state.identity.cluster.heartbeat_s
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
            self._next_beat,
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
        )

    def drain(self) -> list[Effect]:
        """Closes the turn: what changed in it stands in the links afterwards; effects are returned."""
        state = self.state
        self._say_clients()  # before rows: the client decides whose its session is
        state.local.turn(state.now)
        if not self.crowded():
            state.local.uncrowd()  # a peer took what waited, or nobody waits for it any more
        state.watched.tell(state.now)
        wills.tell(state)
        self.copies.tell()
        self._say_clients()
        groups, interest = state.own_groups.delta(state.local.group), state.own_interest.delta()
        for peer in state.peers.values():
            peer.outgoing.seal()
            if peer.link is None or not peer.streaming:
                continue
            for frame in [*groups, *interest] if peer.speaks(TABLES_AND_CLIENTS) else interest:
                peer.link.say(frame)
            if peer.outgoing.unsent:
                peer.link.out.extend(peer.outgoing.unsent)
                peer.outgoing.unsent.clear()
            self._say_taken(peer, peer.link)
        self.roads.turn()
        effects, state.effects = state.effects, []
        return effects

    def writable(self) -> list[Link]:
        """The connections with something to write, after a turn and what follows it."""
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

    def forget(self, gateway: str, now: float) -> bool:
        """This gateway, one of the peers, is gone for good; False: too many are."""
        self.state.now = now
        return forgetting.forget(self.state, self.state.peers[gateway])

    def is_forgotten(self) -> bool:
        """Whether another gateway says that this one was forgotten."""
        refusals = self.state.refusals.current(self.state.now)
        own = self.state.identity
        told = any(refusal.code == forgetting.HERE for refusal in refusals)
        return told or forgetting.is_forgotten(self.state, own.gateway, own.store)

    def want_lock(self, why: str, now: float) -> None:
        """This gateway wants to be the one that is out of service; `why` is a word for the operator."""
        self.state.now = now
        lock.want(self.state, why)

    def give_lock_up(self, now: float) -> None:
        """It does not want that any more."""
        self.state.now = now
        lock.give_up(self.state)

    def lock_waits_for(self) -> list[str]:
        """Why it may not be that yet, in words; nothing: it may."""
        return [] if lock.has(self.state) else lock.waits_for(self.state)

    def would_be_missed(self) -> bool:
        """Whether something would be out of reach without this gateway."""
        return self.state.identity.name not in unplugging.safe_to_unplug(self.state)

    def doors(self) -> list[str]:
        """Where clients may go instead: the other gateways that live, with the port where it differs."""
        own = self.state.identity
        found = []
        for peer in self.state.alive():
            if peer.hello is not None and peer.wish is None:
                same = peer.hello.mqtt_port == own.mqtt_port
                found.append(peer.address if same else f"{peer.address}:{peer.hello.mqtt_port}")
        return found

    def rotate_key(self, fingerprint: str, secret: bytes, now: float) -> None:
        """There is a new cluster key; only while just one holds."""
        self.state.now = now
        keys.rotate(self.state, fingerprint, secret)

    def finish_key(self, now: float) -> None:
        """Of the cluster keys only the newest holds."""
        self.state.now = now
        keys.finish(self.state)

    def old_links(self) -> bool:
        """Whether a link still stands by a cluster key that is over."""
        return any(self.state.keyring.over(link.key) for link in self.state.links)

    def keys_saved(self, version: int, now: float) -> None:
        """The keys of a `SaveKeys` are on disk, and may be used."""
        self.state.now = now
        keys.saved(self.state, version)

    def without_newest_key(self) -> list[str]:
        """The names of gateways that are not known to have the newest cluster key on disk."""
        return [peer.name for peer in keys.without_newest(self.state)]

    def has_newest_key(self) -> bool:
        """Whether the newest cluster key is on disk here."""
        return keys.has_newest(self.state)

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

    # what an operator asks

    def ask(self, question: Ask, asker: Asker, now: float) -> None:
        """Asks every other gateway; the asker is told all within a few seconds."""
        self.state.now = now
        self.state.questions.ask(question, self.state.peers.values(), asker, now)

    def watch(self, wanted: Watch, audience: Audience, now: float) -> int:
        """Shows what clients publish at other gateways, until `unwatch` with the number returned."""
        self.state.now = now
        return self.state.watching.begin(wanted, self.state.peers.values(), audience, now)

    def unwatch(self, number: int) -> None:
        """Nobody watches any more."""
        self.state.watching.end(number, self.state.peers.values())

    def unconfirmed(self, table: str) -> list[str]:
        """The names of gateways that are not known to have the table as it is here."""
        return [peer.name for peer in tables.unconfirmed(self.state, table)]

    def refusals(self, now: float) -> list[Refusal]:
        """Who stays out, and why."""
        return self.state.refusals.current(now)

    def _greet(self, link: Link) -> None:
        conversation.greet(self.state, link)

    def _relayed(self, link: Link, data: bytes) -> None:
        self.receive(link, data, self.state.now)

    def _unrelayed(self, link: Link) -> None:
        self.lost(link, self.state.now)

    def _up(self) -> list[Link]:
        return [link for link in self.state.links if link.state is LinkState.UP]

    def _outlet(self, peer: Peer) -> PeerOutlet:
        outlet = self._outlets.get(peer.gateway)
        if outlet is None or not outlet.leads_to(peer):
            outlet = self._outlets[peer.gateway] = PeerOutlet(peer, self.state)
        return outlet

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

    def _forgive_own_sleep(self, now: float) -> None:
        """If this process was not run for a while, the others are not to blame for the silence."""
        late_s = now - max(self._next_beat, self.state.now)
        if late_s > self.state.identity.cluster.heartbeat_s:
            for peer in self.state.peers.values():
                peer.heard_at += late_s
