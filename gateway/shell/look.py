"""The commands that show what the broker holds, and the one that sends a client away.

A client is looked for here, then at all other gateways. Must not know how a document is shown.
"""

from gateway.control_lines import ControlError, Document
from gateway.shell import everywhere
from gateway.shell.commands import Commands
from gateway.shell.everywhere import Found, Listing
from gateway.shell.filters import checked_filter
from gateway.shell.runtime import Runtime


def register(commands: Commands, runtime: Runtime, name: str) -> None:
    """Adds these commands; `name` is this gateway's."""
    look = _Look(runtime, name)
    commands.answer("clients", look.clients)
    commands.answer("client", look.client)
    commands.answer("sessions", look.sessions)
    commands.answer("retained", look.retained)
    commands.answer("queue", look.queue)
    commands.answer("kick", look.kick)


class _Look:
    def __init__(self, runtime: Runtime, name: str) -> None:
        self._runtime = runtime
        self._name = name
        self._broker = runtime.node.broker

    async def clients(self, arguments: Document) -> Document:
        limit = arguments["limit"]
        here = self._broker.list_clients(limit, self._runtime.now())
        if not arguments["mesh"]:
            return here
        listing = Listing("clients", limit)
        listing.add(self._name, here)
        return listing.document(
            await everywhere.ask(self._runtime, "clients", listing.add, limit=limit)
        )

    async def sessions(self, arguments: Document) -> Document:
        orphans, limit = arguments["orphans"], arguments["limit"]
        here = self._broker.list_sessions(orphans, limit, self._runtime.now())
        if not arguments["mesh"]:
            return here
        listing = Listing("sessions", limit)
        listing.add(self._name, here)
        return listing.document(
            await everywhere.ask(
                self._runtime, "sessions", listing.add, limit=limit, orphans=orphans
            )
        )

    async def client(self, arguments: Document) -> Document:
        client, limit = arguments["client"], arguments["limit"]
        here = self._broker.list_client(client, limit, self._runtime.now())
        found = Found(lambda document: bool(document.get("connected")))
        if here is not None:
            found.add(self._name, here)
        missing: list[Document] = []
        if here is None or not here["connected"]:
            missing = await everywhere.ask(self._runtime, "client", found.add, client, limit)
        return _found(found, missing)

    async def queue(self, arguments: Document) -> Document:
        client, limit = arguments["client"], arguments["limit"]
        here = self._broker.list_queue(client, limit, self._runtime.now())
        found = Found(lambda document: document.get("total", 0))
        if here is not None:
            found.add(self._name, here)
        missing = await everywhere.ask(self._runtime, "queue", found.add, client, limit)
        return _found(found, missing)

    def retained(self, arguments: Document) -> Document:
        topic_filter, now = checked_filter(arguments["filter"]), self._runtime.now()
        return self._broker.list_retained(topic_filter, arguments["limit"], now)

    async def kick(self, arguments: Document) -> Document:
        client, where = arguments["client"], [self._name]
        missing: list[Document] = []
        if self._broker.kick(client, self._runtime.now()):
            self._runtime.schedule()
        else:
            where.clear()
            missing = await everywhere.ask(
                self._runtime, "kick", lambda gateway, _: where.append(gateway), client
            )
        if where:
            at = " and ".join(where)
            return {
                "done": f"{client} was disconnected at {at}; its session is kept as it asked for"
            }
        raise ControlError(
            "no such client is connected" + _but(missing), "see: gwctl clients --mesh"
        )


def _found(found: Found, missing: list[Document]) -> Document:
    document = found.document()
    if document is None:
        raise ControlError(
            "no such client has a session" + _but(missing), "see: gwctl sessions --mesh"
        )
    return document


def _but(missing: list[Document]) -> str:
    """Whom it could not be asked of."""
    names = ", ".join(each["gateway"] for each in missing)
    return f", as far as is known without {names}" if names else ""
