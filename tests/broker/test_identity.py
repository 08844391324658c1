"""Who a client is: users, passwords that others check, and what wrong ones cost."""

import pytest

from gateway.broker.access import Access, Rule
from gateway.broker.backlog import DROP_QOS0_FIRST
from gateway.broker.connection import State
from gateway.broker.logins import (
    ADDRESSES_MAX,
    CHECKS_AT_ONCE,
    CHECKS_MAX,
    DELAY_MAX_S,
    DELAY_MIN_S,
    FORGIVEN_S,
    KNOWN_WRONG_S,
    NOBODYS_HASH,
    REMEMBERED_MAX,
    REMEMBERED_S,
    Logins,
    User,
)
from gateway.config import MqttSection
from gateway.effects import CheckPassword
from gateway.mqtt.packets import (
    ConnAck,
    Disconnect,
    PingReq,
    PingResp,
    Publish,
    SubAck,
    Subscribe,
    Subscription,
    Version,
)
from gateway.mqtt.reasons import Reason
from tests.broker.kept import KeptWorld
from tests.broker.world import EVERY_VERSION, V5, V311, Client, World

ANN, BOB = User("hash of ann"), User("hash of bob")


def world_of(**users: User) -> World:
    world = World()
    world.broker.admission.users_changed(users, world.now)
    return world


def asked(world: World) -> list[CheckPassword]:
    """The checks that the shell was asked for since the last call."""
    return [each for each in world.broker.drain()[1] if isinstance(each, CheckPassword)]


def log_in(
    world: World,
    client_id: str,
    user: str = "ann",
    password: bytes = b"pw",
    version: Version = V5,
    address: str = "192.0.2.7",
    clean: bool = True,
) -> Client:
    client = world.client(client_id, version, trusted=False, address=address)
    kept = {"session_expiry_interval_s": 600} if version is V5 else {}
    client.connect(clean, username=user, password=password, **kept)
    return client


def answer(client: Client) -> Reason:
    (connack,) = client.take()
    assert isinstance(connack, ConnAck)
    return connack.reason


@EVERY_VERSION
def test_a_right_password_opens_and_what_was_sent_behind_it_is_answered(version: Version) -> None:
    world = world_of(ann=ANN)
    client = log_in(world, "c", version=version)
    client.send(PingReq())
    assert client.connection.state is State.OPENING and client.take() == []
    (check,) = asked(world)
    assert (check.password, check.stored) == (b"pw", "hash of ann")
    world.broker.checked(check.token, True, world.now)
    connack, pong = client.take()
    assert isinstance(connack, ConnAck) and connack.reason is Reason.SUCCESS
    assert isinstance(pong, PingResp)
    assert client.connection.user == "ann"


@EVERY_VERSION
def test_a_wrong_password_is_told_late_and_later_each_time(version: Version) -> None:
    world = world_of(ann=ANN)
    for number, delay_s in enumerate((DELAY_MIN_S, DELAY_MIN_S * 2, DELAY_MIN_S * 4)):
        client = log_in(world, "c", password=b"no %d" % number, version=version)
        (check,) = asked(world)
        world.broker.checked(check.token, False, world.now)
        world.pass_s(delay_s * 0.9)
        assert client.take() == []
        world.pass_s(delay_s * 0.2)
        assert answer(client) is Reason.BAD_USER_NAME_OR_PASSWORD
        assert client.connection.state is State.CLOSED
    assert world.broker.vitals.logins_wrong == 3


def test_an_unknown_user_costs_a_check_and_never_passes_it() -> None:
    world = world_of(ann=ANN)
    client = log_in(world, "c", "eve")
    (check,) = asked(world)
    assert check.stored == NOBODYS_HASH
    world.broker.checked(check.token, True, world.now)
    world.pass_s(DELAY_MIN_S * 1.1)
    assert answer(client) is Reason.BAD_USER_NAME_OR_PASSWORD


