"""AUTH: the client's side is another implementation of SCRAM, over packets that a test can see."""

from collections.abc import Iterable
from dataclasses import replace

import pytest
from scramp import ScramClient

from gateway.broker.connection import AUTH_BYTES_MAX, State
from gateway.broker.logins import DELAY_MIN_S, EXCHANGES_MAX, User
from gateway.broker.people import decoy_row
from gateway.broker.scram import METHOD, make_keys
from gateway.config import MqttSection
from gateway.effects import CheckPassword
from gateway.mqtt.packets import (
    Auth,
    ConnAck,
    Disconnect,
    Packet,
    PingReq,
    PingResp,
    Publish,
    Subscribe,
    Subscription,
    Version,
    Will,
)
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.broker.world import V5, Client, World

CONNECT_TIMEOUT_S = MqttSection().connect_timeout_s
CONTINUE, AGAIN = Reason.CONTINUE_AUTHENTICATION, Reason.RE_AUTHENTICATE
SALT = bytes(range(16))
PENCIL, STAPLE = make_keys("pencil", SALT, 4_096), make_keys("staple", SALT[::-1], 4_096)
USERS = {"ann": User("1", keys=PENCIL), "bob": User("2", keys=STAPLE), "old": User("3")}
HERE, ELSEWHERE = "192.0.2.7", "198.51.100.4"


class Caller:
    """A client with a user and a password; each method is one thing that it says."""

    def __init__(
        self,
        world: World,
        user: str = "ann",
        password: str = "pencil",
        client_id: str = "c",
        address: str = HERE,
    ) -> None:
        self.mqtt: Client = world.client(client_id, V5, trusted=False, address=address)
        self.begin_anew(user, password)

    def begin_anew(self, user: str = "ann", password: str = "pencil") -> None:
        self.scram = ScramClient([METHOD], user, password)

    def connect(self, **more: object) -> None:
        first = self.scram.get_client_first().encode()
        self.mqtt.connect(authentication_method=METHOD, authentication_data=first, **more)  # type: ignore[arg-type]

    def again(self) -> None:
        self.say(AGAIN, self.scram.get_client_first().encode())

    def say(self, reason: Reason, data: bytes | None, method: str = METHOD) -> None:
        properties = Properties(authentication_method=method, authentication_data=data)
        self.mqtt.send(Auth(reason, properties))

    def hear_challenge(self, said: Iterable[Packet] | None = None) -> None:
        (challenge,) = self.mqtt.take() if said is None else said
        assert isinstance(challenge, Auth) and challenge.reason is CONTINUE
        data = challenge.properties.authentication_data
        expected = Properties(authentication_method=METHOD, authentication_data=data)
        assert challenge.properties == expected and data is not None
        self.scram.set_server_first(data.decode())

    def prove(self) -> None:
        self.say(CONTINUE, self.scram.get_client_final().encode())

    def exchange(self, **more: object) -> None:
        """All of it but the answer."""
        self.connect(**more)
        self.hear_challenge()
        self.prove()

    def hear_welcome(self) -> ConnAck:
        (connack,) = self.mqtt.take()
        assert isinstance(connack, ConnAck) and connack.reason is Reason.SUCCESS, connack
        self.check_signature(connack.properties)
        return connack

    def check_signature(self, properties: Properties) -> None:
        assert properties.authentication_method == METHOD
        assert properties.authentication_data is not None
        self.scram.set_server_final(properties.authentication_data.decode())


def world_of_users(settings: MqttSection | None = None) -> World:
    world = World(settings)
    world.broker.admission.users_changed(USERS, world.now)
    return world


def opened(world: World, **who: str) -> Caller:
    caller = Caller(world, **who)
    caller.exchange()
    caller.hear_welcome()
    return caller


def refusal(caller: Caller) -> Reason:
    (said,) = caller.mqtt.take()
    assert isinstance(said, ConnAck | Disconnect), said
    assert caller.mqtt.closed
    return said.reason


def test_a_client_proves_its_password_and_the_broker_that_it_knows_the_keys() -> None:
    # [MQTT-4.12.0-2] [MQTT-4.12.0-5] [MQTT-3.2.0-1]
    world = world_of_users()
    caller = Caller(world)
    caller.connect()
    assert caller.mqtt.connection.state is State.AUTHENTICATING
    caller.hear_challenge()
    caller.prove()
    assert caller.hear_welcome().session_present is False
    assert caller.mqtt.connection.user == "ann"
    caller.mqtt.send(PingReq())
    assert caller.mqtt.take() == [PingResp()]
    assert len(world.broker.state.logins.exchanges) == 0
    assert not [each for each in world.broker.drain()[1] if isinstance(each, CheckPassword)]


