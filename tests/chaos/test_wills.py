"""The wills of clients whose gateway dies under them are seen at the others, once."""

import signal
import time

import pytest

from tests.chaos.conftest import Mesh, People
from tests.clients.face import Login, Message, Version
from tests.clients.paho_driver import PahoDriver
from tests.gateways import wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("whole_mesh", ["lan"], indirect=True),
]
CLIENTS = 20
SENT_S_MAX = 12.0  # from the kill: dead after 3 s, 5 s for clients to be elsewhere, and some
END = b"end"


def mortals(mesh: Mesh, driver: PahoDriver, name: str) -> None:
    """Clients with clean sessions at a gateway, each with a retained will."""
    for number in range(CLIENTS):
        client = driver.client(mesh[name].host, mesh[name].port, Version.MQTT311)
        will = Message(f"wills/{number}", b"offline", 1, retain=True)
        client.connect(Login(client_id=f"mortal-{number}", will=will))
        client.publish([Message(f"wills/{number}", b"online", 1, retain=True)])


def test_a_killed_gateways_clients_have_their_wills_sent_once(mesh: Mesh, people: People) -> None:
    watchers = {name: people.at(mesh[name], f"watcher-{name}") for name in ("gw1", "gw2")}
    driver = PahoDriver()
    mortals(mesh, driver, "gw3")
    for watcher in watchers.values():
        watcher.subscribe("wills/#", 1)
        assert {watcher.inbox.next().payload for _ in range(CLIENTS)} == {b"online"}
    mesh["gw3"].kill()
    back = people.at(mesh["gw1"], "mortal-0")  # at once elsewhere: it was never away
    killed_at = time.monotonic()
    for watcher in watchers.values():
        came = [watcher.inbox.next(SENT_S_MAX) for _ in range(CLIENTS - 1)]
        assert {message.payload for message in came} == {b"offline"}
        assert {message.topic for message in came} == {f"wills/{n}" for n in range(1, CLIENTS)}
    assert 5 < time.monotonic() - killed_at < SENT_S_MAX
    mesh["gw3"].start()
    wait_until(mesh.complete, "gw3 is back", 10)
    back.publish([Message("wills/end", END, 1)])
    for watcher in watchers.values():
        assert watcher.inbox.until(END) == []
    driver.close()


def test_what_a_cut_made_others_believe_is_undone_when_it_is_over(
    mesh: Mesh, people: People
) -> None:
    """The gateway is stopped for so long that the others send its clients' wills; then it goes on."""
    driver = PahoDriver()
    mortals(mesh, driver, "gw3")
    watcher = people.at(mesh["gw1"], "watcher")
    watcher.subscribe("wills/+", 1)
    assert {watcher.inbox.next().payload for _ in range(CLIENTS)} == {b"online"}
    mesh["gw3"].send(signal.SIGSTOP)
    try:
        came = [watcher.inbox.next(SENT_S_MAX) for _ in range(CLIENTS)]
        assert {message.payload for message in came} == {b"offline"}
    finally:
        mesh["gw3"].send(signal.SIGCONT)
    came = [watcher.inbox.next(10) for _ in range(CLIENTS)]
    assert {message.payload for message in came} == {b"online"}
    wait_until(mesh.complete, "the mesh is whole again", 10)
    late = people.at(mesh["gw2"], "late")
    late.subscribe("wills/+", 1)
    assert {late.inbox.next().payload for _ in range(CLIENTS)} == {b"online"}
    driver.close()
