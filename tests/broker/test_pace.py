"""How fast one client may publish (mqtt.publish_rate_max)."""

from gateway.broker.pace import Pace
from gateway.config import MqttSection
from gateway.mqtt.packets import Disconnect, PingReq, PubAck, Publish, Will
from gateway.mqtt.reasons import Reason
from tests.broker.world import World

PUBLISH = 0x30


def test_a_burst_is_free_and_then_the_rate_holds() -> None:
    pace = Pace(rate=8, burst=5, now=0.0)
    assert pace.count([PUBLISH] * 5, 0.0) is None
    assert pace.count([PUBLISH] * 3, 0.125) == 0.375
    assert pace.over
    assert pace.count([PUBLISH], 0.2) is None  # had been read before; the time stands
    pace.again(0.375)
    assert not pace.over
    assert pace.count([PUBLISH], 100.0) is None


def test_other_packets_are_not_counted() -> None:
    pace = Pace(rate=1, burst=1, now=0.0)
    assert pace.count([0xC0, 0x40, 0x82, 0x62], 0.0) is None
    assert pace.count([0x3D], 0.0) is None
    assert pace.count([0x31], 0.0) == 1.0


def test_a_client_that_publishes_too_fast_is_not_read_and_loses_nothing() -> None:
    world = World(MqttSection(publish_rate_max=10, publish_burst_max=20))
    watcher, client = world.connected("w"), world.connected("c", keep_alive_s=1)
    watcher.subscribe("#", 1)
    assert client.connection.reading
    client.send(PingReq(), *(Publish("t", b"", 1, packet_id=n) for n in range(1, 51)))
    assert len(watcher.messages()) == 50
    assert len([p for p in client.take() if isinstance(p, PubAck)]) == 50
    assert not client.connection.reading
    world.pass_s(2.9)
    assert not client.connection.reading
    assert not client.closed  # its silence is ours
    world.pass_s(0.2)
    assert client.connection.reading
    assert world.broker.vitals.publishers_slowed == 1
    assert 0 < world.broker.vitals.last_slowed_at < world.now
    client.send(Publish("t", b"", 0))
    assert client.connection.reading


def test_a_client_that_is_not_read_is_served_taken_over_and_closed_all_the_same() -> None:
    world = World(MqttSection(publish_rate_max=1, publish_burst_max=1))
    watcher, client = world.connected("w"), world.connected("c", will=Will("gone", b""))
    watcher.subscribe("#")
    client.subscribe("to/c", 1)
    client.send(*(Publish("t", b"") for _ in range(100)))
    assert len(watcher.take()) == 100
    assert not client.connection.reading
    world.connected("p").publish("to/c", b"1", 1)
    assert client.payloads() == [b"1"]
    again = world.connected("c")
    assert client.take() == [Disconnect(Reason.SESSION_TAKEN_OVER)]
    assert client.closed
    assert [message.topic for message in watcher.messages()] == ["to/c", "gone"]
    again.send(Publish("t", b""), Publish("t", b""))
    again.lose()
    assert again.closed
    world.pass_s(200)  # what was to be read again is gone
    assert world.broker.clients() == 2


def test_others_are_not_slowed_and_no_rate_means_none() -> None:
    world = World(MqttSection(publish_rate_max=1, publish_burst_max=1))
    fast, quiet = world.connected("f"), world.connected("q")
    fast.send(*(Publish("t", b"") for _ in range(10)))
    assert (fast.connection.reading, quiet.connection.reading) == (False, True)
    fast.lose()
    world.pass_s(60)
    free = World().connected("c")
    free.send(*(Publish("t", b"") for _ in range(10_000)))
    assert free.connection.reading
