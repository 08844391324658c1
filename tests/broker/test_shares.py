"""A table that addresses share: room, who gives up what, and whose turn it is."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.broker.shares import Shares


def test_one_address_may_have_all_the_room_until_another_comes() -> None:
    shares, gone = Shares(4), []
    numbers = [shares.enter("a", lambda at=at: gone.append(at)) for at in range(4)]
    assert all(numbers) and shares.enter("a", lambda: None) == 0
    assert shares.enter("b", lambda: gone.append("b")) and gone == [3], "its newest goes"
    assert shares.enter("b", lambda: gone.append("b")) and gone == [3, 2]
    assert shares.enter("b", lambda: gone.append("b")) == 0, "both have the same now"
    assert shares.enter("c", lambda: gone.append("c")) and len(shares) == 4


def test_the_places_take_turns_and_each_its_oldest_first() -> None:
    shares = Shares(10)
    first, second = shares.enter("a", lambda: None), shares.enter("a", lambda: None)
    other = shares.enter("b", lambda: None)
    order = []
    while len(shares):
        number = shares.turn(next(iter(shares.places())))
        shares.leave(number)
        order.append(number)
    assert order == [first, other, second]


def test_who_has_left_may_leave_again() -> None:
    shares = Shares(1)
    number = shares.enter("a", lambda: None)
    shares.leave(number)
    shares.leave(number)
    shares.leave(0)
    assert shares.enter("b", lambda: None) and len(shares) == 1


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.booleans()), max_size=60))
def test_nobody_has_two_more_than_who_is_refused(steps: list[tuple[str, bool]]) -> None:
    shares, held = Shares(5), {}  # number -> place

    def enter(place: str) -> None:
        def give_up() -> None:
            del held[mine[0]]

        mine = [0]
        number = shares.enter(place, give_up)
        if number:
            mine[0] = number
            held[number] = place
            return
        counts = [list(held.values()).count(each) for each in "abcdef"]
        own = list(held.values()).count(place)
        assert len(held) == 5 and max(counts) <= own + 1

    for place, leaves in steps:
        if leaves and held:
            number = min(held)
            shares.leave(number)
            del held[number]
        else:
            enter(place)
        assert len(shares) == len(held) <= 5
        assert set(shares.places()) == set(held.values())
