"""What clients publish at any gateway is shown to who watches at one, and nobody is overrun by it."""

from collections.abc import Sequence
from typing import Any

from gateway.broker.asked import LINES_MAX
from gateway.broker.traces import TRACES_MAX, Trace
from gateway.limits import QUESTION_TIMEOUT_S
from gateway.mesh.frames import Shown, Watch
from gateway.mesh.questions import LINK_BROKE, TIMED_OUT
from gateway.mesh.watching import SLOT_BYTES, SLOT_S, SLOT_STEPS, WATCHED_MAX
from tests.mesh.room import Gate, Room, between


class Audience:
    """Writes down what it is shown."""

    def __init__(self) -> None:
        self.steps: list[tuple[str, float, dict[str, Any]]] = []
        self.lost: dict[str, int] = {}
        self.missing: dict[str, str] = {}

    def shown(self, gateway: str, steps: Sequence[tuple[float, dict[str, Any]]], lost: int) -> None:
        self.steps += [(gateway, at, what) for at, what in steps]
        if lost:
            self.lost[gateway] = self.lost.get(gateway, 0) + lost

    def silent(self, gateway: str, why: str) -> None:
        self.missing[gateway] = why

    def topics(self) -> list[tuple[str, str, str]]:
        """Gateway, client and topic of what was shown."""
        return [(gateway, step["client"], step["topic"]) for gateway, _, step in self.steps]


def watch(
    gate: Gate, *filters: str, client: str = "", payload: bool = True
) -> tuple[Audience, int]:
    audience = Audience()
    number = gate.mesh.operating.watch(
        Watch(0, list(filters), client, payload), audience, gate.room.now
    )
    gate.room.settle()
    return audience, number


def test_what_is_published_elsewhere_is_shown_once_with_its_gateway() -> None:
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    for gate in (a, b, c):
        gate.client(f"reader-{gate.name}").subscribe("#")
    room.settle()
    audience, _ = watch(a, "t/#")
    for gate, qos in ((b, 0), (c, 1), (b, 2)):
        gate.client(f"w{qos}").publish(f"t/{qos}", b"7", qos)
        room.settle()
    assert audience.topics() == [("b", "w0", "t/0"), ("c", "w1", "t/1"), ("b", "w2", "t/2")]
    assert [step["qos"] for _, _, step in audience.steps] == [0, 1, 2]
    assert {step["payload"] for _, _, step in audience.steps} == {"7"}
    assert not audience.missing and not audience.lost


def test_only_the_filters_and_the_client_that_are_wanted_are_shown() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    audience, _ = watch(a, "t/+", client="w", payload=False)
    for client in (b.client("w"), b.client("v")):
        for topic in ("t/1", "u/1"):
            client.publish(topic, b"x")
    room.settle()
    assert audience.topics() == [("b", "w", "t/1")]
    assert audience.steps[0][2]["payload"] is None


def test_it_says_when_the_message_came_by_the_clock_here() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    audience, _ = watch(a, "#")
    came = room.now
    b.client("w").publish("t", b"", 0)
    between(room, "a", "b").muted = {1}
    room.wait(1)
    between(room, "a", "b").muted = set()
    room.settle()
    # How long it was on its way is not known; that it waited at its gateway is.
    ((_, at, _),) = audience.steps
    assert came <= at <= room.now


def test_who_does_not_watch_any_more_is_told_nothing_and_costs_nothing() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    audience, number = watch(a, "#")
    assert len(b.node.broker.watching) == 1
    a.mesh.operating.unwatch(number)
    room.settle()
    assert len(b.node.broker.watching) == 0 and b.node.broker.state.traces is None
    b.client("w").publish("t", b"", 0)
    room.settle()
    assert not audience.steps


def test_a_gateway_that_comes_later_is_watched_too() -> None:
    room = Room()
    a, _b = room.linked("a", "b")
    audience, _ = watch(a, "#")
    c = room.gate("c")
    room.line(c, a)
    room.settle()
    c.client("w").publish("t", b"", 0)
    room.settle()
    assert audience.topics() == [("c", "w", "t")]


def test_a_link_that_breaks_is_named_ends_the_watch_there_and_begins_it_anew() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    audience, _ = watch(a, "#")
    between(room, "a", "b").cut()
    assert audience.missing == {"b": LINK_BROKE}
    assert len(b.node.broker.watching) == 0
    room.line(a, b)
    room.settle()
    assert len(b.node.broker.watching) == 1
    b.client("w").publish("t", b"", 0)
    room.settle()
    assert audience.topics() == [("b", "w", "t")]


def test_who_does_not_say_that_it_is_watched_is_named() -> None:
    room = Room()
    a, _b = room.linked("a", "b")
    between(room, "a", "b").muted = {1}
    audience, _ = watch(a, "#")
    room.wait(QUESTION_TIMEOUT_S)
    assert audience.missing == {"b": TIMED_OUT}


def test_a_busy_gateway_tells_so_much_in_a_slot_and_counts_the_rest() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    audience, _ = watch(a, "#")
    room.frames.clear()
    writer = b.client("w")
    published = 3 * LINES_MAX
    for number in range(published):
        writer.publish(f"t/{number}", b"", 0)
    room.settle()
    assert len(audience.steps) == SLOT_STEPS
    room.wait(SLOT_S)
    assert len(audience.steps) == 2 * SLOT_STEPS
    room.wait(SLOT_S * LINES_MAX / SLOT_STEPS)
    writer.publish("t/last", b"", 0)
    room.wait(SLOT_S)
    assert audience.steps[-1][2]["topic"] == "t/last"
    assert len(audience.steps) + audience.lost["b"] == published + 1
    assert len(audience.steps) == LINES_MAX + 1


def test_long_topics_are_told_more_slowly() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    audience, _ = watch(a, "#")
    writer = b.client("w")
    for _ in range(5):
        writer.publish("t" * 3 * SLOT_BYTES, b"", 0)
    room.settle()
    assert len(audience.steps) == 1
    room.wait(3 * SLOT_S)
    assert len(audience.steps) == 1
    room.wait(SLOT_S)
    assert len(audience.steps) == 2


def test_so_many_may_watch_a_gateway_and_its_own_operators_have_their_share() -> None:
    room = Room()
    a, b = room.linked("a", "b")
    numbers = [watch(a, f"t/{number}")[1] for number in range(WATCHED_MAX)]
    refused, _ = watch(a, "one/more")
    assert refused.missing == {"b": "others watch it already; one of them must end"}
    traces = [Trace(("#",), "", lambda: None) for _ in range(TRACES_MAX + 1)]
    assert [b.node.broker.watching.trace(trace) for trace in traces] == [True] * TRACES_MAX + [
        False
    ]
    a.mesh.operating.unwatch(numbers[0])
    room.settle()
    assert not watch(a, "one/more")[0].missing


def test_what_is_no_filter_is_refused_in_words() -> None:
    room = Room()
    a, _b = room.linked("a", "b")
    audience, _ = watch(a, "t/#/u")
    assert list(audience.missing) == ["b"]
    audience, _ = watch(a, *(f"t/{number}" for number in range(17)))
    assert audience.missing == {"b": "there are more than 16 filters"}


def test_a_watch_costs_a_quiet_gateway_one_frame() -> None:
    room = Room()
    a, _b = room.linked("a", "b")
    room.frames.clear()
    watch(a, "#")
    room.wait(5)
    assert [frame for _, _, frame in room.frames if isinstance(frame, Shown)] == [Shown(1, [])]
