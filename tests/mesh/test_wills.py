"""The will of a client whose gateway dies is sent once, by the gateway that keeps it."""

from gateway.broker.connection import State
from gateway.limits import FORGOTTEN_MAX, INTEREST_TIMEOUT_S, RETURN_S, WILLS_KEPT_BYTES_MAX
from gateway.mesh.estates import End, Estate, Estates
from gateway.mesh.frames import Entry, KeptWill
from gateway.mesh.state import FORGOTTEN
from gateway.mesh.wills import GRACE_S, SENT_MAX
from gateway.mqtt.packets import Disconnect, Will
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from gateway.table import Table
from tests.mesh.room import Gate, Room, between

DEAD_S = 3.0
WILL = Will("gone/c", b"offline", 1)
RETAINED = Will("gone/c", b"offline", 1, True)


def delayed(delay_s: int, retain: bool = False) -> Will:
    properties = Properties(will_delay_interval_s=delay_s)
    return Will("gone/c", b"offline", 1, retain, properties)


def stop(room: Room, gate: Gate) -> None:
    """A planned stop, which takes a moment for its disk."""
    gate.node.stop(room.now)
    room.wait(0.5)
    gate.node.leave(room.now)
    room.settle()


class Watcher:
    """Counts the wills that a client at each gateway is told of."""

    def __init__(self, *gates: Gate) -> None:
        self.clients = {gate.name: gate.client(f"watcher-{gate.name}") for gate in gates}
        for client in self.clients.values():
            client.subscribe("gone/#")
        gates[0].room.settle()
        for client in self.clients.values():
            client.got()

    def saw(self) -> dict[str, list[bytes]]:
        """What each has got since the last call; who got nothing is left out."""
        got = {name: client.payloads() for name, client in self.clients.items()}
        return {name: payloads for name, payloads in got.items() if payloads}


def three() -> tuple[Room, Gate, Gate, Gate, Watcher]:
    """Gateways a, b and c; b and c are watched, and a's wills are kept by b."""
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    watcher = Watcher(b, c)
    return room, a, b, c, watcher


BOTH = {"b": [b"offline"], "c": [b"offline"]}


def test_the_will_of_a_dead_gateways_client_is_sent_once_after_a_grace() -> None:
    room, a, b, _, watcher = three()
    a.client("c", will=WILL)
    room.settle()
    assert b.mesh.state.estates.count() == 1
    room.kill(a)
    room.wait(DEAD_S + GRACE_S - 0.2)
    assert watcher.saw() == {}
    room.wait(0.4)
    assert watcher.saw() == BOTH
    room.wait(60)
    assert watcher.saw() == {}


def test_connack_waits_until_another_gateway_has_the_will_but_not_for_long() -> None:
    room = Room()
    a, _b = room.linked("a", "b")
    room.settle()
    line = between(room, "a", "b")
    line.muted = {1}  # what b says waits
    client = a.client("c", will=WILL)
    other = a.client("d")
    room.settle()
    assert client.connection.state is State.OPENING and other.connection.state is State.OPEN
    line.muted = set()
    room.settle()
    assert client.connection.state is State.OPEN
    line.muted = {1}
    late = a.client("e", will=WILL)
    room.wait(INTEREST_TIMEOUT_S)
    assert late.connection.state is State.OPEN
    assert a.mesh.state.own_wills.barriers.timeouts == 1


def test_a_gateway_alone_lets_a_client_with_a_will_in_at_once() -> None:
    room = Room()
    assert room.gate("a").client("c", will=WILL).connection.state is State.OPEN


def test_no_will_is_left_of_a_client_that_said_goodbye_or_whose_will_was_sent() -> None:
    room, a, b, _, watcher = three()
    polite = a.client("c", will=WILL)
    lost = a.client("d", will=Will("gone/d", b"d", 0))
    hasty = a.client("e", will=WILL)
    hasty.connection.lost(room.now)  # before it had its CONNACK
    room.settle()
    assert b.mesh.state.estates.count() == 2
    polite.send(Disconnect(Reason.NORMAL_DISCONNECTION))
    lost.connection.lost(room.now)
    room.settle()
    assert watcher.saw() == {"b": [b"d"], "c": [b"d"]}
    assert b.mesh.state.estates.count() == 0
    room.kill(a)
    room.wait(60)
    assert watcher.saw() == {}