def test_five_hundred_clients_of_one_user_cost_one_check_together_and_none_later() -> None:
    world = world_of(ann=ANN)
    clients = [log_in(world, f"c{number}") for number in range(500)]
    (check,) = asked(world)
    world.broker.checked(check.token, True, world.now)
    assert all(answer(client) is Reason.SUCCESS for client in clients)
    assert answer(log_in(world, "later")) is Reason.SUCCESS
    log_in(world, "other", password=b"other")
    assert len(asked(world)) == 1
    world.pass_s(REMEMBERED_S + 1)
    log_in(world, "after twelve hours")
    assert len(asked(world)) == 1


def test_beyond_the_limit_of_checks_a_client_is_told_to_come_later() -> None:
    world = world_of(ann=ANN)
    for number in range(CHECKS_AT_ONCE + CHECKS_MAX):
        log_in(world, f"c{number}", password=b"%d" % number)
    assert len(asked(world)) == CHECKS_AT_ONCE
    assert answer(log_in(world, "one", password=b"too many")) is Reason.SERVER_BUSY
    assert (
        answer(log_in(world, "old", password=b"too many", version=V311))
        is Reason.SERVER_UNAVAILABLE
    )
    assert world.broker.vitals.logins_busy == 2 and asked(world) == []


def test_an_address_with_many_wrong_passwords_does_not_keep_another_waiting() -> None:
    world = world_of(ann=ANN)
    flood = [
        log_in(world, f"c{number}", password=b"%d" % number)
        for number in range(CHECKS_AT_ONCE + CHECKS_MAX)
    ]
    under_way = asked(world)
    honest = log_in(world, "honest", address="198.51.100.4")
    assert asked(world) == [] and answer(flood[-1]) is Reason.SERVER_BUSY, "its newest makes room"
    world.broker.checked(under_way[0].token, False, world.now)
    (check,) = asked(world)
    assert check.password == b"pw", "the honest one is next"
    world.broker.checked(check.token, True, world.now)
    assert answer(honest) is Reason.SUCCESS


def test_after_a_wrong_password_its_address_is_not_looked_at_before_its_wait_is_over() -> None:
    world = world_of(ann=ANN)
    log_in(world, "wrong", password=b"no")
    (check,) = asked(world)
    world.broker.checked(check.token, False, world.now)
    again = log_in(world, "again")
    other = log_in(world, "other", password=b"2", address="198.51.100.4")
    (check,) = asked(world)
    assert check.password == b"2", "others are not kept waiting"
    world.pass_s(DELAY_MIN_S * 0.9)
    assert asked(world) == []
    world.pass_s(DELAY_MIN_S * 0.2)
    (check,) = asked(world)
    world.broker.checked(check.token, True, world.now)
    assert answer(again) is Reason.SUCCESS and other.take() == []
    late = log_in(world, "late")
    assert answer(late) is Reason.SUCCESS, "who is remembered is let in at once"


def test_who_repeats_a_wrong_password_costs_no_check_and_makes_nobody_wait() -> None:
    world = world_of(ann=ANN)
    log_in(world, "stubborn", password=b"no")
    (check,) = asked(world)
    world.broker.checked(check.token, False, world.now)
    world.pass_s(DELAY_MIN_S * 1.1)
    stubborn = log_in(world, "stubborn", password=b"no")
    assert asked(world) == [] and stubborn.take() == []
    log_in(world, "other", password=b"2")
    (check,) = asked(world)
    world.pass_s(DELAY_MIN_S * 1.1)
    assert answer(stubborn) is Reason.BAD_USER_NAME_OR_PASSWORD
    assert world.broker.vitals.logins_wrong == 2
    world.broker.checked(check.token, True, world.now)
    world.broker.admission.users_changed({"ann": User("new hash")}, world.now)
    log_in(world, "stubborn", password=b"no")
    assert len(asked(world)) == 1, "with another password of the user it may be right"
    world.broker.admission.users_changed({"ann": ANN}, world.now)
    world.pass_s(KNOWN_WRONG_S)
    log_in(world, "stubborn", password=b"no")
    assert len(asked(world)) == 1, "it is not known for ever"


