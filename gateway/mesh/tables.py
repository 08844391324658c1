"""How the tables of all gateways become the same.

A change is told to every gateway that is linked. When a link comes up both sides send a digest, list
what they have in the buckets that differ, and send what the other's list shows to be different; which
row stands is the table's to say. Heartbeats carry each table's digest as one number: where it differs
for longer than a change is under way the two compare again, so that what one could not be told directly
it learns from a third. Must not know what rows mean.
"""

from collections.abc import Iterable, Iterator, Sequence

from gateway.effects import SaveRow
from gateway.errors import LinkError
from gateway.ids import Stamp
from gateway.limits import BATCH_BYTES_MAX
from gateway.mesh import reconcile
from gateway.mesh.frames import Compare, Digest, Rows
from gateway.mesh.link import Link
from gateway.mesh.peer import TABLES_AND_CLIENTS, Peer
from gateway.mesh.state import MeshState
from gateway.table import Row, Table

DIFFERING_S = 2.0  # four heartbeats: a change that was told is in by then
ROW_OVERHEAD_BYTES = 100  # of the envelope of one row, near enough
KEY_BYTES_MAX, VALUE_BYTES_MAX = 2_048, 16_384  # of a row that is taken in; real ones have 200

News = Sequence[tuple[str, Row]]


def compare(state: MeshState, peer: Peer, names: Iterable[str]) -> None:
    """Begins to compare these tables with a peer."""
    if peer.link is None or not peer.speaks(TABLES_AND_CLIENTS):
        return
    for name in names:
        peer.differing_since.pop(name, None)
        peer.link.say(Digest(state.tables()[name].digest(), name))


def tell(state: MeshState, name: str, news: News) -> None:
    """Rows changed here: every gateway that is linked hears of it."""
    frames = list(_frames(name, news, compared=False))
    for peer in state.peers.values():
        if peer.link is not None and peer.streaming and peer.speaks(TABLES_AND_CLIENTS):
            for frame in frames:
                peer.link.say(frame)


def roots(state: MeshState) -> dict[str, int]:
    """Each table's digest as one number."""
    return {name: table.root() for name, table in state.tables().items()}


def heard(state: MeshState, peer: Peer, theirs: dict[str, int]) -> None:
    """A heartbeat said how another gateway's tables are."""
    peer.roots = theirs
    for name, root in roots(state).items():
        if name in peer.awaiting or theirs.get(name, root) == root:
            peer.differing_since.pop(name, None)
        elif state.now - peer.differing_since.setdefault(name, state.now) >= DIFFERING_S:
            compare(state, peer, [name])


def unconfirmed(state: MeshState, name: str) -> list[Peer]:
    """The gateways that have not said, by heartbeat, that their table is as it is here."""
    root = roots(state)[name]
    return [peer for peer in state.peers.values() if peer.roots.get(name) != root]


def take(state: MeshState, name: str, rows: News) -> None:
    """Takes rows in; those of the mesh's own tables are put on disk from here."""
    if name not in state.own_tables:
        state.local.rows_came(name, rows, state.now)
        return
    for key, row in rows:
        if state.own_tables[name].put(key, row):
            state.effects.append(SaveRow(name, key, row))


def on_digest(state: MeshState, link: Link, frame: Digest) -> None:
    """The other side's digest of a table: what is listed to it, if something differs."""
    table = state.tables().get(frame.table)
    if table is None:  # a later version has it
        link.say(Rows(frame.table, [], compared=True))
        return
    listings = reconcile.differences(table, frame)
    for listing in listings:
        link.say(listing)
    if not listings:
        state.peers[link.gateway].awaiting.discard(frame.table)


def on_compare(state: MeshState, link: Link, frame: Compare) -> None:
    """The other side's list: what differs from it here is sent."""
    table = state.tables().get(frame.table)
    news = [] if table is None else _differing(table, frame)
    for rows in _frames(frame.table, news, compared=True, last=frame.last):
        link.say(rows)


def on_rows(state: MeshState, link: Link, frame: Rows) -> None:
    """Rows of another gateway; those that are news are taken in."""
    if frame.table in state.tables():
        for key, row in frame.rows:
            _check(key, row)
            for stamp in (row.born, row.stamp):
                state.clock.seen(stamp.time_ms, state.now, stamp.counter)
        take(state, frame.table, frame.rows)
    if frame.compared and frame.last:
        state.peers[link.gateway].awaiting.discard(frame.table)


def _differing(table: Table, theirs: Compare) -> News:
    reconcile.check_buckets(table, theirs)
    stamps = {key: Stamp(*stamp) for key, stamp in theirs.topics}
    return [
        (key, row)
        for number in theirs.buckets
        for key, row in table.bucket(number)
        if row.stamp != stamps.get(key)
    ]


def _frames(name: str, news: News, compared: bool, last: bool = True) -> Iterator[Rows]:
    rows: list[tuple[str, Row]] = []
    size = 0
    for key, row in news:
        rows.append((key, row))
        size += len(key) + len(row.value or b"") + ROW_OVERHEAD_BYTES
        if size > BATCH_BYTES_MAX:
            yield Rows(name, rows, compared, last=False)
            rows, size = [], 0
    if rows or (compared and last):
        yield Rows(name, rows, compared, last=last)


def _check(key: str, row: Row) -> None:
    """Raises LinkError for what no gateway keeps."""
    if len(key.encode()) > KEY_BYTES_MAX or len(row.value or b"") > VALUE_BYTES_MAX:
        raise LinkError("malformed", "a row of a table that is too large")
