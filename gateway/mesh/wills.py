"""Wills of gateways that die: each gateway has one other keep the wills of its clients.

    G > K   Wills        all, then what changes; CONNACK waits until K has them
    K > *   WillsHeld    G is gone, and K keeps its wills; then, whose it has sent

The keeper is the stand-in, or while that is away the next in the ring; payloads are there only. It sends
a will when its gateway is dead for GRACE_S, and one with a delay when that has passed; after a planned
stop, or where the gateway began anew, clients have RETURN_S to be back. A client of a dead gateway that
connects elsewhere ends its old connection: its will is sent at once, before CONNACK, or, if it had a
delay and the session goes on, never. Who connected elsewhere before the gateway was known to be dead
was never away. Of two keepers the one that was chosen later counts; what was sent is known
to all who hear it, so that neither another keeper nor the gateway itself, back with the wills on its
disk, sends it again. One that is forgotten is dead to all. Must not know connections or sessions.
"""

from collections.abc import Iterable, Iterator

from gateway.ids import Stamp
from gateway.limits import CLIENTS_IN_FRAME_MAX, RETURN_S
from gateway.mesh.estates import End, Estate
from gateway.mesh.frames import KeptWill, Wills, WillsHeld
from gateway.mesh.life import Life
from gateway.mesh.link import Link
from gateway.mesh.own_wills import OwnWill
from gateway.mesh.parts import parts
from gateway.mesh.peer import WILLS, Peer
from gateway.mesh.reconcile import message_of
from gateway.mesh.state import MeshState
from gateway.mqtt.message import Message
from gateway.tickets import Ticket
from gateway.timers import FOREVER

GRACE_S = 5.0  # behind "dead": a client that lost its gateway is elsewhere by then
SENT_MAX = 200  # wills in one turn of the loop: clients wait meanwhile
NAMES_BYTES_MAX = 1_048_576  # of one frame: a client id may have 1 kB


# this gateway's own wills, and who keeps them


def keep(state: MeshState, client_id: str, will: OwnWill, ticket: Ticket | None) -> None:
    """A client of this gateway has this will; the ticket is held until somebody else has it, too."""
    own = state.own_wills
    own.changed[client_id] = will
    if ticket is None:
        own.recent.pop(client_id, None)
        return
    own.recent[client_id] = will
    state.own_interest.touch()
    keeper = state.peers.get(own.keeper)
    if keeper is not None:
        own.barriers.hold(state.own_interest.version, (keeper,), ticket, state.now)


def forget(state: MeshState, client_id: str) -> None:
    """A client of this gateway has no will any more."""
    state.own_wills.changed[client_id] = None
    state.own_wills.recent.pop(client_id, None)


def tell(state: MeshState) -> None:
    """Tells the keeper what is new, a new keeper all, and everybody whose wills were sent; to be called
    at the end of a turn."""
    for (gateway, start), estate in state.estates.all.items():
        if estate.news:
            for part in _parts(estate.news):
                _tell_all(state, WillsHeld(gateway, start, estate.choice, part))
            estate.news = []
    own = state.own_wills
    if state.stopping:
        _tell_last(state)
        return
    if not own.barriers.waiting():
        own.recent.clear()
    keeper = _choose(state)
    if keeper is None or keeper.link is None:
        own.changed.clear()
        own.keeper, own.link = "", None
        own.barriers.check((), state.now)
        return
    for client_id, will in own.changed.items():
        if will is not None and will.due is None:
            will.since = _since(state, client_id)
    if keeper.link is own.link:
        for frame in own.delta(state.now):
            own.told.add(keeper.gateway)
            keeper.link.say(frame)
        return
    _tell_all_wills(state, keeper, keeper.link)


def clients_gone(state: MeshState) -> None:
    """This gateway has sent its clients away, because it stops: what the keeper has it keeps."""
    state.own_wills.changed.clear()
    state.stopping = True


def _tell_last(state: MeshState) -> None:
    """Only the keeper that has all wills is told, of those whose delay ends before this gateway does."""
    own = state.own_wills
    keeper = state.peers.get(own.keeper)
    if keeper is not None and keeper.link is not None and keeper.link is own.link:
        for frame in own.delta(state.now):
            keeper.link.say(frame)
    own.changed.clear()


