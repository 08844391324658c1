"""The commands for users and rules. A change is on disk first, then it holds at once.

Changes come one after the other. Must not know how a password is hashed or kept.
"""

import asyncio
import sqlite3

from gateway.broker.access import Action, Rule
from gateway.broker.logins import User
from gateway.broker.saslprep import saslprep
from gateway.broker.scram import METHOD
from gateway.control_lines import ControlError, Document
from gateway.shell.accounts import RULES_MAX, USERS_MAX, Accounts
from gateway.shell.commands import Commands
from gateway.shell.passwords import hashed, new_keys
from gateway.shell.runtime import Runtime

PASSWORD_CHARACTERS_MIN = 8
NAME_CHARACTERS_MAX = 128


def register(commands: Commands, runtime: Runtime, accounts: Accounts) -> None:
    """Adds these commands."""
    people = _People(runtime, accounts)
    commands.answer("user add", people.user_add)
    commands.answer("user passwd", people.user_passwd)
    commands.answer("user remove", people.user_remove)
    commands.answer("user list", people.user_list)
    commands.answer("rule add", people.rule_add)
    commands.answer("rule remove", people.rule_remove)
    commands.answer("rule list", people.rule_list)
    commands.answer("rule test", people.rule_test)


class _People:
    def __init__(self, runtime: Runtime, accounts: Accounts) -> None:
        self._runtime = runtime
        self._accounts = accounts
        self._one_by_one = asyncio.Lock()

    async def user_add(self, arguments: Document) -> Document:
        name = _name(arguments["user"])
        groups = frozenset(map(_name, filter(None, arguments["groups"].split(","))))
        async with self._one_by_one:
            users = self._accounts.users
            if name in users:
                raise ControlError(f"the user {name} exists", "see: gwctl user passwd")
            if len(users) >= USERS_MAX:
                raise ControlError(f"there are {USERS_MAX} users", "remove one first")
            user, note = await _user(name, arguments["password"], groups)
            await self._change(users | {name: user}, self._accounts.rules)
        return {"done": f"the user {name} may log in{note}"}

    async def user_passwd(self, arguments: Document) -> Document:
        name = arguments["user"]
        async with self._one_by_one:
            groups = self._known(name).groups
            user, note = await _user(name, arguments["password"], groups)
            await self._change(self._accounts.users | {name: user}, self._accounts.rules)
        done = f"{name} has a new password; who was connected with the old one is not now"
        return {"done": done + note}

    async def user_remove(self, arguments: Document) -> Document:
        name = arguments["user"]
        async with self._one_by_one:
            self._known(name)
            users = {each: user for each, user in self._accounts.users.items() if each != name}
            await self._change(users, self._accounts.rules)
        return {"done": f"the user {name} is removed, and disconnected"}

    def user_list(self, arguments: Document) -> Document:
        users = sorted(self._accounts.users.items())
        rows = [
            {"user": name, "groups": ", ".join(sorted(user.groups)), "scram": user.keys is not None}
            for name, user in users
        ]
        return {"users": rows[: arguments["limit"]], "total": len(rows)}

    async def rule_add(self, arguments: Document) -> Document:
        rule = _rule(arguments["rule"])
        async with self._one_by_one:
            rules = self._accounts.rules
            if rule in rules:
                raise ControlError("this rule exists", "see: gwctl rule list")
            if len(rules) >= RULES_MAX:
                raise ControlError(f"there are {RULES_MAX} rules", "use groups, %u and wildcards")
            await self._change(self._accounts.users, [*rules, rule])
        return {"done": f"it holds: {rule}"}

    async def rule_remove(self, arguments: Document) -> Document:
        rule = _rule(arguments["rule"])
        async with self._one_by_one:
            if rule not in self._accounts.rules:
                raise ControlError("there is no such rule", "see: gwctl rule list")
            rules = [each for each in self._accounts.rules if each != rule]
            await self._change(self._accounts.users, rules)
        return {"done": f"it holds no more: {rule}"}

    def rule_list(self, arguments: Document) -> Document:
        rows = [{"rule": str(rule)} for rule in self._accounts.rules]
        return {"rules": rows[: arguments["limit"]], "total": len(rows)}

    def rule_test(self, arguments: Document) -> Document:
        user, action = arguments["user"], Action(arguments["action"])
        rights = self._accounts.access().rights(user, arguments["client"])
        if rights is None:
            why = f"yes: no rule is for {user or 'clients without a user name'}"
            return {"done": why, "allowed": True}
        allowed, rule = rights.decide(action, arguments["topic"])
        why = "no rule says so" if rule is None else f"by the rule: {rule}"
        return {"done": f"{'yes' if allowed else 'no'}: {why}", "allowed": allowed}

    def _known(self, name: str) -> User:
        user = self._accounts.users.get(name)
        if user is None:
            raise ControlError(f"there is no user {name}", "see: gwctl user list")
        return user

    async def _change(self, users: dict[str, User], rules: list[Rule]) -> None:
        try:
            await asyncio.to_thread(self._accounts.save, users, rules)
        except sqlite3.Error as error:
            remedy = "see whether the disk is full or broken"
            raise ControlError(f"it could not be kept: {error}", remedy) from None
        broker, now = self._runtime.node.broker, self._runtime.now()
        broker.rules_changed(self._accounts.access(), now)
        broker.users_changed(users, now)
        self._runtime.schedule()


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
