"""Two devices with one client id are slowed, and the table of them is bounded."""

from gateway.broker.quarrels import (
    CLIENTS_MAX,
    DELAY_MAX_S,
    DELAY_MIN_S,
    FREE,
    WITHIN_S,
    Quarrels,
)


def taken(quarrels: Quarrels, times: int, now: float = 100.0) -> list[bool]:
    return [quarrels.taken("c", "192.0.2.1", "192.0.2.2", now) for _ in range(times)]


def test_the_sixth_time_within_a_minute_is_told_and_waits() -> None:
    quarrels = Quarrels()
    assert taken(quarrels, FREE) == [False] * FREE
    assert quarrels.due("c", 100.0) == 100.0 and quarrels.current(100.0) == []
    assert taken(quarrels, 2) == [True, False]
    assert quarrels.due("c", 100.0) == 100.0 + 2 * DELAY_MIN_S
    (quarrel,) = quarrels.current(100.0)
    assert quarrel.places == ("192.0.2.1", "192.0.2.2")


def test_the_wait_grows_to_its_end_and_is_forgotten_in_peace() -> None:
    quarrels = Quarrels()
    taken(quarrels, 50)
    assert quarrels.due("c", 100.0) == 100.0 + DELAY_MAX_S
    assert quarrels.due("c", 100.0 + WITHIN_S) == 100.0 + WITHIN_S
    assert quarrels.current(100.0 + WITHIN_S) == []


def test_others_are_not_slowed_and_the_table_is_bounded() -> None:
    quarrels = Quarrels()
    taken(quarrels, FREE + 1)
    for number in range(CLIENTS_MAX):
        quarrels.taken(f"other{number}", "192.0.2.1", "192.0.2.2", 100.0)
    assert quarrels.due("other1", 100.0) == 100.0
    assert quarrels.due("c", 100.0) == 100.0  # forgotten: it was quiet for longest
