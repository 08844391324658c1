"""Two copies on real disks: the store of a killed gateway is destroyed, and nothing is lost."""

import shutil
from pathlib import Path
from random import Random

from paho.mqtt.client import MQTTMessageInfo

from gateway.broker.broker import Broker
from gateway.broker.elsewhere import Nowhere
from gateway.broker.journal import Journal
from gateway.clock import MeshClock
from gateway.config import MqttSection
from gateway.shell.copies import CopyShelf
from gateway.shell.disk import Disk
from gateway.shell.durable import Settings
from tests.chaos.conftest import Mesh, People
from tests.chaos.mesh import COPIED_S_MAX
from tests.clients.face import Login, Message, Version
from tests.clients.paho_driver import PahoClient, PahoDriver
from tests.gateways import Gateway, wait_until

MANY = 500  # messages
AWAY = "away"


def id_of(gateway: Gateway) -> str:
    (own,) = [row["id"] for row in gateway.status()["gateways"] if row["self"]]
    return str(own)


def shade(keeper: Gateway, gateway: str, scratch: Path) -> Broker:
    """The broker that the copy makes; it is read from files beside, for its keeper runs."""
    shutil.copytree(keeper.state_dir / "copies" / gateway, scratch)
    folder = scratch.parent if scratch.name.startswith("lost-") else scratch
    shelf = CopyShelf(folder, Settings(id_of(keeper), free_bytes_min=0, ballast_bytes=0), Disk())
    read = shelf.read("")
    assert read is not None
    clock = MeshClock("shade", 0, 0.0)
    broker = Broker(MqttSection(), Nowhere(clock), Random(1), Journal(1, clock))
    broker.restore(*read, 0.0)
    shelf.close()
    return broker


def kept(broker: Broker) -> set[int]:
    """The numbers of the messages that wait for the session that is away."""
    return {int(waiting[0].payload) for waiting in broker.state.sessions[AWAY].backlog}


def leave_a_session(gateway: Gateway) -> None:
    driver = PahoDriver()
    client = driver.client(gateway.host, gateway.port, Version.MQTT311)
    client.connect(Login(client_id=AWAY, clean=False))
    client.subscribe("numbers/#", 1)
    client.disconnect()
    driver.close()


def publish(writer: PahoClient, numbers: range) -> dict[int, MQTTMessageInfo]:
    """Hands them to the library; nobody waits."""
    assert writer.paho is not None
    return {n: writer.paho.publish("numbers/1", b"%d" % n, 1) for n in numbers}


def test_a_store_that_is_destroyed_is_in_the_copy_with_all_that_was_acknowledged(
    mesh: Mesh, people: People, tmp_path: Path
) -> None:
    keeper = mesh.stand_in_of("gw1")
    gateway = id_of(mesh["gw1"])
    leave_a_session(mesh["gw1"])
    writer = people.at(mesh["gw1"], "writer", Version.MQTT311)
    sent = publish(writer, range(MANY))
    for info in sent.values():
        info.wait_for_publish(COPIED_S_MAX)
    sent |= publish(writer, range(MANY, 10 * MANY))
    wait_until(sent[2 * MANY].is_published, "some are acknowledged", COPIED_S_MAX)
    mesh["gw1"].kill()
    wait_until(lambda: writer.paho and not writer.paho.is_connected(), "it is cut off", 5.0)
    acknowledged = {number for number, info in sent.items() if info.is_published()}
    shutil.rmtree(mesh["gw1"].state_dir)
    assert 2 * MANY < len(acknowledged) < 10 * MANY, "it was killed in the middle"
    assert not acknowledged - kept(shade(keeper, gateway, tmp_path / "copy"))

    mesh["gw1"].start()  # with an empty card
    mesh.stand_in_of("gw1")
    folder = keeper.state_dir / "copies" / gateway
    (lost,) = folder.glob("lost-*")
    assert not acknowledged - kept(shade(keeper, f"{gateway}/{lost.name}", tmp_path / "lost-1"))


def test_after_a_planned_restart_nothing_is_copied_again(mesh: Mesh, people: People) -> None:
    mesh.stand_in_of("gw2")
    leave_a_session(mesh["gw2"])
    writer = people.at(mesh["gw2"], "writer", Version.MQTT311)
    writer.publish([Message("numbers/1", b"%d" % each, 1) for each in range(50)])
    assert mesh["gw2"].stop() == 0
    mesh["gw2"].start()
    mesh.stand_in_of("gw2")
    assert mesh["gw2"].status()["copies"]["made"] == 0
