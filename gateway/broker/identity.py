"""Who a client is: the stage between CONNECT and the session.

    no user name                    as anonymous as the configuration allows; the user is ""
    a verified certificate          its subject is the user, and no password is asked for
    a user name and its password    known from before: at once; else a check on the shell's threads
    an authentication method        `authenticating.py`, instead of all this

While no user exists a name says nothing. A check is slow on purpose, so a login that was right is
remembered, clients that show the same at the same time share one check, and a user that does not exist
takes as long as one that does. Something wrong is answered late, the later the more often its address
was wrong. Must not know how a password is hashed, nor rules.
"""

from collections.abc import Callable

from gateway.broker.connection import Connection, State
from gateway.broker.logins import Verdict
from gateway.broker.state import BrokerState
from gateway.effects import CheckPassword
from gateway.mqtt.packets import Connect
from gateway.mqtt.reasons import Reason

WRONG = "no such user, or another password"


def identify(connection: Connection, packet: Connect, go_on: Callable[[], None]) -> None:
    """Calls `go_on`, now or later, when `connection.user` is who it proved to be; else refuses."""
    broker = connection.broker
    name = packet.username
    if connection.certified:
        if name not in (None, connection.certified):
            why = "a user name that is not its certificate's"
            refuse(connection, Reason.BAD_USER_NAME_OR_PASSWORD, why)
            return
        connection.user = connection.certified
        go_on()
    elif name is not None and broker.logins.users:
        _log_in(connection, name, packet.password or b"", go_on)
    elif connection.trusted or broker.settings.allow_anonymous == "everywhere":
        go_on()
    elif name is not None:
        _refuse_stranger(connection, Reason.BAD_USER_NAME_OR_PASSWORD, "no such user")
    else:
        _refuse_stranger(connection, Reason.NOT_AUTHORIZED, "anonymous from another host")


def _refuse_stranger(connection: Connection, reason: Reason, why: str) -> None:
    vitals = connection.broker.vitals
    vitals.refused_strangers += 1
    vitals.last_stranger_at = connection.broker.now
    refuse(connection, reason, f"{why}; make a user: gwctl user add")


def checked(broker: BrokerState, token: int, good: bool) -> None:
    """The shell has looked at a password."""
    waiting, verdict = broker.logins.end(token, good, broker.now)
    for tell in waiting:
        tell(verdict)
    _begin_checks(broker)


def _begin_checks(broker: BrokerState) -> None:
    """Has the shell look at the passwords whose turn it is."""
    while (turn := broker.logins.next_check(broker.now)) is not None:
        token, check = turn
        broker.effects.append(CheckPassword(token, check.password, check.stored))


def _log_in(connection: Connection, name: str, password: bytes, go_on: Callable[[], None]) -> None:
    broker, logins = connection.broker, connection.broker.logins
    digest = logins.digest(name, password)

    def tell(verdict: Verdict) -> None:
        if connection.state is State.CLOSED:
            return
        match verdict:
            case Verdict.RIGHT:
                connection.user = name
                go_on()
            case Verdict.WRONG:
                answer_late(connection, Reason.BAD_USER_NAME_OR_PASSWORD, count_wrong(connection))
            case Verdict.BUSY:
                refuse_busy(connection, "too many passwords are being checked")

    if logins.remembers(digest, broker.now):
        tell(Verdict.RIGHT)
    elif logins.is_known_wrong(digest, broker.now):
        broker.vitals.count_wrong_login(broker.now)
        delay_s = logins.delay_s(connection.address)
        answer_late(connection, Reason.BAD_USER_NAME_OR_PASSWORD, delay_s)
    elif logins.is_checked(digest, tell):
        connection.opening()
    elif logins.stand_in_line(connection.address, name, password, digest, tell):
        connection.opening()
        _begin_checks(broker)
    else:
        tell(Verdict.BUSY)


def answer_late(connection: Connection, reason: Reason, delay_s: float) -> None:
    """Refuses a client that was wrong, after this time."""

    def due(now: float) -> None:
        connection.broker.at(now)
        refuse(connection, reason, WRONG)

    connection.opening()
    connection.broker.timers.set(connection.broker.now + delay_s, due)


def count_wrong(connection: Connection) -> float:
    """Counts a wrong login of this address; for how many seconds nothing from there is looked at."""
    broker = connection.broker
    broker.vitals.count_wrong_login(broker.now)
    delay_s = broker.logins.failed(connection.address, broker.now)

    def due(now: float) -> None:
        broker.at(now)
        _begin_checks(broker)

    broker.timers.set(broker.now + delay_s, due)
    return delay_s


def refuse_busy(connection: Connection, why: str) -> None:
    """Refuses a client that may come again later: others are looked at."""
    broker = connection.broker
    broker.vitals.logins_busy += 1
    broker.vitals.last_login_refused_at = broker.now
    refuse(connection, Reason.SERVER_BUSY, why)


def refuse(connection: Connection, reason: Reason, why: str) -> None:
    """Refuses a client that is not let in, and counts it."""
    if connection.state is not State.CLOSED:
        connection.broker.vitals.connections_refused += 1
        connection.refuse(reason, why)
