"""The commands for users and rules. A change is on disk first, then it holds at once, on all gateways.

Changes come one after the other. Must not know how a password is hashed or kept.
"""

import asyncio

from gateway.broker.access import Action, Rule, Subject, is_for
from gateway.broker.keeping import PEOPLE
from gateway.broker.logins import User
from gateway.broker.people import RULES_MAX, USERS_MAX, People, rule_row, user_row
from gateway.broker.scram import METHOD
from gateway.control_commands import AWAITS
from gateway.control_lines import ControlError, Document
from gateway.shell.commands import Commands
from gateway.shell.passwords import hashed, new_keys
from gateway.shell.runtime import Runtime

PASSWORD_CHARACTERS_MIN = 8
NAME_CHARACTERS_MAX = 128
CONFIRMED_LOOKS = 20
_PASSWORD_AWAITED: Document = {AWAITS: ["password"]}
CONFIRMED_S = 2.0  # for so long the others are waited for: four heartbeats


def register(commands: Commands, runtime: Runtime) -> None:
    """Adds these commands."""
    people = _People(runtime)
    commands.answer("user add", people.user_add)
    commands.answer("user passwd", people.user_passwd)
    commands.answer("user remove", people.user_remove)
    commands.answer("user list", people.user_list)
    commands.answer("rule add", people.rule_add)
    commands.answer("rule remove", people.rule_remove)
    commands.answer("rule list", people.rule_list)
    commands.answer("rule test", people.rule_test)


class _People:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._one_by_one = asyncio.Lock()

    async def user_add(self, arguments: Document) -> Document:
        name = _name(arguments["user"])
        groups = frozenset(map(_name, filter(None, arguments["groups"].split(","))))
        async with self._one_by_one:
            if name in self._people.users:
                raise ControlError(f"the user {name} exists", "see: gwctl user passwd")
            if len(self._people.users) >= USERS_MAX:
                raise ControlError(f"there are {USERS_MAX} users", "remove one first")
            if not arguments["password"]:
                return _PASSWORD_AWAITED
            user, note = await _user(name, arguments["password"], groups)
            late = await self._change(user_row(name, user))
        return {"done": f"the user {name} may log in{note}{late}"}

    async def user_passwd(self, arguments: Document) -> Document:
        name = arguments["user"]
        async with self._one_by_one:
            groups = self._known(name).groups
            if not arguments["password"]:
                return _PASSWORD_AWAITED
            user, note = await _user(name, arguments["password"], groups)
            late = await self._change(user_row(name, user))
        done = f"{name} has a new password; who was connected with the old one is not now"
        return {"done": done + note + late}

    async def user_remove(self, arguments: Document) -> Document:
        name = arguments["user"]
        async with self._one_by_one:
            self._known(name)
            late = await self._change(user_row(name, None))
        return {"done": f"the user {name} is removed, and disconnected{late}"}

    def user_list(self, arguments: Document) -> Document:
        users = sorted(self._people.users.items())
        rows = [
            {"user": name, "groups": ", ".join(sorted(user.groups)), "scram": user.keys is not None}
            for name, user in users
        ]
        return {"users": rows[: arguments["limit"]], "total": len(rows)}

    async def rule_add(self, arguments: Document) -> Document:
        rule = _rule(arguments["rule"])
        async with self._one_by_one:
            if rule in self._people.rules:
                raise ControlError("this rule exists", "see: gwctl rule list")
            if len(self._people.rules) >= RULES_MAX:
                raise ControlError(f"there are {RULES_MAX} rules", "use groups, %u and wildcards")
            late = await self._change(rule_row(rule, True))
        return {"done": f"it holds{late}: {rule}{self._surprise(rule)}"}

    async def rule_remove(self, arguments: Document) -> Document:
        rule = _rule(arguments["rule"])
        async with self._one_by_one:
            if rule not in self._people.rules:
                raise ControlError("there is no such rule", "see: gwctl rule list")
            late = await self._change(rule_row(rule, False))
        return {"done": f"it holds no more{late}: {rule}"}

    def rule_list(self, arguments: Document) -> Document:
        rows = [{"rule": str(rule)} for rule in self._people.rules]
        return {"rules": rows[: arguments["limit"]], "total": len(rows)}

    def rule_test(self, arguments: Document) -> Document:
        user, action = arguments["user"], Action(arguments["action"])
        rights = self._people.access().rights(user, arguments["client"])
        if rights is None:
            why = f"yes: no rule is for {user or 'clients without a user name'}"
            return {"done": why, "allowed": True}
        allowed, rule = rights.decide(action, arguments["topic"])
        why = f"by the rule: {rule}"
        if rule is None:
            why = "rules are for this user, and none allows it"
        return {"done": f"{'yes' if allowed else 'no'}: {why}", "allowed": allowed}

    def _surprise(self, rule: Rule) -> str:
        """What an operator may not have meant by this rule."""
        users, name, groups = self._people.users, rule.name, frozenset[str]()
        match rule.subject:
            case Subject.GROUP:
                known = any(name in each.groups for each in users.values())
                return "" if known else f"; nobody is in the group {name} yet"
            case Subject.USER if name not in users:
                return f"; there is no user {name} yet, unless by a certificate"
            case Subject.USER:
                groups = users[name].groups
        rules = [each for each in self._people.rules if is_for(each, name, groups)]
        nothing = [action for action in Action if not any(_allows(each, action) for each in rules)]
        if not nothing:
            return ""
        whom = name or "who is named in no other rule"
        return f"; {whom} may {' and '.join(nothing)} nothing now, for no rule allows it"

    def _known(self, name: str) -> User:
        user = self._people.users.get(name)
        if user is None:
            raise ControlError(f"there is no user {name}", "see: gwctl user list")
        return user

    @property
    def _people(self) -> People:
        return self._runtime.node.broker.people

    async def _change(self, row: tuple[str, bytes | None]) -> str:
        """Returns what is to be said of gateways that do not know of it yet."""
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        node, now = self._runtime.node, self._runtime.now()
        node.broker.admission.change(dict([row]), done.set_result, now)
        self._runtime.schedule()
        why = await done
        if why:
            what, _, remedy = why.partition("; ")
            raise ControlError(f"it could not be kept: {what}", remedy or "see: gwctl status")
        if node.mesh is None:
            return ""
        for _ in range(CONFIRMED_LOOKS):
            late = node.mesh.operating.unconfirmed(PEOPLE)
            if not late:
                return ""
            await asyncio.sleep(CONFIRMED_S / CONFIRMED_LOOKS)
        return f", but not yet known at {', '.join(late)}"


