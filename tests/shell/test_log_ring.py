"""The ring of log lines: what it keeps, what it lets go, how it is followed."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from gateway.control_commands import LOG_LINES_MAX
from gateway.shell.log_ring import CHARACTERS_MAX, TEXT_CHARACTERS_MAX, LogRing

WAIT_S = 5


def with_ring(check: Callable[[LogRing, logging.Logger], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        ring, logger = LogRing(), logging.Logger("one of its own")
        logger.addHandler(ring)
        await check(ring, logger)

    asyncio.run(run())


async def texts(ring: LogRing, lines: int) -> list[str]:
    return [document["text"] async for document in ring.read(lines, follow=False)]


def test_the_last_lines_come_in_order_and_end() -> None:
    async def check(ring: LogRing, logger: logging.Logger) -> None:
        for number in range(5):
            logger.info("line %d", number)
        assert await texts(ring, 2) == ["line 3", "line 4"]
        assert len(await texts(ring, 100)) == 5
        assert await texts(ring, 0) == []
        (document,) = [each async for each in ring.read(1, follow=False)]
        assert (document["level"], document["number"], document["missed"]) == ("info", 5, 0)
        assert document["time"].startswith("20") and document["time"].endswith("Z")

    with_ring(check)


def test_old_lines_go_and_long_ones_are_cut() -> None:
    async def check(ring: LogRing, logger: logging.Logger) -> None:
        for number in range(LOG_LINES_MAX + 10):
            logger.info("%d", number)
        kept = await texts(ring, LOG_LINES_MAX)
        assert (len(kept), kept[0]) == (LOG_LINES_MAX, "10")
        for _ in range(LOG_LINES_MAX):
            logger.info("x" * (TEXT_CHARACTERS_MAX + 1))
        kept = await texts(ring, LOG_LINES_MAX)
        assert {len(text) for text in kept} == {TEXT_CHARACTERS_MAX}
        assert len(kept) == CHARACTERS_MAX // TEXT_CHARACTERS_MAX

    with_ring(check)


def test_a_follower_gets_lines_of_another_thread() -> None:
    async def check(ring: LogRing, logger: logging.Logger) -> None:
        following = ring.read(0, follow=True)
        waiting = asyncio.ensure_future(anext(following))
        await asyncio.sleep(0)
        thread = threading.Thread(target=logger.warning, args=("from elsewhere",))
        thread.start()
        document = await asyncio.wait_for(waiting, WAIT_S)
        thread.join()
        assert (document["text"], document["level"]) == ("from elsewhere", "warning")
        await following.aclose()
        assert not ring._more

    with_ring(check)


def test_a_slow_follower_is_told_how_many_lines_it_lost() -> None:
    async def check(ring: LogRing, logger: logging.Logger) -> None:
        logger.info("first")
        following = ring.read(1, follow=True)
        assert (await anext(following))["text"] == "first"
        for number in range(LOG_LINES_MAX + 7):
            logger.info("%d", number)
        document = await anext(following)
        assert (document["missed"], document["text"]) == (7, "7")
        await following.aclose()

    with_ring(check)


def test_a_mistake_has_its_trace_and_a_wrong_call_harms_nobody(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def check(ring: LogRing, logger: logging.Logger) -> None:
        logger.info("%d", "no number")
        try:
            raise ValueError("a mistake")
        except ValueError:
            logger.exception("it failed")
        (text,) = await texts(ring, 10)
        assert text.startswith("it failed\nTraceback") and "ValueError: a mistake" in text

    with_ring(check)
    assert "no number" in capsys.readouterr().err
