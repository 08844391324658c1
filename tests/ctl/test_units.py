"""Figures are short, and wrong by no more than their last digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ctl.units import celsius, count, duration, load, milliseconds, percent

CASES = [
    (count, [(None, "-"), (0, "0"), (0.0, "0"), (0.04, "0.0"), (0.34, "0.3"), (9.94, "9.9")]),
    (count, [(9.96, "10"), (9999, "9999"), (9999.4, "9999"), (9999.6, "10k"), (12_345, "12k")]),
    (count, [(999_499, "999k"), (999_500, "1.0M"), (1_500_000, "1.5M"), (9.96e6, "10M")]),
    (count, [(2e9, "2.0G"), (9.9949e11, "999G"), (1e12, "1T"), (9e14, "900T")]),
    (duration, [(None, "-"), (0, "0.0s"), (0.44, "0.4s"), (0.96, "1s"), (59.9, "59s"), (60, "1m")]),
    (duration, [(3599, "59m"), (3600, "1h00"), (35_940, "9h59"), (86_340, "23h59")]),
    (duration, [(86_400, "1d0h"), (273_600, "3d4h"), (863_999, "9d23h"), (864_000, "10d")]),
    (
        duration,
        [(86_399_999, "999d"), (86_400_000, "2y"), (9_999_999_999, "317y"), (9e14, ">999y")],
    ),
    (milliseconds, [(None, "-"), (0.05, "50us"), (0.9994, "999us"), (0.9996, "1.0ms")]),
    (milliseconds, [(1.24, "1.2ms"), (9.96, "10ms"), (999.4, "999ms"), (1500, "1.5s")]),
    (milliseconds, [(999_400, "999s"), (9e14, ">999s")]),
    (
        load,
        [
            (None, "-"),
            (0, "0.00"),
            (0.25, "0.25"),
            (9.996, "10.0"),
            (99.94, "99.9"),
            (99.96, "100"),
        ],
    ),
    (load, [(100.2, "100"), (250, "250"), (20_000, "20k")]),
    (percent, [(None, "-"), (0, "0%"), (99.6, "100%"), (101, "100%")]),
    (celsius, [(None, "-"), (52.4, "52C"), (-3, "-3C"), (-500, "-99C"), (5000, "999C")]),
]


@pytest.mark.parametrize(
    ("unit", "value", "word"),
    [(unit, value, word) for unit, pairs in CASES for value, word in pairs],
)
def test_a_figure_has_its_word(unit, value, word):
    assert unit(value) == word


WIDTHS = {count: 4, duration: 5, milliseconds: 5, load: 4, percent: 4, celsius: 4}


@pytest.mark.parametrize("unit", WIDTHS)
@given(value=st.floats(0, 9e14) | st.floats(0, 2000) | st.integers(0, 9 * 10**14))
def test_no_figure_is_wider_than_its_column(unit, value):
    assert len(unit(value)) <= WIDTHS[unit]


@given(st.floats(0.1, 9e14) | st.floats(0.1, 20_000))
def test_a_count_is_right_to_its_last_digit(value):
    word = count(value)
    factor = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}.get(word[-1], 1)
    digits = word.rstrip("kMGT")
    step = factor / 10 if "." in digits else factor
    assert abs(float(digits) * factor - value) <= step / 2 * 1.001
