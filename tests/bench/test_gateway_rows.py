"""The rows about the gateway alone measure what they say, here each for a moment."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench import account, idle, loads, starts, wire
from bench.beside import Kept, quiet_beside_flood
from bench.brokers import Product, Running, SlowDisk, gateway, mosquitto, mosquitto_path, shovel
from bench.measure import Round, Timing
from bench.rows import ROWS, Row
from bench.starts import Full
from bench.wire import BrokerError
from tests.bench.conftest import ANY_CORE

SHORT = Timing(warm_up_s=0.05, seconds=0.3)
GATEWAYD = Path(sys.executable).parent / "gatewayd"
OURS = gateway(f"{GATEWAYD} --config {{config}}")
FEW = Full(sessions=20, messages=60)


@contextmanager
def slow(sync_ms: float, stall_ms: float = 0.0) -> Iterator[Running]:
    product = gateway(SlowDisk(sync_ms, stall_ms).command("config"))
    with product.start(1, ANY_CORE) as running:
        yield running


def kept(load: Kept, running: Running) -> Round:
    return loads.kept(load)(running, SHORT)


def named(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


def test_what_must_be_kept_waits_for_a_slow_disk_and_nothing_else_does() -> None:
    with slow(sync_ms=150) as running:
        result = kept(Kept(), running)
    assert result.faults == ""
    assert result.details["PUBACK p99, ms"] >= 150
    assert result.value <= 100 / 0.15 * 1.5  # a window a sync, and what the edges of the time give
    for name in ("clean QoS 0", "clean QoS 1"):
        assert 0 < result.details[f"{name} p99, ms"] < 150
    assert result.details["ms a commit"] > 0
    assert result.details[account.NEVER_WRITTEN] == 0
    assert result.details["bytes a message"] > 64


def test_a_disk_that_stalls_holds_back_what_must_be_kept_alone() -> None:
    with slow(sync_ms=0, stall_ms=400) as running:
        result = kept(Kept(stall_s=0.4), running)
    assert result.faults == ""
    assert result.details["PUBACK longest, ms"] >= 400
    assert 0 < result.details["clean QoS 1 p99, ms"] < 400


def test_messages_acknowledged_at_once_are_hardly_ever_written() -> None:
    measure = named("never-written").measure
    assert measure is not None
    with OURS.start(1, ANY_CORE) as running:
        result = measure(running, SHORT)
    assert result.faults == ""
    assert 50 < result.value <= 100


def test_a_kept_row_says_what_the_disk_got() -> None:
    measure = named("kept-away").measure
    assert measure is not None
    with OURS.start(1, ANY_CORE) as running:
        result = measure(running, SHORT)
    assert result.details[account.NEVER_WRITTEN] == 0
    assert result.details["messages a commit"] >= 1


def test_a_broker_without_a_control_socket_has_no_account(broker: Running) -> None:
    assert account.read(broker.control) is None
    assert account.between(None, None, 10) == {}


def test_a_quiet_client_is_timed_alone_and_beside_a_flood(broker: Running) -> None:
    result = quiet_beside_flood(broker.doors[0], SHORT, broker.pids)
    assert result.value > 0 and result.details["p99 alone, ms"] > 0
    assert result.details["the flood, msg/s"] > 1_000


def test_clients_with_subscriptions_are_weighed(
    broker: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle, "SETTLED_S", 0.05)
    result = idle.subscribed_mb(broker.pids[0], broker.doors[0], clients=50)
    assert result.value >= result.details["PSS, MB"] >= result.details["USS, MB"] > 0


@pytest.mark.parametrize("config", ["config", "mesh_config", "tls_config"])
def test_a_start_is_timed_until_a_client_is_answered(config: str) -> None:
    product = gateway(f"{GATEWAYD} --config {{{config}}}")
    result = starts.empty(product, ANY_CORE, starts=1)
    assert result.value > 10
    assert result.details["processor time, ms"] > 10


def stores() -> list[Product]:
    path = mosquitto_path()
    theirs = [mosquitto(path, "mosquitto_kept_config")] if path else []
    return [OURS, *theirs]


@pytest.mark.parametrize("product", stores(), ids=lambda product: product.name)
def test_a_start_with_a_full_store_brings_the_messages_back(product: Product) -> None:
    result = starts.full(product, ANY_CORE, FEW, starts=1)
    assert result.value > 0
    assert ("after kill -9, ms" in result.details) == (product.name == "gateway")


def test_a_full_store_that_lost_a_message_is_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "ANSWER_TIMEOUT_S", 0.5)
    more = Full(sessions=20, messages=80)
    with OURS.start(1, ANY_CORE) as running:
        starts.fill(running.doors[0], FEW)
        with pytest.raises(BrokerError):
            starts._look(running.doors[0], more)


@pytest.mark.slow
@pytest.mark.parametrize("row", [row for row in ROWS if row.is_rate], ids=lambda row: row.name)
def test_a_rows_generator_can_prove_itself_against_the_shovel(row: Row) -> None:
    assert row.measure is not None
    with shovel().start(1, ANY_CORE) as running:
        assert row.measure(running, SHORT).value > 0