def _tell_all_wills(state: MeshState, keeper: Peer, link: Link) -> None:
    """To one that did not keep them until now, or whose link is a new one."""
    own = state.own_wills
    before = state.peers.get(own.keeper)
    own.choice += 1
    if before is not None and before is not keeper and before.link is not None and before.streaming:
        before.link.say(Wills(own.choice, True, [], []))
    own.keeper, own.link = keeper.gateway, link
    wills = {
        client_id: OwnWill(message, delay_s, due, _since(state, client_id))
        for client_id, message, delay_s, due in state.local.wills(state.now)
    }
    wills = own.recent | wills
    own.changed.clear()
    if not wills and keeper.gateway not in own.told:
        return
    own.told.add(keeper.gateway)
    state.own_interest.touch()
    own.barriers.postpone(state.own_interest.version)
    for frame in own.full(wills, state.now):
        link.say(frame)


def _choose(state: MeshState) -> Peer | None:
    stand_in = state.peers.get(state.stand_in)
    if stand_in is not None and stand_in.life is Life.ALIVE and _is_able(stand_in):
        return stand_in
    able = [peer for peer in state.alive() if _is_able(peer)]
    own = state.identity.gateway
    return min(able, key=lambda peer: (peer.gateway < own, peer.gateway), default=None)


def _is_able(peer: Peer) -> bool:
    return peer.link is not None and peer.streaming and not peer.stopping and peer.speaks(WILLS)


def _since(state: MeshState, client_id: str) -> tuple[int, int]:
    stamp = state.own_clients.began(client_id)
    return (0, 0) if stamp is None else stamp[:2]


# the wills of others


def told(state: MeshState, peer: Peer, frame: Wills) -> None:
    """A gateway has this one keep its wills. What it says behind its Bye is about its own end."""
    assert peer.hello is not None, "it has greeted"
    if peer.stopping:
        return
    key = (peer.gateway, peer.hello.nonce)
    estate = state.estates.all.setdefault(key, Estate(frame.choice))
    estate.choice = frame.choice
    state.estates.revive(estate)
    if frame.full:
        state.estates.clear(estate)
    for client_id in frame.remove:
        state.estates.drop(estate, client_id)
    refused = state.estates.refused
    for will in frame.add:
        message_of(will.entry, state.now)  # that is for now, and not for when its gateway is dead
        state.estates.put(estate, will, state.now)
    if state.estates.refused > refused:
        state.note("warning", f"no room for all wills of clients at {peer.name}")


def over(state: MeshState, peer: Peer, end: End, but: str = "") -> None:
    """A gateway is gone: its clients have some time to be back. `but` is its start that lives."""
    for (gateway, start), estate in state.estates.all.items():
        if gateway != peer.gateway or start == but:
            continue
        if estate.end is None or (estate.end is End.DEAD and end is End.BEGAN_ANEW):
            estate.end, estate.over_at, estate.due = end, state.now, state.now
            if estate.wills:
                _tell_all(state, WillsHeld(gateway, start, estate.choice, []))


def back(state: MeshState, peer: Peer) -> None:
    """A gateway is heard again. What it began with is over if it has another start now."""
    assert peer.hello is not None, "it has greeted"
    over(state, peer, End.BEGAN_ANEW, but=peer.hello.nonce)
    estate = state.estates.all.get((peer.gateway, peer.hello.nonce))
    if estate is not None:
        state.estates.revive(estate)


def greet(state: MeshState, peer: Peer) -> Iterator[WillsHeld]:
    """What a gateway must hear first: whose wills this one keeps, of gateways that are gone."""
    for (gateway, start), estate in state.estates.all.items():
        if estate.end is None:
            continue
        names = list(estate.settled)
        if gateway == peer.gateway:
            names += estate.wills
        for part in [*_parts(names)] or [[]]:
            yield WillsHeld(gateway, start, estate.choice, part)


def held(state: MeshState, peer: Peer, frame: WillsHeld) -> None:
    """Another gateway keeps wills of one that is gone, or of an earlier start of this one."""
    if frame.gateway == state.identity.gateway:
        if frame.start != state.identity.nonce:
            state.local.drop_wills(frame.clients, state.now)
        return
    estates, key = state.estates, (frame.gateway, frame.start)
    if _has_heard(state, key):  # what was known here when it came back; the sender may not reach it
        link = state.peers[frame.gateway].link
        assert link is not None, "it has been told"
        link.say(frame)
    estate = estates.all.get(key)
    if estate is None:
        if not frame.clients or _lives(state, key):
            return
        estate = estates.all[key] = Estate(frame.choice, end=End.DEAD)
    if estate.choice < frame.choice:
        estates.clear(estate)  # it was told more, and later
        estate.choice = frame.choice
    elif estate.choice > frame.choice and estate.wills and peer.link is not None:
        peer.link.say(WillsHeld(frame.gateway, frame.start, estate.choice, []))
    if estate.end is not None:  # else the gateway is heard here, and what was sent was a mistake
        estates.settle(estate, frame.clients)


