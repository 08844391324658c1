"""Rounds in, figures out: medians, ratios, and the tables and JSON that show them.

Pure: knows no clock, no process and no socket.
"""

import textwrap
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from bench.measure import Round
from bench.rows import Row

DEFAULT_RIVAL = "mosquitto"  # in whose table a row stands that is compared with nobody
SATURATED = 0.9  # a broker that busy is what limits the rate
HEADROOM_LEAST = 1.25  # a ceiling so close to the rate proves little


@dataclass(slots=True)
class Outcome:
    """All rounds of one row, in turn: the first of each name belong together."""

    row: Row
    ours: list[Round] = field(default_factory=list)
    theirs: list[Round] = field(default_factory=list)
    ceiling: Round | None = None
    failure: str = ""  # why the row could not be brought to its end

    @property
    def sides(self) -> list[tuple[str, list[Round]]]:
        """The rounds of each, by name."""
        theirs = [(self.row.rival, self.theirs)] if self.row.rival else []
        return [("gateway", self.ours), *theirs]

    @property
    def ratios(self) -> list[float]:
        """Ours / theirs, round by round."""
        pairs = zip(self.ours, self.theirs, strict=False)
        return [ours.value / theirs.value for ours, theirs in pairs if theirs.value]

    @property
    def ratio(self) -> float | None:
        """The ratio of the medians."""
        below = middle(self.theirs)
        return middle(self.ours) / below if below and self.ours else None

    def share(self, outcomes: list["Outcome"]) -> float | None:
        """Ours of the row that this one is to reach a share of; None where that was not measured."""
        for other in outcomes:
            if other.row.name == self.row.share_of and self.ours and middle(other.ours):
                return middle(self.ours) / middle(other.ours)
        return None

    def reached(self, outcomes: list["Outcome"]) -> bool | None:
        """Whether the row's aim is met; None without an aim or without figures."""
        row, share = self.row, self.share(outcomes)
        if row.at_least is not None and self.ratio is not None:
            return self.ratio >= row.at_least
        if row.at_most is not None and self.ours:
            return middle(self.ours) <= row.at_most
        return share >= row.share_least if share is not None else None

    @property
    def generator_ceiling(self) -> float:
        """The most that the generator can do here: what it did against the shovel, or, where the
        shovel was the slower of the two, what its processor time would have been enough for."""
        proofs = [self.ceiling] if self.ceiling else []
        reach = [
            r.value / r.generator_cpu for r in proofs if r.generator_cpu and r.broker_cpu > 0.9
        ]
        return max([r.value for r in proofs] + reach, default=0.0)

    def doubtful(self, rounds: list[Round]) -> bool:
        """Whether the generator rather than the broker may have set the pace of these rounds."""
        if not self.row.is_rate or not rounds:
            return False
        idle = median(r.broker_cpu for r in rounds) < SATURATED
        near = self.generator_ceiling < HEADROOM_LEAST * middle(rounds)
        return near and idle

    @property
    def lost(self) -> bool:
        """Whether any broker lost, doubled, moved or altered a message, or failed."""
        return bool(self.failure) or any(r.faults for r in self.ours + self.theirs)


def middle(rounds: list[Round]) -> float:
    """The median; 0 without rounds."""
    return median(r.value for r in rounds) if rounds else 0.0


def figures_table(outcomes: list[Outcome]) -> str:
    """The ratios, and whether what was aimed at is reached; at most 100 columns. A table a rival."""
    rivals = dict.fromkeys(outcome.row.rival or DEFAULT_RIVAL for outcome in outcomes)
    return "\n\n".join(_figures_beside(rival, outcomes) for rival in rivals)


def _figures_beside(rival: str, outcomes: list[Outcome]) -> str:
    head = f"{'row':<36}{'':>5}{'gateway':>11}{rival:>10}{'ratio':>7}{'min..max':>13}{'aim':>18}"
    lines = [head, "-" * len(head)]
    for outcome in outcomes:
        if (outcome.row.rival or DEFAULT_RIVAL) != rival:
            continue
        row = outcome.row
        ratio = f"{outcome.ratio:.2f}" if outcome.ratio else "-"
        spread = outcome.ratios
        span = f"{min(spread):.2f}..{max(spread):.2f}" if spread else "-"
        lines.append(
            f"{row.title:<36}{row.unit:>5}{_figure(outcome.ours):>11}{_figure(outcome.theirs):>10}"
            f"{ratio:>7}{span:>13}{_aim(outcome, outcomes):>18}"
        )
    return "\n".join(lines)


