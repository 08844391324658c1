"""kill -9 at random moments costs nothing that was acknowledged."""

import pytest

from tests.kill.loop import run


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_daemon_killed_at_any_moment_keeps_its_word(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    verdict = run(tmp_path_factory.mktemp("k"), 10, seed=1)
    assert verdict.good, str(verdict)
    assert verdict.acknowledged > 1000, "nothing to speak of happened"
