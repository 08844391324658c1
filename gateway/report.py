"""What `gwctl status` shows: the node's state as the document of `control.py`, problems in words.

Must not know sockets, or how it is printed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gateway.control import (
    NUMBER_MAX,
    BrokerStatus,
    CopyStatus,
    CourierStatus,
    GatewayState,
    GatewayStatus,
    Health,
    PortState,
    ProblemStatus,
    RelayStatus,
    SerialPortStatus,
    Severity,
    Status,
    StoreStatus,
    TlsStatus,
    worst_first,
)
from gateway.mesh.life import Life
from gateway.node import Node
from gateway.wording import several, times

if TYPE_CHECKING:
    from gateway.mesh.frames import Vitals
    from gateway.mesh.losses import Losses
    from gateway.mesh.peer import Peer

DEVICES_FILTER = "gateways/+/devices"  # where gateway-devices says how its ports are
DISK_FULL_PERCENT = 90.0
MEMORY_FULL_PERCENT = 90.0
HOT_C = 80.0  # a Pi throttles from here on
DROPS_SHOWN_S = 600.0

_STATES = {
    Life.ALIVE: GatewayState.ALIVE,
    Life.SUSPECT: GatewayState.SUSPECT,
    Life.DEAD: GatewayState.DEAD,
}


class Reporter:
    """Makes the document for one node: `name`, `gateway` (its id) and `version` are its own."""

    def __init__(self, node: Node, name: str, gateway: str, version: str) -> None:
        self._node = node
        self._name = name
        self._gateway = gateway
        self._version = version

    def status(
        self,
        vitals: Vitals,
        address: str,
        now: float,
        store: StoreStatus | None = None,
        tls: TlsStatus | None = None,
        problems: Iterable[ProblemStatus] = (),
    ) -> Status:
        """The document as of now.

        `vitals`, `address`, `store` and `tls` are the gateway's own; `problems` are those that are not
        seen from here.
        """
        mesh = self._node.mesh
        peers = [] if mesh is None else sorted(mesh.state.peers.values(), key=lambda p: p.name)
        rows = [self._own_row(vitals, address), *(self._peer_row(peer, now) for peer in peers)]
        rows.sort(key=lambda row: (row.name, row.id))
        dead = {row.name for row in rows if row.state is GatewayState.DEAD}
        ports = self._ports(dead)
        problems = worst_first(
            [
                *problems,
                *self._mesh_problems(now),
                *_box_problems(rows),
                *self._own_problems(now),
                *self._slow_problems(now),
                *self._mistake_problems(now),
                *self._login_problems(now),
                *self._stranger_problems(now),
                *self._subscription_problems(now),
                *self._door_problems(now),
                *self._store_problems(now),
                *self._copy_problems(),
                *self._courier_problems(now),
                *self._trace_problems(),
                *_port_problems(ports),
            ]
        )
        notices_only = all(problem.severity is Severity.NOTICE for problem in problems)
        return Status(
            version=self._version,
            gateway=self._name,
            cluster=None if mesh is None else mesh.state.identity.cluster.name,
            health=Health.HEALTHY if notices_only else Health.DEGRADED,
            uptime_s=round(vitals.uptime_s, 1),
            gateways=tuple(rows),
            serial_ports=ports,
            problems=problems,
            store=store,
            tls=tls,
            broker=self._broker(),
            copies=self._copies(now),
            couriers=self._couriers(),
            safe_to_unplug=self._safe_to_unplug(),
            relay=self._relay(),
        )

    def _relay(self) -> RelayStatus | None:
        mesh = self._node.mesh
        if mesh is None:
            return None
        relay = mesh.roads.relay
        return RelayStatus(len(relay), relay.passed_bytes, relay.refused)

    def _copies(self, now: float) -> CopyStatus | None:
        """None: the gateway stands alone, or keeps nothing."""
        mesh = self._node.mesh
        if mesh is None or not self._node.broker.journal.keeping:
            return None
        from gateway.copy_report import copy_status

        return copy_status(mesh, now)

    def _copy_problems(self) -> list[ProblemStatus]:
        mesh = self._node.mesh
        if mesh is None or not self._node.broker.journal.keeping:
            return []
        from gateway.copy_report import copy_problems

        return copy_problems(mesh)

    def _couriers(self) -> tuple[CourierStatus, ...]:
        mesh, moving = self._node.mesh, self._node.broker.moving
        if mesh is None or moving is None:
            return ()
        from gateway.courier_report import courier_status

        return courier_status(mesh.state, moving)

    def _courier_problems(self, now: float) -> list[ProblemStatus]:
        mesh, moving = self._node.mesh, self._node.broker.moving
        if mesh is None or moving is None:
            return []
        from gateway.courier_report import courier_problems

        return courier_problems(mesh.state, moving, now)

    def _safe_to_unplug(self) -> tuple[str, ...] | None:
        mesh = self._node.mesh
        if mesh is None:
            return None
        from gateway.mesh.unplugging import safe_to_unplug

        return tuple(safe_to_unplug(mesh.state))

    def _broker(self) -> BrokerStatus:
        broker, sessions = self._node.broker, self._node.broker.state.sessions.values()
        return BrokerStatus(
            sessions=len(sessions),
            subscriptions=sum(len(session.subscriptions) for session in sessions),
            shared_subscriptions=broker.state.routes.shared(),
            retained=len(broker.retained),
            replays=sum(session.replay is not None for session in sessions),
            counters=broker.vitals.counters(),
        )

    def _own_row(self, vitals: Vitals, address: str) -> GatewayStatus:
        return _row(
            self._name, self._gateway, address, GatewayState.ALIVE, self._version, vitals
        )._replace(self=True, last_heard_s=0.0)

    def _peer_row(self, peer: Peer, now: float) -> GatewayStatus:
        mesh, link = self._node.mesh, peer.link
        via = "" if mesh is None or link is None or not link.via else mesh.others.name_of(link.via)
        return _peer_row(peer, now)._replace(over=via)

    def _ports(self, dead: set[str]) -> tuple[SerialPortStatus, ...]:
        ports: list[SerialPortStatus] = []
        for message in self._node.broker.retained.matching(DEVICES_FILTER):
            gateway = message.topic.split("/")[1]
            for port in _said_ports(message.payload):
                row = _port_row(gateway, port)
                if row is not None and gateway in dead:
                    row = row._replace(state=PortState.OFFLINE, detail="its gateway is dead")
                if row is not None:
                    ports.append(row)
        return tuple(sorted(ports, key=lambda port: (port.gateway, port.name)))

    def _mesh_problems(self, now: float) -> list[ProblemStatus]:
        mesh = self._node.mesh
        if mesh is None:
            return []
        from gateway.mesh.problems import problems

        return problems(mesh.state, self._name, now) + _loss_problems(mesh.losses, now)

    def _own_problems(self, now: float) -> list[ProblemStatus]:
        vitals = self._node.broker.vitals
        if not vitals.last_drop_at or now - vitals.last_drop_at > DROPS_SHOWN_S:
            return []
        causes = {
            "at full queues": vitals.dropped_queue_full,
            "for too much waits for all sessions together": vitals.dropped_room_full,
            "to clients that do not read": vitals.dropped_congested,
            "too large for their client": vitals.dropped_too_large,
            "for shared subscriptions without a member that could take them": vitals.dropped_shared,
            "not retained, for lack of room": vitals.refused_retained_full,
        }
        told = ", ".join(f"{count} {cause}" for cause, count in causes.items() if count)
        text = (
            f"{several(vitals.dropped(), 'message[s] [was|were] dropped')} since the start ({told})"
        )
        remedy = "see which clients are away or slow; the limits stand in [mqtt]"
        return [ProblemStatus(Severity.WARNING, text, remedy)]

    def _slow_problems(self, now: float) -> list[ProblemStatus]:
        vitals = self._node.broker.vitals
        if not vitals.last_slowed_at or now - vitals.last_slowed_at > DROPS_SHOWN_S:
            return []
        problems = []
        if vitals.publishers_slowed:
            text = f"clients published too fast and were slowed {times(vitals.publishers_slowed)}"
            remedy = "nothing is lost; the rate is mqtt.publish_rate_max"
            problems.append(ProblemStatus(Severity.NOTICE, text, remedy))
        moving = self._node.broker.moving
        for quarrel in moving.quarrels(now) if moving is not None else ():
            places = " and ".join(quarrel.places)
            text = f"two clients are called {quarrel.client_id}, at {places}"
            remedy = "give one of them another client id: they take the session from each other"
            problems.append(ProblemStatus(Severity.WARNING, text, remedy))
        if vitals.comebacks_slowed:
            often = times(vitals.comebacks_slowed)
            text = f"clients that were cut off came back at once and had to wait {often}"
            remedy = "the log says which and why; older clients cannot be told otherwise"
            problems.append(ProblemStatus(Severity.NOTICE, text, remedy))
        return problems

    def _subscription_problems(self, now: float) -> list[ProblemStatus]:
        vitals = self._node.broker.vitals
        at = vitals.last_subscription_refused_at
        if not at or now - at > DROPS_SHOWN_S:
            return []
        refused = vitals.subscriptions_refused_full
        text = f"{several(refused, 'subscription[s] [was|were] refused')}: there are too many"
        remedy = "see gwctl sessions for whose; the limits stand in [mqtt]"
        return [ProblemStatus(Severity.WARNING, text, remedy)]

    def _mistake_problems(self, now: float) -> list[ProblemStatus]:
        vitals = self._node.broker.vitals
        at = vitals.last_internal_error_at
        if not at or now - at > DROPS_SHOWN_S:
            return []
        cut_off = several(vitals.internal_errors, "client[s] [was|were] cut off")
        text = f"{cut_off} by a mistake of this gateway since the start"
        remedy = "gwctl log says more; please report what stands there"
        return [ProblemStatus(Severity.WARNING, text, remedy)]

    def _login_problems(self, now: float) -> list[ProblemStatus]:
        vitals = self._node.broker.vitals
        text = f"{several(vitals.logins_wrong, 'login[s] [was|were] wrong')} since the start"
        if vitals.logins_busy:
            text += f", {vitals.logins_busy} refused for too many came at once"
        remedy = "the log says from which addresses"
        return _notice_of_late(vitals.last_login_refused_at, now, text, remedy)

    def _stranger_problems(self, now: float) -> list[ProblemStatus]:
        vitals = self._node.broker.vitals
        text = f"clients without a user were refused {times(vitals.refused_strangers)}"
        remedy = 'gwctl user add, and tell them; or set mqtt.allow_anonymous = "everywhere"'
        return _notice_of_late(vitals.last_stranger_at, now, text, remedy)

    def _door_problems(self, now: float) -> list[ProblemStatus]:
        vitals = self._node.broker.vitals
        if not vitals.last_refused_at or now - vitals.last_refused_at > DROPS_SHOWN_S:
            return []
        causes = {
            "too many clients or sessions": vitals.refused_full,
            "too many from one address": vitals.refused_per_address,
            "too many that did not say who they are": vitals.closed_unauthenticated,
            "to a port for proxies, from elsewhere": vitals.refused_proxies,
            "from a proxy, without a PROXY header": vitals.malformed_proxies,
            "too much in packets that were not whole": vitals.closed_unfinished,
            "too much that was sent and not read": vitals.closed_unread,
        }
        told = ", ".join(f"{count} {cause}" for cause, count in causes.items() if count)
        text = f"connections were turned away since the start ({told})"
        remedy = "see who connects; the limits stand in [mqtt], the proxies in [proxy]"
        return [ProblemStatus(Severity.WARNING, text, remedy)]

    def _store_problems(self, now: float) -> list[ProblemStatus]:
        state = self._node.broker.state
        problems = self._room_problems(now)
        if why := state.journal.refusing:
            text, _, remedy = why.partition("; ")
            refused = several(state.vitals.refused_disk, "[was|were] refused")
            text = f"nothing new is kept: {text}. {refused} so far"
            problems.append(ProblemStatus(Severity.ERROR, text, remedy))
        return problems

    def _room_problems(self, now: float) -> list[ProblemStatus]:
        """The memory of all sessions together: full now, or some minutes ago."""
        state, vitals = self._node.broker.state, self._node.broker.vitals
        why = state.room.refusing()
        if not why and (not vitals.last_full_at or now - vitals.last_full_at > DROPS_SHOWN_S):
            return []
        text, _, remedy = why.partition("; ")
        if not why:
            text, remedy = "messages that waited took all the room", "see gwctl sessions for whose"
        refused = several(vitals.refused_room_full, "that must be kept [was|were] refused")
        text = f"{text}. {refused} so far"
        severity = Severity.ERROR if why else Severity.WARNING
        return [ProblemStatus(severity, text, remedy)]

    def _trace_problems(self) -> list[ProblemStatus]:
        count = len(self._node.broker.watching)
        if not count:
            return []
        text = "somebody runs gwctl trace" if count == 1 else f"gwctl trace runs {times(count)}"
        remedy = "end what nobody looks at: the topics that it watches cost more than others"
        return [ProblemStatus(Severity.NOTICE, text, remedy)]


def _notice_of_late(at: float, now: float, text: str, remedy: str) -> list[ProblemStatus]:
    """The notice while it is fresh; 0: it never happened."""
    if not at or now - at > DROPS_SHOWN_S:
        return []
    return [ProblemStatus(Severity.NOTICE, text, remedy)]


def _loss_problems(losses: Losses, now: float) -> list[ProblemStatus]:
    problems = []
    if now - losses.dropped_at < DROPS_SHOWN_S:
        text = several(losses.dropped, "message[s] for other gateways [was|were] dropped")
        text += " since the start"
        remedy = "they did not take them for long: see to their network and load"
        problems.append(ProblemStatus(Severity.ERROR, text, remedy))
    if now - losses.unknown_at < DROPS_SHOWN_S:
        text = several(losses.unknown, "subscription[s] [was|were] confirmed")
        text += " before every gateway knew them"
        remedy = "a gateway answers slowly: see its round trip and load"
        problems.append(ProblemStatus(Severity.WARNING, text, remedy))
    if now - losses.unkept_at < DROPS_SHOWN_S:
        text = f"{losses.unkept} clients were let in before another gateway kept their will"
        remedy = "a gateway answers slowly: see its round trip and load"
        problems.append(ProblemStatus(Severity.WARNING, text, remedy))
    if now - losses.refused_at < DROPS_SHOWN_S:
        text = f"{losses.refused} wills of clients at other gateways found no room here"
        remedy = "if their gateway dies these are not sent: use smaller wills, or fewer"
        problems.append(ProblemStatus(Severity.WARNING, text, remedy))
    return problems


def _row(
    name: str, gateway: str, address: str, state: GatewayState, version: str, vitals: Vitals | None
) -> GatewayStatus:
    return GatewayStatus(
        name=name,
        id=gateway,
        address=address,
        state=state,
        self=False,
        version=version,
        uptime_s=None if vitals is None else round(vitals.uptime_s, 1),
        clients=None if vitals is None else vitals.clients,
        messages_in_per_s=None if vitals is None else round(vitals.messages_in_per_s, 1),
        messages_out_per_s=None if vitals is None else round(vitals.messages_out_per_s, 1),
        waiting=None if vitals is None else vitals.waiting,
        rtt_ms=None,
        load=None if vitals is None else vitals.load,
        memory_percent=None if vitals is None else vitals.memory_percent,
        disk_percent=None if vitals is None else vitals.disk_percent,
        temperature_c=None if vitals is None else vitals.temperature_c,
        last_heard_s=None,
        over="",
    )


def _peer_row(peer: Peer, now: float) -> GatewayStatus:
    alive = peer.life is Life.ALIVE
    version = peer.hello.version if peer.hello is not None else ""
    row = _row(
        peer.name,
        peer.gateway,
        peer.address,
        _STATES[peer.life],
        version,
        peer.vitals if alive else None,
    )
    if row.uptime_s is not None:
        row = row._replace(uptime_s=round(row.uptime_s + now - peer.vitals_at, 1))
    heard_s = None if peer.hello is None else round(max(0.0, now - peer.heard_at), 2)
    rtt_ms = None if peer.rtt_s is None or not alive else round(peer.rtt_s * 1000, 2)
    return row._replace(last_heard_s=heard_s, rtt_ms=rtt_ms)


def _box_problems(rows: list[GatewayStatus]) -> list[ProblemStatus]:
    problems = []
    for row in rows:
        if row.disk_percent is not None and row.disk_percent >= DISK_FULL_PERCENT:
            text = f"the disk of {row.name} is {row.disk_percent:.0f}% full"
            problems.append(ProblemStatus(Severity.WARNING, text, "make room on it"))
        if row.memory_percent is not None and row.memory_percent >= MEMORY_FULL_PERCENT:
            text = f"the memory of {row.name} is {row.memory_percent:.0f}% full"
            problems.append(ProblemStatus(Severity.WARNING, text, "see what else runs on it"))
        if row.temperature_c is not None and row.temperature_c >= HOT_C:
            text = f"{row.name} is {row.temperature_c:.0f} degrees hot"
            problems.append(ProblemStatus(Severity.WARNING, text, "give it air"))
    return problems


def _port_problems(ports: tuple[SerialPortStatus, ...]) -> list[ProblemStatus]:
    remedies = {
        PortState.MISSING: "plug the device in, or correct its path in the configuration",
        PortState.ERROR: "see the device and its cable; the log of gateway-devices says more",
        PortState.OFFLINE: "see whether gateway-devices runs there",
    }
    return [
        ProblemStatus(
            Severity.WARNING,
            f"serial port {port.name} of {port.gateway} is {port.state}"
            + (f": {port.detail}" if port.detail else ""),
            remedies[port.state],
        )
        for port in ports
        if port.state is not PortState.OPEN
    ]


def _said_ports(payload: bytes) -> list[Any]:
    try:
        document = json.loads(payload)
    except ValueError:
        return []
    ports = document.get("ports") if isinstance(document, dict) else None
    return ports if isinstance(ports, list) else []


def _port_row(gateway: str, port: Any) -> SerialPortStatus | None:
    """A row of what a gateway-devices said; None for what it would not say. Anybody may publish."""
    if not isinstance(port, dict):
        return None
    try:
        last_s = port.get("last_reading_s")
        return SerialPortStatus(
            gateway=gateway,
            name=str(port["name"])[:64],
            path=str(port.get("path", ""))[:256],
            state=PortState(port["state"]),
            readings=int(_figure(port.get("readings", 0))),
            errors=int(_figure(port.get("errors", 0))),
            last_reading_s=None if last_s is None else _figure(last_s),
            detail=str(port.get("detail", ""))[:256],
        )
    except (KeyError, ValueError, TypeError, OverflowError):
        return None


def _figure(value: Any) -> float:
    """A figure that the document can carry. Raises ValueError or TypeError for what is none."""
    number = float(value)
    if not 0 <= number <= NUMBER_MAX:  # also what is not a number
        raise ValueError("not a figure")
    return number
