"""Every key of the configuration file, as one table: its kind, what is allowed, what it means.

The parser obeys this table and docs/configuration.md is printed from it. Defaults are not here:
they stand in the dataclasses. Rules between keys are in `config_rules.py`. Must not know where a
value came from or who uses it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from gateway.config import (
    ClusterSection,
    DurabilityRule,
    GatewaySection,
    MetricsSection,
    MqttSection,
    ProxySection,
    SerialPort,
    StorageSection,
    TlsSection,
)
from gateway.config_checks import (
    CLUSTER_KEY_CHARACTERS_MIN,
    COLUMNS_MAX,
    PEERS_MAX,
    PROXIES_MAX,
    WORD_CHARACTERS_MAX,
    address_fault,
    advertise_fault,
    cluster_key_fault,
    filter_fault,
    group_fault,
    mode_fault,
    name_fault,
    network_fault,
    no_fault,
    path_fault,
    peer_fault,
    response_fault,
    shown,
    socket_path_fault,
    topic_fault,
    usb_fault,
    word_fault,
)

Fault = Callable[[Any], str]


class Kind(Enum):
    """What TOML calls the value, in the words that an operator reads."""

    TEXT = "text in quotes"
    WHOLE = "a whole number"
    NUMBER = "a number"
    SWITCH = "true or false"
    TEXTS = "a list of texts"


@dataclass(frozen=True, slots=True)
class Key:
    """One key. `fault` says what is wrong with a value of the right kind, or "" when nothing is."""

    name: str
    kind: Kind
    allowed: str  # completes "allowed: ..."
    meaning: str  # one line for the documentation
    fault: Fault
    count_max: int = 0  # of a list
    secret: bool = False  # never repeat the value in a message
    required: bool = False  # must be written wherever its section is


@dataclass(frozen=True, slots=True)
class Section:
    """One table of the file. `many`: it is written [[name]], once for each."""

    name: str
    shape: type
    meaning: str
    keys: tuple[Key, ...]
    many: bool = False
    count_max: int = 0  # of them, if many; what one is called besides
    one: str = ""

    @property
    def header(self) -> str:
        """The section as it is written in the file."""
        return f"[[{self.name}]]" if self.many else f"[{self.name}]"


# How keys are put into the table.


def whole(name: str, low: int, high: int, meaning: str) -> Key:
    def fault(value: int) -> str:
        return "" if low <= value <= high else f"{shown(value)} is out of range"

    return Key(name, Kind.WHOLE, f"a whole number from {low} to {high}", meaning, fault)


def seconds(name: str, low: float, high: float, meaning: str) -> Key:
    def fault(value: float) -> str:
        return "" if low <= value <= high else f"{shown(value)} is out of range"

    return Key(name, Kind.NUMBER, f"a number from {low:g} to {high:g}", meaning, fault)


def choice(name: str, options: tuple[Any, ...], meaning: str) -> Key:
    kinds: dict[type, Kind] = {str: Kind.TEXT, int: Kind.WHOLE, float: Kind.NUMBER}
    words = [f'"{option}"' if isinstance(option, str) else f"{option:g}" for option in options]

    def fault(value: object) -> str:
        return "" if value in options else f"{shown(value)} is not one of the values"

    allowed = f"{', '.join(words[:-1])} or {words[-1]}"
    return Key(name, kinds[type(options[0])], allowed, meaning, fault)


def switch(name: str, meaning: str) -> Key:
    return Key(name, Kind.SWITCH, "true or false", meaning, no_fault)


def text(name: str, allowed: str, fault: Fault, meaning: str, may_be_empty: bool = False) -> Key:
    def fault_unless_empty(value: str) -> str:
        return fault(value) if value else ""

    return Key(name, Kind.TEXT, allowed, meaning, fault_unless_empty if may_be_empty else fault)


def required(key: Key) -> Key:
    return replace(key, required=True)


def texts(name: str, allowed: str, count_max: int, fault: Fault, meaning: str) -> Key:
    """`fault` is asked about each element."""
    return Key(name, Kind.TEXTS, f"at most {count_max} of {allowed}", meaning, fault, count_max)


LEVELS = ("mesh", "local", "memory")
DURABILITY_RULES_MAX = 256  # each is asked once for every topic that is published
NAME = "letters, digits and hyphens, 1 to 63 of them, no hyphen at either end"
ADDRESS = "an IP address"
PATH = "a path"
TOPIC = "a topic without + and #, with {gateway} and {port} as placeholders"
KEY = f"at least {CLUSTER_KEY_CHARACTERS_MIN} characters that cannot be guessed"

GATEWAY = Section(
    "gateway",
    GatewaySection,
    "This box. May be left out.",
    (
        text("name", NAME, name_fault, "The gateway's name; empty: the host name.", True),
        text("address", ADDRESS, address_fault, "Where MQTT and the mesh's links listen."),
        text(
            "advertise",
            "an IP address that peers can dial",
            advertise_fault,
            "The address told to peers; empty: `address`, or all of the box's if that is 0.0.0.0.",
            True,
        ),
        text("state_dir", PATH, path_fault, "Where sessions, queues and identity are kept."),
        text(
            "control_socket",
            "a path of at most 107 bytes",
            socket_path_fault,
            "Where `gwctl` finds the gateway.",
        ),
        text(
            "serial_number",
            f"1 to {WORD_CHARACTERS_MAX} visible characters",
            word_fault,
            "What tells this box from others; empty: the board's, else machine id and MAC.",
            True,
        ),
        choice(
            "log_level", ("debug", "info", "warning", "error"), "The least that is worth a line."
        ),
    ),
)

MQTT = Section(
    "mqtt",
    MqttSection,
    "The broker. May be left out.",
    (
        whole("port", 1, 65535, "Where MQTT clients connect."),
        whole("tls_port", 0, 65535, "Where they connect by TLS; 0: nowhere."),
        whole("websocket_port", 0, 65535, "Where they connect by WebSocket; 0: nowhere."),
        whole("websocket_tls_port", 0, 65535, "Where they do by secure WebSocket; 0: nowhere."),
        text(
            "unix_socket",
            "a path of at most 107 bytes",
            socket_path_fault,
            "Where processes on this box connect without a network; empty: nowhere.",
            True,
        ),
        text(
            "unix_socket_mode",
            "the mode of a file, such as 0660",
            mode_fault,
            "Who may connect there: who may write to the file counts as local.",
        ),
        text(
            "unix_socket_group",
            "the name of a group that the daemon's user is in",
            group_fault,
            "The group of that file; empty: the daemon's own.",
            True,
        ),
        choice(
            "allow_anonymous",
            ("loopback", "everywhere"),
            "From where clients may connect without a user name.",
        ),
        whole("connections_max", 1, 1_000_000, "Clients connected at once."),
        whole(
            "connections_per_address_max",
            1,
            1_000_000,
            "Connections from one address at once; those from this box are not counted.",
        ),
        whole(
            "unauthenticated_max",
            1,
            1_000_000,
            "Connections that have not got through CONNECT; one more closes the oldest of them.",
        ),
        seconds(
            "connect_timeout_s", 1, 60, "Seconds from a connection's begin to the end of CONNECT."
        ),
        whole("packet_bytes_max", 1024, 16_777_216, "The longest MQTT packet, header included."),
        whole(
            "unsent_bytes_max",
            1_048_576,
            4_294_967_296,
            "Bytes sent to all clients that they have not read yet; beyond it the rest waits, and"
            " who reads nothing meanwhile is closed.",
        ),
        whole(
            "unfinished_bytes_max",
            1_048_576,
            4_294_967_296,
            "Bytes of packets that have not come whole, of all connections; beyond it the one"
            " whose bytes came longest ago is closed.",
        ),
        whole(
            "inflight_max",
            1,
            65535,
            "Unacknowledged QoS 1 and 2 messages on the way to one client.",
        ),
        whole("queue_messages_max", 1, 10_000_000, "Messages that wait for one session."),
        whole("queue_bytes_max", 1024, 4_294_967_296, "Bytes that wait for one session."),
        whole(
            "waiting_bytes_max",
            1_048_576,
            68_719_476_736,
            "Bytes of memory for all messages that wait for all sessions together.",
        ),
        whole("retained_messages_max", 0, 10_000_000, "Retained messages on the gateway."),
        whole(
            "retained_bytes_max",
            1_048_576,
            68_719_476_736,
            "Bytes of memory for retained messages and their topics.",
        ),
        whole("sessions_max", 1, 1_000_000, "Sessions, whether their clients are here or away."),
        whole(
            "subscriptions_per_client_max",
            1,
            1_000_000,
            "Subscriptions of one session; real ones have tens.",
        ),
        whole(
            "subscription_bytes_max",
            1_048_576,
            68_719_476_736,
            "Bytes of memory for the subscriptions of all sessions, some 700 for a short filter.",
        ),
        whole(
            "topic_levels_max",
            1,
            128,
            "Levels of a topic or a filter; each costs a step and memory.",
        ),
        whole(
            "session_expiry_max_s",
            0,
            4_294_967_294,
            "Seconds that a session is kept after its client left, whatever the client asked for.",
        ),
        switch(
            "session_belongs_to_user",
            "Refuse a client id whose session is another user's (0x87); if false, the session goes over"
            " to whoever comes with its client id.",
        ),
        whole(
            "sys_interval_s",
            0,
            86_400,
            "Seconds from one message of a `$SYS` topic to its next; 0: no such topics.",
        ),
        whole(
            "keep_alive_max_s",
            0,
            65535,
            "The longest keep-alive; a 5.0 client that asks for more, or none, is told; 0: any.",
        ),
        whole(
            "topic_aliases_max",
            0,
            1_000,
            "Topics that one 5.0 client may replace by a number; 0: none.",
        ),
        choice(
            "queue_full",
            ("refuse-new", "drop-oldest", "drop-qos0-first"),
            "Which message is lost when a session's queue is full. With drop-qos0-first, QoS 0"
            " messages are queued too, and make room first.",
        ),
        whole(
            "publish_rate_max",
            0,
            1_000_000,
            "Messages a second from one client, which is read more slowly beyond it; 0: any.",
        ),
        whole(
            "publish_burst_max",
            1,
            1_000_000,
            "Messages that one client may publish at once before `publish_rate_max` holds.",
        ),
        switch("check_payload_format", "Refuse a payload that says it is UTF-8 and is not (0x99)."),
        text(
            "response_information",
            "a topic without + and #, with {client} as placeholder",
            response_fault,
            "Told to 5.0 clients that ask where answers to them may go.",
            True,
        ),
    ),
)

TLS = Section(
    "tls",
    TlsSection,
    "Certificates, for MQTT and WebSocket by TLS. Left out: the gateway makes its own.",
    (
        text(
            "certificate_file",
            "a PEM file: the certificate of the gateway, then those that lead to its authority",
            path_fault,
            "What clients are shown; a relative path begins in this folder.",
            True,
        ),
        text(
            "key_file",
            "a PEM file with a private key and no passphrase",
            path_fault,
            "The key of that certificate; empty: it stands in `certificate_file`.",
            True,
        ),
        text(
            "client_ca_file",
            "a PEM file with the certificates of authorities",
            path_fault,
            "Who signs clients' certificates; a certificate's common name is then the user.",
            True,
        ),
        text(
            "client_crl_file",
            "a PEM file with a list (CRL) of each of these authorities",
            path_fault,
            "Which of their certificates are revoked.",
            True,
        ),
        choice(
            "client_certificates",
            ("optional", "required"),
            "Whether a client by TLS may come without one.",
        ),
        switch(
            "strict_dates",
            "Check the dates of clients' certificates also while no time server was reached.",
        ),
    ),
)

PROXY = Section(
    "proxy",
    ProxySection,
    "Ports for proxies such as HAProxy, which say by the PROXY protocol (version 1 or 2) whose"
    " connection it is. May be left out.",
    (
        texts(
            "addresses",
            "an IP address or a network such as 10.0.0.0/24",
            PROXIES_MAX,
            network_fault,
            "The proxies; nobody else may connect to these ports.",
        ),
        whole("port", 0, 65535, "Where they bring MQTT clients; 0: nowhere."),
        whole("tls_port", 0, 65535, "Where they bring MQTT clients by TLS; 0: nowhere."),
        whole("websocket_port", 0, 65535, "Where they bring WebSocket clients; 0: nowhere."),
        whole("websocket_tls_port", 0, 65535, "Where they bring them by TLS; 0: nowhere."),
    ),
)

STORAGE = Section(
    "storage",
    StorageSection,
    "What the gateway keeps on its disk. May be left out.",
    (
        whole(
            "free_bytes_min",
            1_048_576,
            1_099_511_627_776,
            "With less room than this on the disk, no message is taken that must be kept.",
        ),
    ),
)

METRICS = Section(
    "metrics",
    MetricsSection,
    "Figures for Prometheus, at `/metrics`, without a password. May be left out.",
    (
        text("address", ADDRESS, address_fault, "Where they are served."),
        whole("port", 0, 65535, "The port; 0: nowhere."),
    ),
)

CLUSTER = Section(
    "cluster",
    ClusterSection,
    "The mesh. Left out: one gateway alone, and no link port.",
    (
        required(
            text("name", NAME, name_fault, "Gateways of the same name and key become one mesh.")
        ),
        Key("key", Kind.TEXT, KEY, "The mesh's secret.", cluster_key_fault, secret=True),
        text(
            "key_file",
            "a file that holds the key and nothing else",
            path_fault,
            "Instead of `key`: the file it stands in; a relative path begins in this folder.",
        ),
        whole("link_port", 1, 65535, "Where other gateways connect."),
        switch("discovery", "Find other gateways by mDNS."),
        texts(
            "peers",
            '"host" or "host:port"',
            PEERS_MAX,
            peer_fault,
            "Gateways to dial besides those that mDNS finds.",
        ),
        seconds("heartbeat_s", 0.05, 60, "Seconds from one sign of life to the next."),
        seconds("suspect_s", 0.1, 300, "Silence after which a gateway is suspect."),
        seconds("dead_s", 0.2, 600, "Silence after which a gateway is dead."),
        choice(
            "durability",
            LEVELS,
            "What the answer to a message that is kept waits for: this disk and the copy at another"
            " gateway, while there is one; this disk; nothing. [[durability]] says it for topics.",
        ),
        seconds(
            "copy_after_s",
            1,
            604_800,
            "A gateway that is away for longer keeps the second copy no more: another one does.",
        ),
        whole("expected_gateways", 0, 32, "Fewer alive are a problem to report; 0: do not check."),
        whole("forget_after_days", 0, 3650, "So long dead, a gateway is gone for good; 0: never."),
        whole(
            "courier_messages_max",
            1,
            1_000_000,
            "Messages that wait here for the sessions of one gateway that is away, at most.",
        ),
        whole("courier_bytes_max", 65_536, 1_073_741_824, "Their bytes, at most."),
        whole(
            "courier_age_max_s",
            60,
            31_536_000,
            "Seconds after which such a message is let go; this gateway off does not count.",
        ),
        choice(
            "courier_full",
            ("refuse-new", "drop-oldest"),
            "What is lost when too much waits for a gateway: what is new, or what is oldest.",
        ),
        whole(
            "courier_rate_max",
            10,
            1_000_000,
            "Messages a second of what waited, to a gateway that is back.",
        ),
    ),
)

SERIAL = Section(
    "serial",
    SerialPort,
    "A serial line; once for each, as often as there are lines.",
    (
        required(text("name", NAME, name_fault, "The port's name, its own on this gateway.")),
        text("path", PATH, path_fault, 'The device, such as "/dev/ttyUSB0".'),
        text(
            "usb",
            '"VID:PID" or "VID:PID:SERIAL", the ids as four hexadecimal digits',
            usb_fault,
            "Instead of `path`: the USB id of the adapter, whichever device it becomes.",
        ),
        whole("speed", 50, 4_000_000, "Bits a second."),
        choice("data_bits", (5, 6, 7, 8), "Data bits of one character."),
        choice("parity", ("none", "even", "odd"), "The parity bit."),
        choice("stop_bits", (1.0, 1.5, 2.0), "Stop bits after one character."),
        choice("format", ("json", "csv", "text"), "What one line is."),
        texts(
            "columns",
            f"1 to {WORD_CHARACTERS_MAX} visible characters",
            COLUMNS_MAX,
            word_fault,
            "For csv: the name of each column, in order.",
        ),
        text("topic", TOPIC, topic_fault, "Where readings are published."),
        text("command_topic", TOPIC, topic_fault, "What is published here is written to the line."),
        choice("qos", (0, 1, 2), "The QoS of readings."),
        switch("retain", "Keep the last reading for those who subscribe later."),
        whole("line_bytes_max", 16, 65_536, "Longer lines are dropped and counted."),
    ),
    many=True,
    count_max=64,  # lines on one box, hubs included
    one="port",
)

DURABILITY = Section(
    "durability",
    DurabilityRule,
    "What the answer to messages of some topics waits for, where it is not what `cluster.durability`"
    " says; once for each topic filter. Of several that match a topic the strictest counts: `mesh`"
    " before `local`, `local` before `memory`. The gateway to which a message is published decides.",
    (
        required(text("filter", "a topic filter", filter_fault, "Which topics.")),
        required(
            choice(
                "level",
                LEVELS,
                "For every gateway that has a subscriber to have it in memory, and what must be kept"
                " (for a persistent session, or retained): `mesh`, on disk there and in the copy of"
                " that disk, while there is one; `local`, on disk there; `memory`, nothing more.",
            )
        ),
    ),
    many=True,
    count_max=DURABILITY_RULES_MAX,
    one="filter",
)

SECTIONS = (GATEWAY, MQTT, TLS, PROXY, STORAGE, METRICS, CLUSTER, DURABILITY, SERIAL)

# What people write who know another program's words for it.
OTHER_WORDS = {
    "baud": "speed",
    "baudrate": "speed",
    "baud_rate": "speed",
    "bytesize": "data_bits",
    "device": "path",
    "tty": "path",
    "bind": "address",
    "listen": "address",
    "hostname": "name",
    "secret": "key",
    "password": "key",
}
