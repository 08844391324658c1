"""What the keeper does at the start, with a real store."""

import gc
from pathlib import Path
from random import Random

import msgspec
import pytest

from gateway.broker.broker import Broker
from gateway.broker.elsewhere import Nowhere
from gateway.broker.journal import Journal
from gateway.broker.keeping import SessionRow
from gateway.broker.records import Row
from gateway.clock import MeshClock
from gateway.config import MqttSection
from gateway.shell.disk import StoreFailure
from gateway.shell.durable import DurableStore, Settings
from gateway.shell.keeper import Keeper

SETTINGS = Settings("gw", free_bytes_min=0, segment_bytes=8192, ballast_bytes=4096)


def started(directory: Path) -> tuple[Keeper, Broker]:
    clock = MeshClock("g", 0, 0.0)
    broker = Broker(MqttSection(), Nowhere(clock), Random(1), Journal(1, clock))
    return Keeper(DurableStore(str(directory), SETTINGS)), broker


def test_nothing_is_collected_while_the_disk_is_read_and_everything_later(tmp_path: Path) -> None:
    keeper, broker = started(tmp_path)
    keeper.restore(broker, 0.0)
    row = Row("session", "1", msgspec.msgpack.encode(SessionRow("c", 60.0)))
    keeper.store.commit([row]).result()
    keeper.store.close()

    keeper, broker = started(tmp_path)
    begun = sum(each["collections"] for each in gc.get_stats())
    keeper.restore(broker, 0.0)
    assert sum(each["collections"] for each in gc.get_stats()) == begun
    assert list(broker.state.sessions) == ["c"]
    assert gc.isenabled() and gc.get_freeze_count() > 0
    keeper.store.close()
    gc.unfreeze()


def test_a_start_that_fails_leaves_the_collector_on(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("where a directory should be")
    keeper, broker = started(tmp_path)
    with pytest.raises(StoreFailure):
        keeper.restore(broker, 0.0)
    assert gc.isenabled()
