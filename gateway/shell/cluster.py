"""The commands that concern the mesh as a whole: its key, its members.

A key is in no log and no list of processes; a new one that was made here is shown to the operator once.
Must not know how keys travel or are kept.
"""

import asyncio
import secrets
import signal
from collections.abc import Callable

from gateway.config_checks import cluster_key_fault
from gateway.control_lines import ControlError, Document
from gateway.limits import FORGOTTEN_MAX
from gateway.mesh.life import Life
from gateway.mesh.mesh import Mesh
from gateway.mesh.peer import Peer
from gateway.mesh.state import FORGOTTEN
from gateway.shell.commands import Commands
from gateway.shell.leaving import wish
from gateway.shell.link_keys import LinkKeys
from gateway.shell.runtime import Runtime
from gateway.shell.tls import stretch

KEY_BYTES = 24  # 192 bits
CONFIRMED_LOOKS = 20
CONFIRMED_S = 2.0  # for so long the others are waited for: a sync of theirs and four heartbeats
LEAVE_S = 0.2  # for an answer to be read, before the process ends
FINISHED = "both keys hold until: gwctl cluster key finish"


def register(
    commands: Commands, runtime: Runtime, keys: LinkKeys, cluster: str, directory: str
) -> None:
    """Adds these commands, of a gateway that has a mesh; `directory` is where its state is."""
    mesh = runtime.node.mesh
    assert mesh is not None
    key = _Key(runtime, mesh, keys, cluster)
    commands.answer("cluster key show", key.show)
    commands.answer("cluster key rotate", key.rotate)
    commands.answer("cluster key finish", key.finish)
    members = _Members(runtime, mesh, directory)
    commands.answer("forget", members.forget)
    commands.answer("cluster rejoin", members.rejoin)


class _Members:
    def __init__(self, runtime: Runtime, mesh: Mesh, directory: str) -> None:
        self._runtime = runtime
        self._mesh = mesh
        self._directory = directory

    async def forget(self, given: Document) -> Document:
        peer = self._found(given["gateway"])
        if peer.life is not Life.DEAD and not given["force"]:
            text = f"{peer.name} is {peer.life.value}: what it has alone would be out of reach"
            raise ControlError(text, "stop it first; --force forgets it all the same")
        if not self._mesh.operating.forget(peer.gateway, self._runtime.now()):
            text = f"{FORGOTTEN_MAX} gateways are forgotten, which is as many as there may be"
            raise ControlError(text, "give the mesh another cluster.name: it begins anew then")
        self._runtime.schedule()
        await until(lambda: not self._mesh.operating.unconfirmed(FORGOTTEN))
        late = self._mesh.operating.unconfirmed(FORGOTTEN)
        done = f"{peer.name} ({peer.gateway}) is forgotten{_not_yet_at(late)}"
        done += ". If its card comes back it stays out, until on it: gwctl cluster rejoin"
        return {"done": done, "id": peer.gateway, "store": peer.store, "not_yet_at": late}

    def rejoin(self, given: Document) -> Document:
        """The answer leaves before the daemon does; systemd starts it again."""
        if not (given["force"] or self._mesh.operating.is_forgotten()):
            text = "no gateway says that this one was forgotten"
            raise ControlError(text, "--force has it begin anew all the same")
        try:
            wish(self._directory)
        except OSError as error:
            text = f"the state directory cannot be written: {error.strerror}"
            raise ControlError(text, "see: gwctl status") from error
        self._runtime.loop.call_later(LEAVE_S, signal.raise_signal, signal.SIGTERM)
        done = "gatewayd ends, and begins anew with a new store; what this gateway has is set aside"
        return {"done": f"{done} in {self._directory}"}

    def _found(self, named: str) -> Peer:
        peers = self._mesh.state.peers.values()
        found = [peer for peer in peers if named in (peer.gateway, peer.name)]
        if len(found) == 1:
            return found[0]
        if found:
            ids = ", ".join(peer.gateway for peer in found)
            raise ControlError(f"{len(found)} gateways are called {named}", f"give an id: {ids}")
        names = ", ".join(f"{peer.name} ({peer.gateway})" for peer in peers) or "no other one"
        raise ControlError(f"this gateway knows no other called {named[:40]}", f"it knows: {names}")


