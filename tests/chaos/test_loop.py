"""A few rounds of the loop: what a mesh promised it keeps over the worst faults."""

import os
from pathlib import Path

import pytest

from tests.chaos.faults import FAULTS
from tests.chaos.loop import run
from tests.requires import missing, needs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

FEW = ("kill the publishers'", "destroy", "cut")


def test_real_gateways_that_are_hurt_keep_their_word(short_directory: Path) -> None:
    for command in ("ip", "iptables", "setpriv"):
        needs(command)
    if os.geteuid() != 0:
        missing("network namespaces need root")
    faults = [FAULTS[name] for name in FEW]
    verdicts = list(run(short_directory, len(FEW), 1, [3], faults))
    for verdict in verdicts:
        print(verdict)
    assert all(verdict.good for verdict in verdicts), "see what is printed, and what is kept"
    assert sum(verdict.deliveries for verdict in verdicts) > len(FEW) * 10_000
