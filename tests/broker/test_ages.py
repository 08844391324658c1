"""For how long messages have waited, by their numbers."""

from gateway.broker.ages import MARKS_MAX, SAVE_S, Ages


def test_a_message_came_at_the_latest_when_the_next_mark_was_made() -> None:
    ages = Ages()
    ages.mark(10, 100.0)
    ages.mark(20, 200.0)
    assert [ages.came_at(number, 300.0) for number in (5, 9, 10, 19, 20)] == [
        *(100.0, 100.0, 200.0, 200.0),
        300.0,
    ]
    assert [ages.below(when) for when in (99.0, 100.0, 199.0, 200.0)] == [0, 10, 10, 20]


def test_without_news_no_mark_is_made_and_so_the_age_is_right() -> None:
    ages = Ages()
    for second in range(1000):
        ages.mark(10, float(second))
    assert len(ages) == 1
    assert ages.came_at(9, 1000.0) == 0.0


def test_there_are_few_marks_however_long_it_lasts_and_ages_are_about_right() -> None:
    ages, end = Ages(), 60_480
    for second in range(0, end, 10):
        ages.mark(second + 10, float(second))
        assert len(ages) <= MARKS_MAX
    now = float(end)
    assert ages.came_at(0, now) == 0.0, "the oldest is known best"
    for number in (1_000, 30_000, 60_000, 60_400):
        age = now - number
        assert 0 <= ages.came_at(number, now) - number <= max(10.0, age / 10)


def test_what_nobody_has_any_more_needs_no_mark() -> None:
    ages = Ages()
    for number in range(10, 60, 10):
        ages.mark(number, float(number))
    ages.forget_below(30)
    assert len(ages) == 2
    assert ages.came_at(30, 99.0) == 40.0
    ages.clear()
    assert ages.came_at(30, 99.0) == 99.0


def test_the_disk_hears_of_them_now_and_then_and_a_gateway_that_is_off_does_not_count() -> None:
    ages = Ages()
    ages.mark(10, 100.0)
    saved = ages.to_save(160.0)
    assert saved == [(10, 60)]
    assert ages.to_save(160.0 + SAVE_S - 1) is None
    assert ages.to_save(160.0 + SAVE_S) is not None
    later = Ages()
    later.restore(saved, 5.0)
    assert later.came_at(9, 5.0) == -55.0