def test_who_was_pushed_out_may_be_checked_again_later() -> None:
    world = world_of(ann=ANN)
    for number in range(CHECKS_AT_ONCE + CHECKS_MAX):
        log_in(world, f"c{number}", password=b"%d" % number)
    pushed = b"%d" % (CHECKS_AT_ONCE + CHECKS_MAX - 1)
    log_in(world, "honest", address="198.51.100.4")
    again = log_in(world, "again", password=pushed, address="203.0.113.1")
    under_way = asked(world)
    checked = []
    for _ in range(3):
        world.broker.checked(under_way.pop(0).token, True, world.now)
        under_way += asked(world)
        checked += [each.password for each in under_way]
    assert pushed in checked and again.connection.state is State.OPENING


def test_a_removed_user_and_a_changed_password_end_connections_and_remembered_logins() -> None:
    world = world_of(ann=ANN, bob=BOB)
    ann, bob = log_in(world, "a"), log_in(world, "b", "bob")
    for check in asked(world):
        world.broker.checked(check.token, True, world.now)
    assert answer(ann) is answer(bob) is Reason.SUCCESS
    world.broker.admission.users_changed({"ann": User("new hash"), "bob": BOB}, world.now)
    (said,) = ann.take()
    assert isinstance(said, Disconnect) and said.reason is Reason.NOT_AUTHORIZED
    assert bob.take() == []
    log_in(world, "a")
    assert [check.stored for check in asked(world)] == ["new hash"]
    world.broker.admission.users_changed({"ann": User("new hash")}, world.now)
    (said,) = bob.take()
    assert isinstance(said, Disconnect) and said.reason is Reason.NOT_AUTHORIZED
    log_in(world, "b", "bob")
    assert [check.stored for check in asked(world)] == [NOBODYS_HASH]


def test_a_password_that_was_changed_while_it_was_checked_is_wrong() -> None:
    world = world_of(ann=ANN)
    client = log_in(world, "c")
    (check,) = asked(world)
    world.broker.admission.users_changed({"ann": User("new hash")}, world.now)
    world.broker.checked(check.token, True, world.now)
    world.pass_s(DELAY_MIN_S * 1.1)
    assert answer(client) is Reason.BAD_USER_NAME_OR_PASSWORD


def test_a_client_that_left_while_its_password_was_checked_has_no_session() -> None:
    world = world_of(ann=ANN)
    client = log_in(world, "c")
    (check,) = asked(world)
    client.connection.lost(world.now)
    world.broker.checked(check.token, True, world.now)
    assert world.broker.state.sessions == {}


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (None, Reason.SUCCESS),
        ("plant", Reason.SUCCESS),
        ("ann", Reason.BAD_USER_NAME_OR_PASSWORD),
    ],
)
def test_a_certificate_is_a_user_without_a_password(given: str | None, reason: Reason) -> None:
    world = world_of(ann=ANN)
    client = world.client("c", trusted=False)
    client.connection.certified = "plant"
    client.connect(username=given)
    assert answer(client) is reason and asked(world) == []
    assert client.connection.user == ("plant" if reason is Reason.SUCCESS else "")


def test_without_a_user_name_a_client_is_anonymous_where_that_is_allowed() -> None:
    world = world_of(ann=ANN)
    here, elsewhere = world.client("a"), world.client("b", trusted=False)
    here.connect()
    elsewhere.connect()
    assert answer(here) is Reason.SUCCESS and here.connection.user == ""
    assert answer(elsewhere) is Reason.NOT_AUTHORIZED


def test_a_session_is_not_given_to_another_user() -> None:
    world = world_of(ann=ANN, bob=BOB)
    for user, reason in (("ann", Reason.SUCCESS), ("bob", Reason.NOT_AUTHORIZED)):
        client = log_in(world, "same", user)
        (check,) = asked(world)
        world.broker.checked(check.token, True, world.now)
        assert answer(client) is reason


