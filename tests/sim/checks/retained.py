"""G6: at the end all retained stores are the same, and sessions have seen what is in them."""

from gateway.mqtt.topics import matches
from tests.sim.box import Box
from tests.sim.history import History, Session


def check(history: History, boxes: list[Box]) -> list[str]:
    """Stores that differ; sessions whose last value is another one than the store's."""
    stores = {box.name: _contents(box) for box in boxes}
    first = boxes[0].name
    problems = []
    for name, store in stores.items():
        for topic in sorted({*store, *stores[first]}):
            if store.get(topic) != stores[first].get(topic):
                text = f"{store.get(topic)} at {name}, {stores[first].get(topic)} at {first}"
                problems.append(f"{topic} is {text}")
    if not problems and len({tuple(_digest(box)) for box in boxes}) > 1:
        problems.append("equal stores with different digests")
    if problems:
        return problems
    for session in history.sessions:
        if session.closed_at > history.ended_at:
            problems += _last_seen(session, stores[first])
    return problems


def _last_seen(session: Session, store: dict[str, tuple[object, str | None]]) -> list[str]:
    last = {delivery.topic: delivery for delivery in session.deliveries}
    problems = []
    for topic, (_, kept) in store.items():
        wanted = any(
            matches(granted.topic_filter, topic) and granted.granted_at < float("inf")
            for granted in session.granted
        )
        if not wanted:
            continue
        seen = last.get(topic)
        if seen is None and kept is None:
            continue
        if seen is None or seen.ident != (kept or ""):
            text = "nothing" if seen is None else repr(seen.ident)
            problems.append(
                f"{session.client} ({session.number}) at {session.box} saw {text} last on {topic},"
                f" the store says {kept!r}"
            )
    return problems


def _contents(box: Box) -> dict[str, tuple[object, str | None]]:
    assert box.node is not None
    retained = box.node.broker.retained
    contents: dict[str, tuple[object, str | None]] = {}
    for number in range(len(retained.digest())):
        for topic, entry in retained.bucket(number):
            message = entry.message
            contents[topic] = (entry.stamp, None if message is None else message.payload.decode())
    return contents


def _digest(box: Box) -> list[int]:
    assert box.node is not None
    return box.node.broker.retained.digest()
