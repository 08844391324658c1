"""Clients that leave in every way there is, each connection with a will of its own.

    lost         the socket is closed without a word, or the broker is killed under it: the will is sent
    said so      DISCONNECT with will (0x04): the same
    goodbye      DISCONNECT: no will, but if the broker is killed within ten seconds it may be sent

A client that is back in time is not lost. Half of the wills have a delay that no run outlasts: they are
sent when their session is ended at last, and not before. No will is sent twice. Nothing here waits; the
broker sends wills ten seconds after a crash (`settle` says when all of it must be over).
"""

import socket
from dataclasses import dataclass, field
from random import Random

from gateway.mqtt.encode import encode
from gateway.mqtt.packets import ConnAck, Connect, Disconnect, Will
from gateway.mqtt.properties import Properties
from gateway.mqtt.reasons import Reason
from tests.numbered.peer import V5, connection, packets, session

CLIENTS = 12
DELAY_S = 30_000  # longer than any run
SETTLE_S = 15.0  # from the last crash until the last will is sent
GOODBYE, SAID, LOST, KILLED = "goodbye", "said so", "lost", "killed"


@dataclass(slots=True)
class _Life:
    """One connection. `known`: CONNACK came, so that its will was the broker's."""

    number: int
    delayed: bool
    known: bool = False
    left: str = KILLED


@dataclass(slots=True)
class Mortals:
    """All of the clients. `close` is for when the broker is gone."""

    address: tuple[str, int]
    random: Random
    lives: dict[str, list[_Life]] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)  # whose session was ended at last
    _number: int = 0
    _open: list[socket.socket] = field(default_factory=list)

    def step(self) -> None:
        """One client connects, and leaves or stays until the broker is killed."""
        self._number += 1
        name = f"w{self.random.randrange(CLIENTS)}"
        life = _Life(self._number, self.random.random() < 0.5)
        self.lives.setdefault(name, []).append(life)
        left = self.random.choice((GOODBYE, SAID, LOST, KILLED))
        line = connection(self.address)
        self._open.append(line)
        line.sendall(encode(self._connect(name, life), V5))
        _connack(line)
        life.known = True
        if left in (GOODBYE, SAID):
            reason = Reason.NORMAL_DISCONNECTION
            if left == SAID:
                reason = Reason.DISCONNECT_WITH_WILL_MESSAGE
            line.sendall(encode(Disconnect(reason), V5))
            line.settimeout(5)
            line.recv(1)  # the broker closes when it has read it; or it was killed
            life.left = left
        elif left == LOST:
            line.close()
            life.left = left

    def close(self) -> None:
        """The broker is gone."""
        for line in self._open:
            line.close()
        self._open.clear()

    def end_sessions(self) -> None:
        """Begins anew for all whose last will is delayed: it is sent now."""
        for name, lives in self.lives.items():
            if lives[-1].delayed:
                with connection(self.address) as line:
                    line.sendall(encode(Connect(V5, name, True, 60), V5))
                    _connack(line)
                self.ended.add(name)

    def must_come(self) -> dict[str, int]:
        """By topic, the number of the will that has to be sent: of who was lost and never came back."""
        return {
            f"w/{name}": lives[-1].number
            for name, lives in self.lives.items()
            if lives[-1].known and lives[-1].left != GOODBYE and self._is_due(name, lives[-1])
        }

    def wrong(self, came: dict[str, list[int]]) -> list[str]:
        """What is wrong with the wills that came, by topic."""
        found = []
        for topic, number in self.must_come().items():
            if number not in came.get(topic, []):
                found.append(f"{topic}: {number} never came")
        for topic, numbers in came.items():
            lives = {life.number: life for life in self.lives[topic.removeprefix("w/")]}
            for number in set(numbers):
                if numbers.count(number) > 1:
                    found.append(f"{topic}: {number} came {numbers.count(number)} times")
                if not self._is_due(topic.removeprefix("w/"), lives[number]):
                    found.append(f"{topic}: {number} came before its delay was over")
        return found

    def _is_due(self, name: str, life: _Life) -> bool:
        last = self.lives[name][-1]
        return not life.delayed or (name in self.ended and (life is last or not last.known))

    def _connect(self, name: str, life: _Life) -> Connect:
        delay = Properties(will_delay_interval_s=DELAY_S if life.delayed else None)
        will = Will(f"w/{name}", b"%d" % life.number, 2, properties=delay)
        return session(name, V5, will=will)


def _connack(line: socket.socket) -> None:
    for packet in packets(line, V5, lambda: True):
        if packet is not None:
            assert isinstance(packet, ConnAck) and packet.reason == 0, packet
            return
    raise ConnectionError("the broker went away")
