"""The cluster keys of a gateway: the file that they are kept in, and the TLS settings that follow.

    cluster-keys    MessagePack: [form, cluster name, keys]; only the daemon's user may read it

The configuration has the first key. Once that was replaced (`gwctl cluster key rotate`) the file counts,
as long as it knows the configuration's key; another one is the operator's own word: then the file is set
aside, and the configuration counts.

Who dials says by which key, with its fingerprint as the server's name (SNI), which anybody may read: it
stands in mDNS, too. So both sides take the same of two keys, and one that is over is known as such. Must
not know links, or when keys change.
"""

import os
import ssl
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from gateway.keyring import Key, Keyring
from gateway.shell.tls import ClusterKeys, LinkContexts, link_contexts

FILE_NAME = "cluster-keys"
FORM = 1
FILE_BYTES_MAX = 65_536  # sixteen keys, and the names of 32 gateways with each


class _File(msgspec.Struct, frozen=True, array_like=True):
    form: int
    cluster: str
    keys: list[Key]


class LinkKeys:
    """`ours` is the key of the configuration; `notes` what the log should say of the file."""

    def __init__(self, directory: str, ours: ClusterKeys, gateway: str) -> None:
        self.notes: list[str] = []
        self._path = Path(directory) / FILE_NAME
        self._cluster = ours.cluster
        self._gateway = gateway
        self._contexts: dict[str, LinkContexts] = {}
        self._names: dict[ssl.SSLContext, str] = {}
        self._over: set[str] = set()
        self._stranger = ""  # the key that was asked for last and is none of ours
        self.configured = ours.fingerprint()
        self.keyring = Keyring(self._read() or [Key(self.configured, ours.secret)])
        self.use(self.keyring.keys.values())

    def fingerprints(self) -> list[str]:
        """Of the keys that hold, the newest first."""
        return [key.fingerprint for key in self.keyring.valid()]

    def over(self, fingerprint: str) -> bool:
        """Whether this key held once."""
        return fingerprint in self._over

    def use(self, keys: Iterable[Key]) -> None:
        """Links are made by those of these keys that hold."""
        for key in keys:
            if key.over:
                self._over.add(key.fingerprint)
                self._contexts.pop(key.fingerprint, None)
            elif key.fingerprint not in self._contexts:
                contexts = link_contexts(ClusterKeys(self._cluster, key.secret), self._gateway)
                contexts.accepting.sni_callback = self._asked_for
                self._contexts[key.fingerprint] = contexts
                self._names[contexts.accepting] = key.fingerprint

    def write(self, keys: Sequence[Key]) -> None:
        """Puts the keys on disk, in one step, and returns when they are there. Raises OSError."""
        data = msgspec.msgpack.encode(_File(FORM, self._cluster, list(keys)))
        new = self._path.with_name(f"{FILE_NAME}.new")
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def dialling(self, fingerprint: str) -> ssl.SSLContext | None:
        """The settings for this key; None: it is over meanwhile."""
        contexts = self._contexts.get(fingerprint)
        return None if contexts is None else contexts.dialling

    def accepting(self) -> ssl.SSLContext:
        """The settings with which a handshake begins: those of the oldest key, for who names none."""
        oldest = [name for name in reversed(self.fingerprints()) if name in self._contexts]
        return self._contexts[oldest[0] if oldest else next(iter(self._contexts))].accepting

    def accepted_by(self, context: ssl.SSLContext) -> str:
        """The key of the settings with which a handshake ended, also if it is over meanwhile."""
        return self._names[context]

    def stranger(self) -> str:
        """The key, none of ours, that a handshake asked for since the last call."""
        asked, self._stranger = self._stranger, ""
        return asked

    def _asked_for(
        self, secured: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext
    ) -> int | None:
        if name is None:
            return None  # a version that has one key and does not say which
        contexts = self._contexts.get(name)
        if contexts is None:
            self._stranger = name
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        secured.context = contexts.accepting
        return None

    def _read(self) -> list[Key]:
        """What the file has for this cluster; nothing if the configuration counts."""
        try:
            with self._path.open("rb") as file:
                data = file.read(FILE_BYTES_MAX)
        except FileNotFoundError:
            return []
        try:
            found = msgspec.msgpack.decode(data, type=_File)
        except msgspec.DecodeError:
            return self._aside("cannot be read")
        if found.form != FORM or found.cluster != self._cluster:
            return self._aside("is of another cluster, or of another version")
        known = [key.fingerprint for key in found.keys]
        if self.configured not in known or all(key.over for key in found.keys):
            return self._aside("does not know the key of the configuration, which counts")
        return found.keys

    def _aside(self, why: str) -> list[Key]:
        number = 1
        while (other := self._path.with_name(f"{FILE_NAME}.aside-{number}")).exists():
            number += 1
        self._path.rename(other)
        self.notes.append(f"{FILE_NAME} {why}: set aside as {other.name}")
        return []
