"""The keys of the links that a gateway knows: which hold, which are over, who has them on disk.

Keyrings of several gateways become the same by merging, in any order: a key that is over stays over,
whoever has not heard of it. Must not know what is derived from a key, links or files.
"""

from collections.abc import Iterable

import msgspec

from gateway.limits import KEYS_MAX


class Key(msgspec.Struct, frozen=True, array_like=True):
    """A cluster key, stretched; without `secret` it is over. `kept_by` are the ids of the gateways that
    have it on disk. The `stamp` of the configuration's key is the lowest, so that all say the same."""

    fingerprint: str
    secret: bytes
    stamp: tuple[int, int, str] = (0, 0, "")
    kept_by: list[str] = []

    @property
    def over(self) -> bool:
        """Whether it holds no more."""
        return not self.secret

    def ended(self) -> "Key":
        """The same key, over."""
        return msgspec.structs.replace(self, secret=b"", kept_by=[])

    def kept(self, gateway: str) -> "Key":
        """The same key, also on this gateway's disk."""
        return msgspec.structs.replace(self, kept_by=sorted({*self.kept_by, gateway}))

    def __repr__(self) -> str:
        return f"Key({self.fingerprint!r}, over={self.over}, kept_by={self.kept_by})"


class Keyring:
    """`version` counts the changes, `saved` is the version that is on disk.

    Without any key (in tests) nothing is said of keys, and no link is refused for one.
    """

    def __init__(self, keys: Iterable[Key] = ()) -> None:
        self.keys: dict[str, Key] = {}
        self.version = 0
        self.merge(keys)
        self.saved = self.version

    def valid(self) -> list[Key]:
        """Those that hold, the newest first."""
        held = [key for key in self.keys.values() if not key.over]
        return sorted(held, key=lambda key: key.stamp, reverse=True)

    def over(self, fingerprint: str) -> bool:
        """Whether this key held once, and does not any more."""
        key = self.keys.get(fingerprint)
        return key is not None and key.over

    def merge(self, keys: Iterable[Key]) -> bool:
        """Takes in what another gateway, or the disk, knows; True if a key is new, or newly over."""
        news = changed = False
        for theirs in keys:
            ours = self.keys.get(theirs.fingerprint)
            both = theirs if ours is None else _merged(ours, theirs)
            if both == ours:
                continue
            changed = True
            news |= ours is None or both.over != ours.over
            self.keys[both.fingerprint] = both
        if changed:
            self._bound()
            self.version += 1
        return news

    def _bound(self) -> None:
        """Those that are over are forgotten first, the oldest first."""
        oldest = sorted(self.keys.values(), key=lambda key: (not key.over, key.stamp))
        for key in oldest[: max(0, len(oldest) - KEYS_MAX)]:
            del self.keys[key.fingerprint]


def _merged(one: Key, other: Key) -> Key:
    later = Key(one.fingerprint, one.secret, max(one.stamp, other.stamp))
    if one.over or other.over:
        return later.ended()
    return msgspec.structs.replace(later, kept_by=sorted({*one.kept_by, *other.kept_by}))
