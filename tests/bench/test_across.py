"""Rows across several brokers: what is kept, what is paced, and what it takes, each for a moment."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import crowd, failover, loads
from bench.account import DISKS
from bench.brokers import Product, Running, gateway, nats, nats_path
from bench.failover import served_elsewhere
from bench.joining import joined_s
from bench.loads import durable
from bench.measure import Timing
from bench.paced import Pace, PacedRun
from bench.stream import Stream, StreamRun
from bench.traffic import WIRE
from bench.wire import BrokerError, Connection
from tests.bench.conftest import ANY_CORE
from tests.bench.test_bad_brokers import bad_shovel
from tests.requires import missing

SHORT = Timing(warm_up_s=0.05, seconds=0.3)
OURS = gateway(f"{Path(sys.executable).parent / 'gatewayd'} --config {{config}}")


def cluster() -> Product:
    return nats(nats_path() or missing("the NATS server is not installed: apt install nats-server"))


@contextmanager
def paced(load: Pace, running: Running) -> Iterator[PacedRun]:
    run = PacedRun(load, running.doors[0], running.doors[-1])
    try:
        yield run
    finally:
        run.close()


@pytest.mark.slow
def test_what_three_gateways_keep_is_fetched_and_weighed() -> None:
    with OURS.start(3, ANY_CORE) as running:
        result = durable(running, SHORT)
    assert result.faults == ""
    assert result.received == result.published > 100
    assert result.details[WIRE] > 2 * 64  # to the session's gateway, and to the copy
    assert result.details[DISKS] > 2 * 64


@pytest.mark.slow
def test_what_a_nats_cluster_keeps_is_fetched_and_weighed() -> None:
    with cluster().start(3, ANY_CORE) as running:
        result = durable(running, SHORT)
    assert result.faults == ""
    assert result.received == result.published > 10
    assert result.details[WIRE] > 2 * 64 and result.details[DISKS] > 3 * 64


def test_a_session_that_lost_a_message_while_it_was_away_is_found_out(broker: Running) -> None:
    door = broker.doors[0]
    run = StreamRun(Stream(1, kept=True, away=True), door, door)
    try:
        result = run.run(SHORT, broker.pids)
        Connection(door, "bench-subscriber-0").close()  # the session is gone, and all of its queue
        with pytest.raises(BrokerError):
            run.fetch(result)
        run.fetch(result)  # a session is there again, since it was asked for
    finally:
        run.close()
    assert result.missing == result.published > 0


@pytest.mark.parametrize("load", (Pace(0), Pace(1), Pace(1, kept=True)))
def test_the_pace_is_kept_and_every_message_is_timed(broker: Running, load: Pace) -> None:
    with paced(load, broker) as run:
        result = run.run(SHORT, broker.pids)
    assert result.faults == ""
    assert result.published == result.received == int(500 * 0.35)
    assert 0 < result.details["p50, ms"] <= result.value <= result.details["longest, ms"]


@pytest.mark.slow
@pytest.mark.parametrize(("copies", "fault"), ((0, "1 missing"), (2, "1 duplicate")))
def test_a_paced_message_that_is_lost_or_doubled_is_found_out(copies: int, fault: str) -> None:
    with bad_shovel(copies).start(1, ANY_CORE) as running, paced(Pace(0), running) as run:
        result = run.run(Timing(warm_up_s=0.0, seconds=0.2, drain_s=0.3), running.pids)
    assert result.faults == fault


@pytest.mark.slow
def test_clients_of_a_killed_gateway_are_timed_until_they_are_served() -> None:
    with OURS.start(3, ANY_CORE) as running:
        joined = joined_s(running)
        loads._await_copies(running)
        result = served_elsewhere(running, count=6)
    assert 0.1 < joined.value < 20
    assert result.faults == "" and result.received == 6
    assert 0 < result.details["last CONNACK, s"] <= result.value < 4


@pytest.mark.slow
def test_a_session_is_timed_until_its_copy_has_brought_everything() -> None:
    with OURS.start(3, ANY_CORE) as running:
        result = loads.promoted(250)(running, SHORT)
    assert result.faults == "" and result.received == 250
    assert 0 < result.details["CONNACK, ms"] <= result.value


def test_a_broker_that_falls_with_all_of_its_clients_is_no_success(
    product: Product, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failover, "SERVED_S_MAX", 1.0)
    with product.start(2, ANY_CORE) as running:  # the other one has none of the sessions
        result = served_elsewhere(running, count=2)
    assert result.faults == "2 clients did not find their session" or result.missing == 2


def test_a_crowd_of_silent_peers_is_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowd, "PEERS", (1, 3))
    monkeypatch.setattr(crowd, "READS", 20)
    result = crowd.cost()
    assert result.value > 0.2
    assert result.details["us with 3 peers"] > 1
