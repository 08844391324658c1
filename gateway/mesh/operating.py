"""What an operator does with the mesh, and asks of it: keys, members, the lock, questions to all.

Must not know how he says it, or how an answer is shown.
"""

from gateway.mesh import forgetting, keys, lock, tables, unplugging
from gateway.mesh.frames import Ask, Watch
from gateway.mesh.questions import Asker
from gateway.mesh.refusals import Refusal
from gateway.mesh.state import MeshState
from gateway.mesh.watching import Audience


class Operating:
    """Of one gateway; what is done here is told to the others."""

    def __init__(self, state: MeshState) -> None:
        self._state = state

    def forget(self, gateway: str, now: float) -> bool:
        """This gateway, one of the peers, is gone for good; False: too many are."""
        self._state.now = now
        return forgetting.forget(self._state, self._state.peers[gateway])

    def is_forgotten(self) -> bool:
        """Whether another gateway says that this one was forgotten."""
        refusals = self._state.refusals.current(self._state.now)
        own = self._state.identity
        told = any(refusal.code == forgetting.HERE for refusal in refusals)
        return told or forgetting.is_forgotten(self._state, own.gateway, own.store)

    def want_lock(self, why: str, now: float) -> None:
        """This gateway wants to be the one that is out of service; `why` is a word for the operator."""
        self._state.now = now
        lock.want(self._state, why)

    def give_lock_up(self, now: float) -> None:
        """It does not want that any more."""
        self._state.now = now
        lock.give_up(self._state)

    def lock_waits_for(self) -> list[str]:
        """Why it may not be that yet, in words; nothing: it may."""
        return [] if lock.has(self._state) else lock.waits_for(self._state)

    def would_be_missed(self) -> bool:
        """Whether something would be out of reach without this gateway."""
        return self._state.identity.name not in unplugging.safe_to_unplug(self._state)

    def doors(self) -> list[str]:
        """Where clients may go instead: the other gateways that live, with the port where it differs."""
        own = self._state.identity
        found = []
        for peer in self._state.alive():
            if peer.hello is not None and peer.wish is None:
                same = peer.hello.mqtt_port == own.mqtt_port
                found.append(peer.address if same else f"{peer.address}:{peer.hello.mqtt_port}")
        return found

    def rotate_key(self, fingerprint: str, secret: bytes, now: float) -> None:
        """There is a new cluster key; only while just one holds."""
        self._state.now = now
        keys.rotate(self._state, fingerprint, secret)

    def finish_key(self, now: float) -> None:
        """Of the cluster keys only the newest holds."""
        self._state.now = now
        keys.finish(self._state)

    def old_links(self) -> bool:
        """Whether a link still stands by a cluster key that is over."""
        return any(self._state.keyring.over(link.key) for link in self._state.links)

    def without_newest_key(self) -> list[str]:
        """The names of gateways that are not known to have the newest cluster key on disk."""
        return [peer.name for peer in keys.without_newest(self._state)]

    def has_newest_key(self) -> bool:
        """Whether the newest cluster key is on disk here."""
        return keys.has_newest(self._state)

    def ask(self, question: Ask, asker: Asker, now: float) -> None:
        """Asks every other gateway; the asker is told all within a few seconds."""
        self._state.now = now
        self._state.questions.ask(question, self._state.peers.values(), asker, now)

    def watch(self, wanted: Watch, audience: Audience, now: float) -> int:
        """Shows what clients publish at other gateways, until `unwatch` with the number returned."""
        self._state.now = now
        return self._state.watching.begin(wanted, self._state.peers.values(), audience, now)

    def unwatch(self, number: int) -> None:
        """Nobody watches any more."""
        self._state.watching.end(number, self._state.peers.values())

    def unconfirmed(self, table: str) -> list[str]:
        """The names of gateways that are not known to have the table as it is here."""
        return [peer.name for peer in tables.unconfirmed(self._state, table)]

    def refusals(self, now: float) -> list[Refusal]:
        """Who stays out, and why."""
        return self._state.refusals.current(now)