def came(state: MeshState, client_id: str, where: str, stamp: Stamp, clean: bool) -> None:
    """A client connected at the gateway `where`; `clean`: what it had before is over.

    While the gateway of its old connection is not known to be dead this is for that one to see to.
    """
    for (gateway, _), estate in state.estates.all.items():
        will = estate.wills.get(client_id)
        if will is None or estate.end is None or stamp < Stamp(*will.since, gateway):
            continue
        state.estates.settle(estate, [client_id])
        waits = estate.end in (End.STOPPED, End.BEGAN_ANEW) or where == gateway
        if clean and (will.delay_ms or will.gone):
            waits = False  # its session is over, and with it the delay [MQTT-3.1.3-9]
        elif will.delay_ms or will.gone:
            waits = True
        if not waits:
            _send(state, gateway, will)
        estate.news.append(client_id)


def wake(state: MeshState) -> None:
    """Sends what is due, so many in a turn."""
    left = SENT_MAX
    for key, estate in list(state.estates.all.items()):
        if estate.end is None:
            continue
        if estate.due <= state.now:
            left = _send_due(state, key, estate, left)
        if estate.wills or estate.news:
            continue
        if key[0] not in state.peers or _has_heard(state, key):
            state.estates.forget(key)


def deadline(state: MeshState) -> float:
    """When `wake` has something to do."""
    return min((estate.due for estate in state.estates.all.values() if estate.end), default=FOREVER)


def stayed(state: MeshState, message: Message) -> bool:
    """Whether this is the will of a connection that is still open here: another gateway sent it while
    it could not hear this one."""
    return message.will is not None and state.own_clients.began(message.publisher) == message.will


def _send_due(state: MeshState, key: tuple[str, str], estate: Estate, left: int) -> int:
    estates, sent = state.estates, []
    estate.due = FOREVER
    for client_id, will in list(estate.wills.items()):
        due = _due(estate, client_id, will)
        if due > state.now or left <= 0:
            estate.due = min(estate.due, max(due, state.now))
            continue
        left -= 1
        elsewhere = _is_elsewhere(state, client_id, key[0], will)
        estates.drop(estate, client_id)
        if not elsewhere:
            _send(state, key[0], will)
        sent.append(client_id)
    estates.settle(estate, sent)
    estate.news += sent
    return left


def _due(estate: Estate, client_id: str, will: KeptWill) -> float:
    grace_s = GRACE_S if estate.end is End.DEAD else RETURN_S
    if will.gone:
        least = 0.0 if estate.end is End.DEAD else estate.over_at + grace_s
        return max(estate.gone[client_id], least)
    if estate.end is End.DEAD and will.delay_ms:
        return estate.over_at + will.delay_ms / 1000
    return estate.over_at + max(grace_s, will.delay_ms / 1000)


def _is_elsewhere(state: MeshState, client_id: str, gateway: str, will: KeptWill) -> bool:
    """Whether the client has connected since, as far as is known here."""
    known = [peer.clients.get(client_id) for peer in state.peers.values()]
    known.append(state.own_clients.stamps.get(client_id))
    since = Stamp(*will.since, gateway)
    return any(stamp is not None and stamp > since for stamp in known)


def _send(state: MeshState, gateway: str, will: KeptWill) -> None:
    message = message_of(will.entry, state.now)
    message.will = Stamp(*will.since, gateway)
    state.estates.sent += 1
    state.local.send_will(message, state.now)


def _has_heard(state: MeshState, key: tuple[str, str]) -> bool:
    """Whether the gateway is back and has been told: `greet` comes before its link is up."""
    peer = state.peers.get(key[0])
    if peer is None or peer.hello is None or peer.hello.nonce == key[1]:
        return False
    return peer.link is not None and peer.streaming


def _lives(state: MeshState, key: tuple[str, str]) -> bool:
    """Whether this start of the gateway is linked here: who sends its wills does not hear it."""
    peer = state.peers.get(key[0])
    return (
        peer is not None
        and peer.link is not None
        and (peer.hello is not None and peer.hello.nonce == key[1])
    )


def _parts(names: Iterable[str]) -> Iterator[list[str]]:
    return parts(names, len, CLIENTS_IN_FRAME_MAX, NAMES_BYTES_MAX)


def _tell_all(state: MeshState, frame: WillsHeld) -> None:
    for peer in state.peers.values():
        if peer.link is not None and peer.streaming and peer.speaks(WILLS):
            peer.link.say(frame)
