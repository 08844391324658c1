"""CONNECT and DISCONNECT: who may come in, which session they find, what is left when they go.

Must not know sockets, or how a password is stored.
"""

from collections.abc import Callable
from dataclasses import replace

from gateway.broker import sharing
from gateway.broker.access import Action
from gateway.broker.aliases import Aliases
from gateway.broker.answers import wishes_of
from gateway.broker.authenticating import authenticate, ended
from gateway.broker.connection import Connection, State
from gateway.broker.delivery import publish, reserved
from gateway.broker.identity import identify
from gateway.broker.keeping import forget_session, keep_session
from gateway.broker.passage import Wish
from gateway.broker.publishing import NO_ROOM, is_mislabelled
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.broker.subscribing import unsubscribe
from gateway.broker.welcome import connack, keep_alive_s
from gateway.broker.wills import came_back, cancel_will, delay_of, leave_will, message_of, send_will
from gateway.errors import ProtocolError
from gateway.limits import CLIENT_ID_BYTES_MAX
from gateway.mqtt.message import MQTT3, MQTT5, Message
from gateway.mqtt.packets import Connect, Disconnect, Packet, Version
from gateway.mqtt.reasons import Reason
from gateway.tickets import Ticket
from gateway.timers import NO_TIMER

AWAY_WRITTEN_S = 60.0
LINE_SHIFT = 14  # bits for sessions that begin within a millisecond
NEVER_EXPIRES = 0xFFFFFFFF  # session expiry interval, section 3.1.2.11.2
RECEIVE_MAXIMUM_DEFAULT = 65_535  # section 3.1.2.11.3

Online = dict[str, Connection]


def on_connect(online: Online) -> Callable[[Connection, Packet], None]:
    """The handler of CONNECT, section 3.1; `online` holds the connections by client id."""

    def handle(connection: Connection, packet: Packet) -> None:
        assert isinstance(packet, Connect)
        connection.version = packet.version
        connection.called = packet.client_id
        connection.wishes = wishes_of(packet)
        connection.outbox.packet_bytes_max = packet.properties.maximum_packet_size_bytes or 0
        stage = identify if packet.properties.authentication_method is None else authenticate
        stage(connection, packet, lambda: slow_down(connection, packet))

    def slow_down(connection: Connection, packet: Connect) -> None:
        """Who was cut off for want of room, and is back at once, has to wait."""
        broker = connection.broker
        due = broker.comebacks.due(packet.client_id, connection.address, broker.now)
        broker.vitals.comebacks_slowed += due > broker.now
        if broker.fetching is not None:
            quiet = broker.fetching.due(packet.client_id, broker.now)
            broker.vitals.takeovers_slowed += quiet > broker.now
            due = max(due, quiet)
        if due <= broker.now:
            enter(connection, packet)
            return
        broker.vitals.last_slowed_at = broker.now
        connection.opening()
        broker.timers.set(due, lambda now: enter_late(connection, packet, now))

    def enter_late(connection: Connection, packet: Connect, now: float) -> None:
        connection.broker.at(now)
        if connection.state is not State.CLOSED:
            enter(connection, packet)

    def enter(connection: Connection, packet: Connect) -> None:
        broker = connection.broker
        if broker.meeting and broker.fetching is not None and packet.client_id:
            _wait_to_enter(connection, lambda now: enter_late(connection, packet, now))
            return
        full = len(online) >= broker.settings.connections_max
        # [MQTT-3.1.4-2] [MQTT-3.1.3-8]
        refusal = _refusal(connection, packet, full and packet.client_id not in online)
        if refusal is not None:
            broker.vitals.connections_refused += 1
            connection.refuse(*refusal)
            return
        # [MQTT-3.1.3-5] [MQTT-3.1.3-6] [MQTT-3.2.2-16]
        client_id = packet.client_id or f"gw-{connection.broker.random.getrandbits(64):016x}"
        if client_id in online:  # [MQTT-3.1.4-3]
            online[client_id].refuse(Reason.SESSION_TAKEN_OVER, "its client connected anew")
        named = replace(packet, client_id=client_id)
        if packet.client_id and broker.fetching is not None:
            wish = _wish(connection, named, lambda: _open(online, connection, named, False))
            if broker.fetching.fetch(wish):
                if connection.state is not State.CLOSED:
                    connection.opening()
                return
        _open(online, connection, named, assigned=not packet.client_id)

    return handle


