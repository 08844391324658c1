"""A bounded table that many addresses share: none of them can fill it for the others.

While there is room, one address may have all of it. When it is full, the address that has most gives up
its newest entry for one that has fewer. Must not know what the entries are.
"""

from collections.abc import Callable, Iterable

GiveUp = Callable[[], None]


class Shares:
    """At most `most` entries in all; a place is what one stranger cannot have many of."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._last = 0
        self._place_of: dict[int, str] = {}  # by the number of the entry
        self._by_place: dict[str, dict[int, GiveUp]] = {}  # oldest entry first

    def __len__(self) -> int:
        return len(self._place_of)

    def enter(self, place: str, give_up: GiveUp) -> int:
        """The number of the new entry, for `leave`; 0: there is no room for it.

        `give_up` is called, once, if it has to make room later; it has left then.
        """
        if len(self) >= self._most:
            greedy = max(self._by_place.values(), key=len)
            if len(greedy) <= len(self._by_place.get(place, ())) + 1:
                return 0
            newest = next(reversed(greedy))
            pushed_out = greedy[newest]
            self.leave(newest)
            pushed_out()
        self._last += 1
        self._place_of[self._last] = place
        self._by_place.setdefault(place, {})[self._last] = give_up
        return self._last

    def leave(self, number: int) -> None:
        """The entry is over. One that has left already, or never was, may leave again."""
        place = self._place_of.pop(number, None)
        if place is not None:
            del self._by_place[place][number]
            if not self._by_place[place]:
                del self._by_place[place]

    def places(self) -> Iterable[str]:
        """Who has entries; who has waited longest since `turn` first."""
        return self._by_place

    def turn(self, place: str) -> int:
        """The oldest entry of this place, which comes last when the places are looked at again."""
        entries = self._by_place.pop(place)
        self._by_place[place] = entries
        return next(iter(entries))