def test_what_follows_the_proof_in_the_same_read_is_served_too() -> None:
    caller = Caller(world_of_users())
    caller.connect()
    caller.hear_challenge()
    final = caller.scram.get_client_final().encode()
    proof = Auth(CONTINUE, Properties(authentication_method=METHOD, authentication_data=final))
    caller.mqtt.send(proof, PingReq())
    connack, pong = caller.mqtt.take()
    assert isinstance(connack, ConnAck) and isinstance(pong, PingResp)


def test_a_client_may_begin_without_data_and_is_asked_for_it() -> None:
    caller = Caller(world_of_users())
    caller.mqtt.connect(authentication_method=METHOD)
    asked = Auth(CONTINUE, Properties(authentication_method=METHOD))
    assert caller.mqtt.take() == [asked]
    caller.say(CONTINUE, caller.scram.get_client_first().encode())
    caller.hear_challenge()
    caller.prove()
    caller.hear_welcome()


def test_the_user_name_and_password_of_connect_are_not_looked_at() -> None:
    world = world_of_users()
    caller = Caller(world)
    caller.exchange(username="bob", password=b"wrong")
    caller.hear_welcome()
    assert caller.mqtt.connection.user == "ann"
    assert world.broker.state.sessions["c"].user == "ann"


@pytest.mark.parametrize(
    ("user", "password"),
    [("ann", "wrong"), ("eve", "pencil"), ("old", "pencil"), ("ann", "staple")],
)
def test_a_wrong_proof_is_refused_late_and_the_next_waits(user: str, password: str) -> None:
    # [MQTT-4.12.0-4]
    world = world_of_users()
    caller = Caller(world, user, password)
    caller.exchange()
    assert caller.mqtt.take() == []
    world.pass_s(DELAY_MIN_S * 0.5)
    good = Caller(world, client_id="good")
    other = Caller(world, client_id="other", address=ELSEWHERE)
    good.exchange()
    good.mqtt.send(PingReq())
    other.exchange()
    other.hear_welcome()
    assert caller.mqtt.take() == good.mqtt.take() == []
    world.pass_s(DELAY_MIN_S * 0.6)
    assert refusal(caller) is Reason.NOT_AUTHORIZED
    connack, pong = good.mqtt.take()
    assert isinstance(connack, ConnAck) and isinstance(pong, PingResp)
    assert good.mqtt.connection.user == "ann"
    assert world.broker.vitals.logins_wrong == 1
    assert caller.mqtt.told == ["no such user, or another password"]
    assert ("keys" in str(world.notes())) == (user == "old"), "the log says what to do"


def test_proofs_that_wait_for_their_turn_are_looked_at_one_after_the_other() -> None:
    world = world_of_users()
    callers = [Caller(world, password="wrong", client_id=f"c{number}") for number in range(5)]
    for caller in callers:
        caller.exchange()
    wrong = []
    for _ in range(8):
        wrong.append(world.broker.vitals.logins_wrong)
        world.pass_s(DELAY_MIN_S)
    assert wrong == [1, 2, 2, 3, 3, 3, 3, 4], "after 0, 0.25, 0.75 and 1.75 s"
    callers[-1].mqtt.lose()
    world.pass_s(60.0)
    assert world.broker.vitals.logins_wrong == 4, "who has left is not looked at"
    assert len(world.broker.state.logins.exchanges) == 0


def test_who_was_right_here_does_not_wait_for_the_mistakes_of_others_but_for_his_own() -> None:
    world = world_of_users()
    opened(world).mqtt.lose()
    for user in ("bob", "ann"):
        Caller(world, user, "wrong", client_id=f"wrong-{user}").exchange()
        again = Caller(world)
        again.exchange()
        if user == "bob":
            again.hear_welcome()
        else:
            assert again.mqtt.take() == []


