"""Any order of what clients, the disk and the plug do: what was acknowledged is there, QoS 2 once.

A seed is a whole story; a failure names it, and `story(seed)` tells it again. Run as a program, it tells
those from one seed to another.
"""

import sys
from random import Random

import pytest

from gateway.broker import rewriting
from gateway.broker.records import Wish
from gateway.config import MqttSection
from tests.broker.kept import KeptWorld
from tests.broker.parties import RETAINED_TOPICS, Party, Publisher, Subscriber

SEEDS = 432  # each combination twice
STEPS = 300
POLICIES = ("refuse-new", "drop-oldest", "drop-qos0-first")
PLAIN, SHARED, RETAINED = "plain", "shared", "retained"  # what the subscribers of a story are about


class Story:
    """Who takes part, and what may happen: by the seed, so that each kind comes often enough."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.cuts = 0
        self.lost = 0  # messages that a limit cost
        self.about = (PLAIN, SHARED, RETAINED)[seed // 2 % 3]
        self.policy = POLICIES[seed // 6 % 3]
        small = seed // 18 % 3 == 0
        self.world = KeptWorld(
            MqttSection(queue_full=self.policy, queue_messages_max=8 if small else 10_000)
        )
        self.world.disk_may_fail = bool(seed % 2)
        self.power_fails = seed // 54 % 4 > 0
        self.publishers = [
            Publisher(self.world, "p", self.random, self.about == RETAINED),
            Publisher(self.world, "q", self.random, False),
        ]
        self.subscribers = [self.subscriber("s", "#")]
        if self.about == PLAIN:
            self.subscribers += [
                self.subscriber("u", "+/1", "+/2", "p/#"),
                self.subscriber("away", "#"),
            ]
        elif self.about == SHARED:
            self.subscribers += [
                self.subscriber("v", "$share/kept/#", "$share/ends/#", "p/#"),
                self.subscriber("w", "$share/kept/#", "$share/clean/#"),
                self.subscriber("ends", "$share/ends/#"),
                self.subscriber("clean", "$share/clean/#"),
            ]
            self.subscribers[3].ends = self.subscribers[4].ends = True
            self.subscribers[4].expiry_s = 0
        else:
            self.subscribers.append(self.subscriber("r", "r/#"))
        self.parties: list[Party] = [*self.publishers, *self.subscribers]

    def subscriber(self, name: str, *filters: str) -> Subscriber:
        return Subscriber(self.world, name, self.random, list(filters))

    def tell(self) -> None:
        for subscriber in self.subscribers:
            subscriber.connect()
            for _ in range(2):
                self.world.settle()
                subscriber.listen()
            assert subscriber.subscribed
        if self.about == PLAIN:
            self.subscribers[-1].lose()
        for _ in range(STEPS):
            self._step()
            assert self.world.broker.state.room.used == self.world.held_bytes()
        self._end()
        self._count_losses()

    def _step(self) -> None:
        world, random = self.world, self.random
        awake = self.parties[:-1] if self.about == PLAIN else self.parties
        dice = random.random()
        if dice < 0.34:
            for _ in range(random.choice([1, 1, 5])):
                random.choice(self.publishers).publish()
        elif dice < 0.66:
            random.choice(awake).listen(random.choice([1, 3, 1000, 1000]))
        elif dice < 0.70:
            world.take()
        elif dice < 0.80:
            world.sync(Wish.NOW if random.random() < 0.4 else Wish.NONE)
        elif dice < 0.81:
            if world.disk_may_fail and world.take() is not None:
                world.fail()
        elif dice < 0.85:
            world.pass_s(random.choice([0.001, 0.03, 1.0, 11.0]))
        elif dice < 0.88:
            random.choice(awake).lose()
        elif dice < 0.96:
            random.choice(awake).connect()
        elif dice < 0.97:
            random.choice(awake).move()
        elif dice < 0.99:
            self._ask_again()
        elif self.power_fails and random.random() < 0.7:
            self._cut()

    def _ask_again(self) -> None:
        """What is retained, on the way or not, comes once more."""
        last = self.subscribers[-1]
        if self.about == RETAINED and last.ready:
            last.subscribe()

    def _cut(self) -> None:
        self._count_losses()
        self.cuts += 1
        self.world.power_cut()
        for party in self.parties:
            party.client, party.ready, party.todo = None, False, []

    def _count_losses(self) -> None:
        vitals = self.world.broker.vitals
        self.lost += vitals.dropped_queue_full + vitals.dropped_shared

    def _end(self) -> None:
        """All faults end, and everybody gets what is due."""
        asked = False
        for _ in range(400):
            self.world.now += 1.1
            self.world.broker.wake(self.world.now)
            for party in self.parties:
                party.connect()
                party.listen()
            self.world.sync()
            if self._is_at_rest():
                if asked:
                    break
                asked = True
                self._ask_again()
        else:
            raise AssertionError(f"stuck: {self.world.broker.waiting()} messages wait")
        assert all(
            party.client is None or party.client.connection.reading for party in self.parties
        )

    def _is_at_rest(self) -> bool:
        answered = all(each.ready and not (each.open or each.received) for each in self.publishers)
        broker = self.world.broker
        replays = [each for each in broker.state.sessions.values() if each.replay is not None]
        return answered and broker.waiting() == 0 and not replays


def story(seed: int) -> None:
    """Everything at random, then what came is compared with what was acknowledged."""
    told = Story(seed)
    try:
        told.tell()
        for subscriber in told.subscribers:
            _check_own(told, subscriber)
        if told.about == SHARED:
            _, v, w, ends, clean = told.subscribers
            _check_group(told, "$share/kept/#", [v, w], True)
            _check_group(told, "$share/ends/#", [v, ends], True)
            _check_group(told, "$share/clean/#", [w, clean], not told.cuts)
        if told.about == RETAINED:
            _check_retained(told, told.subscribers[-1])
    except AssertionError as error:
        raise AssertionError(f"seed {seed}: {error}") from error


def _check_own(told: Story, subscriber: Subscriber) -> None:
    """What it subscribes to for itself: nothing is missing, in order, QoS 2 once."""
    own = [each for each in subscriber.filters if not each.startswith("$share")]
    for publisher in told.publishers:
        for topic, acknowledged in publisher.acknowledged.items():
            for topic_filter in own:
                if topic_filter[0] not in ("#", "+", topic[0]) or topic_filter[2:] not in (
                    *("", "#"),
                    topic[2:],
                ):
                    continue
                came = subscriber.got(topic_filter, topic)
                who = f"{topic} at {subscriber.name}: {came}"
                missing = set(acknowledged) - set(came)
                assert told.lost or not missing, f"{who} has not {sorted(missing)}"
                first = list(dict.fromkeys(came))
                # what was refused or lost is perhaps tried again, behind others
                if not (told.world.failures or told.lost):
                    assert first == sorted(first), f"{who} is out of order"
                if _is_exactly_once(topic):
                    assert first == came, f"{who} came twice"


def _check_group(told: Story, share: str, members: list[Subscriber], safe: bool) -> None:
    """`safe`: nobody of it lost what a session that is not kept had."""
    for publisher in told.publishers:
        for topic, acknowledged in publisher.acknowledged.items():
            came = [number for member in members for number in member.got(share, topic)]
            who = f"{topic} at {share}"
            if _is_exactly_once(topic):
                twice = sorted(number for number in came if came.count(number) > 1)
                assert not (safe and twice), f"{who}: {twice} came twice"
            missing = set(acknowledged) - set(came)
            if _is_exactly_once(topic) and any(member.ends for member in members):
                continue  # [MQTT-4.8.2-5]
            assert told.lost or not safe or not missing, f"{who}: {sorted(missing)} did not come"


def _check_retained(told: Story, subscriber: Subscriber) -> None:
    """The last of each topic was shown, and nothing older behind something newer."""
    for place in range(RETAINED_TOPICS):
        topic = f"r/{place}"
        entry = told.world.broker.retained.get(topic)
        if entry is None or entry.message is None:
            continue
        shown = subscriber.shown.get(topic, [])
        last = int(entry.message.payload)
        assert shown and shown[-1] == last, f"{topic} has {last}, and {shown} was shown"
        if _is_exactly_once(topic) and not (told.world.failures or told.lost):
            came = subscriber.in_order[topic]
            assert came == sorted(came), f"{topic}: {came}"


def _is_exactly_once(topic: str) -> bool:
    return int(topic[2:]) % 2 == (1 if topic.startswith("r/") else 0)


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [2, rewriting.SLICE_MESSAGES_MAX])
def test_any_story_ends_well(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """`at_once` messages are written again in a batch: many batches, or one."""
    monkeypatch.setattr(rewriting, "SLICE_MESSAGES_MAX", at_once)
    half = SEEDS // 2
    for seed in range(half) if at_once == 2 else range(half, SEEDS):
        story(seed)


if __name__ == "__main__":
    for number in range(int(sys.argv[1]), int(sys.argv[2])):
        story(number)
