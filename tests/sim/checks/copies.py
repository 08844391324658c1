"""G1 with two copies: while the status says so, what was acknowledged for a session that is kept is in
the copy at the stand-in, until the client has it. Asked while it runs, for each copy is read back.

What came from another gateway is safe here when the two were joined until it was acknowledged.
"""

from typing import Any

from tests.broker.copied import restored
from tests.sim.box import Box, says_two
from tests.sim.checks.kept import promised
from tests.sim.history import History, Kept
from tests.sim.moves import Moves


def look(history: History, boxes: list[Box], now: float) -> None:
    """Reads the copy of every gateway that says that there is one of everything."""
    by_id = {box.gateway: box for box in boxes}
    for box in boxes:
        if box.node is None or box.node.mesh is None or box.disk.card is None:
            continue
        keeper = by_id.get(box.node.mesh.copier.stand_in)
        if keeper is None or not says_two(box, keeper):
            continue
        history.copies_read += 1
        copy = keeper.disk.shelves.whole(box.gateway)
        if copy is None:
            history.not_copied.append(f"{box.name} has no copy at {now:.4f}, and says so")
            continue
        found = restored(copy, box.disk.card, box.disk.mesh_time_ms, box.clock())["sessions"]
        for kept in history.kept:
            if kept.box == box.name and kept.ended_at > now:
                history.not_copied += _missing(history, kept, found.get(kept.client), now)


def _missing(history: History, kept: Kept, session: dict[str, Any] | None, now: float) -> list[str]:
    if session is None:
        needed = any(granted.granted_at <= now for granted in kept.granted)
        return [f"{kept.client} is not in the copy at {now:.4f}"] if needed else []
    moves = Moves(history, kept)
    there = {message[0][2].decode() for message in session["waiting"]}
    there |= {each[0][2].decode() for each in session["inflight"].values() if each is not None}
    got = {delivery.ident: None for delivery in kept.deliveries}
    return [
        f"{kept.client} at {kept.box} has {each.ident} (QoS {each.qos}) not in its copy at {now:.4f}"
        for each in history.publications
        if each.qos
        and each.ident
        and each.ident not in got
        and each.ident not in there
        and each.acked_at <= now
        and promised(history, kept, each, moves)
        and history.were_joined(each.box, kept.box, each.sent_at, each.acked_at)
    ]
