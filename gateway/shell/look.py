"""The commands that show what the broker holds, and the one that sends a client away.

Must not know how a document is shown.
"""

from gateway.control_lines import ControlError, Document
from gateway.shell.commands import Commands
from gateway.shell.filters import checked_filter
from gateway.shell.runtime import Runtime


def register(commands: Commands, runtime: Runtime) -> None:
    """Adds these commands."""
    look = _Look(runtime)
    commands.answer("clients", look.clients)
    commands.answer("client", look.client)
    commands.answer("sessions", look.sessions)
    commands.answer("retained", look.retained)
    commands.answer("queue", look.queue)
    commands.answer("kick", look.kick)


class _Look:
    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._broker = runtime.node.broker

    def clients(self, arguments: Document) -> Document:
        return self._broker.list_clients(arguments["limit"], self._runtime.now())

    def client(self, arguments: Document) -> Document:
        name, now = arguments["client"], self._runtime.now()
        return _found(self._broker.list_client(name, arguments["limit"], now))

    def sessions(self, arguments: Document) -> Document:
        now = self._runtime.now()
        return self._broker.list_sessions(arguments["orphans"], arguments["limit"], now)

    def retained(self, arguments: Document) -> Document:
        topic_filter, now = checked_filter(arguments["filter"]), self._runtime.now()
        return self._broker.list_retained(topic_filter, arguments["limit"], now)

    def queue(self, arguments: Document) -> Document:
        name, now = arguments["client"], self._runtime.now()
        return _found(self._broker.list_queue(name, arguments["limit"], now))

    def kick(self, arguments: Document) -> Document:
        name = arguments["client"]
        if not self._broker.kick(name, self._runtime.now()):
            raise ControlError("no such client is connected here", "see: gwctl clients")
        self._runtime.schedule()
        return {"done": f"{name} was disconnected; its session is kept as it asked for"}


def _found(document: Document | None) -> Document:
    if document is None:
        raise ControlError("no such client has a session here", "see: gwctl sessions")
    return document
