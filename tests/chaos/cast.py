"""The clients of a round: publishers of numbered messages, and persistent subscribers that roam.

Some are test clients, some are other people's libraries. All of them know all gateways, leave one that
is silent, and go to the next at once. Must not know what the fault is.
"""

import contextlib
import time
from collections.abc import Callable, Sequence
from random import Random

from gateway.mqtt.encode import encode
from gateway.mqtt.packets import Connect, Disconnect
from gateway.mqtt.reasons import Reason
from tests.numbered.libraries import PahoPublisher, PahoSubscriber
from tests.numbered.numbers import Publisher, Subscriber
from tests.numbered.peer import V5, Address, Habits, connection, packets

EACH = 1_000  # messages of one publisher
PATIENCE_S = 2.0  # without a sign of life
STAY_S = (0.5, 2.0)  # of a subscriber that roams, at one gateway
STEP_S = 0.02
UNANSWERED_MAX = 20  # of one publisher
QUIET_S = 1.0  # without a message: nothing more comes

AnyPublisher = Publisher | PahoPublisher
AnySubscriber = Subscriber | PahoSubscriber


class Cast:
    """`below` begins all topics and client ids of this round; `doors` are the gateways, in this order:
    the publishers begin at the first, the subscribers at the second."""

    def __init__(self, below: str, doors: Sequence[Address], random: Random) -> None:
        def dice() -> Random:
            return Random(random.random())

        def from_door(number: int) -> tuple[Address, Habits]:
            others = (*doors[number + 1 :], *doors[:number])
            return doors[number], Habits(others, PATIENCE_S, STAY_S)

        (first, from_first), (second, from_second) = from_door(0), from_door(1)
        self.publishers: tuple[AnyPublisher, ...] = (
            Publisher(first, f"{below}-p1", 1, below, habits=from_first),
            Publisher(first, f"{below}-p2", 2, below, V5, habits=from_first),
            PahoPublisher(first, f"{below}-paho1", 1, below, from_first),
            PahoPublisher(second, f"{below}-paho2", 2, below, from_second),
        )
        wanted = f"{below}/#"
        self.subscribers: tuple[AnySubscriber, ...] = (
            Subscriber(second, f"{below}-stays", 2, wanted, V5, habits=from_second),
            Subscriber(second, f"{below}-roams", 2, wanted, V5, dice(), from_second),
            Subscriber(second, f"{below}-once", 1, wanted, roams=dice(), habits=from_second),
            PahoSubscriber(second, f"{below}-paho", 2, wanted, from_second, dice()),
        )
        self.served_s = 0.0  # the longest time from a blow until every client was served again
        self.blows: list[str] = []
        self._begun_at = 0.0
        self._lasts_s = 0.0
        self._struck_at: float | None = None
        self._said: dict[str, int] = {}  # by topic, at the blow

    def everybody(self) -> tuple[AnyPublisher | AnySubscriber, ...]:
        return (*self.publishers, *self.subscribers)

    def start(self, seconds: float) -> None:
        """Subscribers first, so that all of it is theirs; then the publishers, for so long."""
        for subscriber in self.subscribers:
            subscriber.start()
        assert self.watch(lambda: all(each.subscribed for each in self.subscribers), 10), "SUBACK"
        self._begun_at, self._lasts_s = time.monotonic(), seconds
        for publisher in self.publishers:
            publisher.start()

    def struck(self) -> None:
        """A gateway was hit just now."""
        self._struck_at = time.monotonic()
        self.blows.append(f"{self._struck_at:.3f}")
        self._said = {each.topic: each.number for each in self.publishers}

    def under_way(self) -> int:
        """Deliveries that were begun and have not come."""
        return sum(
            max(0, publisher.number - len(set(each.came.get(publisher.topic, ()))))
            for publisher in self.publishers
            for each in self.subscribers
        )

    def watch(self, until: Callable[[], bool], within_s: float, every_s: float = STEP_S) -> bool:
        """Lets them go on until something is true; whether it became so in time."""
        end = time.monotonic() + within_s
        while not (done := until()) and time.monotonic() < end:
            look_at = time.monotonic() + every_s
            while time.monotonic() < look_at:
                self._step()
                time.sleep(STEP_S)
        return done

    def finish(self, within_s: float) -> bool:
        """Whether all was said, acknowledged and delivered in that time; then nothing more comes."""
        done = self.watch(self._all_came, within_s)
        count, since = -1, time.monotonic()

        def quiet() -> bool:
            nonlocal count, since
            came = sum(len(numbers) for each in self.subscribers for numbers in each.came.values())
            if came != count:
                count, since = came, time.monotonic()
            return time.monotonic() - since > QUIET_S

        self.watch(quiet, within_s)
        return done

    def story(self) -> str:
        """Where each was and what came, for who looks into a round that failed."""
        lines = []
        for each in self.everybody():
            lines += [each.client_id, *(f"    {line}" for line in each.path)]
        for each in self.subscribers:
            for topic, numbers in each.came.items():
                lines.append(f"{topic} at {each.client_id}: {' '.join(map(str, numbers))}")
        return "\n".join(lines) + "\n"

    def end(self) -> list[str]:
        """All go, and their sessions with them; what the clients themselves ran into."""
        problems = []
        for each in self.everybody():
            try:
                each.end()
            except AssertionError as error:
                problems.append(str(error))
            with contextlib.suppress(OSError):
                _end_session(each.address, each.client_id)
        return problems

    def _step(self) -> None:
        now = time.monotonic()
        if self._begun_at:
            share = min(1.0, (now - self._begun_at) / self._lasts_s)
            for publisher in self.publishers:
                publisher.number_max = int(share * EACH)
        if self._struck_at is not None and self._is_served():
            self.served_s = max(self.served_s, now - self._struck_at)
            self._struck_at = None

    def _is_served(self) -> bool:
        """Whether each was acknowledged, or got, something that was first said behind the blow."""
        return all(
            each.acknowledged and max(each.acknowledged[-5:]) > self._said[each.topic]
            for each in self.publishers
        ) and all(
            any(each.came.get(topic, [0])[-1] > number for topic, number in self._said.items())
            for each in self.subscribers
        )

    def _all_came(self) -> bool:
        return all(each.number == EACH and each.is_answered() for each in self.publishers) and all(
            set(range(1, EACH + 1)) <= set(each.came.get(publisher.topic, ()))
            for publisher in self.publishers
            for each in self.subscribers
        )


def _end_session(address: Address, client_id: str) -> None:
    with connection(address) as line:
        line.sendall(encode(Connect(V5, client_id, True, 60), V5))
        for packet in packets(line, V5, lambda: True):
            if packet is not None:
                line.sendall(encode(Disconnect(Reason.NORMAL_DISCONNECTION), V5))
                return
