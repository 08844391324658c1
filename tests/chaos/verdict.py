"""What a round found, and the table of all rounds."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.chaos.cast import AnyPublisher, AnySubscriber, Cast
from tests.chaos.faults import Fault
from tests.numbered.counting import again, in_order, missing, stowaways

SHOWN = 5  # of each kind of mistake


@dataclass
class Verdict:
    """One round. `excused`: QoS 2 that came twice, or disorder, to or from a client that went from one
    side of a split to the other. `wrong`: where to look, in words."""

    number: int
    gateways: int
    fault: str
    at: str
    missing: int = 0
    twice_1: int = 0
    twice_2: int = 0
    stowaways: int = 0
    disorder: int = 0
    excused: int = 0
    lost_sessions: int = 0
    under_way: int = 0
    deliveries: int = 0
    served_s: float = 0.0  # from a blow until every client was served again
    whole_s: float = 0.0  # from the mending until all live, and have two copies
    took_s: float = 0.0
    wrong: list[str] = field(default_factory=list)
    story: str = ""  # of the clients

    @property
    def good(self) -> bool:
        return not self.wrong

    @property
    def twice_percent(self) -> float:
        return 100 * self.twice_1 / self.deliveries if self.deliveries else 0.0

    def __str__(self) -> str:
        told = (
            f"round {self.number}, {self.gateways} gateways, {self.fault} ({self.at}):"
            f" missing {self.missing}, twice {self.twice_1} (QoS 1) {self.twice_2} (QoS 2),"
            f" stowaways {self.stowaways}, out of order {self.disorder},"
            f" excused {self.excused},"
            f" served again after {self.served_s:.1f} s,"
            f" two copies again after {self.whole_s:.1f} s, {self.under_way} were under way,"
            f" twice {self.twice_percent:.2f} % of {self.deliveries}; {self.took_s:.0f} s"
        )
        return "\n    ".join([told, *self.wrong])


def judge(verdict: Verdict, cast: Cast, fault: Fault) -> None:
    """Counts what the clients of a round have."""
    said = {each.topic: each.number for each in cast.publishers}
    for subscriber in cast.subscribers:
        verdict.deliveries += sum(len(numbers) for numbers in subscriber.came.values())
        strange = stowaways(said, subscriber.came)
        verdict.stowaways += len(strange)
        verdict.wrong += [f"stowaway at {subscriber.client_id}: {s}" for s in strange[:SHOWN]]
        for publisher in cast.publishers:
            _judge_pair(verdict, publisher, subscriber, fault)
    for each in cast.everybody():
        verdict.lost_sessions += each.lost_sessions
        if each.lost_sessions:
            verdict.wrong.append(f"{each.client_id} lost its session")
    for publisher in cast.publishers:
        if not publisher.is_answered() or publisher.number > len(set(publisher.acknowledged)):
            open_ = publisher.number - len(set(publisher.acknowledged))
            verdict.wrong.append(f"{publisher.client_id}: {open_} were never acknowledged")


def _judge_pair(
    verdict: Verdict, publisher: AnyPublisher, subscriber: AnySubscriber, fault: Fault
) -> None:
    who = f"{publisher.topic} at {subscriber.client_id}"
    came = subscriber.came.get(publisher.topic, [])
    moved = fault.splits and (publisher.connections > 1 or subscriber.connections > 1)
    lost = missing(publisher.acknowledged, came)
    verdict.missing += len(lost)
    if lost:
        verdict.wrong.append(f"{who}: {len(lost)} missing: {_ranges(lost)}")
    twice = again(came)
    if min(publisher.qos, subscriber.qos) == 1:
        verdict.twice_1 += twice
    elif moved:
        verdict.excused += twice
    elif twice:
        verdict.twice_2 += twice
        numbers = sorted({number for number in came if came.count(number) > 1})
        verdict.wrong.append(f"{who}: {twice} came twice: {_ranges(numbers)}")
    if in_order(came) or publisher.refused:  # what was refused is said again behind others
        return
    if moved:
        verdict.excused += 1
    else:
        verdict.disorder += 1
        verdict.wrong.append(f"{who}: out of order: {_disorder(came)}")


def _disorder(came: list[int]) -> str:
    """Where numbers went back for the first times."""
    first = list(dict.fromkeys(came))
    back = [f"{b} behind {a}" for a, b in itertools.pairwise(first) if b < a]
    return ", ".join(back[:SHOWN])


def _ranges(numbers: list[int]) -> str:
    """1-3, 7, 9-12."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    told = [f"{a}-{b}" if a < b else f"{a}" for a, b in runs]
    more = f" and {len(told) - SHOWN} more" if len(told) > SHOWN else ""
    return ", ".join(told[:SHOWN]) + more


HEAD = (
    "gateways",
    "fault",
    "rounds",
    "missing",
    "QoS 1 twice",
    "QoS 2 twice",
    "stowaways",
    "out of order",
    "excused",
    "served again, s",
    "at most",
    "two copies again, s",
    "at most",
)


def table(verdicts: Iterable[Verdict]) -> str:
    """All rounds by number of gateways and fault, in Markdown."""
    groups: dict[tuple[int, str], list[Verdict]] = {}
    for each in verdicts:
        groups.setdefault((each.gateways, each.fault), []).append(each)
    rows = [HEAD, tuple("-" * len(word) for word in HEAD)]
    for (gateways, fault), group in sorted(groups.items()):
        served = sorted(each.served_s for each in group)
        whole = sorted(each.whole_s for each in group)
        share = 100 * sum(v.twice_1 for v in group) / max(1, sum(v.deliveries for v in group))
        rows.append(
            (
                f"{gateways}",
                fault,
                f"{len(group)}",
                f"{sum(v.missing for v in group)}",
                f"{sum(v.twice_1 for v in group)} ({share:.2f} %)",
                f"{sum(v.twice_2 for v in group)}",
                f"{sum(v.stowaways for v in group)}",
                f"{sum(v.disorder for v in group)}",
                f"{sum(v.excused for v in group)}",
                f"{served[len(served) // 2]:.1f}",
                f"{served[-1]:.1f}",
                f"{whole[len(whole) // 2]:.1f}",
                f"{whole[-1]:.1f}",
            )
        )
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)
