"""A device's client for many gateways: publishes at QoS 1 to one, and goes on at the next when that
one dies.

Rules:
- a reading counts as published when a gateway has acknowledged it; until then it is sent again, at
  the next gateway; so it may arrive twice, around a failure, and never goes missing in silence;
- no call blocks longer than it states (a host name that the firmware must look up adds that time:
  give addresses);
- a round is one try at every known gateway, the last good one first; after a whole round in vain
  the client rests, longer each time, with jitter, so that a thousand devices do not come back in
  the same second.

Must not know how bytes travel (session.py, line.py) or how gateways are found (mdns.py).
"""

import errno
import os
import time

from . import mdns
from .line import PACKET_BYTES_MAX
from .session import TOPIC_FILTER_BYTES_MAX, Session, as_bytes

PORT = 1883
REST_FIRST_MS = 1000
REST_MAX_MS = 30000
SEARCH_MS = 1000  # how long one mDNS question waits for answers
TAKEN_MAX = 16  # packets taken by one poll(), so that a flood cannot hold the caller


class Client:
    def __init__(
        self,
        client_id,
        gateways=(),  # "host" or "host:port", the preferred one first
        discover=False,  # also look for gateways by mDNS
        on_message=None,  # called with (topic, payload), both bytes
        user=None,
        password=None,
        keep_alive_s=20,  # a ping after half of it without a word
        connect_s=5,  # for one gateway to take the connection and the subscriptions
        answer_s=5,  # for a gateway to answer anything; one that does not is left
        service=mdns.SERVICE,
        address=None,  # our own, for the mDNS question, where the device has several networks
    ):
        self.gateway = None  # connected to
        self.last_good = None  # "host:port"; may be set, to a value kept over a deep sleep
        self.last_error = None
        self._make = lambda host, port: Session(
            client_id, host, port, keep_alive_s, self._inbox, user, password
        )
        self._listed = [_full(gateway) for gateway in gateways]
        self._found = []
        self._find = (lambda wait_ms: mdns.find(service, wait_ms, address)) if discover else None
        self._on_message = on_message
        self._ping_ms = keep_alive_s * 500
        self._connect_ms = int(connect_s * 1000)
        self._answer_ms = int(answer_s * 1000)
        self._subscriptions = []
        self._inbox = []
        self._handing_out = False
        self._session = None
        self._round = []  # gateways still to try in this round
        self._rest_ms = REST_FIRST_MS
        self._rest_until = None

    def publish(self, topic, payload, retain=False, limit_s=20):
        """Publishes one reading at QoS 1; returns when a gateway has acknowledged it.

        Blocks `limit_s` at most, over as many gateways and rounds as fit, then raises OSError: the
        reading is still the caller's. Raises ValueError when it is too large for any packet.
        """
        topic, payload = as_bytes(topic), as_bytes(payload)
        if len(topic) + len(payload) + 8 > PACKET_BYTES_MAX:
            raise ValueError(f"more than {PACKET_BYTES_MAX} bytes")
        end = time.ticks_add(time.ticks_ms(), int(limit_s * 1000))
        while not self._sent(topic, payload, retain, end):
            if _left(end) <= 0:
                raise OSError(errno.ETIMEDOUT, f"no gateway acknowledged: {self.last_error}")
        self._hand_out()

    def subscribe(self, topic_filter, qos=1):
        """Subscribes now, if connected, and again after each reconnect. Blocks `answer_s` at most.

        A gateway that refuses stays in use; the refusal stands in `last_error`.
        """
        topic_filter = as_bytes(topic_filter)
        if not 0 < len(topic_filter) <= TOPIC_FILTER_BYTES_MAX or qos not in (0, 1):
            raise ValueError(f"1 to {TOPIC_FILTER_BYTES_MAX} bytes, QoS 0 or 1")
        self._subscriptions.append((topic_filter, qos))
        if self._session:
            self._try(self._listen_for, topic_filter, qos, self._answer_ms)
        self._hand_out()

    def poll(self):
        """Takes what has arrived, pings, reconnects; returns whether connected. Call it every
        second.

        Blocks no longer than `connect_s` or `answer_s`, and raises nothing but what `on_message`
        raises. A gateway that is gone without a word is noticed within half of `keep_alive_s` plus
        `answer_s`.
        """
        if self._session:
            self._try(self._listen)
        elif self._resting_ms() == 0:
            self._connect_next(self._connect_ms)
        self._hand_out()
        return self._session is not None

    def close(self):
        """Says good-bye; the next publish or poll connects again."""
        if self._session:
            self._session.close(True)
            self._session = self.gateway = None

    def _sent(self, topic, payload, retain, end):
        if not self._session:
            time.sleep_ms(max(0, min(self._resting_ms(), _left(end))))
            if self._resting_ms() > 0 or _left(end) <= 0:
                return False
            self._connect_next(min(self._connect_ms, _left(end)))
        if not self._session or _left(end) <= 0:
            return False
        limit_ms = min(self._answer_ms, _left(end))
        return self._try(self._session.send, topic, payload, retain, limit_ms)

    def _listen(self):
        session = self._session
        session.take(TAKEN_MAX, self._answer_ms)
        waits_ms = session.waits_ms()
        if waits_ms > self._answer_ms:
            raise OSError(errno.ETIMEDOUT, "no answer to a ping")
        if waits_ms == 0 and time.ticks_diff(time.ticks_ms(), session.said_at) >= self._ping_ms:
            session.ask(self._answer_ms)

    def _try(self, call, *arguments):
        """Whether `call` went well; when not, the connection is dropped."""
        try:
            call(*arguments)
        except OSError as error:
            self._drop(error)
            return False
        if self._session.served:
            self.last_good = self.gateway
        return True

    def _connect_next(self, limit_ms):
        end = time.ticks_add(time.ticks_ms(), limit_ms)
        if not self._round:
            self._begin_round(limit_ms)
        if not self._round:
            self._rest("no gateway known")
            return
        self.gateway = self._round.pop(0)
        host, port = self.gateway.rsplit(":", 1)
        self._session = self._make(host, int(port))
        self._try(self._open, end)

    def _open(self, end):
        self._session.open(max(1, _left(end)))
        for topic_filter, qos in self._subscriptions:
            self._listen_for(topic_filter, qos, max(1, _left(end)))

    def _listen_for(self, topic_filter, qos, limit_ms):
        try:
            self._session.listen(topic_filter, qos, limit_ms)
        except OSError as error:
            if error.args[0] != errno.EACCES:
                raise
            self.last_error = f"{self.gateway}: {topic_filter}: {error}"

    def _begin_round(self, limit_ms):
        if self._find:
            self._found = self._find(min(SEARCH_MS, limit_ms)) or self._found
        self._round = self._known()
        if self.last_good:
            if self.last_good in self._round:
                self._round.remove(self.last_good)
            self._round.insert(0, self.last_good)

    def _known(self):
        return self._listed + [gateway for gateway in self._found if gateway not in self._listed]

    def _drop(self, error):
        """Goes on in this round; after a gateway that served, in a new one that ends with it."""
        session, lost = self._session, self.gateway
        session.close(False)
        self._session = self.gateway = None
        self.last_error = f"{lost}: {error}"
        if session.served:
            known = self._known()
            at = known.index(lost) if lost in known else 0
            self._round = [each for each in known[at:] + known[:at] if each != lost] + [lost]
            self._rest_ms = REST_FIRST_MS
        elif not self._round:
            self._rest(self.last_error)

    def _rest(self, reason):
        self.last_error = reason
        jitter = int.from_bytes(os.urandom(2), "big")
        rest_ms = self._rest_ms // 2 + (self._rest_ms // 2 * jitter >> 16)
        self._rest_until = time.ticks_add(time.ticks_ms(), rest_ms)
        self._rest_ms = min(self._rest_ms * 2, REST_MAX_MS)

    def _resting_ms(self):
        if self._rest_until is None:
            return 0
        left = _left(self._rest_until)
        if left <= 0:
            self._rest_until = None
        return max(0, left)

    def _hand_out(self):
        if self._handing_out:
            return  # a callback published; the outer loop goes on
        self._handing_out = True
        try:
            while self._inbox:
                message = self._inbox.pop(0)
                if self._on_message:
                    self._on_message(*message)
        finally:
            self._handing_out = False


def _full(gateway):
    return gateway if ":" in gateway else f"{gateway}:{PORT}"


def _left(end):
    return time.ticks_diff(end, time.ticks_ms())
