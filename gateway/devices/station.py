"""All ports, the outbox and the broker, joined: the whole of gateway-devices without the world.

Rules: four verbs, no other way in or out; `now` is an argument and only its differences count. A
reading is handed to the broker in the order in which it was read, several in flight at once. The
status document is told on connecting, at once when a port changes state, and otherwise at most
every STATUS_INTERVAL_S. Must not import anything that touches the world.
"""

from collections.abc import Sequence
from math import inf
from random import Random

from gateway.config import SerialPort
from gateway.devices import topics
from gateway.devices.backoff import Backoff
from gateway.devices.events import (
    Acknowledged,
    BrokerConnected,
    BrokerLost,
    Command,
    Connect,
    Effect,
    Finished,
    GivenUp,
    Input,
    Level,
    Message,
    Note,
    Ordered,
    Reading,
    Stop,
)
from gateway.devices.outbox import Outbox
from gateway.devices.port import Port, PortStatus
from gateway.devices.status import (
    STATUS_INTERVAL_S,
    STATUS_TOPIC,
    offline_document,
    online_document,
)

RECONNECT_FIRST_S = 0.2  # the broker is on the same box and restarts in about a second
RECONNECT_MOST_S = 5.0
STEADY_S = 5.0  # connected for so long: the next loss starts again at RECONNECT_FIRST_S
STOP_S = 2.0  # what waits may still go out; then the end is announced
GOODBYE_S = 1.0  # for the acknowledgement of that
PACKET_OVERHEAD_BYTES = 16  # of a PUBLISH, beside topic and payload
COMMAND_QOS = 1


