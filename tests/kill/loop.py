"""The loop: a real daemon is killed at random moments while real clients hold it to its word.

    .venv/bin/python -m tests.kill.loop --rounds 200 --seed 1

Publishers of QoS 1 and 2; subscribers that stay connected, that change connections, that are away until
the end; a group that shares a subscription, of which one is away for the second half; messages that
expire later; retained messages; wills. After the last round everything is delivered, and counted. Exit
status 1 if anything is missing, doubled at QoS 2, out of order or not as it was promised.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.gateways import Gateway, free_port
from tests.kill.retained import Retainer, look
from tests.kill.wills import SETTLE_S, Mortals
from tests.numbered.counting import again, in_order, missing
from tests.numbered.numbers import Publisher, Subscriber
from tests.numbered.peer import V5, wait

DELIVER_S = 120.0  # for what was queued in all the rounds
LIFE_MESSAGES = 150  # of each publisher, so that restarts do not take longer and longer
LIFE_MIN_S, LIFE_MAX_S = 0.02, 0.4
ROOM = {  # no limit may cost a message
    "queue_messages_max": 10_000_000,
    "queue_bytes_max": 4_000_000_000,
    "waiting_bytes_max": 4_000_000_000,
}
SHOWN = 5  # of each kind of mistake
SHARED = "$share/g/q/#"


@dataclass
class Verdict:
    """What a run found. `doubled` at QoS 1 is allowed, and counted."""

    rounds: int
    acknowledged: int = 0
    retained: int = 0
    wills: int = 0
    moves: int = 0
    doubled: int = 0
    lost_sessions: int = 0
    missing: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)  # at QoS 2
    disorder: list[str] = field(default_factory=list)
    wrong_retained: list[str] = field(default_factory=list)
    wrong_wills: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        wrong = self.missing or self.twice or self.disorder or self.lost_sessions
        return not (wrong or self.wrong_retained or self.wrong_wills)

    def __str__(self) -> str:
        return (
            f"{self.rounds} kills, {self.acknowledged} messages acknowledged, {self.retained} looks at"
            f" what is retained, {self.wills} wills due, {self.moves} moves to another connection:"
            f" missing {self.missing or 0}, QoS 2 twice {self.twice or 0},"
            f" out of order {self.disorder or 0}, sessions lost {self.lost_sessions},"
            f" retained wrong {self.wrong_retained[:SHOWN] or 0}, wills wrong {self.wrong_wills or 0};"
            f" QoS 1 delivered again {self.doubled}"
        )


class Cast:
    """Everybody who is there. `sharing_late` is the member that comes back at the end, `away` too."""

    def __init__(self, door: tuple[str, int], random: Random) -> None:
        def dice() -> Random:
            return Random(random.random())

        self.verdict = Verdict(0)
        self.publishers = [
            Publisher(door, "p1", 1),
            Publisher(door, "p2", 2),
            Publisher(door, "e1", 1, version=V5, roams=dice(), expiring=True),
            Publisher(door, "e2", 2, version=V5, roams=dice(), expiring=True),
        ]
        self.subscribers = [
            Subscriber(door, "s1", 1),
            Subscriber(door, "s2", 2),
            Subscriber(door, "s5", 2, version=V5, roams=dice()),
        ]
        self.away = Subscriber(door, "away", 2)
        self.sharing_publishers = [
            Publisher(door, "q1", 1, "q", V5),
            Publisher(door, "q2", 2, "q", V5),
        ]
        self.sharing = [
            Subscriber(door, "g1", 2, SHARED, V5),
            Subscriber(door, "g2", 2, SHARED, V5, roams=dice()),
        ]
        self.sharing_late = Subscriber(door, "g3", 2, SHARED, V5)
        self.retainers = [Retainer(door, f"r{qos}", qos) for qos in (1, 2)]
        self.watcher = Subscriber(door, "watcher", 2, "w/#", V5)
        self.mortals = Mortals(door, dice())

    def start(self) -> None:
        """Subscribers first, so that all of it is theirs."""
        subscribers = (*self.subscribers, self.away, *self.sharing, self.sharing_late, self.watcher)
        for subscriber in subscribers:
            subscriber.start()
        assert wait(lambda: all(each.subscribed for each in subscribers), 10), "no SUBACK"
        self.away.end()
        for publisher in self.all_publishers():
            publisher.start()

    def live(self) -> None:
        """What everybody does until the next kill."""
        for publisher in self.all_publishers():
            publisher.number_max += LIFE_MESSAGES
        for retainer in self.retainers:
            self._look(retainer)
        self.mortals.step()

    def finish(self) -> None:
        """Everybody comes to an end; `verdict` says what they saw."""
        begin = time.monotonic()
        self.away = _back(self.away)
        wait(lambda: all(each.is_answered() for each in self.all_publishers()), DELIVER_S)
        everybody = [*self.subscribers, self.away]
        wait(lambda: all(_all_there(self.publishers, each) for each in everybody), DELIVER_S)
        self.mortals.end_sessions()
        time.sleep(max(0.0, begin + SETTLE_S - time.monotonic()))
        # What the one that is away had not begun is with the others by now.
        self.sharing_late = _back(self.sharing_late)
        wait(lambda: not _missing_of_group(self.sharing_publishers, self.group()), DELIVER_S)
        wait(lambda: not self.mortals.wrong(self.watcher.came), SETTLE_S)
        for retainer in self.retainers:
            self._look(retainer)
        for peer in (*self.all_publishers(), *everybody, *self.group(), self.watcher):
            peer.end()
            self.verdict.lost_sessions += peer.lost_sessions
            self.verdict.moves += peer.moves
        self._judge(everybody)

    def all_publishers(self) -> list[Publisher]:
        return [*self.publishers, *self.sharing_publishers, *self.retainers]

    def group(self) -> list[Subscriber]:
        return [*self.sharing, self.sharing_late]

    def _look(self, retainer: Retainer) -> None:
        self.verdict.wrong_retained += look(retainer)
        self.verdict.retained += 1

    def _judge(self, subscribers: list[Subscriber]) -> None:
        verdict = self.verdict
        verdict.acknowledged = sum(len(each.acknowledged) for each in self.all_publishers())
        for publisher in self.publishers:
            for subscriber in subscribers:
                _judge(verdict, publisher, subscriber)
        verdict.missing += _missing_of_group(self.sharing_publishers, self.group())
        for publisher in self.sharing_publishers:
            came = [
                number for each in self.group() for number in each.came.get(publisher.topic, [])
            ]
            _count_again(verdict, f"{publisher.topic} in the group", publisher.qos, came)
        verdict.wills = len(self.mortals.must_come())
        verdict.wrong_wills = self.mortals.wrong(self.watcher.came)


def run(directory: Path, rounds: int, seed: int) -> Verdict:
    """Kills a gateway that many times."""
    random = Random(seed)
    port = free_port()
    gateway = Gateway("kill", "127.0.0.1", directory, port=port, mqtt=dict(ROOM))
    gateway.start()
    try:
        cast = Cast(("127.0.0.1", port), random)
        cast.verdict.rounds = rounds
        cast.start()
        for number in range(rounds):
            if number == rounds // 2:
                cast.sharing_late.end()
            cast.live()
            time.sleep(random.uniform(LIFE_MIN_S, LIFE_MAX_S))  # a moment that nobody chose
            gateway.kill()
            cast.mortals.close()
            gateway.start()
        cast.finish()
        return cast.verdict
    finally:
        gateway.close()


def _back(subscriber: Subscriber) -> Subscriber:
    """The client of a session that was left comes back to it."""
    back = Subscriber(
        subscriber.address,
        subscriber.client_id,
        subscriber.qos,
        subscriber.topic_filter,
        subscriber.version,
    )
    back.follow(subscriber)
    back.start()
    return back


def _all_there(publishers: list[Publisher], subscriber: Subscriber) -> bool:
    return all(
        len(set(subscriber.came.get(each.topic, []))) >= len(set(each.acknowledged))
        for each in publishers
    )


def _missing_of_group(publishers: list[Publisher], members: list[Subscriber]) -> list[str]:
    """What was acknowledged and came to nobody."""
    found = []
    for publisher in publishers:
        came = {number for each in members for number in each.came.get(publisher.topic, [])}
        lost = missing(publisher.acknowledged, list(came))
        found += [f"{publisher.topic} in the group: {number}" for number in lost[:SHOWN]]
    return found


def _judge(verdict: Verdict, publisher: Publisher, subscriber: Subscriber) -> None:
    who = f"{publisher.topic} at {subscriber.client_id}"
    came = subscriber.came.get(publisher.topic, [])
    lost = missing(publisher.acknowledged, came)
    verdict.missing += [f"{who}: {number}" for number in lost[:SHOWN]]
    _count_again(verdict, who, min(publisher.qos, subscriber.qos), came)
    if not in_order(came):
        verdict.disorder.append(who)


def _count_again(verdict: Verdict, who: str, qos: int, came: list[int]) -> None:
    twice = again(came)
    if qos == 2:
        verdict.twice += [f"{who}: {twice}"] if twice else []
    else:
        verdict.doubled += twice


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        verdict = run(Path(name), options.rounds, options.seed)
    print(f"seed {options.seed}: {verdict}")
    return 0 if verdict.good else 1


if __name__ == "__main__":
    sys.exit(main())