def test_a_delay_counts_from_the_death_and_there_is_no_grace_besides() -> None:
    room, a, _, _, watcher = three()
    a.client("c", will=delayed(2), expiry_s=60)
    room.settle()
    room.kill(a)
    room.wait(DEAD_S + 1.8)
    assert watcher.saw() == {}
    room.wait(0.4)
    assert watcher.saw() == BOTH


def test_a_delay_that_was_running_runs_on() -> None:
    room, a, _, _, watcher = three()
    client = a.client("c", will=delayed(20), expiry_s=60)
    room.settle()
    client.connection.lost(room.now)
    room.wait(10)
    room.kill(a)
    room.wait(9)
    assert watcher.saw() == {}
    room.wait(2)
    assert watcher.saw() == BOTH


def test_a_client_that_connects_elsewhere_has_its_old_will_sent_before_connack() -> None:
    for elsewhere in ("b", "c"):  # at the keeper, or at another gateway
        room, a, b, c, watcher = three()
        a.client("c", will=RETAINED)
        room.settle()
        room.kill(a)
        room.wait(DEAD_S + 1)
        gate = {"b": b, "c": c}[elsewhere]
        line = between(room, "b", "c")
        line.muted = {0, 1}
        back = gate.client("c")
        room.settle()
        assert back.connection.state is State.OPENING
        line.muted = set()
        room.settle()
        assert (back.connection.state is State.OPEN) is True
        assert watcher.saw() == BOTH
        back.publish("gone/c", b"online", retain=True)
        room.wait(60)
        assert watcher.saw() == {"b": [b"online"], "c": [b"online"]}


def test_a_client_that_is_elsewhere_before_its_gateway_is_known_to_be_dead_was_never_away() -> None:
    for elsewhere in ("b", "c"):
        room, a, b, c, watcher = three()
        a.client("c", will=RETAINED)
        room.settle()
        room.kill(a)
        room.wait(1)
        back = {"b": b, "c": c}[elsewhere].client("c")
        room.wait(60)
        assert back.connection.state is State.OPEN
        assert watcher.saw() == {}
        assert b.mesh.state.estates.count() == 0


def test_a_delayed_will_is_not_sent_if_the_client_is_back_elsewhere() -> None:
    for wait_s in (0.0, DEAD_S + 1):
        room, a, b, c, watcher = three()
        a.client("c", will=delayed(10), expiry_s=60)
        room.settle()
        room.kill(a)
        room.wait(wait_s)
        c.client("c", clean=False, expiry_s=60)
        room.wait(60)
        assert watcher.saw() == {}
        assert b.mesh.state.estates.count() == 0


def test_a_clean_start_elsewhere_ends_the_session_and_with_it_the_delay() -> None:
    room, a, _, c, watcher = three()
    a.client("c", will=delayed(30), expiry_s=60)
    room.settle()
    room.kill(a)
    room.wait(DEAD_S + 1)
    c.client("c", clean=True)
    room.settle()
    assert watcher.saw() == BOTH


def test_a_delayed_will_here_is_not_sent_if_the_client_is_back_at_a_living_gateway() -> None:
    for clean, expected in ((False, {}), (True, BOTH)):
        room, a, _, c, watcher = three()
        client = a.client("c", will=delayed(10), expiry_s=60)
        room.settle()
        client.connection.lost(room.now)
        room.wait(1)
        c.client("c", clean=clean, expiry_s=60)
        room.settle()
        assert watcher.saw() == expected
        room.wait(60)
        assert watcher.saw() == {}


