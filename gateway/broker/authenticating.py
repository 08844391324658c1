"""AUTH, sections 3.15 and 4.12: SCRAM-SHA-256 between CONNECT and the session, and again later.

    CONNECT with the method, AUTH 0x18 to and fro, CONNACK      the user is who proved to be it
    AUTH 0x19, AUTH 0x18 to and fro, AUTH 0x00                  it must be the same user

Before CONNACK nothing but AUTH and DISCONNECT is legal; while a client authenticates again, all the rest
goes on as it was. The user name and password of CONNECT are not looked at: the user is who SCRAM proves,
and if there is a certificate, it must name the same. A wrong proof counts for its address as a wrong
password does, and no proof is looked at before that address's wait is over. Must not know what is in a
message of SCRAM.
"""

from base64 import b64encode
from collections.abc import Callable

from gateway.broker.connection import Authentication, Connection, State
from gateway.broker.identity import WRONG, answer_late, count_wrong, refuse, refuse_busy
from gateway.broker.logins import place_of
from gateway.broker.scram import METHOD, Exchange, Step
from gateway.errors import ProtocolError
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Auth, Connect, Packet, Version
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason

METHOD_CHARACTERS_SHOWN = 40  # of another one, which may have 65 kB
NONCE_BITS = 144  # 24 characters of base64


def authenticate(connection: Connection, packet: Connect, go_on: Callable[[], None]) -> None:
    """Calls `go_on` later, when `connection.user` is who it proved to be; else refuses."""
    method = packet.properties.authentication_method
    assert method is not None, "its CONNECT names no method"
    if method != METHOD:  # [MQTT-4.12.0-1]
        shown = method[:METHOD_CHARACTERS_SHOWN]
        why = f"the authentication method {shown} is not offered, only {METHOD}"
        refuse(connection, Reason.BAD_AUTHENTICATION_METHOD, why)
        return
    connection.authenticating(Authentication(method, go_on))
    _begin(connection, packet.properties.authentication_data)


def on_auth(connection: Connection, packet: Packet) -> None:
    """AUTH of a client: it goes on, or it begins again on a connection that is open."""
    assert isinstance(packet, Auth)
    authentication = connection.authentication
    if authentication is None:  # [MQTT-4.12.0-6] [MQTT-4.12.0-7]
        raise ProtocolError(Reason.PROTOCOL_ERROR, "AUTH, and its CONNECT named no method")
    again, under_way = packet.reason is Reason.RE_AUTHENTICATE, authentication.exchange is not None
    all_said = authentication.final is not None
    if packet.reason is Reason.SUCCESS or again == under_way or all_said:
        # [MQTT-4.12.0-3]
        raise ProtocolError(Reason.PROTOCOL_ERROR, f"AUTH {packet.reason:#04x} out of order")
    if packet.properties.authentication_method != authentication.method:  # [MQTT-4.12.1-1]
        why = "AUTH with another authentication method than its CONNECT"
        raise ProtocolError(Reason.BAD_AUTHENTICATION_METHOD, why)
    if again:
        _begin(connection, packet.properties.authentication_data)
    else:
        _go_on(connection, packet.properties.authentication_data or b"")


def on_early_disconnect(connection: Connection, packet: Packet) -> None:
    """DISCONNECT of a client that does not go on; there is no session and no will yet."""
    connection.close(with_will=False)


def ended(connection: Connection) -> None:
    """Nothing of an exchange is under way on this connection from here on."""
    authentication = connection.authentication
    if authentication is not None and authentication.exchange is not None:
        authentication.exchange = authentication.final = None
        connection.broker.timers.drop(authentication.timer)
        connection.broker.logins.exchanges.leave(authentication.number)