def _wish(connection: Connection, packet: Connect, go: Callable[[], None]) -> Wish:
    """That the session of this CONNECT be brought here, if it is elsewhere."""

    def is_wanted() -> bool:
        return connection.state is not State.CLOSED

    about = (packet.client_id, packet.clean_start, connection.user, connection.address)
    return Wish(*about, is_wanted, go, connection.refuse)


def on_disconnect(connection: Connection, packet: Packet) -> None:
    """DISCONNECT, section 3.14: the will is dropped if the reason is 0, and only then."""
    assert isinstance(packet, Disconnect)
    session = connection.session
    assert session is not None, "open without a session"
    expiry_s = packet.properties.session_expiry_interval_s
    if expiry_s is not None:
        if expiry_s and not session.expiry_s:  # section 3.14.2.2.2
            raise ProtocolError(Reason.PROTOCOL_ERROR, "a session expiry where CONNECT had none")
        session.expiry_s = _expiry_s(connection.broker, expiry_s)
        if session.number:
            keep_session(connection.broker.journal, session, None, None)
            connection.broker.changed(session.client_id)
    connection.close(with_will=packet.reason != Reason.NORMAL_DISCONNECTION)  # [MQTT-3.14.4-3]


def on_closed(online: Online) -> Callable[[Connection, bool], None]:
    """What to do, once, when a connection is over, whoever ended it."""

    def handle(connection: Connection, with_will: bool) -> None:
        session, broker = connection.session, connection.broker
        ended(connection)
        if session is None:
            return
        del online[session.client_id]
        broker.elsewhere.disconnected(session.client_id)
        broker.crowding.pop(session.client_id, None)
        if connection.outbox.aliases is not None:
            connection.outbox.aliases.give_room()
        session.detach()
        broker.routes.cache.clear()
        if connection.will is not None or session.outbox is None:
            broker.elsewhere.forget_will(
                session.client_id
            )  # or it is told below what becomes of it
        if session.number and connection.will is not None:
            keep_session(broker.journal, session, None, None)  # it is decided here and now
        if with_will and connection.will is not None:
            leave_will(broker, session, connection.will)
        broker.room.let_will_go(connection.will)
        # [MQTT-3.1.2-23] [MQTT-4.1.0-1] [MQTT-4.1.0-2]
        if session.expiry_s:
            leave_alone(broker, session)
        else:
            end_session(broker, session)

    return handle


def end_session(broker: BrokerState, session: Session, ticket: Ticket | None = None) -> None:
    """The session is over: its delayed will is sent [MQTT-3.1.3-9], its subscriptions end.

    A QoS 2 message that the client has handed over (PUBREC said) is released without its PUBREL. The
    ticket is held until the disk has forgotten the session.
    """
    # [MQTT-4.1.0-2] [MQTT-3.1.2-7 of 3.1.1]
    del broker.sessions[session.client_id]
    broker.timers.drop(broker.expiries.pop(session.client_id, NO_TIMER))
    _is_back(broker, session.client_id)
    send_will(broker, session.client_id)
    for topic_filter in list(session.subscriptions):
        unsubscribe(broker, session, topic_filter)
    if session.number:
        forget_session(broker.journal, session, ticket)
        broker.changed(session.client_id)
    session.give_room()
    session.replay = None
    sharing.ended(broker, session)  # [MQTT-4.8.2-5]
    for message in session.unreleased.values():
        release(broker, message)


def part_with(broker: BrokerState, session: Session, ticket: Ticket | None = None) -> None:
    """The session is another gateway's, with all that it has: here it leaves nothing. The ticket is held
    until the disk has forgotten it, too."""
    client_id = session.client_id
    if broker.sessions.get(client_id) is session:  # else one that took its place is served here
        del broker.sessions[client_id]
        rest(broker, session)
        if broker.registry is not None:
            broker.registry.leave(client_id)
    for topic_filter in list(session.subscriptions):
        unsubscribe(broker, session, topic_filter)
    forget_session(broker.journal, session, ticket)
    handed_on = session.passage is not None and session.passage.handed_on
    for message in session.unreleased.values():
        if not handed_on:
            release(broker, message)
        elif message.mid:
            broker.journal.released(message.mid, None)
    session.give_room()
    session.replay = None
    broker.timers.drop(broker.silent.pop(session, NO_TIMER))


