"""The keys that gateways know become the same, and none that is over comes back."""

from itertools import permutations

from gateway.keyring import Key, Keyring
from gateway.limits import KEYS_MAX

OLD = Key("old", b"o" * 32)
NEW = Key("new", b"n" * 32, (5, 0, "a"))


def test_the_newest_key_is_first() -> None:
    assert Keyring([OLD, NEW]).valid() == Keyring([NEW, OLD]).valid() == [NEW, OLD]


def test_a_key_that_is_over_has_no_secret_and_does_not_come_back() -> None:
    ring = Keyring([OLD, NEW])
    assert ring.merge([OLD.ended()])
    assert ring.over("old") and not ring.over("new") and not ring.over("never seen")
    assert not ring.merge([OLD])
    assert ring.valid() == [NEW]
    assert ring.keys["old"].secret == b""


def test_in_whatever_order_they_hear_of_it_all_know_the_same() -> None:
    said = [OLD, NEW.kept("a"), NEW.kept("b"), OLD.ended(), Key("third", b"t" * 32, (7, 0, "c"))]
    ends = [Keyring(order).keys for order in permutations(said)]
    assert all(end == ends[0] for end in ends)
    assert Keyring(said).keys["new"].kept_by == ["a", "b"]


def test_who_has_it_on_disk_is_no_news_but_changes_the_version() -> None:
    ring = Keyring([OLD, NEW])
    before = ring.version
    assert not ring.merge([NEW.kept("a")])
    assert ring.version == before + 1
    assert not ring.merge([NEW.kept("a")])
    assert ring.version == before + 1


def test_the_oldest_keys_that_are_over_are_forgotten_at_the_bound() -> None:
    over = [Key(f"over-{n}", b"", (n + 1, 0, "a")) for n in range(KEYS_MAX + 3)]
    ring = Keyring([OLD, *over, NEW])
    assert len(ring.keys) == KEYS_MAX
    assert ring.valid() == [NEW, OLD]
    assert not ring.over("over-0") and ring.over(f"over-{KEYS_MAX + 2}")


def test_no_secret_is_shown() -> None:
    assert "ooo" not in repr(Keyring([OLD]).keys) and "ooo" not in repr(OLD)
