"""umqtt.simple, imported as it is, with its known faults fenced in. One Session is one connection
to one gateway.

The faults of umqtt.simple (1.3.4, and what mip installs now) and what stands in their way here:
- no time limit on connecting and on waiting for an answer, and one that is set is taken back by the
  first byte that arrives; check_msg may block for ever: every byte goes through a Line, which has a
  deadline;
- an answer that was cut off or is garbage ends in AssertionError, IndexError or MemoryError, or in
  a length without end: all become OSError, lengths are checked;
- packet ids run past 65535, after which the PUBACK that is waited for can never come: they start
  again at 1;
- lengths are counted in characters, not bytes, of a str: everything is bytes here before umqtt sees
  it;
- a SUBSCRIBE for a topic above 122 bytes has a wrong length: refused with ValueError;
- the callback runs in the middle of publish(); one that publishes itself swallows the PUBACK that
  the outer call waits for: messages go to a short inbox, and the owner empties it between calls;
- QoS 2 is an assert: not offered, and never subscribed to;
- publish() at QoS 0 on a dead socket succeeds: readings go at QoS 1, where only the PUBACK counts;
- TLS imports `ussl`, which newer firmware no longer has: not offered yet, and never to be asked of
  umqtt (see Line).

Must not know of other gateways, of retries, or of when to reconnect.
"""

import errno
import time

from umqtt.simple import MQTTClient, MQTTException

from .line import Line

TOPIC_FILTER_BYTES_MAX = 122  # see above
INBOX_MESSAGES_MAX = 8  # messages that arrive while one publish waits; the oldest goes first
PACKET_ID_MAX = 65535
FAREWELL_MS = 100
PUBLISH = 0x30
PUBACK = 0x40
SUBACK = 0x90


def as_bytes(text):
    return text.encode() if isinstance(text, str) else bytes(text)


class Session(MQTTClient):
    def __init__(self, client_id, host, port, keep_alive_s, inbox, user=None, password=None):
        """`inbox` is a list that takes (topic, payload) of what arrives, bounded here."""
        self._line = None
        self._inbox = inbox
        self.served = False  # whether this connection ever acknowledged a reading or a ping
        self._asked = False
        self.heard_at = self.said_at = time.ticks_ms()
        super().__init__(as_bytes(client_id), host, port, user, password, keep_alive_s)
        self.set_callback(self._keep)

    # umqtt assigns its new socket to self.sock; what it reads back is the Line around it.
    @property
    def sock(self):
        return self._line

    @sock.setter
    def sock(self, raw):
        self._line = None if raw is None else Line(raw)
        if self._line:
            self._line.limit(self._limit_ms)

    def open(self, limit_ms):
        """Connects with a clean session. Raises OSError within `limit_ms` (and a name look-up)."""
        self._limit_ms = limit_ms
        self._guarded(self.connect)
        self.heard_at = self.said_at = time.ticks_ms()

    def send(self, topic, payload, retain, limit_ms):
        """Publishes bytes at QoS 1. Returns when it was acknowledged, else raises OSError."""
        self._say(limit_ms, self.publish, topic, payload, retain, 1)
        self.served = True

    def listen(self, topic_filter, qos, limit_ms):
        """Subscribes. Raises OSError when there is no SUBACK in time, or a refusal."""
        self._say(limit_ms, self.subscribe, topic_filter, qos)

    def ask(self, limit_ms):
        """Sends a PINGREQ; the answer is taken by take()."""
        self._say(limit_ms, self.ping)
        self._asked = True

    def waits_ms(self):
        """For how long what was said has been without any sign of life; 0 when there was one."""
        if time.ticks_diff(self.heard_at, self.said_at) >= 0:
            return 0
        return time.ticks_diff(time.ticks_ms(), self.said_at)

    def take(self, packets_max, limit_ms):
        """Takes what has arrived, all within `limit_ms`. Raises OSError when that is not MQTT."""
        self._line.limit(limit_ms)
        while packets_max and self._line.readable():
            self._guarded(self.wait_msg)
            packets_max -= 1

    def close(self, politely):
        """Never raises. Politely with DISCONNECT, else the gateway will send the will."""
        try:
            if politely:
                self._line.limit(FAREWELL_MS)
                self._line.write(b"\xe0\0")
                self._line.flush()
        except OSError:
            pass
        if self._line:
            self._line.close()

    def wait_msg(self):
        op = super().wait_msg()
        # For a PINGRESP umqtt returns None, for a PUBLISH None or, when newer, its first byte.
        if op not in (None, PUBACK, SUBACK) and op & 0xF0 != PUBLISH:
            raise OSError(errno.EINVAL, f"packet type {op >> 4}")
        self.heard_at = time.ticks_ms()
        self.served = self.served or self._asked
        return op

    def _recv_len(self):
        size = 0
        for shift in (0, 7, 14, 21):
            digit = self._line.read(1)[0]
            size |= (digit & 0x7F) << shift
            if not digit & 0x80:
                return size
        raise OSError(errno.EINVAL)

    def _keep(self, topic, payload):
        if len(self._inbox) == INBOX_MESSAGES_MAX:
            self._inbox.pop(0)
        self._inbox.append((topic, payload))

    def _say(self, limit_ms, call, *arguments):
        self._line.limit(limit_ms)
        self.pid %= PACKET_ID_MAX
        self.said_at = time.ticks_ms()
        self._guarded(call, *arguments)

    def _guarded(self, call, *arguments):
        try:
            result = call(*arguments)
            self._line.flush()  # also a PUBACK that umqtt wrote
            return result
        # MicroPython has no exception chaining, hence no "from".
        except MQTTException as refused:
            raise OSError(errno.EACCES, f"refused: {refused}")  # noqa: B904
        except (AssertionError, IndexError, TypeError, ValueError, MemoryError) as error:
            raise OSError(errno.EINVAL, f"not MQTT: {error!r}")  # noqa: B904
