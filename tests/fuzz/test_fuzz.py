"""A minute of fuzzing, of seeds that are the same in every run and of some that are new."""

from random import SystemRandom

import pytest

from gateway.broker.traces import Line, Trace
from gateway.mqtt.framing import split
from tests.fuzz.__main__ import run, shrunk
from tests.fuzz.inside import PACKET_BYTES_MAX, Inside, codec
from tests.fuzz.script import Action, make


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(40))
def test_the_broker_keeps_its_promises_whatever_clients_say(seed: int) -> None:
    Inside().play(make(seed, 120))


class Heard(Inside):
    """Writes down what every client is told; a trace of everything may be running all the while."""

    def __init__(self, watched: bool) -> None:
        super().__init__()
        self.heard: list[tuple[int, list[bytes]]] = []
        self.steps = 0
        self._watched = watched

    def _do(self, action: Action) -> None:
        if self._watched and not self.world.broker.watching:
            self._trace = Trace(("#", "$SYS/#"), "", lambda: None)
            assert self.world.broker.watching.trace(self._trace)
        super()._do(action)
        while self._watched and (line := self._trace.take()) is not None:
            if isinstance(line, Line):
                line.document(payload=True)
            self.steps += 1

    def _check(self) -> None:
        for client, line in self.lines.items():
            data = b"".join(line.connection.outbox.pieces)
            frames, _ = split(data, PACKET_BYTES_MAX)
            # in any order: who has a message by a shared subscription, too, may get that one first
            self.heard.append((client, sorted(data[start:end] for _, start, end in frames)))
        super()._check()


@pytest.mark.slow
def test_a_trace_changes_nothing_that_clients_are_told() -> None:
    steps = 0
    for seed in range(12):
        script = make(seed, 120)
        alone, watched = Heard(False), Heard(True)
        alone.play(script)
        watched.play(script)
        assert watched.heard == alone.heard, seed
        steps += watched.steps
    assert steps > 100


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