@pytest.mark.parametrize("live", [False, True])
def test_nobody_learns_by_a_wrong_proof_who_was_right_here(live: bool) -> None:
    told_after = {}
    for user in ("ann", "bob"):
        world = world_of_users()
        guesser = opened(world, user="bob", password="staple", client_id="guesser")
        world.broker.state.logins.proved(HERE, "bob", False, world.now)
        opened(world).mqtt.lose()
        Caller(world, "eve", "wrong", client_id="eve").exchange()
        if live:
            guesser.begin_anew(user, "wrong")
            guesser.again()
            guesser.hear_challenge()
            guesser.prove()
        else:
            guesser = Caller(world, user, "wrong", client_id="other")
            guesser.exchange()
        told_after[user] = 0
        while not guesser.mqtt.closed:
            world.pass_s(0.01)
            told_after[user] += 1
    assert abs(told_after["ann"] - told_after["bob"]) <= 1 and told_after["ann"] >= 20


def test_nobody_learns_by_asking_who_exists() -> None:
    world = world_of_users()

    def challenge(user: str) -> str:
        caller = Caller(world, user)
        caller.connect()
        (said,) = caller.mqtt.take()
        assert isinstance(said, Auth) and said.properties.authentication_data is not None
        return said.properties.authentication_data.decode().partition(",")[2]

    assert challenge("eve") == challenge("eve") != challenge("mallory")
    assert challenge("old") == challenge("old") != challenge("eve")
    assert len(challenge("eve")) == len(challenge("old")) == len(challenge("ann")) + 1, (
        "16384 rounds"
    )
    before = challenge("eve")
    world.broker.admission.change(dict([decoy_row(b"another key")]), lambda why: None, world.now)
    assert challenge("eve") != before


def test_a_user_who_was_changed_during_the_exchange_is_not_let_in() -> None:
    world = world_of_users()
    caller = Caller(world)
    caller.connect()
    caller.hear_challenge()
    world.broker.admission.users_changed({"ann": User("new", keys=STAPLE)}, world.now)
    caller.prove()
    world.pass_s(DELAY_MIN_S * 1.1)
    assert refusal(caller) is Reason.NOT_AUTHORIZED


@pytest.mark.parametrize("method", ["SCRAM-SHA-1", "SCRAM-SHA-256-PLUS", "", "scram-sha-256"])
def test_another_method_is_refused_by_its_name(method: str) -> None:
    # [MQTT-4.12.0-1]
    caller = Caller(world_of_users())
    caller.mqtt.connect(authentication_method=method)
    assert refusal(caller) is Reason.BAD_AUTHENTICATION_METHOD
    assert METHOD in caller.mqtt.told[0]


@pytest.mark.parametrize("data", [b"", b"n,,n=ann", b"p=tls-unique,,n=ann,r=x", b"\xff"])
def test_what_is_no_message_of_scram_is_refused(data: bytes) -> None:
    world = world_of_users()
    caller = Caller(world)
    caller.mqtt.connect(authentication_method=METHOD, authentication_data=data)
    assert refusal(caller) is Reason.NOT_AUTHORIZED
    assert caller.mqtt.told[0].startswith(METHOD)
    assert world.broker.vitals.logins_wrong == 0, "nothing was guessed"
    assert len(world.broker.state.logins.exchanges) == 0


def test_a_last_message_that_is_none_is_refused() -> None:
    caller = Caller(world_of_users())
    caller.connect()
    caller.hear_challenge()
    caller.say(CONTINUE, b"c=biws")
    assert refusal(caller) is Reason.NOT_AUTHORIZED


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (PingReq(), Reason.PROTOCOL_ERROR),
        (Publish("t", b"x"), Reason.PROTOCOL_ERROR),
        (Subscribe(1, (Subscription("#", 0),)), Reason.PROTOCOL_ERROR),
        (Auth(), Reason.PROTOCOL_ERROR),
        (Auth(Reason.SUCCESS, Properties(authentication_method=METHOD)), Reason.PROTOCOL_ERROR),
        (Auth(AGAIN, Properties(authentication_method=METHOD)), Reason.PROTOCOL_ERROR),
        (
            Auth(CONTINUE, Properties(authentication_method="OTHER")),
            Reason.BAD_AUTHENTICATION_METHOD,
        ),
        (
            Auth(
                CONTINUE,
                Properties(authentication_method=METHOD, authentication_data=b"x" * AUTH_BYTES_MAX),
            ),
            Reason.PACKET_TOO_LARGE,
        ),
    ],
)
def test_before_connack_only_the_next_auth_is_legal(packet: Packet, reason: Reason) -> None:
    # [MQTT-3.1.2-30] [MQTT-4.12.0-3] [MQTT-4.12.0-5]
    world = world_of_users()
    caller = Caller(world)
    caller.connect()
    caller.hear_challenge()
    caller.mqtt.send(packet)
    assert refusal(caller) is reason
    assert world.broker.state.sessions == {} and len(world.broker.state.logins.exchanges) == 0


