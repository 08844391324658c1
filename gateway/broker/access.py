"""Who may read and write which topic: rules, and what they come to for one client.

    user NAME, group NAME, everybody     whom a rule is for
    read, write                          apart; reading is subscribing and being delivered to
    allow, deny                          what it says
    a topic filter                       of which; %u stands for the user, %c for the client id

Rules for the user decide before rules for a group of his, and those before rules for everybody. Of the
rules at one of these steps that match, a denial decides. Where none matches, the answer is no, unless no
rule at all is for this user: then he may do everything. Must not know sessions, packets or where rules
are kept.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gateway.errors import ProtocolError
from gateway.mqtt.topics import check_topic_filter, levels, matches

# Verdicts kept of one client. Real ones write to tens of topics; a full cache starts afresh.
VERDICTS_MAX = 256
ALL_VERDICTS_MAX = 50_000  # of all clients, some 20 MB; beyond that topics are decided on each time
VERDICT_FIELD_BYTES_MAX = (
    512  # longer topics are decided on each time: 256 of 65 kB are 16 MB a client
)


class Subject(StrEnum):
    """Whom a rule is for. The order is that in which they decide."""

    USER = "user"
    GROUP = "group"
    EVERYBODY = "everybody"


class Action(StrEnum):
    """What a rule is about."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. `name` is of the user or group, and empty for everybody."""

    subject: Subject
    name: str
    action: Action
    allow: bool
    pattern: str

    @classmethod
    def of(cls, words: Sequence[str]) -> "Rule":
        """From the words in which it prints itself. Raises ValueError that says what is wrong."""
        wanted = "allow|deny user NAME|group NAME|everybody read|write FILTER"
        verb, subject, *rest = words if len(words) > 1 else ("", "")
        name = rest.pop(0) if subject != Subject.EVERYBODY.value and rest else ""
        if verb not in ("allow", "deny") or subject not in list(map(str, Subject)):
            raise ValueError(f"a rule is {wanted}")
        if len(rest) != 2 or rest[0] not in list(map(str, Action)):
            raise ValueError(f"a rule is {wanted}")
        if not name and subject != Subject.EVERYBODY.value:
            raise ValueError(f"a rule for a {subject} names it")
        if not (name + rest[1]).isprintable():
            raise ValueError("a rule has only printable characters")
        try:
            check_topic_filter(rest[1])
        except ProtocolError as error:
            raise ValueError(f"{rest[1]!r} is no topic filter: {error.detail}") from None
        return cls(Subject(subject), name, Action(rest[0]), verb == "allow", rest[1])

    def words(self) -> list[str]:
        """What `of` makes it from."""
        whom = (
            [self.subject.value] if self.subject is Subject.EVERYBODY else [self.subject, self.name]
        )
        return ["allow" if self.allow else "deny", *whom, self.action.value, self.pattern]

    def __str__(self) -> str:
        return " ".join(self.words())


Step = list[tuple[Rule, str]]  # rules of one subject, with their filters for this client


@dataclass(slots=True)
class Kept:
    """How many verdicts all clients' rights keep."""

    verdicts: int = 0


