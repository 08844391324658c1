"""Wills survive a power cut, and are sent once."""

from gateway.broker.records import Row
from gateway.mqtt.packets import (
    Will,
)
from gateway.mqtt.properties import Properties
from tests.broker.kept import WEEK_S, KeptWorld, away, persistent
from tests.broker.world import Client


def test_a_delayed_will_survives_and_is_sent_once() -> None:
    world = KeptWorld()
    away(world)
    client = world.client("w")
    will = Will("t", b"will", 1, False, Properties(will_delay_interval_s=60))
    client.connect(True, will=will, session_expiry_interval_s=WEEK_S)
    world.settle()
    client.lose()
    world.now += 11
    world.settle()
    world.power_cut()
    world.pass_s(61)
    world.settle()
    world.power_cut()
    world.pass_s(120)
    assert persistent(world, "s").acknowledge() == [b"will"]


def with_will(world: KeptWorld) -> Client:
    """A client with a persistent session and a will without a delay."""
    client = world.client("w")
    client.connect(False, will=Will("t", b"will", 1), session_expiry_interval_s=WEEK_S)
    world.settle()
    world.now += 11
    world.settle()
    return client


def test_after_a_crash_a_will_waits_for_its_client_and_is_sent() -> None:
    world = KeptWorld()
    away(world)
    with_will(world)
    world.power_cut()
    world.pass_s(9.9)
    world.settle()
    assert world.broker.waiting() == 0
    world.pass_s(1)
    assert world.broker.waiting() == 1


def test_a_client_that_comes_back_after_a_crash_cancels_its_will() -> None:
    world = KeptWorld()
    away(world)
    with_will(world)
    world.power_cut()
    with_will(world)
    world.pass_s(60)
    assert world.broker.waiting() == 0


def test_a_will_that_was_sent_after_a_crash_is_not_sent_after_the_next() -> None:
    world = KeptWorld()
    away(world)
    with_will(world)
    world.power_cut()
    world.pass_s(11)
    world.settle()
    world.power_cut()
    world.pass_s(60)
    assert persistent(world, "s").acknowledge() == [b"will"]


def test_a_client_that_comes_back_without_its_will_has_none_after_the_next_crash() -> None:
    world = KeptWorld()
    away(world)
    with_will(world)
    world.power_cut()
    persistent(world, "w")
    world.now += 11
    world.settle()
    world.power_cut()
    world.pass_s(60)
    assert world.broker.waiting() == 0


def test_after_a_planned_stop_no_will_is_sent() -> None:
    world = KeptWorld()
    away(world)
    with_will(world)
    world.broker.stop(world.now)
    last = world.broker.journal.last()
    for record in last:
        if isinstance(record, Row) and record.value is not None:
            world.card.rows[record.kind, record.key] = record.value
    world.power_cut()
    world.pass_s(60)
    assert world.broker.waiting() == 0
