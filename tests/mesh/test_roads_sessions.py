"""Sessions, second copies, shared subscriptions of gateways that reach each other over a third only."""

from random import Random

import pytest

from tests.mesh.room import CLUSTER, Room, between
from tests.mesh.sessions import at_rest, numbers, owners, publish
from tests.mesh.test_promotion import gates, go_on, home, sleeping, subscribed


def cut(room: Room, silent: bool) -> None:
    """a and b do not reach each other any more; `silent`: which they have to find out."""
    line = between(room, "a", "b")
    if silent:
        line.muted = {0, 1}
    else:
        line.cut()


def test_a_session_moves_over_the_road_while_both_sides_publish() -> None:
    room, (a, b, c) = gates("a", "b", "c")
    cut(room, silent=False)
    roamer = subscribed(a, "t")
    writers = [gate.client(f"writer-{gate.name}") for gate in (a, b, c)]
    for number in range(40):
        for writer in writers:
            publish(writer, "t", f"{writer.name} {number}".encode(), qos=2)
        if number % 10 == 5:
            roamer.connect((b, a)[number // 10 % 2])
        go_on(roamer, 0.2)
    go_on(roamer, 2)
    for writer in writers:
        mine = [each for each in roamer.got if each.startswith(writer.name.encode())]
        assert mine == [f"{writer.name} {number}".encode() for number in range(40)]
    assert all(connack.session_present for connack in roamer.connacks[1:])
    assert at_rest(room) and owners(room) == [home(room)] * 3
    assert all(gate.node.broker.vitals.sessions_bare == 0 for gate in (a, b, c))


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("after_s", [0.1, 1.0, 2.0, 3.2])
def test_a_client_that_moves_across_the_cut_before_the_road_is_found_has_one_owner_soon(
    silent: bool, after_s: float
) -> None:
    room, (a, b, _c) = gates("a", "b", "c")
    roamer = sleeping(a, *numbers(0, 50))
    cut(room, silent)
    room.wait(after_s)
    roamer.connect(b)
    go_on(roamer, CLUSTER.dead_s + CLUSTER.suspect_s + 3.0)
    assert roamer.connacks[-1].session_present and roamer.got == numbers(0, 50)
    assert home(room) == "b" and owners(room) == ["b"] * 3 and at_rest(room)
    publish(a.client("late"), "t", b"late", qos=2)
    go_on(roamer)
    assert roamer.got[-1] == b"late" and len(roamer.got) == 51


def test_what_is_on_its_way_to_a_session_when_its_client_moves_across_the_cut_follows_it() -> None:
    """It is in the stream of a to b, which stands still, and is acknowledged when b is suspect; c has
    the copy of b."""
    room, (a, b, _c) = gates("a", "b", "c")
    roamer = sleeping(b, *numbers(0, 10))
    writer = a.client("writer")
    cut(room, silent=True)
    publish(writer, "t", b"on its way", qos=2)
    room.wait(CLUSTER.suspect_s + 0.7)
    assert "PubComp" in writer.kinds()
    roamer.connect(a)
    go_on(roamer, CLUSTER.dead_s + CLUSTER.suspect_s + 3.0)
    assert roamer.got == [*numbers(0, 10), b"on its way"]
    assert a.node.broker.vitals.sessions_bare == 0 and home(room) == "a" and at_rest(room)


# the last three are those that need the longest wait
@pytest.mark.parametrize("seed", [*range(16), 105, 289, 300])
def test_a_client_that_goes_round_through_a_cut_gets_all_of_a_publisher_in_order_once(
    seed: int,
) -> None:
    """From a gateway that hears both to one side, and on to the other side, where the publisher is,
    while that knows nothing of the first move. Before, then or after, the cut is mended."""
    dice = Random(seed)
    room, found = gates("a", "b", "c")
    dice.shuffle(found)
    here, there, between_both = found
    roamer = subscribed(between_both, "t")
    writer = here.client("writer")
    line = between(room, here.name, there.name)
    silent = dice.random() < 0.7
    first, second = sorted(dice.sample(range(45), 2))
    mended = dice.randrange(20, 70)
    if silent:
        line.muted = {0, 1}
    else:
        line.cut()
    for step in range(80):
        for number in range(3 * step, 3 * step + 3):
            publish(writer, "t", b"%d" % number, qos=2)
            room.wait(0.03)
        if step in (first, second):
            roamer.connect(there if step == first else here)
        if step == mended and silent and line in room.lines:
            line.muted = set()
            line.carry()
        elif step == mended:
            room.line(here, there)
        go_on(roamer, 0.1)
    go_on(roamer, 8)
    assert roamer.got == numbers(0, 240) and at_rest(room)


def test_the_second_copy_goes_on_over_the_road() -> None:
    room, (a, b, _c) = gates("a", "b", "c")
    assert a.mesh.copier.stand_in == "b"
    cut(room, silent=True)
    room.wait(CLUSTER.dead_s + 3.0)
    assert a.mesh.copier.two_copies and a.mesh.copier.stand_in == "b"
    assert a.mesh.copier.made == 1, "no more than what was missed"
    roamer = sleeping(a, *numbers(0, 20))
    room.kill(a)
    roamer.connect(b)
    go_on(roamer)
    assert roamer.got == numbers(0, 20)


def test_members_of_a_shared_subscription_on_both_sides_get_each_message_once() -> None:
    room, (a, b, _c) = gates("a", "b", "c")
    members = [gate.client(f"member-{gate.name}") for gate in (a, b)]
    for member in members:
        member.subscribe("$share/g/t", qos=1)
    cut(room, silent=False)
    room.wait(2.5)
    for member in members:
        member.got()
    writer = a.client("writer")
    for number in range(40):
        writer.publish("t", b"%d" % number, qos=1)
        room.settle()
    came = [member.payloads() for member in members]
    assert sorted(int(each) for each in came[0] + came[1]) == list(range(40))
    assert came[0] and came[1]