class Station:
    """Everything that hangs on one gateway.

    Raises ValueError, with a sentence for the operator, when a topic template is of no use.
    """

    def __init__(
        self,
        gateway: str,
        serial: Sequence[SerialPort],
        packet_bytes_max: int,
        random: Random,
        outbox: Outbox | None = None,
    ) -> None:
        self._packet_bytes_max = packet_bytes_max
        self._configs = {config.name: config for config in serial}
        assert len(self._configs) == len(serial), "port names are unique"
        self._topics = {c.name: topics.expand(c.topic, gateway, c.name) for c in serial}
        self._commands = _command_topics(gateway, serial)
        self._ports = {c.name: Port(c, random) for c in serial}
        self._outbox = Outbox() if outbox is None else outbox
        self._backoff = Backoff(RECONNECT_FIRST_S, RECONNECT_MOST_S, random)
        self._status_topic = topics.expand(STATUS_TOPIC, gateway, "")
        self._now = -inf
        self._serial = 0
        self._connected = False
        self._connected_at = inf
        self._connect_at = -inf
        self._broker_noted = False
        self._status_at = inf  # when the status is due; only while connected
        self._told: tuple[PortStatus, ...] = ()
        self._told_at = -inf
        self._dropped = 0  # readings that the outbox let go since we last connected
        self._stop_at = inf  # when the end is announced; finite: stopping
        self._goodbye_serial = 0
        self._finished = False
        self._effects: list[Effect] = []

    @property
    def command_topics(self) -> tuple[str, ...]:
        """What the broker client is to subscribe to, at COMMAND_QOS."""
        return tuple(self._commands)

    def will(self) -> Message:
        """What the broker is to publish when this process is gone."""
        payload = offline_document(self._statuses())
        return Message(0, "", self._status_topic, payload, qos=1, retain=True)

    def receive(self, item: Input, now: float) -> None:
        """Something happened; see `events` for what must be told when."""
        self._now = now
        match item:
            case Acknowledged(serial=serial):
                self._on_acknowledged(serial)
            case Command():
                self._on_command(item)
            case BrokerConnected():
                self._on_connected()
            case BrokerLost(detail=detail):
                self._on_broker_lost(detail)
            case Stop():
                self._on_stop()
            case _:
                self._ports[item.port].receive(item, now)
        self._advance()

    def wake(self, now: float) -> None:
        """A deadline passed."""
        self._now = now
        for port in self._ports.values():
            port.wake(now)
        if now >= self._connect_at:
            self._connect_at = inf
            self._effects.append(Connect())
        self._advance()

    def deadline(self) -> float:
        """When to call `wake` next; infinity when there is nothing to wait for."""
        if self._finished:
            return inf
        ports_at = (port.deadline() for port in self._ports.values())
        stop_at = self._stop_at + (GOODBYE_S if self._goodbye_serial else 0)
        return min(self._connect_at, self._status_at, stop_at, *ports_at)

    def drain(self) -> list[Effect]:
        """What the world must now do, in order, once."""
        effects, self._effects = self._effects, []
        return effects

    def _publish(self, port: str, payload: bytes) -> None:
        config = self._configs[port]
        topic = self._topics[port]
        size_bytes = len(topic.encode()) + len(payload) + PACKET_OVERHEAD_BYTES
        if size_bytes > self._packet_bytes_max:
            # The broker would close the connection for it, at every attempt.
            self._give_up(port, f"a reading of {len(payload)} bytes is more than the broker takes")
            return
        message = Message(self._next(), port, topic, payload, config.qos, config.retain)
        for lost in self._outbox.put(message):
            self._dropped += 1
            detail = f"the broker did not take readings for too long: {self._dropped} dropped"
            self._give_up(lost.port, detail)

    def _give_up(self, port: str, detail: str) -> None:
        self._ports[port].receive(GivenUp(port, detail), self._now)

    def _on_command(self, command: Command) -> None:
        name = self._commands.get(command.topic)
        if name is None:
            return
        if command.replayed:
            # Carried out anew at every reconnect, it would be an order that nobody gave.
            self._note(
                Level.WARNING,
                f"serial port {name}: the retained message on {command.topic} is not written; "
                "publish commands without the retain flag",
            )
            return
        self._ports[name].receive(Ordered(name, command.payload), self._now)

    def _on_acknowledged(self, serial: int) -> None:
        if serial == self._goodbye_serial and self._goodbye_serial:
            self._finish()
        self._outbox.acknowledge(serial)

    def _on_connected(self) -> None:
        self._connected = True
        self._connected_at = self._now
        self._status_at = self._now
        self._dropped = 0
        waiting = f"; {len(self._outbox)} readings waited" if len(self._outbox) else ""
        self._note(Level.INFO, f"connected to the broker{waiting}")
        self._broker_noted = False

    def _on_broker_lost(self, detail: str) -> None:
        if self._connected and self._now - self._connected_at >= STEADY_S:
            self._backoff.reset()
        if not self._broker_noted:
            self._note(Level.WARNING, f"no broker, readings wait in memory: {detail}")
            self._broker_noted = True
        self._connected = False
        self._status_at = inf
        self._connect_at = self._now + self._backoff.next_delay_s()
        self._outbox.rewind()

    def _on_stop(self) -> None:
        if self._stop_at < inf:  # told twice, as a hurried operator does
            return
        for port in self._ports.values():
            port.receive(Stop(), self._now)
        self._stop_at = self._now + STOP_S

    def _advance(self) -> None:
        """What follows from any change, whatever it was."""
        self._drain_ports()
        if self._stop_at < inf:
            self._advance_stop()
        elif self._connected:
            self._tell_status()
        if self._connected:
            while message := self._outbox.take():
                self._effects.append(message)

    def _drain_ports(self) -> None:
        for port in self._ports.values():
            # Again, because a reading that is given up is noted by its port.
            while effects := port.drain():
                for effect in effects:
                    if isinstance(effect, Reading):
                        self._publish(effect.port, effect.payload)
                    else:
                        self._effects.append(effect)

    def _tell_status(self) -> None:
        statuses = self._statuses()
        if statuses != self._told:
            moved = [s.state for s in statuses] != [s.state for s in self._told]
            due_at = self._now if moved else self._told_at + STATUS_INTERVAL_S
            self._status_at = min(self._status_at, due_at)
        if self._now >= self._status_at:
            self._status_at = inf
            self._told, self._told_at = statuses, self._now
            self._send_status(online_document(statuses, self._now))

    def _advance_stop(self) -> None:
        if self._finished:
            return
        self._connect_at = self._status_at = inf
        if not self._connected:
            if len(self._outbox):
                self._note(Level.WARNING, f"{len(self._outbox)} readings were not delivered")
            self._finish()
        elif self._goodbye_serial:
            if self._now >= self._stop_at + GOODBYE_S:
                self._finish()
        elif not len(self._outbox) or self._now >= self._stop_at:
            self._stop_at = self._now
            self._goodbye_serial = self._send_status(offline_document(self._statuses()))

    def _finish(self) -> None:
        self._finished = True
        self._effects.append(Finished())

    def _send_status(self, payload: bytes) -> int:
        message = Message(self._next(), "", self._status_topic, payload, qos=1, retain=True)
        self._effects.append(message)
        return message.serial

    def _statuses(self) -> tuple[PortStatus, ...]:
        return tuple(port.status for port in self._ports.values())

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _note(self, level: Level, text: str) -> None:
        self._effects.append(Note(level, text))


def _command_topics(gateway: str, serial: Sequence[SerialPort]) -> dict[str, str]:
    """Command topic to port name."""
    names: dict[str, str] = {}
    for config in serial:
        topic = topics.expand(config.command_topic, gateway, config.name)
        if topic in names:
            raise ValueError(
                f"serial ports {names[topic]} and {config.name} have the same command topic {topic}"
            )
        names[topic] = config.name
    readings = {topics.expand(c.topic, gateway, c.name) for c in serial}
    if both := sorted(readings & names.keys()):
        raise ValueError(f"topic {both[0]} is for readings and commands at once: a loop")
    return names
