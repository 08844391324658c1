"""Scenarios said to our broker and to Mosquitto: the same answers, but where a line says why not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.scenarios import Scenario, load, play
from tests.gateways import Broker, Gateway, Mosquitto, free_port
from tests.requires import needs

SCENARIOS = list(load())


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Broker, Broker]]:
    """Ours and Mosquitto, for all scenarios: each leaves them as it found them."""
    needs("mosquitto")
    folder: Path = tmp_path_factory.mktemp("same")
    with (
        Gateway("ours", "127.0.0.1", folder / "g", port=free_port()) as ours,
        Mosquitto("mosquitto", "127.0.0.1", free_port(), folder / "m") as other,
    ):
        yield ours, other


@pytest.mark.parametrize("scenario", SCENARIOS, ids=[each.title for each in SCENARIOS])
def test_the_answers_are_mosquittos(scenario: Scenario, brokers: tuple[Broker, Broker]) -> None:
    ours, others = (play(scenario, (each.host, each.port)) for each in brokers)
    wrong = []
    for step, our, other in zip(scenario.steps, ours, others, strict=True):
        if (our == other) == bool(step.differs):
            wrong.append(f"{step.client} > {step.said}\n  ours      {our}\n  mosquitto {other}")
    assert not wrong, "\n".join(wrong)
