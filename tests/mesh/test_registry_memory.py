"""What a gateway knows of all sessions of a full mesh fits in its budget."""

import pytest

from bench.tables import weigh

BUDGET_MB = 150


@pytest.mark.slow
def test_registry_clients_and_interest_of_a_full_mesh_fit_in_their_budget() -> None:
    weighed = weigh()
    assert weighed.value < BUDGET_MB, weighed.details