def _begin(connection: Connection, data: bytes | None) -> None:
    broker, authentication = connection.broker, connection.authentication
    assert authentication is not None

    def give_up() -> None:
        refuse_busy(connection, "too many authentications are under way")

    def too_late(now: float) -> None:
        broker.at(now)
        _refuse(connection, Reason.NOT_AUTHORIZED, "its authentication took too long")

    number = broker.logins.exchanges.enter(place_of(connection.address), give_up)
    if not number:
        give_up()
        return
    nonce = b64encode(broker.random.getrandbits(NONCE_BITS).to_bytes(NONCE_BITS // 8, "big"))
    authentication.number = number
    authentication.exchange = Exchange(nonce.decode(), broker.logins.keys)
    until = broker.now + broker.settings.connect_timeout_s
    authentication.timer = broker.timers.set(until, too_late)
    if data is None:
        _say(connection, Reason.CONTINUE_AUTHENTICATION, None)  # its first message is asked for
    else:
        _go_on(connection, data)


def _go_on(connection: Connection, data: bytes) -> None:
    authentication = connection.authentication
    assert authentication is not None and authentication.exchange is not None
    if authentication.exchange.step is Step.FINAL:
        authentication.final = data
        _look(connection)
        return
    try:
        challenge = authentication.exchange.challenge(data)
    except ValueError as error:
        _refuse(connection, Reason.NOT_AUTHORIZED, f"{METHOD}: {error}")
        return
    _say(connection, Reason.CONTINUE_AUTHENTICATION, challenge)  # [MQTT-4.12.0-2]


def _look(connection: Connection) -> None:
    """Looks at the proof, when it is its address's turn."""
    broker, authentication = connection.broker, connection.authentication
    assert authentication is not None
    exchange, final = authentication.exchange, authentication.final
    if exchange is None or final is None:
        return  # it gave up, or took too long

    def due(now: float) -> None:
        broker.at(now)
        _look(connection)

    address, logins = connection.address, broker.logins
    opens_at = logins.opens_at(address)
    if opens_at > broker.now and not logins.was_right(address, exchange.user, broker.now):
        if connection.state is not State.OPEN:
            connection.opening()
        broker.timers.set(opens_at, due)
        return
    try:
        signature = exchange.signature(final)
    except ValueError as error:
        _refuse(connection, Reason.NOT_AUTHORIZED, f"{METHOD}: {error}")
        return
    ended(connection)
    if not logins.are_keys_of(exchange.keys, exchange.user):
        signature = None  # decoys fit nothing, and these may be of an old password
    logins.proved(address, exchange.user, signature is not None, broker.now)
    if signature is None:
        _answer_wrong(connection, exchange.user, max(opens_at - broker.now, 0.0))
    else:
        _proved(connection, authentication, exchange.user, signature)


def _proved(
    connection: Connection, authentication: Authentication, user: str, signature: bytes
) -> None:
    if connection.state is State.OPEN:
        if user != connection.user:
            why = "it authenticated again, and as another user"
            _refuse(connection, Reason.NOT_AUTHORIZED, why)
        else:
            _say(connection, Reason.SUCCESS, signature)
    elif connection.certified not in ("", user):
        _refuse(connection, Reason.NOT_AUTHORIZED, "a user that is not its certificate's")
    else:
        connection.user = user
        authentication.signature = signature
        go_on, authentication.go_on = authentication.go_on, None
        assert go_on is not None, "it was let in before"
        go_on()


def _answer_wrong(connection: Connection, user: str, spared_s: float) -> None:
    """As late as if the proof had waited for its turn: who was right here before is not to be seen."""
    broker = connection.broker
    known = broker.logins.users.get(user)
    if known is not None and known.keys is None:
        text = f"of {user} no keys for {METHOD} are kept; set his password again: gwctl user passwd"
        broker.note("warning", text)
    delay_s = count_wrong(connection)
    if connection.state is not State.OPEN:  # [MQTT-4.12.0-4]
        answer_late(connection, Reason.NOT_AUTHORIZED, spared_s + delay_s)
        return

    def due(now: float) -> None:
        broker.at(now)
        connection.refuse(Reason.NOT_AUTHORIZED, WRONG)  # [MQTT-4.12.1-2]

    if spared_s:
        broker.timers.set(broker.now + spared_s, due)
    else:
        due(broker.now)


def _refuse(connection: Connection, reason: Reason, why: str) -> None:
    if connection.state is State.OPEN:
        connection.refuse(reason, why)
    else:
        refuse(connection, reason, why)


def _say(connection: Connection, reason: Reason, data: bytes | None) -> None:
    """AUTH with the method [MQTT-4.12.0-5], and neither a reason string nor user properties."""
    properties = Properties(authentication_method=METHOD, authentication_data=data)
    frame = encode(Auth(reason, properties), Version.MQTT5)
    bytes_max = connection.outbox.packet_bytes_max
    if 0 < bytes_max < len(frame):  # [MQTT-3.15.2-2] [MQTT-3.15.2-3]
        why = "its maximum packet size leaves no room for AUTH"
        _refuse(connection, Reason.PACKET_TOO_LARGE, why)
        return
    connection.send(frame)