def rest(broker: BrokerState, session: Session) -> None:
    """Nobody is waited for here any more: the session does not expire here, its will is not sent."""
    broker.timers.drop(broker.expiries.pop(session.client_id, NO_TIMER))
    _is_back(broker, session.client_id)
    cancel_will(broker, session.client_id)


def leave_alone(broker: BrokerState, session: Session, since: float | None = None) -> None:
    """The session waits for its client, from now on if not since long ago."""
    since = broker.now if since is None else min(since, broker.now)
    expire_at(broker, session, since + session.expiry_s)
    broker.away[session.client_id] = since
    sharing.left(broker, session)


def release(broker: BrokerState, message: Message) -> None:
    """A QoS 2 message whose session is over goes its way: its client had handed it over."""
    if message.mid:
        broker.journal.released(message.mid, None)
    if not message.expired(broker.now):
        publish(broker, message, broker.routes.find(message.topic_field), taken=True)


def _refusal(connection: Connection, packet: Connect, full: bool) -> tuple[Reason, str] | None:
    if connection.broker.draining is not None:
        return Reason.USE_ANOTHER_SERVER, "this gateway is drained"
    if not packet.client_id and not packet.clean_start and packet.version is not Version.MQTT5:
        # [MQTT-3.1.3-8 of 3.1.1]
        return Reason.CLIENT_IDENTIFIER_NOT_VALID, "no client id and no clean session"
    if len(packet.client_id.encode()) > CLIENT_ID_BYTES_MAX:  # [MQTT-3.1.3-8]
        return Reason.CLIENT_IDENTIFIER_NOT_VALID, f"a client id over {CLIENT_ID_BYTES_MAX} bytes"
    will = packet.will
    if will is not None and (why := reserved(will.topic)):
        return Reason.NOT_AUTHORIZED, f"a will to {will.topic}: {why}"
    settings = connection.broker.settings
    if will and settings.check_payload_format and is_mislabelled(will.properties, will.payload):
        return Reason.PAYLOAD_FORMAT_INVALID, "the will is not the UTF-8 that it says it is"
    forbidden = _forbidden(connection, packet)
    if forbidden:
        return Reason.NOT_AUTHORIZED, forbidden
    if full:
        return _too_many(connection.broker, "connections")
    sessions = connection.broker.sessions
    refusing = connection.broker.journal.refusing
    if refusing and packet.client_id not in sessions and _asks_to_be_kept(packet):
        connection.broker.vitals.refused_disk += 1
        return Reason.QUOTA_EXCEEDED, refusing
    if will is not None and not connection.broker.room.takes_will(will):
        connection.broker.vitals.refused_room_full += 1
        return Reason.QUOTA_EXCEEDED, f"no room for its will: {NO_ROOM}"
    if packet.client_id not in sessions and len(sessions) >= settings.sessions_max:
        return _too_many(connection.broker, "sessions")
    return None


def _wait_to_enter(connection: Connection, enter: Callable[[float], None]) -> None:
    """CONNECT waits until it is known whose sessions are whose."""
    broker = connection.broker
    if len(broker.entering) >= broker.settings.connections_max:
        broker.vitals.connections_refused += 1
        connection.refuse(*_too_many(broker, "connections"))
        return
    connection.opening()
    broker.entering.append(enter)


def _too_many(broker: BrokerState, what: str) -> tuple[Reason, str]:
    broker.vitals.refused_full += 1
    broker.vitals.last_refused_at = broker.now
    return Reason.QUOTA_EXCEEDED, f"too many {what}"