def details(outcomes: list[Outcome]) -> list[str]:
    """What else was measured, a line for each row and broker: medians."""
    lines = []
    for outcome in outcomes:
        for name, rounds in outcome.sides:
            found = _details(rounds)
            if found:
                lines.append(f"{outcome.row.title}, {name}")
                parts = [f"{label} {_number(value)}" for label, value in found.items()]
                lines += textwrap.wrap(
                    "; ".join(parts), 98, initial_indent="  ", subsequent_indent="  "
                )
    return lines


def proof_table(outcomes: list[Outcome]) -> str:
    """Who was busy in each row, and how much faster the generator could have been."""
    head = (
        f"{'who was busy, % of a core':<34}{'gateway':>8}{'gener.':>7}{'others':>7}"
        f"{'rival':>8}{'gener.':>7}{'others':>7}{'ceiling':>13}{'':>2}"
    )
    lines = [head, "-" * len(head)]
    for outcome in outcomes:
        if not outcome.row.is_rate:
            continue
        shares = "".join(
            f"{_share(rounds, 'broker_cpu'):>8}{_share(rounds, 'generator_cpu'):>7}"
            f"{_share(rounds, 'others_cpu'):>7}"
            for rounds in (outcome.ours, outcome.theirs)
        )
        doubt = outcome.doubtful(outcome.ours) or outcome.doubtful(outcome.theirs)
        ceiling = f"{outcome.generator_ceiling:,.0f}" if outcome.ceiling else "-"
        lines.append(f"{outcome.row.title:<34}{shares}{ceiling:>13}{' ?' if doubt else '':>2}")
    return "\n".join(lines)


def faults(outcomes: list[Outcome]) -> list[str]:
    """One line for each round in which a broker did not deliver exactly what was published."""
    lines = []
    for outcome in outcomes:
        for name, rounds in outcome.sides:
            for number, r in enumerate(rounds, 1):
                if r.faults:
                    lines.append(
                        f"{outcome.row.name}, {name}, round {number}: {r.faults}"
                        f" (published {r.published}, received {r.received})"
                    )
        if outcome.failure:
            lines.append(f"{outcome.row.name}: {outcome.failure}")
    return lines


def as_json(outcomes: list[Outcome], settings: dict[str, Any]) -> dict[str, Any]:
    """The same and every round, for programs."""
    return {"settings": settings, "rows": [_row_as_json(outcome, outcomes) for outcome in outcomes]}


def _row_as_json(outcome: Outcome, outcomes: list[Outcome]) -> dict[str, Any]:
    row = outcome.row
    return {
        "name": row.name,
        "title": row.title,
        "unit": row.unit,
        "gateway": middle(outcome.ours),
        "rival": row.rival,
        "theirs": middle(outcome.theirs),
        "ratio": outcome.ratio,
        "ratios": outcome.ratios,
        "at_least": row.at_least,
        "at_most": row.at_most,
        "share_of": row.share_of,
        "share": outcome.share(outcomes),
        "share_least": row.share_least,
        "reached": outcome.reached(outcomes),
        "details": {name: _details(rounds) for name, rounds in outcome.sides},
        "generator_ceiling": outcome.generator_ceiling,
        "doubtful": outcome.doubtful(outcome.ours) or outcome.doubtful(outcome.theirs),
        "failure": outcome.failure,
        "rounds": {
            **{name: [asdict(r) for r in rounds] for name, rounds in outcome.sides},
            "shovel": [asdict(outcome.ceiling)] if outcome.ceiling else [],
        },
    }


def _figure(rounds: list[Round]) -> str:
    return _number(middle(rounds)) if rounds else "-"


def _number(value: float) -> str:
    """Three digits at least."""
    return f"{value:,.{0 if value >= 1000 else 1 if value >= 10 else 2}f}"


def _details(rounds: list[Round]) -> dict[str, float]:
    names = dict.fromkeys(name for r in rounds for name in r.details)
    return {name: median(r.details[name] for r in rounds if name in r.details) for name in names}


def _share(rounds: list[Round], name: str) -> str:
    return f"{100 * median(getattr(r, name) for r in rounds):.0f}" if rounds else "-"


def _aim(outcome: Outcome, outcomes: list[Outcome]) -> str:
    row = outcome.row
    if row.at_least is not None:
        aim = f">={row.at_least:g}"
    elif row.at_most is not None:
        aim = f"<={row.at_most:g} {row.unit}"
    elif (share := outcome.share(outcomes)) is not None:
        aim = f"{share:.3f}>={row.share_least:g}"
    else:
        return ""
    return aim + {True: " reached", False: " MISSED", None: ""}[outcome.reached(outcomes)]
