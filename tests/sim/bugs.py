"""The bugs that the simulator must find: each a small change of the real code. Plain data.

`seed` is one that finds it, of the kind of runs in which it shows. `python -m tests.sim.planted` tells
another one when the code has changed.
"""

from dataclasses import dataclass

from tests.sim.kinds import Kind
from tests.sim.mutation import Change


@dataclass(frozen=True, slots=True)
class Bug:
    """`seed` finds it."""

    name: str
    kind: Kind
    seed: int
    changes: tuple[Change, ...]


JOURNAL = "gateway.broker.journal:Journal"
SESSION = "gateway.broker.session:Session"

BUGS = (
    Bug(
        "a publisher is answered before the commit",
        Kind.DISKS,
        4,
        (
            Change(f"{JOURNAL}.enqueue", "messages[0].level is Durability.MEMORY", "True"),
            Change(f"{JOURNAL}._want", "level is not Durability.MEMORY", "False"),
        ),
    ),
    Bug(
        "a message is trimmed when it is sent, before the client has acknowledged it",
        Kind.DISKS,
        8,
        (
            Change(
                f"{SESSION}._send_from_backlog",
                "self.journal.sent(self.number, delivery[0].mid, packet_id)",
                "self.journal.done(self.number, [delivery[0].mid])",
            ),
        ),
    ),
    Bug(
        "a message goes to a gateway once for each filter that matches",
        Kind.MEMORY,
        1,
        (
            Change(
                "gateway.mesh.interest:PeersInterest.match",
                "dict.fromkeys(self._tree.match(topic))",
                "self._tree.match(topic)",
            ),
        ),
    ),
    Bug(
        "a gateway keeps a session that another one has taken over",
        Kind.DISKS,
        1,
        (
            Change(
                "gateway.broker.leftovers:Leftovers.registered",
                "entry is not None and entry.owner == self.registry.gateway",
                "entry is not None",
            ),
        ),
    ),
    Bug(
        "subscriptions are not told again when a link is back",
        Kind.MEMORY,
        1,
        (
            Change(
                "gateway.mesh.conversation:_on_received",
                "state.own_interest.full(state.local.filters())",
                "state.own_interest.full(())",
            ),
        ),
    ),
    Bug(
        "a will is sent by its keeper though the client is connected elsewhere",
        Kind.MEMORY,
        5,
        (Change("gateway.mesh.wills:_send_due", "if not elsewhere:", "if True:"),),
    ),
    Bug(
        "a will is sent by its gateway and by its keeper",
        Kind.MEMORY,
        2,
        (
            Change(
                "gateway.mesh.wills:tell",
                "if keeper.link is own.link:",
                "own.changed = {k: w for k, w in own.changed.items() if w is not None}\n"
                "    if keeper.link is own.link:",
            ),
        ),
    ),
    Bug(
        "deletions of retained messages are not compared",
        Kind.MEMORY,
        1,
        (
            Change(
                "gateway.mesh.reconcile:newer_here",
                "if entry.stamp > stamps.get(topic, NEVER):",
                "if entry.message is not None and entry.stamp > stamps.get(topic, NEVER):",
            ),
        ),
    ),
    Bug(
        "a deleted retained message leaves nothing behind",
        Kind.MEMORY,
        1,
        (
            Change(
                "gateway.broker.retained:Retained.put",
                "        self._prune(topic)\n    return True",
                "        self._prune(topic)\n"
                "    if message is None:\n"
                "        self._digest.change(topic, stamp, None)\n"
                "        del self._entries[topic]\n"
                "        self._count(topic, None, -1)\n"
                "    return True",
            ),
        ),
    ),
    Bug(
        "what a gateway had not kept when it died is not offered to it again",
        Kind.DISKS,
        7,
        (
            Change(
                "gateway.mesh.stream:Outgoing._part_with",
                "unkept.append((number, entry, waiting))",
                "_release(waiting)",
            ),
        ),
    ),
    Bug(
        "a stand-in that is gone is not replaced",
        Kind.DISKS,
        1,
        (
            Change(
                "gateway.mesh.standin:_is_lost",
                "return state.now - peer.away_since >= patience_s",
                "return False",
            ),
        ),
    ),
    Bug(
        "a copy is called whole before its last slice is there",
        Kind.LOSS,
        1,
        (Change("gateway.mesh.copier:Copier._is_kept", "if item.last:", "if item.is_slice:"),),
    ),
    Bug(
        "SUBACK does not wait until the other gateways know",
        Kind.MEMORY,
        1,
        (Change("gateway.mesh.interest:Barriers.hold", "peer.knows < version", "False"),),
    ),
    Bug(
        "PUBACK does not wait for the gateways that want the message",
        Kind.MEMORY,
        13,
        (Change("gateway.mesh.stream:Outgoing.add", "if ticket is not None:", "if False:"),),
    ),
    Bug(
        "two members of a group get one message",
        Kind.MEMORY,
        1,
        (
            Change(
                "gateway.broker.delivery:give_one",
                "elif not _give_here(broker, message, share.group, ticket):",
                "if not _give_here(broker, message, share.group, ticket):",
            ),
        ),
    ),
    Bug(
        "a retained message goes only to gateways with a subscriber",
        Kind.MEMORY,
        1,
        (
            Change(
                "gateway.broker.delivery:publish",
                "[*broker.elsewhere.everyone(), *route.absent]",
                "route.elsewhere",
            ),
        ),
    ),
    Bug(
        "answers do not wait for the second copy",
        Kind.LOSS,
        2,
        (Change("gateway.mesh.copier:Copier.owes", "self._base[0] >= number", "True"),),
    ),
)

# These take more seeds than `make test` can run.
RARE = (
    Bug(
        "a gateway that begins does not wait for what the others want",
        Kind.MEMORY,
        1,
        (Change("gateway.mesh.state:MeshState.hold", "self.local.hold()", "return"),),
    ),
    Bug(
        "a gateway that gives a session away goes on to serve it",
        Kind.CALM,
        1,
        (
            Change(
                "gateway.broker.going:Goings._bar",
                "passage.barred.add(origin)",
                "pass",
            ),
        ),
    ),
    Bug(
        "a row of an older epoch replaces that of a newer one",
        Kind.DISKS,
        1,
        (Change("gateway.table:Row.beats", "return mine > (", "return mine != ("),),
    ),
    Bug(
        "what waited for a gateway is offered to it in another order",
        Kind.DISKS,
        1,
        (
            Change(
                "gateway.mesh.stream:Outgoing.go_on",
                "for each in parked:",
                "for each in parked[::-1]:",
            ),
        ),
    ),
    Bug(
        "a packet id is used again while the client still holds it",
        Kind.DISKS,
        1,
        (
            Change(
                "gateway.broker.bare:begin_without",
                "(entry.halves ^ 1) | UNKNOWN_HALF",
                "entry.halves",
            ),
        ),
    ),
    Bug(
        "what is published while a session moves stands before its queue",
        Kind.CALM,
        1,
        (Change("gateway.broker.parcel:Unpacker.begin", "session.backlog.hold_back()", "pass"),),
    ),
)