def test_a_keeper_that_dies_is_replaced_and_the_new_one_sends() -> None:
    room, a, b, c, watcher = three()
    a.client("c", will=WILL)
    room.settle()
    room.kill(b)
    room.wait(5)
    assert c.mesh.state.estates.count() == 1
    del watcher.clients["b"]
    room.kill(a)
    room.wait(60)
    assert watcher.saw() == {"c": [b"offline"]}


def test_of_two_keepers_only_the_one_that_was_chosen_last_sends() -> None:
    room, a, b, c, watcher = three()
    a.client("c", will=WILL)
    room.settle()
    between(room, "a", "b").cut()  # b cannot be told that it keeps them no more
    room.wait(1)
    assert c.mesh.state.estates.count() == b.mesh.state.estates.count() == 1
    assert a.mesh.state.own_wills.keeper == "c"
    a.client("d", will=Will("gone/d", b"d", 1))
    room.settle()
    room.kill(a)
    room.wait(60)
    saw = watcher.saw()
    assert {name: sorted(payloads) for name, payloads in saw.items()} == {
        "b": [b"d", b"offline"],
        "c": [b"d", b"offline"],
    }


def test_a_keeper_that_keeps_no_more_is_told_so() -> None:
    room, a, b, c, _ = three()
    a.client("c", will=WILL)
    room.settle()
    a.mesh.state.stand_in = "c"
    room.wait(1)
    assert (b.mesh.state.estates.count(), c.mesh.state.estates.count()) == (0, 1)


def test_both_sides_of_a_split_send_once() -> None:
    room = Room()
    a, b, c, d = room.linked("a", "b", "c", "d")
    watcher = Watcher(b, d)
    a.client("c", will=WILL)
    room.settle()
    assert b.mesh.state.estates.count() == 1
    room.kill(a)
    for pair in (("b", "c"), ("b", "d")):
        between(room, *pair).cut()
    room.wait(60)
    assert watcher.saw() == {"b": [b"offline"]}  # the keeper's side: nobody else has it
    room.line(b, c)
    room.line(b, d)
    room.wait(60)
    assert watcher.saw() == {}


def test_what_was_sent_for_a_client_that_stayed_connected_is_undone() -> None:
    """After the heal the retained "offline" must not win."""
    for said in ([b"online"], [b"online", b"online, and it rains"], []):
        room = Room()
        a, b, c = room.linked("a", "b", "c")
        client = a.client("c", will=RETAINED)
        for payload in said[:1]:
            client.publish("gone/c", payload, retain=True)
        room.settle()
        watcher = Watcher(b, c)
        watcher.saw()
        for other in ("b", "c"):
            between(room, "a", other).cut()
        room.wait(2)
        for payload in said[1:]:
            client.publish("gone/c", payload, retain=True)
        room.wait(DEAD_S + GRACE_S)
        assert watcher.saw() == BOTH
        room.line(a, c)  # not the one that sent it
        room.settle()
        room.line(a, b)
        room.wait(5)
        assert client.connection.state is State.OPEN
        values = [gate.node.broker.retained.get("gone/c") for gate in (a, b, c)]
        payloads = [e.message.payload if e and e.message else b"" for e in values]
        assert payloads == [said[-1] if said else b""] * 3
        last = {name: payloads[-1] for name, payloads in watcher.saw().items()}
        assert last == dict.fromkeys("bc", said[-1] if said else b"")


def test_a_will_that_was_due_is_not_undone_by_the_clients_next_connection() -> None:
    room, a, b, c, watcher = three()
    a.client("c", will=RETAINED)
    room.settle()
    room.kill(a)
    room.wait(DEAD_S + GRACE_S + 1)
    assert watcher.saw() == BOTH
    b.client("c")
    d = room.gate("d")
    d.client("c")
    room.line(d, c)
    room.line(d, b)
    room.wait(5)
    entry = d.node.broker.retained.get("gone/c")
    assert entry is not None and entry.message is not None
    assert entry.message.payload == b"offline"