def _forbidden(connection: Connection, packet: Connect) -> str:
    """What the rules or the owner of the session have against this CONNECT; "" for nothing."""
    broker = connection.broker
    if packet.will is not None:
        rights = broker.access.rights(connection.user, packet.client_id)
        if rights is not None and not rights.decide(Action.WRITE, packet.will.topic)[0]:
            return f"a will to {packet.will.topic}, which a rule forbids"
    if broker.settings.session_belongs_to_user:
        user = _user_of_session(broker, packet.client_id)
        if user is not None and user != connection.user:
            return f"the session {packet.client_id} is another user's"
    return ""


def _user_of_session(broker: BrokerState, client_id: str) -> str | None:
    """Whose session this is, wherever it is; None: there is none."""
    session = broker.sessions.get(client_id)
    if session is not None:
        return session.user
    entry = None if broker.registry is None else broker.registry.entry(client_id)
    return None if entry is None else entry.user


def _asks_to_be_kept(packet: Connect) -> bool:
    """Whether the session is to outlive the connection."""
    if packet.version is not Version.MQTT5:
        return not packet.clean_start
    return bool(packet.properties.session_expiry_interval_s)


def _open(online: Online, connection: Connection, packet: Connect, assigned: bool) -> None:
    """Finds the session; CONNACK follows at once, or when the disk has what is new about it."""
    broker = connection.broker
    asked_s = packet.properties.session_expiry_interval_s
    if packet.version is not Version.MQTT5:
        asked_s = 0 if packet.clean_start else NEVER_EXPIRES
    expiry_s = _expiry_s(broker, asked_s or 0)

    def admit() -> None:
        if connection.state is State.CLOSED:
            return
        waited = connection.state is State.OPENING
        _admit(connection, session, packet, present, assigned, asked_s or 0)
        if waited:
            connection.resume()

    ticket = Ticket(admit, connection.unkept)
    ticket.hold()
    session, present = _find_session(broker, packet, expiry_s, ticket, connection.user)
    connection.session = session
    online[session.client_id] = connection
    broker.vitals.clients_max = max(broker.vitals.clients_max, len(online))
    if packet.will is not None:
        will, delay_s = message_of(packet.will, session.client_id), delay_of(packet.will, session)
        broker.elsewhere.keep_will(session.client_id, will, delay_s, None, ticket, broker.now)
    broker.elsewhere.connected(session.client_id, packet.clean_start, ticket, broker.now)
    if broker.registry is not None and broker.registry.is_changed(session.client_id):
        broker.elsewhere.hold_until_known(ticket, broker.now)
    if ticket.waiting > 1:
        connection.opening()
    ticket.release()


def _admit(
    connection: Connection,
    session: Session,
    packet: Connect,
    present: bool,
    assigned: bool,
    asked_s: int,
) -> None:
    broker, outbox = connection.broker, connection.outbox
    # [MQTT-3.1.4-5] [MQTT-3.2.0-1] [MQTT-3.2.0-2] [MQTT-3.2.2-2] [MQTT-3.2.2-3] [MQTT-3.1.2-24]
    answer = connack(connection, session, packet, present, assigned, asked_s)
    if answer is None:
        why = "its maximum packet size leaves no room for CONNACK"
        connection.refuse(Reason.PACKET_TOO_LARGE, why)
        return
    # [MQTT-3.1.2-7] [MQTT-3.1.2-12 of 3.1.1]
    connection.will = packet.will
    broker.room.hold_will(packet.will)
    if session.number and packet.will is not None:
        keep_session(broker.journal, session, packet.will, None)
    outbox.dialect = MQTT5 if packet.version is Version.MQTT5 else MQTT3
    connection.send(answer)
    broker.vitals.connections += 1
    connection.open(session, keep_alive_s(broker.settings, packet))
    # [MQTT-4.9.0-1]
    window = packet.properties.receive_maximum or RECEIVE_MAXIMUM_DEFAULT
    offered = packet.properties.topic_alias_maximum or 0
    if offered:  # [MQTT-3.1.2-26] [MQTT-3.1.2-27]
        outbox.aliases = Aliases(offered, outbox.packet_bytes_max, broker.room)
    outbox.tap = broker.traces
    session.attach(outbox, min(window, broker.settings.inflight_max), broker.now)
    broker.routes.cache.clear()
    sharing.came(broker, session)


