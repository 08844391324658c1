"""Commands of the operator that are about the whole mesh: asked of every gateway, answered as one.

What gateways say is cut to what is shown as it comes, so that many of them take no more memory than
one. Must not know links, or how a document is shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import nsmallest
from typing import Any

from gateway.control_lines import Document
from gateway.shell.runtime import Runtime

Told = Callable[[str, Document], None]


class _Asker:
    """Collects what comes, until all have answered or are given up."""

    def __init__(self, told: Told, loop: asyncio.AbstractEventLoop) -> None:
        self._told = told
        self.missing: list[Document] = []
        self.over: asyncio.Future[None] = loop.create_future()

    def answered(self, gateway: str, document: Document | None) -> None:
        if document is not None:
            self._told(gateway, document)

    def silent(self, gateway: str, why: str) -> None:
        self.missing.append({"gateway": gateway, "why": why})

    def done(self) -> None:
        if not self.over.done():  # whoever asked may have hung up
            self.over.set_result(None)


async def ask(
    runtime: Runtime,
    what: str,
    told: Told,
    client: str = "",
    limit: int = 0,
    orphans: bool = False,
) -> list[Document]:
    """Tells `told` what is at each other gateway, by its name; returns who does not answer, and why."""
    mesh = runtime.node.mesh
    if mesh is None:
        return []
    from gateway.mesh.frames import Ask  # a gateway alone does without

    asker = _Asker(told, runtime.loop)
    mesh.operating.ask(Ask(0, what, client, limit, orphans), asker, runtime.now())
    runtime.schedule()
    await asker.over
    return asker.missing


class Listing:
    """Rows of all gateways, by client id, the first `limit` of them."""

    def __init__(self, rows: str, limit: int) -> None:
        self._name = rows
        self._limit = limit
        self._rows: list[Document] = []
        self._total = 0

    def add(self, gateway: str, document: Document) -> None:
        """What is at one gateway. Another version may say things that are no rows."""
        rows, total = document.get(self._name), document.get("total")
        self._total += total if isinstance(total, int) else 0
        for row in rows if isinstance(rows, list) else []:
            if isinstance(row, dict) and isinstance(row.get("client"), str):
                self._rows.append({"gateway": gateway} | row)
        self._rows = nsmallest(self._limit, self._rows, key=_by_client)

    def document(self, missing: list[Document]) -> Document:
        return {self._name: self._rows, "total": self._total, "missing": missing}


def _by_client(row: Document) -> tuple[str, str]:
    return row["client"], row["gateway"]


class Found:
    """One client, at the gateway that knows most of it: `rank` says how much that is."""

    def __init__(self, rank: Callable[[Document], Any]) -> None:
        self._rank = rank
        self._found: list[tuple[str, Document]] = []

    def add(self, gateway: str, document: Document) -> None:
        self._found.append((gateway, document))

    def document(self) -> Document | None:
        """None: no gateway knows it. Where several have a session of it, the others are named."""
        if not self._found:
            return None
        best = max(self._found, key=lambda found: self._rank(found[1]))  # of equal ones the first
        others = [gateway for gateway, _ in self._found if gateway != best[0]]
        return {"gateway": best[0]} | best[1] | {"also_at": others}
