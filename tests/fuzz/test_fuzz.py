"""A minute of fuzzing, of seeds that are the same in every run and of some that are new."""

from random import SystemRandom

import pytest

from tests.fuzz.__main__ import run, shrunk
from tests.fuzz.inside import Inside, codec
from tests.fuzz.script import make


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_the_broker_keeps_its_promises_whatever_clients_say(seed: int) -> None:
    Inside().play(make(seed, 120))


@pytest.mark.slow
def test_what_decodes_is_written_and_read_again() -> None:
    codec(1, 20_000)


@pytest.mark.slow
def test_new_seeds_inside_and_against_a_daemon() -> None:
    first = SystemRandom().randrange(1_000_000_000)
    print(f"from seed {first} on")
    assert run(first, 20.0)[1] == 0


def test_a_script_is_the_same_for_the_same_seed() -> None:
    assert make(7, 50) == make(7, 50) != make(8, 50)


def test_a_failing_script_is_cut_down_to_what_it_needs() -> None:
    assert shrunk([["pass", 0.01]] * 20 + [["no such action"]]) == [["no such action"]]