def _find_session(
    broker: BrokerState, packet: Connect, expiry_s: float, ticket: Ticket, user: str
) -> tuple[Session, bool]:
    """The session of this client, and whether it was there; the ticket waits for the disk."""
    # [MQTT-3.1.3-2] [MQTT-3.1.2-5] [MQTT-3.1.2-6] [MQTT-3.1.4-4]
    came_back(broker, packet.client_id)
    session = broker.sessions.get(packet.client_id)
    if session is not None and packet.clean_start:  # [MQTT-3.1.2-4]
        end_session(broker, session, ticket)
        session = None
    if session is not None:
        news = session.expiry_s != expiry_s or session.user != user
        session.rights = broker.access.rights(user, packet.client_id)
        if session.user != user:
            _hand_over(session, user)
        broker.timers.drop(broker.expiries.pop(packet.client_id, NO_TIMER))
        cancel_will(broker, packet.client_id)  # back before its delay passed [MQTT-3.1.3-9]
        session.expiry_s = expiry_s
        if (_is_back(broker, packet.client_id) or news) and session.number:
            keep_session(broker.journal, session, None, None, ticket if news else None)
            broker.changed(session.client_id)
        if session.number and not session.on_disk:  # its client did not wait for the first CONNACK
            broker.journal.wait(ticket)
        return session, True
    session = new_session(broker, packet.client_id, expiry_s, user)
    if expiry_s and broker.journal.keeping:
        begin_to_keep(broker, session, ticket)
    return session, False


def begin_to_keep(broker: BrokerState, session: Session, ticket: Ticket | None) -> None:
    """The session is to outlive its connection; the ticket waits for the disk."""
    session.number = broker.journal.number()
    if not session.line:
        stamp = broker.elsewhere.stamp(broker.now)
        session.line = stamp.time_ms << LINE_SHIFT | stamp.counter & (1 << LINE_SHIFT) - 1
    keep_session(broker.journal, session, None, None, ticket)
    broker.journal.await_commit(session, 0)
    broker.changed(session.client_id)


def _hand_over(session: Session, user: str) -> None:
    """The session is another user's from here on, without what waits in it and he may not read."""
    session.user = user
    rights = session.rights
    if rights is not None:
        kept = [each[0] for each in (*session.backlog, *filter(None, session.inflight.values()))]
        session.take_back({message for message in kept if not rights.may_read(message.topic)})


def _is_back(broker: BrokerState, client_id: str) -> bool:
    """Nobody waits for this client any more; whether the disk says that it is away."""
    broker.away.pop(client_id, None)
    written = client_id in broker.written_away
    broker.written_away.discard(client_id)
    return written


def write_away(broker: BrokerState) -> None:
    """Has the disk know who is away for more than a minute, so that sessions expire over a restart."""
    for client_id, since in list(broker.away.items()):
        if since + AWAY_WRITTEN_S <= broker.now and client_id not in broker.written_away:
            session = broker.sessions[client_id]
            broker.written_away.add(client_id)
            keep_session(broker.journal, session, None, broker.journal.mesh_ms(since))


def new_session(broker: BrokerState, client_id: str, expiry_s: float, user: str) -> Session:
    """An empty session of this user, filed under its client id."""
    session = Session(client_id, broker.vitals, broker.journal, broker.bounds, broker.room)
    session.expiry_s = expiry_s
    session.user = user
    session.rights = broker.access.rights(user, client_id)
    broker.sessions[client_id] = session
    return session


def _expiry_s(broker: BrokerState, asked_s: int) -> float:
    """What is granted: sessions do not wait for ever, whatever was asked."""
    return float(min(asked_s, broker.settings.session_expiry_max_s))


def expire_at(broker: BrokerState, session: Session, due: float) -> None:
    """Ends the session then, if its client is not back."""
    timer = broker.timers.set(due, lambda now: _expire(broker, session, now))
    broker.expiries[session.client_id] = timer


def _expire(broker: BrokerState, session: Session, now: float) -> None:
    broker.at(now)
    broker.vitals.sessions_expired += 1
    end_session(broker, session)