def test_a_gateway_that_is_heard_again_in_time_keeps_its_wills_to_itself() -> None:
    room, a, b, c, watcher = three()
    client = a.client("c", will=WILL)
    room.settle()
    for other in ("b", "c"):
        between(room, "a", other).cut()
    room.wait(DEAD_S + GRACE_S - 1)
    room.line(a, b)
    room.line(a, c)
    room.wait(60)
    assert watcher.saw() == {}
    client.connection.lost(room.now)
    room.settle()
    assert watcher.saw() == BOTH


def test_a_planned_stop_gives_clients_ten_seconds_to_be_back_anywhere() -> None:
    room, a, b, c, watcher = three()
    for name in ("back", "lost"):
        a.client(name, will=Will(f"gone/{name}", name.encode(), 1))
    room.settle()
    stop(room, a)
    room.settle()
    room.kill(a)
    room.wait(5)
    c.client("back")
    room.wait(RETURN_S - 5.5)
    assert watcher.saw() == {}
    room.wait(1)
    assert watcher.saw() == {"b": [b"lost"], "c": [b"lost"]}
    room.wait(60)
    assert watcher.saw() == {} and b.mesh.state.estates.count() == 0


def test_a_delay_that_ends_while_a_gateway_stops_ends_once() -> None:
    room, a, _, _, watcher = three()
    client = a.client("c", will=delayed(2), expiry_s=60)
    room.settle()
    client.connection.lost(room.now)
    room.wait(1.8)
    stop(room, a)
    assert watcher.saw() == BOTH
    room.kill(a)
    room.wait(60)
    assert watcher.saw() == {}


def test_clients_of_a_gateway_that_began_anew_have_ten_seconds_to_be_back() -> None:
    room, a, b, c, watcher = three()
    for name in ("back", "lost"):
        a.client(name, will=Will(f"gone/{name}", name.encode(), 1))
    room.settle()
    a.restart()
    room.line(a, b)
    room.line(a, c)
    room.wait(5)
    a.client("back")
    room.wait(60)
    assert watcher.saw() == {"b": [b"lost"], "c": [b"lost"]}
    assert not [key for key in b.mesh.state.estates.all if key[1] == "nonce-a-1"]


def test_a_gateway_that_is_back_does_not_send_what_was_sent_for_it() -> None:
    """Wills of kept sessions are on its disk; `restored_wills` is what it read there."""
    for keeper_lives in (True, False):
        room, a, b, c, watcher = three()
        a.client("c", will=WILL)
        room.settle()
        room.kill(a)
        room.wait(DEAD_S + GRACE_S + 1)
        assert watcher.saw() == BOTH
        if not keeper_lives:
            room.kill(b)  # c remembers what b has sent
            del watcher.clients["b"]
        a.restart()
        room.gates.append(a)
        _restored(a, "c")
        for other in (b, c) if keeper_lives else (c,):
            room.line(a, other)
        room.wait(60)
        assert watcher.saw() == {}


def test_a_gateway_that_is_back_leaves_to_the_keeper_what_that_will_send() -> None:
    room, a, b, c, watcher = three()
    a.client("c", will=delayed(30), expiry_s=60)
    room.settle()
    room.kill(a)
    room.wait(DEAD_S + 1)
    a.restart()
    room.gates.append(a)
    _restored(a, "c")
    for other in (b, c):
        room.line(a, other)
    room.wait(60)
    assert watcher.saw() == BOTH


def _restored(gate: Gate, client_id: str) -> None:
    """As if the disk had had the will of a kept session."""
    from gateway.broker.wills import delay_will, message_of

    broker = gate.node.broker.state
    delay_will(broker, client_id, message_of(WILL, client_id), gate.room.now + RETURN_S)
    broker.restored_wills.add(client_id)


