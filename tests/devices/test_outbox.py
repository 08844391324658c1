"""The outbox: in order, bounded, and a lost connection loses nothing."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.events import Message
from gateway.devices.outbox import IN_FLIGHT_MAX, Outbox


def message(serial: int, size: int = 10) -> Message:
    return Message(serial, "port", "", b"x" * size, 1, False)


def take_all(outbox: Outbox) -> list[int]:
    taken = []
    while found := outbox.take():
        taken.append(found.serial)
    return taken


def test_what_was_in_flight_comes_first_after_a_lost_connection() -> None:
    outbox = Outbox()
    for serial in range(1, 6):
        outbox.put(message(serial))
    assert [outbox.take(), outbox.take(), outbox.take()] == [message(n) for n in (1, 2, 3)]
    outbox.acknowledge(2)
    outbox.rewind()
    assert take_all(outbox) == [1, 3, 4, 5]


def test_no_more_than_the_window_is_in_flight() -> None:
    outbox = Outbox()
    for serial in range(1, IN_FLIGHT_MAX + 10):
        outbox.put(message(serial))
    assert len(take_all(outbox)) == IN_FLIGHT_MAX
    outbox.acknowledge(1)
    assert take_all(outbox) == [IN_FLIGHT_MAX + 1]


def test_the_oldest_waiting_goes_first_when_there_are_too_many() -> None:
    outbox = Outbox(messages_max=3)
    for serial in (1, 2, 3):
        assert outbox.put(message(serial)) == []
    assert outbox.put(message(4)) == [message(1)]
    assert take_all(outbox) == [2, 3, 4]
    # All that is left is in flight and may have arrived: the new one has to go.
    assert outbox.put(message(5)) == [message(5)]


def test_bytes_are_bounded_as_messages_are() -> None:
    outbox = Outbox(bytes_max=100)
    for serial in range(1, 11):
        assert outbox.put(message(serial)) == []
    assert outbox.put(message(11, size=25)) == [message(1), message(2), message(3)]
    assert outbox.put(message(12, size=200))[-1] == message(12, size=200)
    assert len(outbox) == 0


def test_what_is_acknowledged_makes_room() -> None:
    outbox = Outbox(messages_max=3, bytes_max=30)
    for serial in range(1, 100):
        assert outbox.put(message(serial)) == []
        assert outbox.take() == message(serial)
        outbox.acknowledge(serial)


@given(st.lists(st.sampled_from(["put", "take", "acknowledge", "rewind"]), max_size=200))
def test_nothing_is_lost_and_the_order_stays_whatever_happens(steps: list[str]) -> None:
    outbox, put, acknowledged, dropped = Outbox(messages_max=5), 0, set(), set()
    in_flight: list[int] = []
    for step in steps:
        if step == "put":
            put += 1
            dropped |= {lost.serial for lost in outbox.put(message(put))}
        elif step == "take":
            if taken := outbox.take():
                assert not in_flight or taken.serial > in_flight[-1]
                in_flight.append(taken.serial)
        elif step == "acknowledge" and in_flight:
            acknowledged.add(in_flight[0])
            outbox.acknowledge(in_flight.pop(0))
        elif step == "rewind":
            in_flight.clear()
            outbox.rewind()
        assert len(outbox) <= 5
    outbox.rewind()
    assert set(take_all(outbox)) == set(range(1, put + 1)) - acknowledged - dropped
    for serial in acknowledged:
        assert serial not in dropped
