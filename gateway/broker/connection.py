"""One client's connection: bytes in, packets told apart, each handed to the one that answers it.

The legal moves are a table of (state, packet type), given by the broker; what is absent is a
protocol error. Acknowledgements that wait for others leave in the order of their packets. Must not
know sockets, TLS, peers, or what a packet means.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from gateway.broker.answers import UNKNOWN, Answer, Wishes, worded
from gateway.broker.outbox import Outbox
from gateway.broker.pace import Pace
from gateway.broker.scram import Exchange
from gateway.broker.session import Session
from gateway.broker.state import BrokerState
from gateway.errors import ProtocolError
from gateway.limits import HELD_BYTES_MAX, RECEIVE_MAXIMUM, UNANSWERED_MAX
from gateway.mqtt.decode import decode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import ConnAck, Disconnect, Packet, PacketType, Version, Will
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from gateway.mqtt.reasons import CONNACK_REASONS, Reason
from gateway.tickets import Ticket
from gateway.timers import NO_TIMER

FIRST_PACKET_BYTES_MAX = (
    262_144  # a CONNECT with a will; more is not believed before it is known who
)
AUTH_BYTES_MAX = (
    8_192  # of a packet while it is not known who it is: four times what is in a good one
)
CHUNKS_MAX = 512  # pieces of one packet: many small ones cost 40 times their bytes
CALLED_CHARACTERS_MAX = 128  # of a client id in the log, while nobody knows whether it is one
DEAF_BYTES_MAX = 65_536  # the answers to these wait in memory; as for a client that is held
ALONE_BYTES_MIN = 6  # a PUBLISH at QoS 1 with nothing in it
ALONE_BYTES_MAX = 129  # its length is one byte, and no limit is smaller
PUBACK = 0x40  # its first byte
MISTAKE = "this gateway made a mistake over what it sent"
_NOTHING: Any = ()  # an empty list costs 56 bytes, and most connections never need these two
_SAID_BEFORE_CONNECT = (  # section 3.1.4.1: CONNACK may be sent for these
    Reason.UNSUPPORTED_PROTOCOL_VERSION,
    Reason.CLIENT_IDENTIFIER_NOT_VALID,
)

Frame = tuple[int, int, int]  # first byte, start and end of the body, in the bytes read


class State(Enum):
    """Of a connection, as the client has made it."""

    WAITING = "waiting for CONNECT"
    AUTHENTICATING = "it authenticates"
    OPENING = "its CONNECT is looked at"
    OPEN = "open"
    CLOSED = "closed"


# What every read asks for. A look into the enum takes as long as three calls.
_OPENING, _OPEN, _CLOSED = State.OPENING, State.OPEN, State.CLOSED


@dataclass(slots=True)
class Authentication:
    """Of a client whose CONNECT named a method (`authenticating.py`): what it needs for its next AUTH.

    `exchange` is the one under way, `final` its last message, which waits to be looked at; `number` and
    `timer` are what it must give back. `signature` is for CONNACK.
    """

    method: str
    go_on: Callable[[], None] | None  # when it is known who it is, the first time
    exchange: Exchange | None = None
    final: bytes | None = None
    number: int = 0
    timer: int = NO_TIMER
    signature: bytes | None = None


class Connection:
    """The machine behind one socket.

    Inputs are `receive` and `lost`; answers stand in outboxes. `reading` is False while the shell
    should not read from the client, which is how the product makes a publisher slow down.
    """

    # These are more than Python shares the keys of: without this a connection takes 1.5 kB more.
    __slots__ = (
        "_chunks",
        "_chunks_bytes",
        "_lost",
        "_moves",
        "_packet_bytes_max",
        "_pending",
        "_ticket",
        "_timer",
        "_waits",
        "_wanted",
        "acks",
        "address",
        "aliases",
        "authentication",
        "broker",
        "called",
        "certified",
        "connected_at",
        "counted",
        "crowding",
        "deaf_bytes",
        "keep_alive_s",
        "last_heard",
        "outbox",
        "pace",
        "session",
        "state",
        "trusted",
        "user",
        "version",
        "will",
        "wishes",
    )

    def __init__(self, broker: BrokerState, moves: "Moves", address: str, trusted: bool) -> None:
        self.broker = broker
        self.address = address
        self.trusted = trusted  # it is on this machine
        self.counted = False  # it has a share of what its address may have
        self.certified = ""  # the subject of its verified certificate; "": it showed none
        self.called = ""  # the client id that it named, before it is let in
        self.user = ""  # who it proved to be
        self.authentication: Authentication | None = None  # None: its CONNECT named no method
        self.state = State.WAITING
        self.version = Version.MQTT311
        self.wishes: Wishes = UNKNOWN
        self.outbox = Outbox(broker.touched)
        self.session: Session | None = None
        self.will: Will | None = None
        self.keep_alive_s = 0.0
        self.connected_at = broker.now  # when its socket was accepted
        self.last_heard = broker.now
        self.acks: list[bytes] = []  # of the read at work
        self.aliases: dict[int, str] | None = None  # topics that the client gave a number
        self.pace: Pace | None = None  # of its publishing
        self.crowding = False  # it publishes to a gateway that cannot keep up
        self.deaf_bytes = 0  # came from a client that does not read the answers
        self._ticket: Ticket | None = None  # what `acks` wait for
        self._pending: list[tuple[Ticket, list[bytes]]] = _NOTHING  # few at once
        self._moves = moves
        self._chunks: list[bytes] = _NOTHING
        self._chunks_bytes = 0
        self._wanted = 0  # bytes until the packet at hand is whole
        limit = broker.settings.packet_bytes_max
        self._packet_bytes_max = min(limit, FIRST_PACKET_BYTES_MAX)
        self._lost = False  # the socket is gone, and the barrier holds what it said before
        due = broker.now + broker.settings.connect_timeout_s
        self._timer = broker.timers.set(due, self._connect_timed_out)
        self._waits = broker.door.wait(lambda: self.close(with_will=False))

    @property
    def reading(self) -> bool:
        """Whether more may be taken from the client now."""
        congested = self.outbox.congested
        opening = self.state is State.OPENING
        if self.pace is not None and self.pace.over:
            return False
        if not (self._pending or self.crowding or self.broker.holding or congested or opening):
            return True
        unanswered = sum(len(acks) for _, acks in self._pending)
        much = self._chunks_bytes > HELD_BYTES_MAX or self.broker.unfinished.is_half_full()
        held = (self.broker.holding or opening) and much
        deaf = congested and self.deaf_bytes > DEAF_BYTES_MAX
        return not (held or deaf or self.crowding or unanswered > UNANSWERED_MAX)

    def receive(self, data: bytes, now: float) -> None:
        """Bytes came. Whatever they are, the answers stand in the outboxes when this returns."""
        if self.state is _CLOSED:
            return
        if now > self.broker.late_after:
            self.broker.overslept(now)
        self.last_heard = self.broker.now = self.broker.journal.now = now
        self.broker.vitals.bytes_in += len(data)
        if self.outbox.congested:
            self.deaf_bytes += len(data)
            self.outbox.touch()
        if not self._chunks:
            if not (ALONE_BYTES_MIN <= len(data) <= ALONE_BYTES_MAX and self._alone(data)):
                self._work(data)
            return
        self._chunks.append(data)
        self._chunks_bytes += len(data)
        self._hold_chunks()
        if self._chunks_bytes >= self._wanted:
            self.resume()
        elif len(self._chunks) > CHUNKS_MAX:
            self._chunks = [b"".join(self._chunks)]

    def give_up(self) -> None:
        """Too many bytes of unfinished packets are held, and here none came for the longest time."""
        self.cut_off()
        if self.state is State.WAITING:
            self._log("its CONNECT is not whole, and others need the room")
            self.close(with_will=False)
        else:
            self.refuse(Reason.QUOTA_EXCEEDED, "its packet is not whole, and others need the room")

    def resume(self) -> None:
        """Handles what has come and was held back."""
        data = b"".join(self._chunks)
        self._chunks = _NOTHING
        self._chunks_bytes = self._wanted = 0
        self.broker.unfinished.clear(self)
        self._work(data)
        if self._lost and not self._held():
            self.close(with_will=True)

    def lost(self, now: float) -> None:
        """The network connection is gone, whoever closed it."""
        self.broker.at(now)
        self._lost = True
        if self.state is State.OPENING or not (self._chunks and self._held()):
            self.close(with_will=True)

    def refuse(self, reason: Reason, detail: str = "") -> None:
        """Ends the connection with this reason, in the words that the version has for it."""
        if self.state is State.CLOSED:
            return
        self._answer()  # nothing may follow a DISCONNECT [MQTT-3.14.4-1]
        # [MQTT-3.2.2-7] [MQTT-3.14.0-1] [MQTT-3.14.2-2]
        if self.state is not State.OPEN:
            if reason in CONNACK_REASONS:
                self._say(ConnAck(False, reason, self._elsewhere(reason)), detail)
        elif self.version is Version.MQTT5:
            self._say(Disconnect(reason, self._elsewhere(reason)), detail)
        self._log(f"{detail or reason.name} ({reason:#x})")
        self.close(with_will=True)

    def failed(self, now: float) -> None:
        """A mistake of ours over what the client said: it is told so, and may come again.

        What it said in this read is not acknowledged, for nobody knows how far it came.
        """
        if self.state is State.CLOSED:
            return
        self.broker.at(now)
        self.broker.vitals.internal_errors += 1
        self.broker.vitals.last_internal_error_at = now
        self.acks.clear()
        if self.wishes is UNKNOWN:  # there are no words that every version knows
            self._log(MISTAKE)
            self.close(with_will=False)
        else:
            self.refuse(Reason.IMPLEMENTATION_SPECIFIC_ERROR, MISTAKE)

    def unkept(self, why: str) -> None:
        """What it waits for could not be kept: it is not answered, and has to come again."""
        # [MQTT-4.8.0-2 of 3.1.1]
        self.cut_off()
        self.refuse(Reason.QUOTA_EXCEEDED, why)

    def cut_off(self) -> None:
        """It is about to be ended for want of room, which makes it wait when it comes back at once."""
        if self.session is not None:
            self.broker.comebacks.cut_off(self.session.client_id, self.address, self.broker.now)

    def close(self, with_will: bool) -> None:
        """Leaves the session and closes the socket behind what has been written."""
        if self.state is State.CLOSED:
            return
        self._answer()
        self.state = State.CLOSED
        self.broker.timers.drop(self._timer)
        self.broker.door.through(self._waits)
        # [MQTT-3.14.4-2] [MQTT-4.13.1-1] [MQTT-4.13.2-1] [MQTT-3.1.4-6]
        self.outbox.end()
        self._pending = self._chunks = _NOTHING
        self.broker.unfinished.clear(self)
        if self.aliases is not None:
            self.broker.room.free(len(self.aliases))
        self._moves.closed(self, with_will)

    def authenticating(self, authentication: Authentication) -> None:
        """CONNECT asks for an exchange: only AUTH may follow, until `opening` or `open`."""
        assert self.state is State.WAITING, "only a CONNECT asks for it"
        self.state = State.AUTHENTICATING
        self.authentication = authentication
        self._packet_bytes_max = min(self._packet_bytes_max, AUTH_BYTES_MAX)

    def opening(self) -> None:
        """CONNECT cannot be answered yet: what the client says waits until `open` and `resume`."""
        assert self.state not in (State.OPEN, State.CLOSED), "only a CONNECT is looked at"
        self.state = State.OPENING

    def open(self, session: Session, keep_alive_s: int) -> None:
        """CONNECT was accepted; from here on the other packets are legal.

        If it was being looked at, `resume` must follow when the answer has been written.
        """
        self.state = State.OPEN
        self.session = session
        self.outbox.touch()  # it may have sent so much meanwhile that it is not read
        self._packet_bytes_max = self.broker.settings.packet_bytes_max
        timers, settings = self.broker.timers, self.broker.settings
        if settings.publish_rate_max:
            rate, burst = settings.publish_rate_max, settings.publish_burst_max
            self.pace = Pace(rate, burst, self.broker.now)
        timers.drop(self._timer)
        self.broker.door.through(self._waits)
        if keep_alive_s:
            # [MQTT-3.2.2-22]
            self.keep_alive_s = keep_alive_s * 1.5  # [MQTT-3.1.2-22]
            self._timer = timers.set(self.last_heard + self.keep_alive_s, self._keep_alive_due)

    def ticket(self) -> Ticket:
        """The one ticket for the acknowledgements of the read at work."""
        if self._ticket is None:
            self._ticket = Ticket(self._answer_pending, self.unkept)
            self._ticket.hold()  # until the read is worked off
        return self._ticket

    def crowd(self, crowding: bool) -> None:
        """Whether it publishes to a gateway that cannot keep up."""
        self.crowding = crowding
        self.outbox.touch()

    def acknowledge(self, answer: Answer, why: str = "") -> None:
        """Adds an acknowledgement to those of the read at work; `why` for who wants to know."""
        self.acks.append(worded(answer, why, self.wishes, self.outbox))

    def send(self, frame: bytes) -> None:
        """One packet that is no message, and waits for nothing."""
        self.broker.vitals.others_out += 1
        self.outbox.send(frame)

    def _elsewhere(self, reason: Reason) -> Properties:
        """Where the client may go instead, section 4.11."""
        if reason is not Reason.USE_ANOTHER_SERVER or self.broker.draining is None:
            return NO_PROPERTIES
        return Properties(server_reference=self.broker.draining.reference())

    def _say(self, answer: Answer, why: str) -> None:
        """The last words, unless the client takes none as long as that [MQTT-3.1.2-24]."""
        frame = worded(answer, why, self.wishes, self.outbox)
        if not 0 < self.outbox.packet_bytes_max < len(frame):
            self.send(frame)

    def _log(self, text: str) -> None:
        who = "a client"
        if self.session is not None:
            who = self.session.client_id
        elif self.called:
            who = f"a client called {self.called[:CALLED_CHARACTERS_MAX]}"
        self.broker.note("info", f"{who} at {self.address}: {text}")

    def _held(self) -> bool:
        return self.state is _OPENING or (self.broker.holding and self.state is _OPEN)

    def _work(self, data: bytes) -> None:
        """Handles the whole packets in `data`, in order, and keeps the rest."""
        try:
            while data and self.state is not _CLOSED and not self._held():
                frames, rest = split(data, self._packet_bytes_max)
                if not frames:
                    break
                if self.pace is not None:
                    self._slow(self.pace.count([frame[0] for frame in frames], self.broker.now))
                done = self._handle(data, frames, rest)
                data = data[done:] if done < len(data) else b""
        except ProtocolError as error:
            if error.reason != Reason.QUOTA_EXCEEDED:  # that is our want of room, and counted there
                self.broker.vitals.protocol_errors += 1
            if self.state is State.WAITING and error.reason not in _SAID_BEFORE_CONNECT:
                # [MQTT-3.1.4-1] [MQTT-3.1.4-1 of 3.1.1] [MQTT-3.2.2-6 of 3.1.1]
                self._log(error.detail)  # not a client of any version: there are no words for it
                self.close(with_will=False)
            else:
                self.refuse(Reason(error.reason), error.detail)
        if self.outbox.dialect and self._is_overrun():
            self.refuse(Reason.RECEIVE_MAXIMUM_EXCEEDED, "more than its receive maximum at once")
        if self.acks:
            self._answer()
        if data and self.state is not _CLOSED:
            self._chunks = [data]
            self._chunks_bytes = len(data)
            self._wanted = _packet_bytes(data)
            self._hold_chunks()
            if self.broker.holding or self.state is State.OPENING:
                self.outbox.touch()  # perhaps it is to be read no further

    def _alone(self, data: bytes) -> bool:
        """Handles a read that is one small packet, if there is a road for it and nothing waits."""
        alone = self._moves.alone.get(data[0])
        if alone is None or data[1] + 2 != len(data) or self.state is not _OPEN:
            return False
        waits = self._pending or self._ticket is not None or self.broker.holding
        if waits or self.pace is not None:
            return False
        return alone(self, data)

    def _hold_chunks(self) -> None:
        broker = self.broker
        gone = broker.unfinished.hold(self, self._chunks_bytes, len(self._chunks))
        if gone:
            broker.vitals.closed_unfinished += gone
            broker.vitals.last_refused_at = broker.now

    def _handle(self, data: bytes, frames: list[Frame], rest: int) -> int:
        """Returns the offset of the first byte that was not handled."""
        state, lanes = self.state, self._moves.lanes
        index, total = 0, len(frames)
        try:
            while index < total:
                first, start, end = frames[index]
                lane = lanes.get(first) if state is _OPEN else None
                before = index
                if lane is not None:
                    index = lane(self, data, frames, index)
                if index == before:
                    index += 1
                    self._move(first, data[start:end])
                if self.state is not state:  # opened or closed: what follows is another matter
                    return end
            return rest
        finally:
            self.broker.vitals.packets_in += index

    def _move(self, first: int, body: bytes) -> None:
        handler = self._moves.legal.get((self.state, PacketType(first >> 4)))
        # [MQTT-3.1.0-2] [MQTT-4.13.1-1]
        if handler is None:
            raise ProtocolError(
                Reason.PROTOCOL_ERROR, f"{PacketType(first >> 4).name} while {self.state.value}"
            )
        version = None if self.state is State.WAITING else self.version
        handler(self, decode(first, body, version))

    def _is_overrun(self) -> bool:
        """Whether a 5.0 client, which knows our receive maximum, has more open [MQTT-3.3.4-7]."""
        session = self.session
        if session is None or self.state is State.CLOSED:
            return False
        unreleased = len(session.unreleased)
        waiting = len(self.acks) + sum(len(acks) for _, acks in self._pending)
        if waiting + unreleased <= RECEIVE_MAXIMUM:
            return False
        acks = [*self.acks, *(ack for _, acks in self._pending for ack in acks)]
        return unreleased + sum(ack[0] == PUBACK for ack in acks) > RECEIVE_MAXIMUM

    def _answer(self) -> None:
        """The read is worked off: its acknowledgements leave, or wait for their ticket."""
        ticket, acks = self._ticket, self.acks
        if not acks:
            return
        if ticket is None and not self._pending and self.state is not _CLOSED:
            outbox = self.outbox
            if not outbox.pieces:
                outbox.touched.append(outbox)
            outbox.pieces += acks
            self.broker.vitals.others_out += len(acks)
            acks.clear()
            return
        self.acks, self._ticket = [], None
        if self.state is State.CLOSED:
            return
        if ticket is None:
            ticket = Ticket(self._answer_pending, self.unkept)
            ticket.hold()
        self._pending = [*self._pending, (ticket, acks)]
        ticket.release()
        self.outbox.touch()  # perhaps it is to be read no further

    def _answer_pending(self) -> None:
        """A ticket is free: what waits at the head of the line leaves [MQTT-4.6.0-2]."""
        pausing = not self.reading
        while self._pending and self._pending[0][0].waiting == 0:
            acks = self._pending.pop(0)[1]
            self.broker.vitals.others_out += len(acks)
            self.outbox.send(*acks)
        if pausing and self.reading:
            self.outbox.touch()

    def _slow(self, until: float | None) -> None:
        """It publishes too fast: it is not read until then."""
        if until is not None:
            self.broker.vitals.publishers_slowed += 1
            self.broker.timers.set(until, self._may_go_on)
            self.outbox.touch()

    def _may_go_on(self, now: float) -> None:
        if self.pace is not None and self.state is State.OPEN:
            self.broker.at(now)
            self.pace.again(now)
            self.outbox.touch()

    def _connect_timed_out(self, now: float) -> None:
        if self.state is not State.OPEN:
            self.broker.at(now)
            self.close(with_will=False)

    def _keep_alive_due(self, now: float) -> None:
        if not (self.reading or self.outbox.congested):
            self.last_heard = now  # it is not read, so that its silence is ours
        silent_until = self.last_heard + self.keep_alive_s
        if silent_until > now:
            self._timer = self.broker.timers.set(silent_until, self._keep_alive_due)
        else:
            self.broker.at(now)
            self.refuse(Reason.KEEP_ALIVE_TIMEOUT, "silent for longer than its keep-alive")


Handler = Callable[[Connection, Packet], None]
Lane = Callable[[Connection, bytes, list[Frame], int], int]
Alone = Callable[[Connection, bytes], bool]


class Moves:
    """The broker's side of a connection.

    `legal` maps (state, packet type) to its handler. `lanes` maps a first byte to what handles runs
    of the common form of its packet (`lanes.py`), `alone` to what handles a read that is one small
    packet, or leaves it (`alone.py`). `closed` is called once a connection.
    """

    def __init__(
        self,
        legal: Mapping[tuple[State, PacketType], Handler],
        lanes: Mapping[int, Lane],
        alone: Mapping[int, Alone],
        closed: Callable[[Connection, bool], None],
    ) -> None:
        self.legal = legal
        self.lanes = lanes
        self.alone = alone
        self.closed = closed


def _packet_bytes(data: bytes) -> int:
    """How long the packet is that begins here, header included; 0 if that is not known yet."""
    length = shift = 0
    for at in range(1, min(len(data), 5)):
        length |= (data[at] & 0x7F) << shift
        shift += 7
        if not data[at] & 0x80:
            return at + 1 + length
    return 0
