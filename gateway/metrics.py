"""What one gateway counts, in the text format 0.0.4 that Prometheus reads.

Names begin with `gatewayd_`, counters end in `_total`, units are seconds and bytes. Clients' names and
topics are never labels: they have no bound, and are nobody else's business. Must not know HTTP.
"""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from gateway.broker.broker import Broker
from gateway.control import (
    CopyState,
    CopyStatus,
    CourierStatus,
    GatewayState,
    RelayStatus,
    Severity,
    Status,
    StoreStatus,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Labels = tuple[tuple[str, str], ...]


class Family(NamedTuple):
    """One metric: its kind is "counter" or "gauge", its samples are values by labels."""

    name: str
    kind: str
    help: str
    samples: dict[Labels, float]


def exposition(status: Status, broker: Broker) -> str:
    """The page; `status` and `broker` are of the same gateway."""
    families = [
        *_gateway(status),
        *_holdings(broker),
        *_traffic(broker),
        *_connections(broker),
        *_errors(broker),
        *_messages(broker),
        *_memory(broker),
    ]
    if status.tls is not None:
        left_s = status.tls.ends_days * 86_400
        text = "Until the certificate ends; below zero: it has ended."
        families.append(_plain("gatewayd_tls_certificate_left_seconds", "gauge", text, left_s))
    if status.store is not None:
        families += _store(status.store)
    if status.copies is not None:
        families += _copies(status.copies)
    if status.couriers:
        families += _couriers(status.couriers)
    if status.relay is not None:
        families += _relay(status.relay)
    return "".join(_written(family) for family in families)


def _gateway(status: Status) -> list[Family]:
    states = Counter(row.state for row in status.gateways)
    severities = Counter(problem.severity for problem in status.problems)
    info: Labels = (("gateway", status.gateway), ("version", status.version))
    return [
        Family("gatewayd_info", "gauge", "The gateway and its version.", {info: 1}),
        _plain("gatewayd_uptime_seconds", "gauge", "Seconds since the start.", status.uptime_s),
        Family(
            "gatewayd_gateways",
            "gauge",
            "Gateways of the mesh, this one included, as this one sees them.",
            {(("state", state),): states[state] for state in GatewayState},
        ),
        Family(
            "gatewayd_problems",
            "gauge",
            "What gwctl status names as wrong.",
            {(("severity", severity),): severities[severity] for severity in Severity},
        ),
    ]


def _holdings(broker: Broker) -> list[Family]:
    vitals, sessions = broker.vitals, broker.state.sessions
    subscriptions = sum(len(session.subscriptions) for session in sessions.values())
    replays = sum(session.replay is not None for session in sessions.values())
    return [
        _plain("gatewayd_clients", "gauge", "Clients connected.", broker.clients()),
        _plain("gatewayd_clients_max", "gauge", "The most connected at once.", vitals.clients_max),
        _plain("gatewayd_sessions", "gauge", "Sessions, clients away included.", len(sessions)),
        _plain(
            "gatewayd_sessions_expired_total",
            "counter",
            "Sessions whose client did not come back in time.",
            vitals.sessions_expired,
        ),
        Family(
            "gatewayd_sessions_moved_total",
            "counter",
            "Sessions that came from other gateways or went there.",
            {
                (("way", "came"),): vitals.sessions_came,
                (("way", "went"),): vitals.sessions_went,
                (("way", "bare"),): vitals.sessions_bare,
                (("way", "merged"),): vitals.sessions_merged,
            },
        ),
        _plain(
            "gatewayd_takeovers_slowed_total",
            "counter",
            "CONNECTs answered late: two clients with one id took the session from each other.",
            vitals.takeovers_slowed,
        ),
        _plain("gatewayd_subscriptions", "gauge", "Subscriptions of all sessions.", subscriptions),
        _plain(
            "gatewayd_shared_subscriptions",
            "gauge",
            "Shared ones of these.",
            broker.state.routes.shared(),
        ),
        _plain(
            "gatewayd_replays",
            "gauge",
            "Sessions to which retained messages are on their way.",
            replays,
        ),
        _plain("gatewayd_traces", "gauge", "Operators who run gwctl trace.", len(broker.watching)),
        _plain("gatewayd_retained_messages", "gauge", "Retained messages.", len(broker.retained)),
    ]


def _traffic(broker: Broker) -> list[Family]:
    vitals = broker.vitals
    counts = {
        "gatewayd_sockets_opened_total": ("Sockets that clients opened.", vitals.sockets),
        "gatewayd_connections_total": ("Connections that were let in.", vitals.connections),
        "gatewayd_bytes_received_total": ("Bytes of MQTT from clients here.", vitals.bytes_in),
        "gatewayd_bytes_sent_total": ("Bytes of MQTT to clients here.", vitals.bytes_out),
        "gatewayd_payload_bytes_received_total": (
            "Bytes of payload that clients here published.",
            vitals.payload_bytes_in,
        ),
        "gatewayd_payload_bytes_sent_total": (
            "Bytes of payload sent to clients here.",
            vitals.payload_bytes_out,
        ),
        "gatewayd_packets_received_total": (
            "MQTT packets of every kind from clients here.",
            vitals.packets_in,
        ),
        "gatewayd_packets_sent_total": (
            "MQTT packets of every kind to clients here.",
            vitals.packets_out(),
        ),
    }
    return [_plain(name, "counter", *counts[name]) for name in counts]


def _connections(broker: Broker) -> list[Family]:
    vitals = broker.vitals
    away = {"per_address": vitals.refused_per_address, "no_connect": vitals.closed_unauthenticated}
    away["full"] = vitals.refused_full
    return [
        _by_cause(
            "gatewayd_connections_turned_away_total",
            "Connections that were closed for want of room: of their address, at the door, or at all.",
            away,
        ),
        _plain(
            "gatewayd_connections_refused_total",
            "counter",
            "Connections that were not let in.",
            vitals.connections_refused,
        ),
        _by_cause(
            "gatewayd_logins_refused_total",
            "Logins that were wrong, had no room to wait for their check, or named no user.",
            {
                "wrong": vitals.logins_wrong,
                "busy": vitals.logins_busy,
                "stranger": vitals.refused_strangers,
            },
        ),
        _by_cause(
            "gatewayd_proxies_refused_total",
            "Connections to a port for proxies that were closed.",
            {"address": vitals.refused_proxies, "header": vitals.malformed_proxies},
        ),
        _plain(
            "gatewayd_tls_handshakes_failed_total",
            "counter",
            "Connections with which there was no TLS.",
            vitals.handshakes_failed,
        ),
        _plain(
            "gatewayd_connections_closed_unfinished_total",
            "counter",
            "Connections ended because others needed the room of their unfinished packets.",
            vitals.closed_unfinished,
        ),
        _plain(
            "gatewayd_connections_closed_unread_total",
            "counter",
            "Connections ended because others needed the room of what they did not read.",
            vitals.closed_unread,
        ),
    ]


def _errors(broker: Broker) -> list[Family]:
    vitals = broker.vitals
    return [
        _plain(
            "gatewayd_protocol_errors_total",
            "counter",
            "Connections ended because the client broke the protocol.",
            vitals.protocol_errors,
        ),
        _plain(
            "gatewayd_internal_errors_total",
            "counter",
            "Connections ended by a mistake of the gateway itself.",
            vitals.internal_errors,
        ),
    ]


def _messages(broker: Broker) -> list[Family]:
    vitals = broker.vitals
    dropped = {
        "congested": vitals.dropped_congested,
        "queue_full": vitals.dropped_queue_full,
        "waiting_full": vitals.dropped_room_full,
        "expired": vitals.dropped_expired,
        "too_large": vitals.dropped_too_large,
        "shared": vitals.dropped_shared,
    }
    refused = {
        "retained_full": vitals.refused_retained_full,
        "disk": vitals.refused_disk,
        "waiting_full": vitals.refused_room_full,
        "rule": vitals.refused_by_rule + vitals.subscriptions_refused_by_rule,
        "own_topic": vitals.refused_own,
        "payload_format": vitals.refused_payload,
        "subscriptions_full": vitals.subscriptions_refused_full,
    }
    return [
        _plain(
            "gatewayd_messages_received_total",
            "counter",
            "Messages that clients here published.",
            vitals.messages_in,
        ),
        _plain(
            "gatewayd_messages_sent_total",
            "counter",
            "Messages sent to clients here.",
            vitals.messages_out,
        ),
        _by_cause("gatewayd_messages_dropped_total", "Messages not delivered.", dropped),
        _by_cause("gatewayd_refused_total", "Messages and subscriptions not taken.", refused),
        _plain(
            "gatewayd_shared_again_total",
            "counter",
            "Messages sent to a member of a shared subscription that went away, then to another.",
            vitals.shared_again,
        ),
        _plain(
            "gatewayd_shared_passed_on_total",
            "counter",
            "Messages of shared subscriptions that no member here could take, given to another gateway.",
            vitals.shared_passed_on,
        ),
        _plain(
            "gatewayd_publishers_slowed_total",
            "counter",
            "Times that a client was not read because it published too fast.",
            vitals.publishers_slowed,
        ),
        _plain(
            "gatewayd_comebacks_slowed_total",
            "counter",
            "Times that CONNECT was answered late, for the client had been cut off.",
            vitals.comebacks_slowed,
        ),
    ]


def _memory(broker: Broker) -> list[Family]:
    room, unfinished = broker.state.room, broker.state.unfinished
    return [
        _plain("gatewayd_messages_waiting", "gauge", "Kept for sessions.", broker.waiting()),
        _plain("gatewayd_waiting_bytes", "gauge", "Memory that these take, and wills.", room.used),
        _plain("gatewayd_waiting_bytes_max", "gauge", "What they may take.", room.bytes_max),
        _plain(
            "gatewayd_unfinished_bytes",
            "gauge",
            "Bytes of packets that have not come whole.",
            unfinished.used,
        ),
    ]


def _copies(copies: CopyStatus) -> list[Family]:
    two = copies.state is CopyState.TWO
    return [
        _plain("gatewayd_copies", "gauge", "Copies of what must be kept.", 2 if two else 1),
        _plain(
            "gatewayd_copy_behind_bytes",
            "gauge",
            "On their way to the second copy.",
            copies.behind_bytes,
        ),
        _plain("gatewayd_copy_sent_bytes_total", "counter", "Sent there.", copies.sent_bytes),
        _plain(
            "gatewayd_copy_not_waited_total",
            "counter",
            "Times that answers no longer waited for the second copy.",
            copies.not_waited,
        ),
        _plain("gatewayd_copies_made_total", "counter", "Second copies begun anew.", copies.made),
        _plain(
            "gatewayd_copies_kept",
            "gauge",
            "Gateways whose copies lie here.",
            len(copies.keeps),
        ),
    ]


def _couriers(couriers: tuple[CourierStatus, ...]) -> list[Family]:
    """By gateway: there are few of them."""

    def figure(name: str, text: str, value: Callable[[CourierStatus], float]) -> Family:
        samples: dict[Labels, float] = {(("to", row.gateway),): value(row) for row in couriers}
        return Family(f"gatewayd_courier_{name}", "gauge", text, samples)

    lost: dict[Labels, float] = {
        (("to", row.gateway), ("cause", cause)): count
        for row in couriers
        for cause, count in (
            *(("refused", row.refused), ("dropped", row.dropped)),
            ("expired", row.expired),
        )
    }
    return [
        figure("messages", "Waiting for a gateway that is away.", lambda row: row.messages),
        figure("bytes", "Memory that these take.", lambda row: row.bytes),
        figure("oldest_seconds", "How long the oldest waited.", lambda row: row.oldest_s or 0.0),
        figure("sent_per_second", "On their way there now.", lambda row: row.messages_per_s),
        Family("gatewayd_courier_lost_total", "counter", "Lost at a limit.", lost),
    ]


def _relay(relay: RelayStatus) -> list[Family]:
    return [
        _plain("gatewayd_relay_links", "gauge", "Links of others over here.", relay.links),
        _plain("gatewayd_relay_bytes_total", "counter", "Passed on.", relay.passed_bytes),
        _plain("gatewayd_relay_refused_total", "counter", "Refused, or ended.", relay.refused),
    ]


def _store(store: StoreStatus) -> list[Family]:
    return [
        _plain("gatewayd_disk_commits_total", "counter", "Syncs of the disk.", store.commits),
        _plain(
            "gatewayd_disk_commit_seconds",
            "gauge",
            "How long a sync takes, smoothed.",
            store.commit_ms / 1_000,
        ),
        _plain(
            "gatewayd_disk_written_bytes_total",
            "counter",
            "Bytes written since the start.",
            store.written_bytes,
        ),
        _plain("gatewayd_disk_log_bytes", "gauge", "The log's size.", store.log_bytes),
        _plain("gatewayd_disk_free_bytes", "gauge", "Room left on the disk.", store.free_bytes),
    ]


def _plain(name: str, kind: str, text: str, value: float) -> Family:
    return Family(name, kind, text, {(): value})


def _by_cause(name: str, text: str, causes: dict[str, int]) -> Family:
    return Family(name, "counter", text, {(("cause", key),): causes[key] for key in causes})


def _written(family: Family) -> str:
    lines = [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
    for labels, value in family.samples.items():
        shown = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
        lines.append(f"{family.name}{'{' + shown + '}' if shown else ''} {value!r}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