def test_a_client_may_disconnect_instead_and_leaves_nothing() -> None:
    world = world_of_users()
    watch = world.connected("watch")
    watch.subscribe("#")
    caller = Caller(world)
    caller.connect(will=Will("left", b"x"))
    caller.hear_challenge()
    caller.mqtt.send(Disconnect(Reason.DISCONNECT_WITH_WILL_MESSAGE))
    assert caller.mqtt.closed and caller.mqtt.take() == [] == watch.take()
    assert len(world.broker.state.logins.exchanges) == 0


def test_a_client_that_does_not_go_on_is_closed_in_time() -> None:
    world = world_of_users()
    caller = Caller(world)
    caller.connect()
    caller.hear_challenge()
    world.pass_s(CONNECT_TIMEOUT_S - 0.1)
    assert not caller.mqtt.closed
    world.pass_s(0.2)
    assert caller.mqtt.closed and len(world.broker.state.logins.exchanges) == 0


@pytest.mark.parametrize("reason", [CONTINUE, AGAIN])
def test_auth_of_a_client_that_named_no_method_is_a_protocol_error(reason: Reason) -> None:
    # [MQTT-4.12.0-6] [MQTT-4.12.0-7]
    client = world_of_users().connected("c")
    assert client.connack is not None
    assert client.connack.properties.authentication_method is None
    client.send(Auth(reason, Properties(authentication_method=METHOD)))
    assert client.take() == [Disconnect(Reason.PROTOCOL_ERROR)] and client.closed


@pytest.mark.parametrize("version", [Version.MQTT31, Version.MQTT311], ids=lambda v: v.name)
def test_before_version_5_there_is_no_auth(version: Version) -> None:
    client = world_of_users().connected("c", version)
    client.send_bytes(bytes.fromhex("f0 00"))
    assert client.closed and client.take() == []


def test_on_a_live_connection_everything_goes_on_while_it_authenticates_again() -> None:
    # [MQTT-4.12.1-1]
    caller = opened(world_of_users())
    caller.mqtt.subscribe("t", 1)
    caller.begin_anew()
    caller.again()
    caller.hear_challenge()
    caller.mqtt.publish("t", b"between")
    assert caller.mqtt.payloads() == [b"between"]
    caller.prove()
    (done,) = caller.mqtt.take()
    assert isinstance(done, Auth) and done.reason is Reason.SUCCESS
    caller.check_signature(done.properties)
    caller.begin_anew()
    caller.again()
    caller.hear_challenge()


@pytest.mark.parametrize(
    ("user", "password"), [("ann", "wrong"), ("bob", "staple"), ("bob", "wrong"), ("eve", "pencil")]
)
def test_who_fails_to_authenticate_again_or_is_another_user_is_disconnected(
    user: str, password: str
) -> None:
    # [MQTT-4.12.1-2] [MQTT-4.12.0-4]
    world = world_of_users()
    caller = opened(world)
    caller.begin_anew(user, password)
    caller.again()
    caller.hear_challenge()
    caller.prove()
    assert refusal(caller) is Reason.NOT_AUTHORIZED
    assert world.broker.vitals.logins_wrong == (password != "staple")
    assert len(world.broker.state.logins.exchanges) == 0


def test_a_proof_on_a_live_connection_waits_for_its_turn_as_well() -> None:
    world = world_of_users()
    caller = opened(world)
    Caller(world, password="wrong", client_id="wrong").exchange()
    caller.begin_anew()
    caller.again()
    caller.hear_challenge()
    caller.prove()
    caller.mqtt.send(PingReq())
    assert caller.mqtt.take() == [PingResp()]
    world.pass_s(DELAY_MIN_S * 1.1)
    (done,) = caller.mqtt.take()
    assert isinstance(done, Auth) and done.reason is Reason.SUCCESS


