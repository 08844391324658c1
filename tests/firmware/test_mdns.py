"""The device's one mDNS question, answered by a real responder on the loopback interface."""

import socket
from collections.abc import Callable, Iterator

import pytest
from zeroconf import ServiceInfo, Zeroconf

from tests.firmware.conftest import Broker, Device

pytestmark = pytest.mark.slow
Devices = Callable[..., Device]
OURS = "127.0.0.1"  # the device's own address: the question leaves through the loopback interface
SERVICE = "_mqtt-dev-test._tcp"  # a name that no gateway beside these tests answers to


@pytest.fixture
def announce() -> Iterator[Callable[..., None]]:
    """announce(service, name, address, port, priority): a responder as each gateway runs one."""
    responders: list[Zeroconf] = []

    def start(service: str, name: str, address: str, port: int, priority: int = 0) -> None:
        responders.append(Zeroconf(interfaces=[address]))
        info = ServiceInfo(
            f"{service}.local.",
            f"{name}.{service}.local.",
            addresses=[socket.inet_aton(address)],
            port=port,
            priority=priority,
            server=f"{name}.local.",
        )
        responders[-1].register_service(info, cooperating_responders=True)  # no probing

    yield start
    for responder in responders:
        responder.close()


def test_gateways_are_found_by_the_common_name(
    announce: Callable[..., None], device: Devices
) -> None:
    announce("_mqtt._tcp", "device-test-a", "127.0.0.2", 18831)
    assert "found 127.0.0.2:18831" in device("find.py", "_mqtt._tcp", OURS).ends()


def test_the_better_priority_comes_first(announce: Callable[..., None], device: Devices) -> None:
    announce(SERVICE, "device-test-b", "127.0.0.2", 18832, 20)
    announce(SERVICE, "device-test-c", "127.0.0.3", 18833, 10)
    lines = device("find.py", SERVICE, OURS).ends()
    assert lines == ["found 127.0.0.3:18833", "found 127.0.0.2:18832"]


def test_a_device_that_knows_no_gateway_finds_one_and_publishes(
    announce: Callable[..., None], broker_at: Callable[[str], Broker], device: Devices
) -> None:
    with broker_at("127.0.0.2") as broker:
        announce(SERVICE, "device-test-d", broker.address, broker.port)
        assert device("find.py", SERVICE, OURS, "publish").ends() == [f"taken {broker.door}"]
        assert broker.readings == ["found you"]


def test_nobody_answers_and_nothing_is_found(device: Devices) -> None:
    assert device("find.py", "_nobody-here._tcp", OURS).ends() == []


def test_damaged_answers_are_ignored(device: Devices) -> None:
    assert device("answers.py").ends() == ["passed"]
