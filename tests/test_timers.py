"""Timers: when what fires, and that what is dropped leaves nothing behind."""

from gateway.timers import FOREVER, NO_TIMER, Timers


def test_what_is_due_fires_once_and_in_order() -> None:
    timers, fired = Timers(), []
    timers.set(2.0, lambda now: fired.append(("second", now)))
    timers.set(1.0, lambda now: fired.append(("first", now)))
    timers.set(2.0, lambda now: fired.append(("third", now)))
    assert timers.deadline() == 1.0
    timers.wake(0.9)
    assert fired == []
    timers.wake(2.0)
    timers.wake(3.0)
    assert fired == [("first", 2.0), ("second", 2.0), ("third", 2.0)]
    assert timers.deadline() == FOREVER


def test_a_timer_set_by_another_fires_in_the_same_wake_if_it_is_due() -> None:
    timers, fired = Timers(), []
    timers.set(1.0, lambda now: timers.set(1.5, lambda now: fired.append(now)) and None)
    timers.wake(2.0)
    assert fired == [2.0]


def test_a_timer_set_for_the_time_of_the_wake_lets_others_in_between() -> None:
    timers, fired = Timers(), []

    def slice_of_work(now: float) -> None:
        fired.append("slice")
        timers.set(now, slice_of_work)

    timers.set(1.0, slice_of_work)
    timers.set(2.0, lambda now: fired.append("other"))
    timers.wake(2.0)
    assert fired == ["slice", "other"]
    assert timers.deadline() == 2.0
    timers.wake(2.0)
    assert fired == ["slice", "other", "slice"]


def test_a_dropped_timer_does_not_fire() -> None:
    timers, fired = Timers(), []
    first = timers.set(1.0, lambda now: fired.append("first"))
    timers.set(2.0, lambda now: fired.append("second"))
    timers.drop(first)
    timers.drop(first)
    timers.drop(NO_TIMER)
    assert timers.deadline() == 2.0
    timers.wake(5.0)
    timers.drop(first)
    assert fired == ["second"]


def test_a_timer_may_drop_the_next_one() -> None:
    timers, fired = Timers(), []
    names: list[int] = []
    timers.set(1.0, lambda now: timers.drop(names[0]))
    names.append(timers.set(1.0, lambda now: fired.append("dropped")))
    timers.wake(1.0)
    assert fired == []


def test_what_is_set_and_dropped_for_ever_takes_no_room() -> None:
    timers = Timers()
    kept = timers.set(5_000.0, lambda now: None)
    for number in range(10_000):
        timers.drop(timers.set(1_000_000.0 + number, lambda now: None))
    assert len(timers) < 100
    timers.drop(kept)
    assert timers.deadline() == FOREVER


def test_a_timer_that_raises_is_gone_and_the_others_are_not() -> None:
    timers, fired = Timers(), []
    timers.set(1.0, lambda now: fired.append(1 // 0))
    timers.set(1.0, lambda now: fired.append("still here"))
    try:
        timers.wake(1.0)
    except ZeroDivisionError:
        fired.append("said so")
    timers.wake(1.0)
    assert fired == ["said so", "still here"]