async def until(condition: Callable[[], bool]) -> None:
    """Gives up after a while: what is not so then is said."""
    for _ in range(CONFIRMED_LOOKS):
        if condition():
            return
        await asyncio.sleep(CONFIRMED_S / CONFIRMED_LOOKS)


class _Key:
    def __init__(self, runtime: Runtime, mesh: Mesh, keys: LinkKeys, cluster: str) -> None:
        self._runtime = runtime
        self._mesh = mesh
        self._keys = keys
        self._cluster = cluster
        self._one_by_one = asyncio.Lock()

    def show(self, _: Document) -> Document:
        holding = self._keys.fingerprints()
        late = self._mesh.operating.without_newest_key() if len(holding) > 1 else []
        done = f"the cluster key is {holding[0]}"
        if len(holding) > 1:
            done = f"the new cluster key is {holding[0]}, the old one {', '.join(holding[1:])}"
            done += f"{_not_yet_at(late)}; {FINISHED}"
        configured = self._keys.configured
        if configured != holding[0]:
            done += f". The configuration here still has {configured}"
        return {
            "done": done,
            "fingerprint": holding[0],
            "older": holding[1:],
            "configured": configured,
            "not_yet_at": late,
        }

    async def rotate(self, given: Document) -> Document:
        key, made = given["key"], ""
        if not key:
            key = made = secrets.token_hex(KEY_BYTES)
        elif fault := cluster_key_fault(key):
            raise ControlError(f"the key {fault}", "take a longer one, or none: one is made then")
        async with self._one_by_one:
            if len(self._keys.fingerprints()) > 1:
                raise ControlError("the last change of the key is not finished", FINISHED)
            stretched = await asyncio.to_thread(stretch, self._cluster, key)
            fingerprint = stretched.fingerprint()
            if fingerprint in self._keys.keyring.keys:
                raise ControlError("this key holds, or held once", "take another one")
            self._mesh.operating.rotate_key(fingerprint, stretched.secret, self._runtime.now())
            self._runtime.schedule()
            await until(lambda: self._is_kept(fingerprint))
            late = self._mesh.operating.without_newest_key()
        done = f"the new cluster key {fingerprint} is on every known gateway's disk"
        if late:
            done = f"there is a new cluster key, {fingerprint}{_not_yet_at(late)}"
        shown = {"key": made} if made else {}
        if made:
            done += f". Write it down, it is not shown again: {made}"
        return {
            "done": f"{done}. Now {FINISHED}",
            "fingerprint": fingerprint,
            "not_yet_at": late,
        } | shown

    async def finish(self, given: Document) -> Document:
        async with self._one_by_one:
            holding = self._keys.fingerprints()
            if len(holding) == 1:
                raise ControlError(
                    "there is one key only", "gwctl cluster key rotate makes another"
                )
            late = self._mesh.operating.without_newest_key()
            if late and not given["force"]:
                text = f"the new key is not yet at {', '.join(late)}"
                raise ControlError(
                    text, "start them, or gwctl forget them; --force leaves them out"
                )
            if not self._mesh.operating.has_newest_key():
                raise ControlError("the new key is not on disk here yet", "see: gwctl status")
            self._mesh.operating.finish_key(self._runtime.now())
            self._runtime.schedule()
            await until(lambda: not self._mesh.operating.old_links())
        done = f"only the cluster key {holding[0]} holds"
        if late:
            done += f"; write it into the configuration of {', '.join(late)}"
        return {"done": done, "fingerprint": holding[0], "not_yet_at": late}

    def _is_kept(self, fingerprint: str) -> bool:
        holds = fingerprint in self._keys.fingerprints()
        return (
            holds
            and self._mesh.operating.has_newest_key()
            and not self._mesh.operating.without_newest_key()
        )


def _not_yet_at(names: list[str]) -> str:
    return f", not yet at {', '.join(names)}" if names else ""
