"""A broker that loses or doubles one message of thousands is found out, whatever the load."""

import sys

import pytest

from bench.brokers import Product
from bench.many import Many, ManyRun
from bench.measure import Round, Timing
from bench.stream import Stream, StreamRun
from tests.bench.conftest import ANY_CORE

SHORT = Timing(warm_up_s=0.01, seconds=0.05, drain_s=0.3, stall_s=0.2)
BAD_SHOVEL = """
import sys
from bench.shovel import Shovel

class Bad(Shovel):
    left = 1

    def _read(self, peer):
        before = len(self._load)
        super()._read(peer)
        if self.left and len(self._load) > before:
            self.left -= 1
            end = before + 2 + self._load[before + 1]
            self._load[before:end] = self._load[before:end] * int(sys.argv[2])

Bad(int(sys.argv[1])).serve()
"""


def bad_shovel(copies: int) -> Product:
    """Forwards the first message of its first batch `copies` times."""
    command = (sys.executable, "-c", BAD_SHOVEL)
    return Product("bad", lambda site: (*command, str(site.port), str(copies)))


def measured(copies: int, load: Stream | Many) -> Round:
    with bad_shovel(copies).start(1, ANY_CORE) as running:
        door = running.doors[0]
        run = ManyRun(load, door) if isinstance(load, Many) else StreamRun(load, door, door)
        try:
            return run.run(SHORT, running.pids)
        finally:
            run.close()


LOADS = pytest.mark.parametrize("load", (Stream(0), Stream(1), Stream(2), Many(publishers=5)))


@pytest.mark.slow
@LOADS
def test_one_lost_message_is_missing(load: Stream | Many) -> None:
    result = measured(0, load)
    assert result.faults == "1 missing"
    assert result.received == result.published - 1


@pytest.mark.slow
@LOADS
def test_one_doubled_message_is_a_duplicate(load: Stream | Many) -> None:
    result = measured(2, load)
    assert result.faults == "1 duplicate"
    assert result.received == result.published + 1