def test_where_sessions_belong_to_nobody_another_user_gets_it_without_what_he_may_not_read() -> (
    None
):
    settings = MqttSection(session_belongs_to_user=False, queue_full=DROP_QOS0_FIRST)
    world = KeptWorld(settings)
    world.broker.admission.users_changed({"ann": ANN, "bob": BOB}, world.now)
    rules = [
        Rule.of(words.split()) for words in ("allow user bob read t/#", "deny user bob read t/s")
    ]
    world.broker.admission.rules_changed(Access(rules), world.now)

    def come(user: str, clean: bool) -> Client:
        client = log_in(world, "same", user, clean=clean)
        for check in asked(world):
            world.broker.checked(check.token, True, world.now)
        world.settle()
        return client

    ann = come("ann", clean=True)
    assert answer(ann) is Reason.SUCCESS
    ann.send(Subscribe(1, (Subscription("t/#", 1),)))
    world.settle()
    assert ann.take() == [SubAck(1, (Reason.GRANTED_QOS_1,))]
    publisher = world.connected("publisher")
    publisher.publish("t/s", b"sent", 1)
    assert ann.payloads() == [b"sent"]
    ann.lose()
    for topic in ("t/s", "t/open"):
        publisher.publish(topic, b"at most once", 0)
        publisher.publish(topic, b"at least once", 1)
    world.settle()
    bob = come("bob", clean=False)
    connack, *messages = bob.take()
    assert isinstance(connack, ConnAck) and connack.session_present
    assert [each.topic for each in messages if isinstance(each, Publish)] == ["t/open", "t/open"]
    session = world.broker.state.sessions["same"]
    assert not session.backlog and not session.backlog.bytes
    publisher.publish("t/s", b"later", 1)
    publisher.publish("t/open", b"later", 0)
    assert bob.payloads() == [b"later"]
    world.power_cut()
    assert world.broker.state.sessions["same"].user == "bob", "the disk knows it, too"


def test_wrong_passwords_are_forgiven_in_time_and_counted_by_network() -> None:
    logins = Logins(b"key")
    assert [logins.failed("2001:db8::1", 0.0), logins.failed("2001:db8::2", 0.0)] == [
        DELAY_MIN_S,
        DELAY_MIN_S * 2,
    ]
    assert logins.failed("2001:db8:0:1::1", 0.0) == DELAY_MIN_S
    assert logins.failed("192.0.2.1", 0.0) == DELAY_MIN_S
    assert logins.failed("::ffff:192.0.2.1", 0.0) == DELAY_MIN_S * 2
    assert max(logins.failed("192.0.2.1", 1.0) for _ in range(50)) == DELAY_MAX_S
    assert logins.failed("192.0.2.1", 2.0 + FORGIVEN_S) == DELAY_MIN_S
    for number in range(ADDRESSES_MAX):
        logins.failed(f"10.0.{number // 256}.{number % 256}", 1_000.0)
    assert logins.failed("192.0.2.1", 1_000.0) == DELAY_MIN_S, "the oldest made room"


def test_of_too_many_remembered_logins_the_oldest_is_forgotten() -> None:
    logins = Logins(b"key")
    logins.users = {"ann": ANN}
    digests = [logins.digest("ann", b"%d" % number) for number in range(REMEMBERED_MAX + 1)]
    for digest in digests:
        assert logins.stand_in_line("192.0.2.7", "ann", b"", digest, lambda verdict: None)
        turn = logins.next_check(0.0)
        assert turn is not None
        logins.end(turn[0], True, 0.0)
    assert not logins.remembers(digests[0], 1.0)
    assert logins.remembers(digests[1], 1.0) and logins.remembers(digests[-1], 1.0)


def test_secrets_do_not_show() -> None:
    assert "pw" not in repr(CheckPassword(1, b"pw", "stored"))
    assert "stored" not in repr(CheckPassword(1, b"x", "stored")) + repr(User("stored"))