def _allows(rule: Rule, action: Action) -> bool:
    return rule.allow and rule.action is action


async def _user(name: str, password: str, groups: frozenset[str]) -> tuple[User, str]:
    """The user, and what is to be said of him."""
    if len(password) < PASSWORD_CHARACTERS_MIN:
        remedy = f"take at least {PASSWORD_CHARACTERS_MIN} characters"
        raise ControlError("the password is too short", remedy)
    stored = await asyncio.to_thread(hashed, password)
    try:
        _check_written(name)
        keys = await asyncio.to_thread(new_keys, password)
    except ValueError as error:
        return User(stored, groups), f"; by name and password, not by {METHOD}: {error}"
    return User(stored, groups, keys), ""


def _check_written(name: str) -> None:
    """Raises ValueError for a name that clients write in another way."""
    from gateway.broker.saslprep import saslprep  # as `scram.py` does

    try:
        common = saslprep(name)
    except ValueError as error:
        raise ValueError(f"the name has {error}") from None
    if common != name:
        raise ValueError(f"clients write this name {common!r}")


def _name(name: str) -> str:
    if not name.isprintable() or not 1 <= len(name) <= NAME_CHARACTERS_MAX or "," in name:
        remedy = f"take 1 to {NAME_CHARACTERS_MAX} printable characters without a comma"
        raise ControlError("this is no name for a user or group", remedy)
    return name


def _rule(words: list[str]) -> Rule:
    try:
        return Rule.of(words)
    except ValueError as error:
        remedy = "write one like: allow user ann read 'home/#'"
        raise ControlError(str(error), remedy) from None