@pytest.mark.parametrize(
    ("reason", "method", "expected"),
    [
        (AGAIN, METHOD, Reason.PROTOCOL_ERROR),  # one is under way
        (CONTINUE, "OTHER", Reason.BAD_AUTHENTICATION_METHOD),
        (Reason.SUCCESS, METHOD, Reason.PROTOCOL_ERROR),
    ],
)
def test_auth_out_of_order_ends_a_live_connection(
    reason: Reason, method: str, expected: Reason
) -> None:
    caller = opened(world_of_users())
    caller.begin_anew()
    caller.again()
    caller.hear_challenge()
    caller.say(reason, b"x", method)
    assert refusal(caller) is expected


def test_auth_that_goes_on_where_nothing_began_ends_a_live_connection() -> None:
    caller = opened(world_of_users())
    caller.say(CONTINUE, b"x")
    assert refusal(caller) is Reason.PROTOCOL_ERROR


def test_auth_after_the_last_message_ends_a_live_connection() -> None:
    world = world_of_users()
    caller = opened(world)
    Caller(world, password="wrong", client_id="wrong").exchange()
    caller.begin_anew()
    caller.again()
    caller.hear_challenge()
    caller.prove()
    caller.say(CONTINUE, b"x")
    assert refusal(caller) is Reason.PROTOCOL_ERROR


def test_authenticating_again_must_be_finished_in_time() -> None:
    world = world_of_users()
    caller = opened(world)
    caller.begin_anew()
    caller.again()
    caller.hear_challenge()
    world.pass_s(CONNECT_TIMEOUT_S + 0.1)
    assert refusal(caller) is Reason.NOT_AUTHORIZED
    assert len(world.broker.state.logins.exchanges) == 0


def test_a_client_that_takes_no_packet_as_large_as_the_challenge_is_told() -> None:
    # [MQTT-3.15.2-2] [MQTT-3.15.2-3]
    caller = Caller(world_of_users())
    caller.connect(maximum_packet_size_bytes=60)
    assert refusal(caller) is Reason.PACKET_TOO_LARGE


@pytest.mark.parametrize(
    ("certified", "reason"), [("ann", Reason.SUCCESS), ("plant", Reason.NOT_AUTHORIZED)]
)
def test_a_certificate_must_name_the_same_user(certified: str, reason: Reason) -> None:
    caller = Caller(world_of_users())
    caller.mqtt.connection.certified = certified
    caller.exchange()
    (connack,) = caller.mqtt.take()
    assert isinstance(connack, ConnAck) and connack.reason is reason


def test_one_address_cannot_have_all_the_exchanges_while_others_want_one() -> None:
    world = world_of_users()
    flood = [Caller(world, client_id=f"c{number}") for number in range(EXCHANGES_MAX + 1)]
    for caller in flood:
        caller.mqtt.connect(authentication_method=METHOD)
    assert refusal_after_challenge(flood[-1]) is Reason.SERVER_BUSY
    honest = Caller(world, client_id="honest", address=ELSEWHERE)
    honest.exchange()
    honest.hear_welcome()
    assert refusal_after_challenge(flood[-2]) is Reason.SERVER_BUSY, "its newest made room"
    assert not flood[0].mqtt.closed
    assert world.broker.vitals.logins_busy == 2


def refusal_after_challenge(caller: Caller) -> Reason:
    said = caller.mqtt.take()[-1]
    assert isinstance(said, ConnAck) and caller.mqtt.closed
    return said.reason


def test_a_session_of_a_user_is_found_again_by_his_proof() -> None:
    world = world_of_users()
    caller = Caller(world)
    caller.exchange(session_expiry_interval_s=60)
    caller.hear_welcome()
    caller.mqtt.lose()
    again = Caller(world)
    again.connect(clean=False, session_expiry_interval_s=60)
    again.hear_challenge()
    again.prove()
    assert again.hear_welcome().session_present
    other = Caller(world, "bob", "staple")
    other.exchange()
    assert refusal(other) is Reason.NOT_AUTHORIZED


def test_a_user_whose_password_is_set_anew_is_disconnected_and_one_who_gets_keys_is_not() -> None:
    world = world_of_users()
    caller = opened(world)
    world.broker.admission.users_changed(
        {**USERS, "ann": replace(USERS["ann"], keys=STAPLE)}, world.now
    )
    assert not caller.mqtt.closed
    world.broker.admission.users_changed({**USERS, "ann": User("new", keys=PENCIL)}, world.now)
    assert refusal(caller) is Reason.NOT_AUTHORIZED
