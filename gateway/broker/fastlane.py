"""The road of a plain QoS 0 message: from the bytes of one read to its subscribers' outboxes.

Plain: QoS 0, not retained, no properties. Such a frame is the same bytes for every subscriber of its
publisher's dialect, so frames of one topic that follow each other leave as one piece, unopened. The
benchmark rows "QoS 0, one to one" and "fan-out" are what this file is for. Everything else is left to
the handlers. Must not know sessions or packets.
"""

from gateway.broker.routes import Route
from gateway.broker.vitals import Vitals
from gateway.mqtt.framing import encode_length

PLAIN_PUBLISH = 0x30

Frame = tuple[int, int, int]  # first byte, start and end of the body, in the bytes read


def forward_plain(
    data: bytes,
    frames: list[Frame],
    index: int,
    dialect: int,
    routes: dict[bytes, Route],
    vitals: Vitals,
) -> int:
    """Forwards plain frames from `index` on; returns the index of the first one that is not.

    A frame is left alone when its topic has no cached route, or one that needs a closer look.
    """
    total = len(frames)
    while index < total:
        first, start, end = frames[index]
        if first != PLAIN_PUBLISH or end - start < 3:
            return index
        size = 2 + (data[start] << 8 | data[start + 1])
        field = data[start : start + size]
        route = routes.get(field)
        if route is None or route.live is None:
            return index
        run = index
        while run < total:
            first, start, end = frames[run]
            at = start + size
            if first != PLAIN_PUBLISH or at + dialect > end or not data.startswith(field, start):
                break
            if dialect and data[at]:
                break
            run += 1
        if run == index:
            return index
        _forward(data, frames, index, run, dialect, route, vitals)
        index = run
    return index


def _forward(
    data: bytes,
    frames: list[Frame],
    index: int,
    run: int,
    dialect: int,
    route: Route,
    vitals: Vitals,
) -> None:
    """Frames `index` to `run` of one topic go to everyone on its route."""
    assert route.live is not None
    count = run - index
    same, other = route.live[dialect], route.live[1 - dialect]
    vitals.messages_in += count
    vitals.messages_out += count * (len(same) + len(other))
    if same:
        piece = data[frames[index - 1][2] if index else 0 : frames[run - 1][2]]
        for outbox in same:
            if not outbox.pieces:
                outbox.touched.append(outbox)
            outbox.pieces.append(piece)
    if other:
        piece = b"".join(
            _translate(data, frame, dialect, route.field) for frame in frames[index:run]
        )
        for outbox in other:
            outbox.send(piece)


def _translate(data: bytes, frame: Frame, dialect: int, field: bytes) -> bytes:
    """The same message in the other dialect: with, or without, an empty property list."""
    payload = data[frame[1] + len(field) + dialect : frame[2]]
    properties = b"" if dialect else b"\0"
    length = len(field) + len(properties) + len(payload)
    return b"\x30" + encode_length(length) + field + properties + payload
