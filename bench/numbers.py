"""Numbered messages: made in laps, and checked in laps when they come back.

A payload of 64 bytes begins with the lap (4 bytes) and the place in the lap (2 bytes), big-endian;
the message's number is lap * LAP + place. All messages of a lap are encoded once, as one block of
bytes. What a subscriber receives must be that block again, so one memory comparison checks every
number, topic and payload of a batch. Only a batch that differs is looked at message by message.

    QoS 0   30 len | topic | lap lap lap lap place place | filler
    QoS 1   32 len | topic | id id | lap ...                  id = place + 1
"""

from bench import wire

PAYLOAD_BYTES = 64
LAP = 4096  # messages; a packet id is free again long before its place comes round
KEPT_LAPS = 4  # the publisher is at most one lap ahead of the slowest subscriber
NUMBER_BYTES = 6
MISSING_MAX = 1_000_000  # numbers remembered as missing; what is lost beyond is still counted
FILLER = b"abcdefghijklmnopqrstuvwxyz0123456789" * 2


class Laps:
    """The blocks of one publisher's stream on one topic at one QoS."""

    def __init__(self, topic: str, qos: int) -> None:
        self.qos = qos
        self.first = wire.PUBLISH | qos << 1
        self.id_offset = wire.HEADER_BYTES + len(wire.text(topic))
        self.number_offset = self.id_offset + (2 if qos else 0)
        filler = FILLER[: PAYLOAD_BYTES - NUMBER_BYTES]
        frames = [
            wire.publish(topic, qos, place + 1, bytes(4) + place.to_bytes(2, "big") + filler)
            for place in range(LAP)
        ]
        self.size = len(frames[0])
        self._template = bytearray().join(frames)
        self._blocks: dict[int, tuple[bytes, bytes]] = {}

    def sent(self, lap: int) -> bytes:
        """The block as a publisher sends it, with packet ids."""
        return self._block(lap)[0]

    def expected(self, lap: int) -> bytes:
        """The block as a subscriber receives it, packet ids zero."""
        return self._block(lap)[1]

    def number(self, frame: bytes | bytearray | memoryview) -> int:
        """The number of the message in a PUBLISH of this stream."""
        at = self.number_offset
        lap = int.from_bytes(frame[at : at + 4], "big")
        return lap * LAP + int.from_bytes(frame[at + 4 : at + 6], "big")

    def _block(self, lap: int) -> tuple[bytes, bytes]:
        block = self._blocks.get(lap)
        if block is None:
            block = self._blocks[lap] = self._make(lap)
            if len(self._blocks) > KEPT_LAPS:
                del self._blocks[next(iter(self._blocks))]
        return block

    def _make(self, lap: int) -> tuple[bytes, bytes]:
        block = self._template.copy()
        for index, byte in enumerate(lap.to_bytes(4, "big")):
            block[self.number_offset + index :: self.size] = bytes((byte,)) * LAP
        sent = bytes(block)
        if not self.qos:
            return sent, sent
        block[self.id_offset :: self.size] = bytes(LAP)
        block[self.id_offset + 1 :: self.size] = bytes(LAP)
        return sent, bytes(block)


class Tally:
    """Counts what came of a stream that is numbered from 0 without a gap."""

    def __init__(self) -> None:
        self.received = 0  # messages, duplicates among them
        self.next = 0  # the number that should come now
        self.duplicates = 0
        self.late = 0  # came after a higher number
        self.altered = 0  # not, or no longer, a message of this stream
        self._missing: set[int] = set()
        self._forgotten = 0

    def in_order(self, count: int) -> None:
        """The next `count` numbers came, each in its turn."""
        self.received += count
        self.next += count

    def one(self, number: int) -> None:
        """Any number came."""
        self.received += 1
        if number >= self.next:
            if number > self.next:
                self._skip(number)
            self.next = number + 1
        elif number in self._missing:
            self._missing.remove(number)
            self.late += 1
        else:
            self.duplicates += 1

    def missing(self, published: int) -> int:
        """How many of the first `published` numbers never came."""
        return len(self._missing) + self._forgotten + max(0, published - self.next)

    def _skip(self, number: int) -> None:
        room = MISSING_MAX - len(self._missing)
        remembered = min(number, self.next + room)
        self._missing.update(range(self.next, remembered))
        self._forgotten += number - remembered


class Inbox:
    """The subscriber's half of a stream: bytes in, a tally kept, acknowledgements out."""

    def __init__(self, laps: Laps, buffer_bytes: int = 1 << 20) -> None:
        self.tally = Tally()
        self.pings = 0
        self._laps = laps
        self._buffer = bytearray(buffer_bytes)
        self._view = memoryview(self._buffer)
        self._held = 0

    def room(self) -> memoryview:
        """Where the next bytes belong; call `take` with how many there were."""
        return self._view[self._held :]

    def take(self, count: int) -> bytearray:
        """Counts the messages of `count` new bytes and returns what must be sent in answer."""
        end = self._held + count
        done = 0
        answer = bytearray()
        for run in wire.runs(self._buffer, end):
            answer += self._take_run(run)
            done = run.start + run.count * run.size
        self._held = end - done
        if self._held:
            self._buffer[: self._held] = self._buffer[done:end]
        return answer

    def _take_run(self, run: wire.Run) -> bytearray:
        if run.first == wire.PUBREL:
            return wire.answers(wire.PUBCOMP, self._buffer, run, wire.HEADER_BYTES)
        if run.first == wire.PINGRESP:
            self.pings += run.count
            return bytearray()
        if run.first >> 4 != wire.PUBLISH >> 4:
            self.tally.altered += run.count
            return bytearray()
        return self._take_publishes(run)

    def _take_publishes(self, run: wire.Run) -> bytearray:
        qos = run.first >> 1 & 3
        offset = self._laps.id_offset
        answer = bytearray()
        if qos:
            kind = wire.PUBACK if qos == 1 else wire.PUBREC
            answer = wire.answers(kind, self._buffer, run, offset)
            stop = run.start + run.count * run.size
            self._buffer[run.start + offset : stop : run.size] = bytes(run.count)
            self._buffer[run.start + offset + 1 : stop : run.size] = bytes(run.count)
        if not self._expected(run):
            self._one_by_one(run)
        return answer

    def _expected(self, run: wire.Run) -> bool:
        """Whether the run is the stream's next messages, byte for byte; counted if so."""
        tally, size = self.tally, self._laps.size
        if run.size != size:
            return False
        lap, place = divmod(tally.next, LAP)
        head = min(run.count, LAP - place)
        middle = run.start + head * size
        stop = run.start + run.count * size
        same = self._laps.expected(lap).startswith(self._view[run.start : middle], place * size)
        if same and middle < stop:
            same = self._laps.expected(lap + 1).startswith(self._view[middle:stop])
        if same:
            tally.in_order(run.count)
        return same

    def _one_by_one(self, run: wire.Run) -> None:
        laps = self._laps
        for start in range(run.start, run.start + run.count * run.size, run.size):
            frame = bytearray(self._view[start : start + run.size])
            frame[0] &= 0xF7  # DUP tells of a repetition; the number tells which
            if len(frame) != laps.size:
                self.tally.altered += 1
                continue
            number = laps.number(frame)
            lap, place = divmod(number, LAP)
            if laps.expected(lap).startswith(frame, place * laps.size):
                self.tally.one(number)
            else:
                self.tally.altered += 1
