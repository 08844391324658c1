"""How a new cluster key comes to all gateways while they serve, and how the old one ends.

    rotate    a new key is told over the links; each gateway says when it has it on disk
    between   both keys hold: who was away comes in with the old one, and is told the new one
    finish    all but the newest are over; links made with them are closed, and made anew

Nothing is told before it is on disk here. Must not know what is derived from a key, TLS or files.
"""

from gateway.effects import SaveKeys
from gateway.keyring import Key
from gateway.mesh.frames import Keys
from gateway.mesh.peer import TABLES_AND_CLIENTS, Peer
from gateway.mesh.state import MeshState


def rotate(state: MeshState, fingerprint: str, secret: bytes) -> None:
    """A new key holds beside the present one, as soon as it is on disk."""
    assert len(state.keyring.valid()) == 1, "the last change is not finished"
    at = state.clock.stamp(state.now)
    state.keyring.merge([Key(fingerprint, secret, (at.time_ms, at.counter, at.gateway))])
    state.note("info", f"there is a new cluster key, {fingerprint}: the other gateways are told")
    _save(state)


def finish(state: MeshState) -> None:
    """All keys but the newest are over, as soon as that is on disk."""
    for key in state.keyring.valid()[1:]:
        state.keyring.merge([key.ended()])
        state.note("info", f"the cluster key {key.fingerprint} is over")
    _save(state)


def without_newest(state: MeshState) -> list[Peer]:
    """The gateways that are not known to have the newest key on disk."""
    valid = state.keyring.valid()
    return [p for p in state.peers.values() if valid and p.gateway not in valid[0].kept_by]


def has_newest(state: MeshState) -> bool:
    """Whether it is on disk here."""
    return state.identity.gateway in state.keyring.valid()[0].kept_by


def saved(state: MeshState, version: int) -> None:
    """The keys are on disk as they were in this version: now it is told, and acted upon."""
    keyring, me = state.keyring, state.identity.gateway
    if version != keyring.version:
        return  # a later version is on its way there
    keyring.saved = version
    unsaid = [key.kept(me) for key in keyring.valid() if me not in key.kept_by]
    if len(keyring.keys) > 1 and unsaid:
        keyring.merge(unsaid)
        _save(state)
        return
    for peer in state.peers.values():
        tell(state, peer)
    for link in state.links:
        if keyring.over(link.key):
            link.close()


def tell(state: MeshState, peer: Peer) -> None:
    """Says what is known of keys; nothing while there is only the one that both have, or while what
    is new is on its way to the disk."""
    link, keyring = peer.link, state.keyring
    if len(keyring.keys) < 2 or keyring.saved != keyring.version:
        return
    if link is not None and not link.closed and peer.streaming and peer.speaks(TABLES_AND_CLIENTS):
        link.say(Keys(list(keyring.keys.values())))


def heard(state: MeshState, frame: Keys) -> None:
    """Another gateway told what it knows."""
    keyring = state.keyring
    if not keyring.keys:
        return
    before = keyring.version
    for key in frame.keys:
        state.clock.seen(key.stamp[0], state.now, key.stamp[1])
    if keyring.merge(frame.keys):
        newest = next((key.fingerprint for key in keyring.valid()), "none")
        state.note("info", f"the cluster keys are others than before: the newest is {newest}")
    if keyring.version != before:
        _save(state)


def to_dial_with(state: MeshState) -> tuple[str, ...]:
    """The fingerprints of the keys to try, in this order: a new one first when all have it."""
    valid = [key.fingerprint for key in state.keyring.valid()]
    if len(valid) > 1 and without_newest(state):
        valid.reverse()
    return tuple(valid)


def _save(state: MeshState) -> None:
    state.effects.append(SaveKeys(state.keyring.version, tuple(state.keyring.keys.values())))
