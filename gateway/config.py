"""The configuration: TOML in, a frozen Config or every problem at once out.

Here is what comes out; `config_file.py` is the way in, `config_keys.py` says what one key may be,
`config_rules.py` what must hold between keys. Must not know who uses the values. The dataclasses
are the contract with the floors above: defaults stand here and nowhere else.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in the file, with the words that put it right."""

    line: int  # from 1; the table's header where a key is missing
    key: str  # "mqtt.port"; empty: the file as a whole
    text: str
    remedy: str


class ConfigError(Exception):
    """The file cannot be used. `problems` is all that is wrong with it, in the order of the lines.

    The caller must print `lines()`, one problem a line, and start nothing.
    """

    def __init__(self, file_name: str, problems: tuple[Problem, ...]) -> None:
        super().__init__(file_name, problems)
        self.file_name = file_name
        self.problems = problems

    def lines(self) -> list[str]:
        """Each problem as `file:line: key: what is wrong; what is allowed`."""
        return [
            f"{self.file_name}:{problem.line}: "
            + (f"{problem.key}: " if problem.key else "")
            + f"{problem.text}; {problem.remedy}"
            for problem in self.problems
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines())


@dataclass(frozen=True, slots=True)
class GatewaySection:
    """[gateway]: this box."""

    name: str = ""  # empty: the host name
    address: str = "0.0.0.0"  # where MQTT and links listen, an IP address
    advertise: str = (
        ""  # the address told to peers; empty: `address`, or all of the box's when that is 0.0.0.0
    )
    state_dir: str = "/var/lib/gatewayd"
    control_socket: str = "/run/gatewayd/control.sock"
    serial_number: str = ""  # empty: the board's, else machine id and MAC
    log_level: str = "info"  # debug, info, warning, error


@dataclass(frozen=True, slots=True)
class MqttSection:
    """[mqtt]: the broker."""

    # What takes memory adds up to some 420 MB (docs/bounds.md), which is what a box of 512 MB has.
    port: int = 1883
    tls_port: int = 8883  # 0: no TLS
    websocket_port: int = 0  # 0: no WebSocket
    websocket_tls_port: int = 0  # 0: no secure WebSocket
    unix_socket: str = ""  # for processes on this box; empty: none
    unix_socket_mode: str = "0660"
    unix_socket_group: str = ""  # empty: the daemon's
    allow_anonymous: str = "loopback"  # "loopback" or "everywhere"
    connections_max: int = 10_000
    connections_per_address_max: int = 1_000  # loopback and this box itself are not counted
    unauthenticated_max: int = 1_000  # sockets that have not got through CONNECT
    connect_timeout_s: float = 10.0  # from accept to the end of CONNECT
    packet_bytes_max: int = 1_048_576
    unsent_bytes_max: int = 25_165_824  # written and not taken, all clients together
    unfinished_bytes_max: int = 25_165_824  # of packets not yet whole, all connections together
    inflight_max: int = 1_024  # unacknowledged QoS 1 and 2 messages to one client
    queue_messages_max: int = 10_000  # waiting for one session
    queue_bytes_max: int = 16_777_216
    waiting_bytes_max: int = 67_108_864  # of all sessions together, in memory
    retained_messages_max: int = 100_000
    retained_bytes_max: int = 50_331_648  # of them in memory, with their topics
    sessions_max: int = 30_000  # connected or away
    subscriptions_per_client_max: int = 10_000
    subscription_bytes_max: int = 50_331_648  # of all subscriptions in memory
    topic_levels_max: int = 128
    session_expiry_max_s: int = 604_800  # seven days
    session_belongs_to_user: bool = True  # no other user finds it under its client id
    sys_interval_s: int = 10  # of $SYS; 0: there is none
    keep_alive_max_s: int = 0  # 0: whatever the client says
    topic_aliases_max: int = 16  # from one client; 0: none
    queue_full: str = "refuse-new"  # or "drop-oldest", "drop-qos0-first"
    publish_rate_max: int = 0  # messages a second from one client; 0: no limit
    publish_burst_max: int = 1_000  # messages that may come at once all the same
    check_payload_format: bool = False  # whether a payload that says it is UTF-8 is
    response_information: str = ""  # told to 5.0 clients that ask; {client} is the client id


