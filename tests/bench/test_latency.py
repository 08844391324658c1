"""Delays are counted by message, and the 99th of a hundred is the figure."""

from bench.latency import Delays


def test_the_p99_is_the_time_within_which_99_of_100_were_done() -> None:
    delays = Delays()
    for number in range(1, 101):
        delays.add(number / 1000)
    assert delays.p99_ms == 99
    assert delays.longest_ms == 100


def test_messages_that_were_acknowledged_together_count_each() -> None:
    delays = Delays()
    delays.add(0.001, 90)
    delays.add(0.05, 10)
    assert (delays.count, delays.p99_ms) == (100, 50)


def test_one_message_is_its_own_p99_and_none_is_nothing() -> None:
    delays = Delays()
    assert (delays.p99_ms, delays.longest_ms, delays.median_ms) == (0, 0, 0)
    delays.add(0.02)
    assert delays.p99_ms == delays.median_ms == 20


def test_what_was_measured_in_the_warm_up_is_forgotten() -> None:
    delays = Delays()
    delays.add(9)
    delays.clear()
    delays.add(0.001)
    assert delays.longest_ms == 1
