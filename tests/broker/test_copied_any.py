"""Any story again, with a second copy that takes what it is sent late: it says what the disk says.

A broker that is restored from the copy is the one that the owner's own disk makes, whenever both are at
the same batch: with copies that were there from the start, made anew at any moment, and written again.
"""

from random import Random

import pytest

from gateway.broker import copying, rewriting
from tests.broker.copied import SecondDisk, restored
from tests.broker.test_kept_any import Story

SEEDS = 72  # each third of what is late, and each kind of story, twelve times
LATE = (0.1, 0.5, 0.9)  # shares of the steps in which the copy keeps up


class CopiedStory(Story):
    """What happens besides, and how often the two were compared."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.dice = Random(seed + 1_000_000)
        self.keeps_up = LATE[seed % 3]
        self.compared = 0
        self.disk = SecondDisk()
        self.disk.waited_for = False
        self.disk.of(self.world.broker)

    def _step(self) -> None:
        self.disk.waited_for = True
        super()._step()
        if self.disk.broker is not self.world.broker:  # the power was cut
            self.disk.of(self.world.broker)
        while self.dice.random() < self.keeps_up:
            self.disk.keep()
        dice = self.dice.random()
        if dice < 0.3:
            self.disk.slice()
        elif dice < 0.32:
            self.disk.begin(anew=True)
        elif dice < 0.36 and self.disk.whole and not self.disk.slices:
            self.disk.begin(anew=False)
        elif dice < 0.40:
            self.compare()

    def _end(self) -> None:
        self.disk.waited_for = False
        self.world.broker.copied(None, self.world.now)
        super()._end()

    def compare(self) -> None:
        """Both come to the same place, and are read."""
        world, disk = self.world, self.disk
        for _ in range(1_000):
            world.now += 0.03
            world.broker.state.at(world.now)
            disk.slice()
            while disk.queue:
                disk.keep()
            if not (world.broker.journal.hasten() or disk.slices):
                break
            world.sync()
        else:
            raise AssertionError("the journal never comes to rest")
        assert disk.whole and disk.number == world.broker.journal.on_disk
        saved_ms = world.clock.read(world.now)
        own = restored(world.card, world.card, saved_ms, world.now)
        assert own == restored(disk.card, world.card, saved_ms, world.now)
        self.compared += 1


@pytest.mark.slow
@pytest.mark.parametrize("at_once", [2, rewriting.SLICE_MESSAGES_MAX])
def test_the_copy_says_what_the_disk_says(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewriting, "SLICE_MESSAGES_MAX", at_once)
    monkeypatch.setattr(copying, "ROWS_MAX", at_once)
    compared = made = refreshed = owed = 0
    for seed in range(SEEDS // 2) if at_once == 2 else range(SEEDS // 2, SEEDS):
        told = CopiedStory(seed)
        try:
            told.tell()
            told.compare()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}: {error}") from error
        compared += told.compared
        made += told.disk.made
        refreshed += told.disk.refreshed
        owed += told.disk.owed
    assert min(compared, made, refreshed, owed) > SEEDS, (compared, made, refreshed, owed)
