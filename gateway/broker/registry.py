"""The registry: a table of all persistent sessions of the mesh, which every gateway has.

    key      client id
    value    owner, user, epoch, line, expiry, subscriptions, halves
    born     when its owner became that; a row of another owner is a new birth, which beats the old one
             and whatever the old owner still says of it

`epoch` counts the owners of a session, `line` is when the session itself began: a clean start begins
another line. `halves`: which half of the packet ids is used for the client, and, plus 2, that it may
hold some of the other half that nobody knows of. Each gateway writes the rows of its own sessions, at
the end of a turn in which they changed; one that is deleted says that its session ended.
Connected or not is no business of the registry, for it would be told, and written, all day. Must not
know links, or how a session moves.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from gateway.broker.elsewhere import Elsewhere
from gateway.broker.journal import Journal
from gateway.broker.keeping import REGISTRY, keep_row
from gateway.broker.session import Session
from gateway.ids import Stamp
from gateway.mqtt.packets import Subscription
from gateway.table import Row, Table

SESSIONS = "sessions"  # the table's name on links
ROWS_MAX = 1_000_000  # a row of each session of each gateway, in 250 bytes
DELETED_MAX = (
    20_000  # deletions that are remembered: 5 MB, and a day of a session every four seconds
)
UNKNOWN_HALF = 2  # of `halves`
FILTERS_BYTES_MAX = 8_192  # in one row: more are not listed, and the row says so


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One session. `filters` are (filter, options as in SUBSCRIBE, identifier); `whole`: all of them."""

    owner: str
    user: str
    epoch: int
    line: int
    expiry_s: float
    filters: list[tuple[str, int, int]]
    whole: bool = True
    halves: int = 0

    def subscriptions(self) -> list[Subscription]:
        """What the session subscribes to."""
        return [
            Subscription(name, o & 3, bool(o & 4), bool(o & 8), o >> 4, identifier)
            for name, o, identifier in self.filters
        ]


class _Owner(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An entry, as far as it says whose it is."""

    owner: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode
_decode_owner = msgspec.msgpack.Decoder(_Owner).decode


class Registry:
    """The table, and what of it is this gateway's to tell."""

    def __init__(self, gateway: str, elsewhere: Elsewhere, journal: Journal) -> None:
        self.gateway = gateway
        self.table = Table(
            ROWS_MAX, DELETED_MAX, lambda key: keep_row(journal, key, None, REGISTRY)
        )
        self._elsewhere = elsewhere
        self._journal = journal
        self._changed: dict[str, None] = {}

    def entry(self, client_id: str) -> Entry | None:
        """The session that has this client id, anywhere; None: there is none, or nobody can read it."""
        row = self.table.get(client_id)
        if row is None or row.value is None:
            return None
        try:
            return _decode(row.value)
        except msgspec.DecodeError:
            return None

    def owners(self) -> Iterator[tuple[str, str]]:
        """All sessions of the mesh: client id and owner."""
        for client_id, value in list(self.table.values()):
            yield client_id, self._owner(value)

    def touch(self, client_id: str) -> None:
        """A session here began, changed or ended: the others hear of it at the end of the turn."""
        self._changed[client_id] = None
        self._elsewhere.touched()

    def touch_all(self, sessions: Mapping[str, Session]) -> None:
        """After a start: what the rows on disk do not say yet.

        A session that is not there though its row says so has not ended, for both are in one batch: the
        disk has lost it, and a copy may have it (`is_missed`).
        """
        for session in sessions.values():
            if session.number:
                self.touch(session.client_id)

    def leave(self, client_id: str) -> None:
        """The session has gone to another gateway, whose row says so, or is about to."""
        self._changed.pop(client_id, None)

    def is_changed(self, client_id: str) -> bool:
        """Whether the others are still to be told of this session."""
        return client_id in self._changed

    def is_missed(self, client_id: str, sessions: Mapping[str, Session]) -> bool:
        """Whether all say that the session is here, and it is not: the disk has lost it."""
        if client_id in sessions or self.is_changed(client_id):
            return False
        entry = self.entry(client_id)
        return entry is not None and entry.owner == self.gateway

    def flush(self, sessions: Mapping[str, Session], now: float) -> None:
        """The end of a turn: rows that changed are written, and told."""
        if not self._changed:
            return
        changed, self._changed = self._changed, {}
        rows: list[tuple[str, Row]] = []
        for client_id in changed:
            row = self._row(client_id, sessions.get(client_id), now)
            if row is not None and self.table.put(client_id, row):
                keep_row(self._journal, client_id, row, REGISTRY)
                rows.append((client_id, row))
        if rows:
            self._elsewhere.rows_changed(SESSIONS, rows)

    def end(self, client_id: str, now: float) -> None:
        """The session ends though its owner cannot be asked: a deletion that is a birth of its own."""
        stamp = self._elsewhere.stamp(now)
        row = Row(stamp, stamp, None)
        self.table.put(client_id, row)
        keep_row(self._journal, client_id, row, REGISTRY)
        self._elsewhere.rows_changed(SESSIONS, [(client_id, row)])

    def take(self, rows: Sequence[tuple[str, Row]]) -> list[str]:
        """Takes in what other gateways have; returns the client ids of what is news."""
        news = []
        for key, row in rows:
            if self.table.put(key, row):
                if self.table.get(key) is not None:
                    keep_row(self._journal, key, row, REGISTRY)
                news.append(key)
        return news

    def restored(self, key: str, row: Row) -> None:
        """The disk had this row."""
        self.table.put(key, row)

    def _row(self, client_id: str, session: Session | None, now: float) -> Row | None:
        """What its row is to be; None: it stays, or is another gateway's to write."""
        entry, row = self.entry(client_id), self.table.get(client_id)
        own = entry is not None and entry.owner == self.gateway
        if session is None or not session.number:
            return self.table.changed(client_id, None, self._stamp(now)) if own else None
        if session.passage is not None and not session.passage.own:
            return None
        value = _encode(self._entry(session))
        if row is not None and row.value == value:
            return None
        stamp = self._stamp(now)
        return self.table.changed(client_id, value, stamp) if own else Row(stamp, stamp, value)

    def _entry(self, session: Session) -> Entry:
        filters: list[tuple[str, int, int]] = []
        size = 0
        for name, each in session.subscriptions.items():
            size += len(name) + 8
            if size > FILTERS_BYTES_MAX:
                break
            options = each.qos | each.no_local << 2 | each.retain_as_published << 3
            filters.append((name, options | each.retain_handling << 4, each.identifier))
        whole = len(filters) == len(session.subscriptions)
        about = (self.gateway, session.user, session.epoch, session.line, session.expiry_s)
        return Entry(*about, filters, whole, session.halves)

    def _stamp(self, now: float) -> Stamp:
        return self._elsewhere.stamp(now)

    def _owner(self, value: bytes) -> str:
        try:
            return _decode_owner(value).owner
        except msgspec.DecodeError:
            return ""
