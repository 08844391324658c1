"""A mistake of ours over what a client said ends its connection in words (`Connection.failed`)."""

import pytest

from gateway.broker import publishing
from gateway.broker.connection import Connection
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import ConnAck, Connect, Disconnect, Publish, Version, Will
from gateway.mqtt.reasons import Reason
from tests.broker.world import EVERY_VERSION, V5, V311, Client, World


def fail(client: Client) -> None:
    client.connection.failed(client.world.now)


def stumble(connection: Connection, *arguments: object) -> None:
    raise ZeroDivisionError


@EVERY_VERSION
def test_the_client_is_told_its_will_is_sent_and_it_may_come_again(version: Version) -> None:
    world = World()
    hearer = world.connected("h")
    hearer.subscribe("will")
    client = world.connected("c", version, will=Will("will", b"gone"))
    fail(client)
    told = client.take()
    if version is V5:  # [MQTT-4.13.2-1]
        assert told == [Disconnect(Reason.IMPLEMENTATION_SPECIFIC_ERROR)]
        assert client.told == ["this gateway made a mistake over what it sent"]
    else:
        assert told == []
    assert client.closed
    assert hearer.payloads() == [b"gone"]
    assert world.broker.vitals.internal_errors == 1
    assert world.broker.vitals.protocol_errors == 0
    assert any("c at" in note and "mistake" in note for note in world.notes())
    fail(client)  # its socket had more to say
    assert world.broker.vitals.internal_errors == 1
    assert world.connected("c", version).connack is not None


def test_what_it_said_in_that_read_is_not_acknowledged(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    client = world.connected("c")
    publish = publishing.publish

    def mistaken(broker, message, *arguments):  # type: ignore[no-untyped-def]
        if message.payload == b"trap":
            raise ZeroDivisionError
        return publish(broker, message, *arguments)

    monkeypatch.setattr(publishing, "publish", mistaken)
    said = (Publish("a", b"x", 1, packet_id=1), Publish("b", b"trap", 1, packet_id=2))
    with pytest.raises(ZeroDivisionError):
        client.send(*said)
    fail(client)
    assert client.take() == [Disconnect(Reason.IMPLEMENTATION_SPECIFIC_ERROR)]


def test_before_it_is_let_in_it_is_told_in_connack(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    for version in (V5, V311):
        client = world.client("c", version)
        with monkeypatch.context() as patched:
            patched.setattr("gateway.broker.connecting.identify", stumble)
            with pytest.raises(ZeroDivisionError):
                client.connect()
        fail(client)
        (told,) = client.take()
        assert isinstance(told, ConnAck) and client.closed
        reason = Reason.IMPLEMENTATION_SPECIFIC_ERROR
        assert told.reason == (reason if version is V5 else Reason.SERVER_UNAVAILABLE)


def test_who_has_not_said_its_version_hears_nothing() -> None:
    client = World().client("c")
    client.send_bytes(encode(Connect(V5, "c", True, 0), V5)[:-1])
    fail(client)
    assert client.take() == [] and client.closed