class Rights:
    """What the rules come to for one user and client id.

    `written` keeps the verdicts on topics, as they stand on the wire, that the client wrote to: the
    short roads look here, and nowhere else.
    """

    __slots__ = ("_kept", "_steps", "written")

    def __init__(self, rules: Iterable[Rule], user: str, client_id: str, kept: Kept) -> None:
        self._kept = kept
        self.written: dict[bytes, bool] = {}
        self._steps: dict[Action, list[Step]] = {action: [[] for _ in Subject] for action in Action}
        order = list(Subject)
        for rule in rules:
            topic_filter = _for_client(rule, user, client_id)
            if topic_filter is not None:
                step = self._steps[rule.action][order.index(rule.subject)]
                step.append((rule, topic_filter))

    def decide(self, action: Action, topic: str) -> tuple[bool, Rule | None]:
        """The answer, and the rule that gave it; None when no rule matches."""
        for step in self._steps[action]:
            found = [rule for rule, topic_filter in step if matches(topic_filter, topic)]
            for rule in found:
                if not rule.allow:
                    return False, rule
            if found:
                return True, found[0]
        return False, None

    def may_read(self, topic: str) -> bool:
        """Whether messages of this topic may be shown to the client."""
        return self.decide(Action.READ, topic)[0]

    def may_write(self, topic: str, field: bytes) -> bool:
        """Whether the client may publish to the topic; `field` is its wire form."""
        verdict = self.written.get(field)
        if verdict is None:
            verdict = self.decide(Action.WRITE, topic)[0]
            if len(self.written) >= VERDICTS_MAX:
                self.forget()
            if len(field) <= VERDICT_FIELD_BYTES_MAX and self._kept.verdicts < ALL_VERDICTS_MAX:
                self.written[field] = verdict
                self._kept.verdicts += 1
        return verdict

    def forget(self) -> None:
        """The client is gone, or has written to many topics: it is decided anew."""
        self._kept.verdicts -= len(self.written)
        self.written.clear()

    def may_subscribe(self, topic_filter: str) -> bool:
        """Whether some topic of this filter may be read. What may not is held back one by one."""
        denied: list[str] = []
        for step in self._steps[Action.READ]:
            denied += [pattern for rule, pattern in step if not rule.allow]
            if any(_covers(pattern, topic_filter) for pattern in denied):
                return False
            for rule, pattern in step:
                closed = any(_covers(each, pattern) for each in denied)
                if rule.allow and not closed and _overlap(pattern, topic_filter):
                    return True
        return False


class Access:
    """All rules, and who is in which group."""

    def __init__(
        self, rules: Iterable[Rule] = (), groups: Mapping[str, frozenset[str]] | None = None
    ) -> None:
        self._rules = tuple(rules)
        self._kept = Kept()
        self._groups = dict(groups or {})  # user -> groups

    def rights(self, user: str, client_id: str) -> Rights | None:
        """What this client may do; None: everything, for no rule is for its user."""
        groups = self._groups.get(user, frozenset())
        rules = [rule for rule in self._rules if is_for(rule, user, groups)]
        return Rights(rules, user, client_id, self._kept) if rules else None


def is_for(rule: Rule, user: str, groups: frozenset[str]) -> bool:
    """Whether the rule says anything about this user."""
    match rule.subject:
        case Subject.USER:
            return rule.name == user
        case Subject.GROUP:
            return rule.name in groups
        case Subject.EVERYBODY:
            return True


def _for_client(rule: Rule, user: str, client_id: str) -> str | None:
    """The rule's filter for this client; None where it can match nothing.

    A client chooses its id, and a name with a wildcard or a slash in it would reach where the
    operator did not look. Such a name, or none, is allowed nothing by it, and denied as if it were any.
    """
    parts = []
    for level in levels(rule.pattern):
        for sign, name in (("%u", user), ("%c", client_id)):
            if sign not in level:
                continue
            if not name or any(letter in name for letter in "+#/%"):
                if rule.allow:
                    return None
                level = "+"
            else:
                level = level.replace(sign, name)
        parts.append(level)
    return "/".join(parts)


def _covers(wide: str, narrow: str) -> bool:
    """Whether every topic that `narrow` matches is one that `wide` matches."""
    if narrow.startswith("$") and wide[0] in "+#":
        return False  # [MQTT-4.7.2-1]
    wide_levels, narrow_levels = levels(wide), levels(narrow)
    for index, level in enumerate(wide_levels):
        if level == "#":
            return True
        if index >= len(narrow_levels) or narrow_levels[index] == "#":
            return False
        if level not in ("+", narrow_levels[index]):
            return False
    return len(wide_levels) == len(narrow_levels)


def _overlap(one: str, other: str) -> bool:
    """Whether some topic is matched by both filters."""
    if (one[0] in "+#" and other.startswith("$")) or (other[0] in "+#" and one.startswith("$")):
        return False  # [MQTT-4.7.2-1]
    ones, others = levels(one), levels(other)
    for index in range(max(len(ones), len(others))):
        left = ones[index] if index < len(ones) else None
        right = others[index] if index < len(others) else None
        if left == "#" or right == "#":
            return True
        if left is None or right is None:
            return False
        if left != right and "+" not in (left, right):
            return False
    return True