def test_many_wills_are_sent_in_several_turns() -> None:
    room, a, _, _, watcher = three()
    for number in range(2 * SENT_MAX + 10):
        a.client(f"c{number}", will=Will(f"gone/{number}", b"%d" % number, 0))
    room.settle()
    room.kill(a)
    room.wait(DEAD_S + GRACE_S + 2)
    assert [len(payloads) for payloads in watcher.saw().values()] == [2 * SENT_MAX + 10] * 2


def test_what_is_kept_is_bounded_counted_and_told() -> None:
    estates, estate = Estates(), Estate(1)
    payload = bytes(WILLS_KEPT_BYTES_MAX // 4)

    def will(name: str) -> KeptWill:
        return KeptWill(name, (1, 0), Entry(b"\0\1t", payload, 0, name))

    for number in range(5):
        estates.put(estate, will(f"c{number}"), 0.0)
    assert (len(estate.wills), estates.refused) == (3, 2)
    estates.put(estate, will("c0"), 0.0)  # anew, in its own place
    assert (len(estate.wills), estates.refused) == (3, 2)
    estates.settle(estate, ["c0"])
    estates.put(estate, will("c4"), 0.0)
    assert (len(estate.wills), estates.refused) == (3, 2)
    estates.all["g", "1"] = estate
    estates.forget(("g", "1"))
    assert estates.bytes == 0


def test_an_end_says_what_it_was() -> None:
    room, a, b, _, _ = three()
    a.client("c", will=WILL)
    room.settle()
    room.kill(a)
    room.wait(DEAD_S)
    (estate,) = b.mesh.state.estates.all.values()
    assert estate.end is End.DEAD


def test_a_gateway_that_was_thought_dead_by_one_alone_has_its_wills_sent_when_it_dies() -> None:
    """What b sent while it did not hear a is no reason to send nothing when a dies indeed."""
    room = Room()
    a, b, c = room.linked("a", "b", "c")
    watcher = Watcher(c)
    a.client("c", will=WILL)
    room.settle()
    for other in (b, c):
        between(room, "a", other.name).cut()
    room.wait(DEAD_S + GRACE_S + 1)
    assert watcher.saw() == {"c": [b"offline"]}
    for other in (b, c):
        room.line(a, other)
    room.wait(5)
    room.kill(a)
    room.wait(60)
    assert watcher.saw() == {"c": [b"offline"]}


def test_a_gateway_that_is_forgotten_is_dead_and_nothing_is_left_of_its_wills() -> None:
    room, a, b, c, watcher = three()
    a.client("c", will=WILL)
    room.settle()
    assert c.mesh.operating.forget("a", room.now)
    room.wait(GRACE_S - 0.2)
    assert watcher.saw() == {} and "a" not in b.mesh.state.peers
    room.wait(0.4)
    assert watcher.saw() == BOTH
    room.wait(5)
    for gate in (b, c):
        assert not [key for key in gate.mesh.state.estates.all if key[0] == "a"]


def test_who_is_forgotten_sends_the_wills_that_it_keeps_once_however_often_it_is_refused() -> None:
    room, a, b, c, _ = three()
    watcher = Watcher(c)
    b.client("c", will=WILL)
    room.settle()
    assert c.mesh.state.estates.count() == 1
    assert a.mesh.operating.forget("c", room.now)
    room.settle()
    for _ in range(20):
        room.wait(1)
        room.line(c, b)
        room.settle()
    assert watcher.saw() == {"c": [b"offline"]}


def test_for_one_that_is_taken_in_again_the_others_live() -> None:
    room, a, b, c, watcher = three()
    b.client("c", will=WILL)
    room.settle()
    assert a.mesh.operating.forget("c", room.now)
    room.settle()
    b.mesh.state.stand_in = "a"  # and the keeper, so that c is told nothing anew
    for gate in (a, b, c):  # as if their disks had lost it
        gate.mesh.state.own_tables[FORGOTTEN] = Table(FORGOTTEN_MAX)
    for gate in (a, b):
        room.line(c, gate)
    room.settle()
    assert [estate.end for estate in c.mesh.state.estates.all.values()] == [None]
    room.wait(60)
    assert watcher.saw() == {}
