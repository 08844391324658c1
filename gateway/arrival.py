"""How messages came from another gateway. Must not know links, or what becomes of the messages."""

from collections.abc import Callable
from typing import NamedTuple

from gateway.ids import Stamp
from gateway.tickets import Ticket


class Arrival(NamedTuple):
    """`stamp` is there when the message is retained. `late`: it was sent to an earlier start of this
    gateway, and is for sessions that the disk has. `ticket` makes the one that is held until the
    messages are kept, by whoever must keep them; None: nobody waits."""

    stamp: Stamp | None = None
    late: bool = False
    ticket: Callable[[], Ticket] | None = None
