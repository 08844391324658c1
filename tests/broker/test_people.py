"""Users and rules: on disk before they hold, and there after a power cut (gateway/broker/people.py)."""

from gateway.broker.access import Rule
from gateway.broker.keeping import PEOPLE
from gateway.broker.logins import User
from gateway.broker.people import decoy_row, rule_row, user_row
from gateway.broker.scram import Keys
from gateway.effects import Note
from gateway.ids import Stamp
from gateway.table import Row
from tests.broker.kept import KeptWorld

ANN = User("hash", frozenset({"staff", "night"}), Keys(4096, b"salt", b"stored", b"server"))
RULES = [
    Rule.of(words.split()) for words in ("deny everybody read secret/#", "allow user ann write #")
]


def change(world: KeptWorld, *rows: tuple[str, bytes | None]) -> list[str]:
    """Asks for a change; what is said of it comes into the list."""
    said: list[str] = []
    world.broker.admission.change(dict(rows), said.append, world.now)
    return said


def test_a_user_holds_when_the_disk_has_him_and_survives() -> None:
    world = KeptWorld()
    said = change(world, user_row("ann", ANN))
    assert said == []
    assert world.broker.people.users == {}
    world.settle()
    assert said == [""]
    assert world.broker.people.users == {"ann": ANN}
    world.power_cut()
    assert world.broker.people.users == {"ann": ANN}
    assert world.broker.state.logins.users == {"ann": ANN}


def test_rules_hold_in_the_order_in_which_they_were_made_after_a_restart_too() -> None:
    world = KeptWorld()
    for rule in RULES:
        change(world, rule_row(rule, True))
        world.settle()
    assert world.broker.people.rules == RULES
    world.power_cut()
    assert world.broker.people.rules == RULES
    rights = world.broker.state.access.rights("ann", "")
    assert rights is not None
    assert not rights.may_read("secret/x")


def test_a_removed_user_stays_removed() -> None:
    world = KeptWorld()
    change(world, user_row("ann", ANN))
    world.settle()
    change(world, user_row("ann", None))
    world.settle()
    assert world.broker.people.users == {}
    world.power_cut()
    assert world.broker.people.users == {}


def test_what_the_disk_refuses_does_not_hold_and_is_said() -> None:
    world = KeptWorld()
    change(world, user_row("ann", ANN))
    world.settle()
    said = change(world, user_row("ann", None), user_row("bob", ANN))
    world.fail("the disk is full; make room")
    assert said == ["the disk is full; make room"]
    assert world.broker.people.users == {"ann": ANN}
    world.now += 10
    world.settle()
    world.power_cut()
    assert world.broker.people.users == {"ann": ANN}


def test_what_the_state_file_had_holds_at_once_and_gives_way_to_what_others_know() -> None:
    world = KeptWorld()
    world.broker.admission.adopt(dict([user_row("ann", ANN), user_row("eve", ANN)]), world.now)
    assert world.broker.people.users == {"ann": ANN, "eve": ANN}
    removed = Row(Stamp(5, 0, "z"), Stamp(6, 0, "z"), None)
    world.broker.rows_came(PEOPLE, [(user_row("eve", None)[0], removed)], world.now)
    world.now += 20
    world.settle()
    world.power_cut()
    assert world.broker.people.users == {"ann": ANN}


def test_who_does_not_exist_is_asked_alike_at_all_gateways() -> None:
    world = KeptWorld()
    world.broker.admission.adopt(dict([decoy_row(b"k" * 32)]), world.now)
    assert world.broker.state.logins.decoy_key == b"k" * 32


def test_a_row_that_cannot_be_read_costs_only_itself() -> None:
    world = KeptWorld()
    change(world, user_row("ann", ANN), user_row("bob", ANN))
    world.settle()
    world.card.rows[PEOPLE, "user/bob"] = b"\xc1"
    world.power_cut()
    assert world.broker.people.users == {"ann": ANN}
    notes = [effect for effect in world.broker.drain()[1] if isinstance(effect, Note)]
    assert any("user/bob" in note.text and note.level == "error" for note in notes)
