"""The installer's file: its sections and keys, and its text made into an Installation.

[cluster], [mqtt], [[durability]] and [[serial]] are those of the daemons' file, with the same keys and
rules; of [gateway] the installer has only the name, because the rest is the appliance's own business.
The defaults of [ssh] and [network] stand in the dataclasses here. Must not open files.
"""

import ipaddress
import re
from dataclasses import dataclass, field

from gateway.config import (
    ClusterSection,
    Config,
    ConfigError,
    DurabilityRule,
    GatewaySection,
    MqttSection,
    SerialPort,
)
from gateway.config_checks import address_fault, shown
from gateway.config_keys import (
    CLUSTER,
    DURABILITY,
    GATEWAY,
    MQTT,
    SERIAL,
    Section,
    required,
    text,
    texts,
)
from gateway.config_reader import Reader, Values, read_toml
from gateway.config_report import Report
from gateway.config_rules import check, check_durability
from gateway.setup.ssh_keys import RSA_BITS_MIN, ssh_key_fault

SSH_KEYS_MAX = 64  # people who may look at one gateway
DNS_MAX = 3  # more a resolver does not ask
EVERY_INTERFACE = "en* eth*"


@dataclass(frozen=True, slots=True)
class SshSection:
    """[ssh]: who may log in."""

    keys: tuple[str, ...] = ()  # none: nobody


@dataclass(frozen=True, slots=True)
class NetworkSection:
    """[network]: how the box gets its address."""

    interface: str = ""  # empty: every wired one
    address: str = ""  # "192.168.1.10/24"; empty: DHCP
    gateway: str = ""
    dns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Installation:
    """The whole file, checked; as it is, it stands for a file in which nothing is set."""

    config: Config = field(default_factory=Config)
    ssh: SshSection = field(default_factory=SshSection)
    network: NetworkSection = field(default_factory=NetworkSection)


def interface_fault(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,14}", value):
        return f"{shown(value)} is not the name of a network interface"
    return ""


def host_fault(value: str) -> str:
    """An address of one host on a LAN, and how many bits of it are the LAN's."""
    try:
        host = ipaddress.IPv4Interface(value)
    except ValueError:
        return f"{shown(value)} is not an address with its network"
    if not re.fullmatch(r"[0-9.]+/[0-9]{1,2}", value) or not 8 <= host.network.prefixlen <= 30:
        return f"{shown(value)} does not end in the size of a LAN"
    if host.ip in (host.network.network_address, host.network.broadcast_address):
        return f"{shown(value)} is the network itself, not a box in it"
    return _host_fault(host.ip)


def router_fault(value: str) -> str:
    try:
        return _host_fault(ipaddress.IPv4Address(value))
    except ValueError:
        return f"{shown(value)} is not an IPv4 address"


def _host_fault(address: ipaddress.IPv4Address) -> str:
    if address.is_loopback or address.is_multicast or address.is_reserved or not int(address) >> 24:
        return f"{str(address)!r} cannot be the address of a box"
    return ""


_NAME = next(key for key in GATEWAY.keys if key.name == "name")
_CLUSTER_KEYS = {key.name: key for key in CLUSTER.keys if key.name != "key_file"}
_CLUSTER_KEYS["key"] = required(_CLUSTER_KEYS["key"])

INSTALLER_GATEWAY = Section("gateway", GatewaySection, GATEWAY.meaning, (_NAME,))
INSTALLER_CLUSTER = Section(
    "cluster", ClusterSection, CLUSTER.meaning, tuple(_CLUSTER_KEYS.values())
)
SSH = Section(
    "ssh",
    SshSection,
    "Who may log in as gw. Left out: nobody.",
    (
        texts(
            "keys",
            f"whole lines of .pub files (ed25519, ecdsa, or rsa with at least {RSA_BITS_MIN} bits)",
            SSH_KEYS_MAX,
            ssh_key_fault,
            "Public keys.",
        ),
    ),
)
NETWORK = Section(
    "network",
    NetworkSection,
    "How the box gets its address. Left out: DHCP on every wired interface.",
    (
        text("interface", 'a name such as "eth0"', interface_fault, "Only this one.", True),
        text(
            "address",
            'an IPv4 address of the LAN and its size, such as "192.168.1.10/24"',
            host_fault,
            "A fixed address instead of DHCP.",
            True,
        ),
        text("gateway", "an IPv4 address of the same LAN", router_fault, "The router.", True),
        texts("dns", "an IP address", DNS_MAX, address_fault, "Name servers."),
    ),
)
SECTIONS = (INSTALLER_GATEWAY, INSTALLER_CLUSTER, SSH, NETWORK, SERIAL, MQTT, DURABILITY)


def parse_installation(text: str, file_name: str) -> Installation:
    """Reads the text of the installer's file; `file_name` is only for messages.

    Raises ConfigError with everything that is wrong.
    """
    report = Report()
    document = read_toml(text, report)
    installation = Installation()
    if not report.problems:
        installation = _installation(Reader(document, SECTIONS, report), report)
    if report.problems:
        raise ConfigError(file_name, report.sorted())
    return installation


def _installation(reader: Reader, report: Report) -> Installation:
    gateway = reader.section(INSTALLER_GATEWAY)
    cluster = reader.section_if_written(INSTALLER_CLUSTER)
    ssh = reader.section(SSH)
    network = reader.section(NETWORK)
    ports, rules = reader.each(SERIAL), reader.each(DURABILITY)
    mqtt = reader.section(MQTT)
    check(mqtt, cluster, ports, report)
    check_durability(rules, report)
    _check_network(network, report)
    config = Config(
        GatewaySection(**gateway),
        MqttSection(**mqtt),
        None if cluster is None else ClusterSection(**cluster),
        tuple(SerialPort(**port) for port in ports),
        durability=tuple(DurabilityRule(**rule) for rule in rules),
    )
    return Installation(config, SshSection(**ssh), NetworkSection(**network))


def _check_network(network: Values, report: Report) -> None:
    path = ("network", "gateway")
    if not network["gateway"] or not report.fine(("network",), "address", "gateway"):
        return
    if not network["address"]:
        report.add(path, "is given without address", "allowed: gateway only beside address")
        return
    host = ipaddress.IPv4Interface(network["address"])
    router = ipaddress.IPv4Address(network["gateway"])
    if router == host.ip:
        report.add(path, "is the box's own address", "allowed: the address of the router")
    elif router not in host.network or router in (
        host.network.network_address,
        host.network.broadcast_address,
    ):
        text = f"{network['gateway']!r} is not a box in {host.network}"
        report.add(path, text, "allowed: an address of the same LAN as address")
