"""$SYS/broker/...: what a broker counts, with Mosquitto's names, for dashboards that know them.

A subscription gets the present values at once, as if they were retained; from then on what has changed,
at most once an interval. The messages are QoS 0 and this gateway's own: they are in no store, on no disk
and on no link. A figure is worked out when somebody subscribes to its topic, and not before. Missing are
Mosquitto's figures of its own memory (heap/...), which is one allocator's view. Must not know the mesh.
"""

from collections.abc import Callable, Iterator, Sized
from math import exp

from gateway import __version__
from gateway.broker.delivery import deliver
from gateway.broker.state import BrokerState
from gateway.broker.vitals import Vitals
from gateway.mqtt.message import Message, topic_field
from gateway.mqtt.topics import matches

PREFIX = "$SYS/broker/"
MINUTE_S = 60.0
LOAD_MINUTES = (1, 5, 15)


class Load:
    """A total's growth a minute, smoothed over 1, 5 and 15 minutes, as the load of a computer is."""

    __slots__ = ("_last", "per_minute")

    def __init__(self) -> None:
        self._last = 0
        self.per_minute = dict.fromkeys(LOAD_MINUTES, 0.0)

    def tick(self, total: int, elapsed_s: float) -> None:
        """The total after that many seconds more."""
        rate = (total - self._last) * MINUTE_S / elapsed_s
        self._last = total
        for minutes, load in self.per_minute.items():
            kept = exp(-elapsed_s / (minutes * MINUTE_S))
            self.per_minute[minutes] = rate + kept * (load - rate)


class SysTopics:
    """The topics of one broker. `online` is who is connected; an interval of 0 means no such topics."""

    def __init__(self, broker: BrokerState, online: Sized) -> None:
        self._broker = broker
        self._online = online
        self._started: float | None = None
        self._at = 0.0  # of the last tick
        self._due = 0.0
        self._said: dict[str, str] = {}
        self._loads = {name: Load() for name in _totals(broker.vitals)}
        topics = {PREFIX + name: text for name, text in self._texts().items()}
        self._topics = topics if broker.settings.sys_interval_s else {}
        self._fields = {topic: topic_field(topic) for topic in self._topics}

    def matching(self, topic_filter: str) -> Iterator[Message]:
        """The present values under a filter, for a new subscription."""
        if not topic_filter.startswith("$SYS/"):
            return
        for topic, text in self._topics.items():
            if matches(topic_filter, topic):
                yield self._message(topic, text())

    def tick(self, now: float) -> None:
        """Brings the loads up to date, about once a second; what is due is said to its subscribers."""
        if self._started is None:
            self._started = self._at = now
        vitals = self._broker.vitals
        if now > self._at:
            elapsed_s = now - self._at
            for name, total in _totals(vitals).items():
                self._loads[name].tick(total, elapsed_s)
            self._at = now
        if now >= self._due:
            self._due = now + self._broker.settings.sys_interval_s
            self._say_changes()

    def _say_changes(self) -> None:
        for topic, text in self._topics.items():
            route = self._broker.routes.find(self._fields[topic])
            if not route.is_wanted():
                self._said.pop(topic, None)
                continue
            value = text()
            if self._said.get(topic) != value:
                self._said[topic] = value
                deliver(self._broker, self._message(topic, value), route)

    def _message(self, topic: str, text: str) -> Message:
        return Message(topic, self._fields[topic], text.encode(), 0, True)

    def _texts(self) -> dict[str, Callable[[], str]]:
        """Each name with what works its figure out."""
        broker, vitals, online = self._broker, self._broker.vitals, self._online
        sessions = broker.sessions

        def waiting() -> str:
            return str(sum(session.waiting() for session in sessions.values()))

        return {
            "version": lambda: f"gatewayd version {__version__}",
            "uptime": lambda: f"{self._uptime_s():.0f} seconds",
            "clients/connected": lambda: str(len(online)),
            "clients/disconnected": lambda: str(max(0, len(sessions) - len(online))),
            "clients/active": lambda: str(len(online)),  # Mosquitto's older names for two of these
            "clients/inactive": lambda: str(max(0, len(sessions) - len(online))),
            "clients/expired": lambda: str(vitals.sessions_expired),
            "clients/total": lambda: str(len(sessions)),
            "clients/maximum": lambda: str(vitals.clients_max),
            "bytes/received": lambda: str(vitals.bytes_in),
            "bytes/sent": lambda: str(vitals.bytes_out),
            "messages/received": lambda: str(vitals.packets_in),
            "messages/sent": lambda: str(vitals.packets_out()),
            "publish/bytes/received": lambda: str(vitals.payload_bytes_in),
            "publish/bytes/sent": lambda: str(vitals.payload_bytes_out),
            "publish/messages/received": lambda: str(vitals.messages_in),
            "publish/messages/sent": lambda: str(vitals.messages_out),
            "publish/messages/dropped": lambda: str(vitals.dropped()),
            **{name: text for each in self._loads.items() for name, text in _texts_of(*each)},
            "retained messages/count": lambda: str(len(broker.retained)),
            "messages/stored": waiting,  # an older name as well
            "store/messages/count": waiting,
            "store/messages/bytes": lambda: str(broker.room.used),
            "subscriptions/count": lambda: str(
                sum(len(s.subscriptions) for s in sessions.values())
            ),
            "shared_subscriptions/count": lambda: str(broker.routes.shared()),
        }

    def _uptime_s(self) -> float:
        return 0.0 if self._started is None else self._broker.now - self._started


def _totals(vitals: Vitals) -> dict[str, int]:
    """What has a load, by its name below load/."""
    return {
        "messages/received": vitals.packets_in,
        "messages/sent": vitals.packets_out(),
        "publish/received": vitals.messages_in,
        "publish/sent": vitals.messages_out,
        "publish/dropped": vitals.dropped(),
        "bytes/received": vitals.bytes_in,
        "bytes/sent": vitals.bytes_out,
        "sockets": vitals.sockets,
        "connections": vitals.connections,
    }


def _texts_of(name: str, load: Load) -> Iterator[tuple[str, Callable[[], str]]]:
    def text(minutes: int) -> Callable[[], str]:
        return lambda: f"{load.per_minute[minutes]:.2f}"

    for minutes in LOAD_MINUTES:
        yield f"load/{name}/{minutes}min", text(minutes)
