"""Who a client is: the stage between CONNECT and the session.

    no user name                    as anonymous as the configuration allows; the user is ""
    a verified certificate          its subject is the user, and no password is asked for
    a user name and its password    known from before: at once; else a check on the shell's threads

While no user exists a name says nothing. A check is slow on purpose, so a login that was right is
remembered, clients that show the same at the same time share one check, and a user that does not exist
takes as long as one that does. A wrong password is answered late, the later the more often its address
was wrong. Must not know how a password is hashed, nor rules.
"""

from collections.abc import Callable

from gateway.broker.connection import Connection, State
from gateway.broker.state import BrokerState
from gateway.effects import CheckPassword
from gateway.mqtt.packets import Connect
from gateway.mqtt.reasons import Reason


def identify(connection: Connection, packet: Connect, go_on: Callable[[], None]) -> None:
    """Calls `go_on`, now or later, when `connection.user` is who it proved to be; else refuses."""
    broker = connection.broker
    name = packet.username
    if packet.properties.authentication_method is not None:
        why = "extended authentication is not offered"
        _refuse(connection, Reason.BAD_AUTHENTICATION_METHOD, why)
    elif connection.certified:
        if name not in (None, connection.certified):
            why = "a user name that is not its certificate's"
            _refuse(connection, Reason.BAD_USER_NAME_OR_PASSWORD, why)
            return
        connection.user = connection.certified
        go_on()
    elif name is not None and broker.logins.users:
        _log_in(connection, name, packet.password or b"", go_on)
    elif connection.trusted or broker.settings.allow_anonymous == "everywhere":
        go_on()
    elif name is not None:
        _refuse(connection, Reason.BAD_USER_NAME_OR_PASSWORD, "no such user")
    else:
        _refuse(connection, Reason.NOT_AUTHORIZED, "anonymous from another host")


def checked(broker: BrokerState, token: int, good: bool) -> None:
    """The shell has looked at a password."""
    waiting, good = broker.logins.end(token, good, broker.now)
    for tell in waiting:
        tell(good)


def _log_in(connection: Connection, name: str, password: bytes, go_on: Callable[[], None]) -> None:
    broker, logins = connection.broker, connection.broker.logins
    proof = logins.proof(name, password)

    def tell(good: bool) -> None:
        if connection.state is State.CLOSED:
            return
        if good:
            connection.user = name
            go_on()
        else:
            _answer_late(connection)

    if logins.remembers(proof, broker.now):
        tell(True)
        return
    if logins.is_checked(proof, tell):
        connection.opening()
        return
    if logins.full():
        broker.vitals.logins_busy += 1
        broker.vitals.last_login_refused_at = broker.now
        _refuse(connection, Reason.SERVER_BUSY, "too many passwords are being checked")
        return
    connection.opening()
    token = logins.begin(name, proof, tell)
    broker.effects.append(CheckPassword(token, password, logins.stored(name)))


def _answer_late(connection: Connection) -> None:
    broker = connection.broker
    broker.vitals.logins_wrong += 1
    broker.vitals.last_login_refused_at = broker.now

    def due(now: float) -> None:
        broker.at(now)
        _refuse(connection, Reason.BAD_USER_NAME_OR_PASSWORD, "no such user, or another password")

    broker.timers.set(broker.now + broker.logins.failed(connection.address, broker.now), due)


def _refuse(connection: Connection, reason: Reason, why: str) -> None:
    if connection.state is not State.CLOSED:
        connection.broker.vitals.connections_refused += 1
        connection.refuse(reason, why)
