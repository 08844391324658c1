"""The loop: a real daemon is killed at random moments while real clients hold it to its word.

    .venv/bin/python -m tests.kill.loop --rounds 200 --seed 1

Publishers of QoS 1 and 2, subscribers of QoS 1 and 2 that stay connected, one that is away until the
end. After the last round everything is delivered, and counted. Exit status 1 if anything is missing,
doubled at QoS 2, or out of order.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from tests.gateways import Gateway, free_port
from tests.kill.peer import Publisher, Subscriber, wait

SETTLE_S = 60.0
LIFE_MIN_S, LIFE_MAX_S = 0.02, 0.4


@dataclass
class Verdict:
    """What a run found. `doubled` at QoS 1 is allowed, and counted."""

    rounds: int
    acknowledged: int = 0
    missing: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)  # at QoS 2
    disorder: list[str] = field(default_factory=list)
    doubled: int = 0
    lost_sessions: int = 0

    @property
    def good(self) -> bool:
        return not (self.missing or self.twice or self.disorder or self.lost_sessions)

    def __str__(self) -> str:
        return (
            f"{self.rounds} kills, {self.acknowledged} messages acknowledged:"
            f" missing {self.missing or 0}, QoS 2 twice {self.twice or 0},"
            f" out of order {self.disorder or 0}, sessions lost {self.lost_sessions},"
            f" QoS 1 delivered again {self.doubled}"
        )


def run(directory: Path, rounds: int, seed: int) -> Verdict:
    """Kills a gateway that many times."""
    random = Random(seed)
    port = free_port()
    room = {"queue_messages_max": 10_000_000, "queue_bytes_max": 4_000_000_000}
    gateway = Gateway("kill", "127.0.0.1", directory, port=port, mqtt=room)
    door = ("127.0.0.1", port)
    gateway.start()
    publishers = [Publisher(door, f"p{qos}", qos) for qos in (1, 2)]
    subscribers = [Subscriber(door, f"s{qos}", qos) for qos in (1, 2)]
    away = Subscriber(door, "away", 2)
    try:
        for subscriber in (*subscribers, away):
            subscriber.start()
            assert subscriber.subscribed.wait(10), "no SUBACK"
        away.end()
        for publisher in publishers:
            publisher.start()
        for _ in range(rounds):
            time.sleep(random.uniform(LIFE_MIN_S, LIFE_MAX_S))  # a moment that nobody chose
            gateway.kill()
            gateway.start()
        for publisher in publishers:
            publisher.enough.set()
        back = Subscriber(door, "away", 2)
        back.connections = 1  # its session must be there
        back.start()
        everybody = [*subscribers, back]
        wait(lambda: all(each.answered() for each in publishers), SETTLE_S)
        wait(lambda: all(_all_there(publishers, each) for each in everybody), SETTLE_S)
        for peer in (*publishers, *everybody):
            peer.end()
        return _judge(rounds, publishers, everybody)
    finally:
        gateway.close()


def _all_there(publishers: list[Publisher], subscriber: Subscriber) -> bool:
    return all(
        len(set(subscriber.came.get(each.topic, []))) >= len(set(each.acknowledged))
        for each in publishers
    )


def _judge(rounds: int, publishers: list[Publisher], subscribers: list[Subscriber]) -> Verdict:
    verdict = Verdict(rounds)
    for publisher in publishers:
        verdict.acknowledged += len(publisher.acknowledged)
        verdict.lost_sessions += publisher.lost_sessions
        for subscriber in subscribers:
            who = f"{publisher.topic} at {subscriber.client_id}"
            came = subscriber.came.get(publisher.topic, [])
            missing = sorted(set(publisher.acknowledged) - set(came))
            verdict.missing += [f"{who}: {number}" for number in missing[:5]]
            again = len(came) - len(set(came))
            if min(publisher.qos, subscriber.qos) == 2:
                verdict.twice += [f"{who}: {again}"] if again else []
            else:
                verdict.doubled += again
            first = list(dict.fromkeys(came))
            if first != sorted(first):
                verdict.disorder.append(who)
    verdict.lost_sessions += sum(each.lost_sessions for each in subscribers)
    return verdict


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