@dataclass(frozen=True, slots=True)
class TlsSection:
    """[tls]: what clients by TLS are shown, and what they show. The loader makes its paths whole."""

    certificate_file: str = ""  # PEM, the server's first; empty: the gateway makes its own
    key_file: str = ""  # PEM, no passphrase; empty: it stands in certificate_file
    client_ca_file: str = ""  # PEM; empty: clients' certificates are not asked for
    client_crl_file: str = ""  # PEM; empty: no certificate of these authorities is revoked
    client_certificates: str = "optional"  # or "required"
    strict_dates: bool = False  # of clients' certificates, also while the clock may be wrong


@dataclass(frozen=True, slots=True)
class ProxySection:
    """[proxy]: ports for proxies that say by the PROXY protocol whose connection it is."""

    addresses: tuple[str, ...] = ()  # of the proxies: IP addresses or networks
    port: int = 0  # 0: nowhere; so with the others
    tls_port: int = 0
    websocket_port: int = 0
    websocket_tls_port: int = 0


@dataclass(frozen=True, slots=True)
class StorageSection:
    """[storage]: what the gateway keeps on its disk."""

    free_bytes_min: int = 67_108_864  # below this no new message is taken that must be kept


@dataclass(frozen=True, slots=True)
class MetricsSection:
    """[metrics]: figures for Prometheus."""

    address: str = "127.0.0.1"
    port: int = 0  # 0: off


@dataclass(frozen=True, slots=True)
class ClusterSection:
    """[cluster]: the mesh. Absent: one gateway alone, no link port."""

    name: str
    key: str = field(repr=False)  # from key or key_file; a secret, so that repr leaves it out
    link_port: int = 7883
    discovery: bool = True  # mDNS
    peers: tuple[str, ...] = ()  # "host" or "host:port", dialled besides what mDNS finds
    heartbeat_s: float = 0.5
    suspect_s: float = 1.5
    dead_s: float = 3.0
    durability: str = "mesh"  # what the answer to a message waits for: or "local", "memory"
    copy_after_s: float = 300.0  # a stand-in that is away for longer is replaced
    expected_gateways: int = 0  # 0: do not check
    forget_after_days: int = 7  # 0: never
    # of what waits for one gateway that is away:
    courier_messages_max: int = 50_000
    courier_bytes_max: int = 33_554_432
    courier_age_max_s: int = 604_800  # seven days
    courier_full: str = "refuse-new"  # or "drop-oldest"
    courier_rate_max: int = 2_000  # messages a second, when it is back


@dataclass(frozen=True, slots=True)
class DurabilityRule:
    """[[durability]]: what the answer to messages of some topics waits for, if not what all do."""

    filter: str  # which topics
    level: str  # as cluster.durability


@dataclass(frozen=True, slots=True)
class SerialPort:
    """[[serial]]: one serial line."""

    name: str  # unique on the gateway; part of topics
    path: str = ""  # "/dev/ttyUSB0"; exactly one of path and usb
    usb: str = ""  # "VID:PID" or "VID:PID:SERIAL", hexadecimal ids
    speed: int = 9600
    data_bits: int = 8
    parity: str = "none"  # none, even, odd
    stop_bits: float = 1  # 1, 1.5, 2
    format: str = "text"  # json, csv, text
    columns: tuple[str, ...] = ()  # csv: one name a column
    topic: str = "gateways/{gateway}/serial/{port}"
    command_topic: str = "gateways/{gateway}/serial/{port}/command"
    qos: int = 1
    retain: bool = False
    line_bytes_max: int = 4096


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file, checked."""

    gateway: GatewaySection = field(default_factory=GatewaySection)
    mqtt: MqttSection = field(default_factory=MqttSection)
    cluster: ClusterSection | None = None
    serial: tuple[SerialPort, ...] = ()
    storage: StorageSection = field(default_factory=StorageSection)
    metrics: MetricsSection = field(default_factory=MetricsSection)
    tls: TlsSection = field(default_factory=TlsSection)
    proxy: ProxySection = field(default_factory=ProxySection)
    durability: tuple[DurabilityRule, ...] = ()
