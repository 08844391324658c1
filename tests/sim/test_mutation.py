"""Planting a bug: in place, for as long as it is wanted, and never in code that is not there."""

from collections.abc import Callable

import pytest

from gateway.clock import MeshClock
from gateway.limits import GATEWAYS_MAX
from gateway.mqtt.topics import matches
from tests.sim.mutation import Change, planted

TABLE: dict[str, Callable[[str, str], bool]] = {"matches": matches}  # who holds it has the bug, too
CLOCK = "gateway.clock:MeshClock"


def test_a_bug_is_there_while_it_is_planted_and_gone_behind() -> None:
    clock = MeshClock("g", 5_000, 0.0)
    with planted(Change(f"{CLOCK}.read", "return max(", "return min(")):
        assert clock.read(1.0) == 5_000
    assert clock.read(1.0) == 6_000


def test_it_is_in_tables_and_imports_as_well() -> None:
    with planted(Change("gateway.mqtt.topics:matches", "== len(given)", "!= len(given)")):
        assert not TABLE["matches"]("a/b", "a/b")
    assert TABLE["matches"]("a/b", "a/b")


def test_it_is_gone_also_when_the_run_breaks() -> None:
    clock = MeshClock("g", 5_000, 0.0)
    with pytest.raises(ZeroDivisionError), planted(Change(f"{CLOCK}.read", "max(", "min(")):
        _ = clock.read(1.0) // 0
    assert clock.read(1.0) == 6_000


@pytest.mark.parametrize(
    "change",
    [
        Change("gateway.clock:MeshClock.reed", "max(", "min("),
        Change("gateway.clock:Clock.read", "max(", "min("),
        Change("gateway.limits:GATEWAYS_MAX", "1", "2"),
        Change(f"{CLOCK}.read", "maximum(", "min("),
        Change(f"{CLOCK}.stamp", "time_ms", "other"),
    ],
    ids=["no such function", "no such class", "no function", "no such text", "text there twice"],
)
def test_a_change_that_does_not_fit_the_code_is_an_error(change: Change) -> None:
    with pytest.raises(LookupError, match=r"gateway\.(clock|limits)"), planted(change):
        pytest.fail("planted")
    assert GATEWAYS_MAX > 1
