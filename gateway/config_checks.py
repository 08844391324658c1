"""What can be wrong with one value of the configuration, in words.

Each check takes a value of the right type and returns what is wrong with it, "" when nothing is.
The bounds of texts stand here; those of numbers in the table of keys. Must not know which key it
checks, nor the rest of the file.
"""

import ipaddress
import re
from typing import Any

CLUSTER_KEY_CHARACTERS_MIN = 16  # it is stretched later; shorter ones can be guessed all the same
CLUSTER_KEY_CHARACTERS_MAX = 1024
CLUSTER_KEY_DIFFERENT_MIN = 6  # "aaaaaaaaaaaaaaaa" is long and no secret
SOCKET_PATH_BYTES_MAX = 107  # sun_path of unix(7) less its closing zero
PATH_BYTES_MAX = 4095  # PATH_MAX of Linux less its closing zero
TOPIC_CHARACTERS_MAX = 512  # of 65,535 bytes in MQTT; room for what the placeholders become
PEERS_MAX = 64  # twice the largest mesh
PROXIES_MAX = 32  # a pair for each of a few sites
COLUMNS_MAX = 256  # one line of 4 kB holds no more that is worth a name
WORD_CHARACTERS_MAX = 64

PLACEHOLDERS = ("gateway", "port")


def no_fault(_: Any) -> str:
    return ""


def name_fault(value: str) -> str:
    """A name becomes part of topics, of mDNS labels and of ssh's arguments."""
    if not 1 <= len(value) <= 63:
        return f"is {len(value)} characters long"
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?", value):
        return f"{shown(value)} is not a name"
    return ""


def address_fault(value: str) -> str:
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return f"{shown(value)} is not an IP address"
    return ""


def network_fault(value: str) -> str:
    try:
        ipaddress.ip_network(value)
    except ValueError:
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            return f"{shown(value)} is no IP address and no network"
        return f"{shown(value)} is an address within a network"
    return ""


def mode_fault(value: str) -> str:
    """Of a socket: to connect is to write."""
    if not re.fullmatch(r"0?[0-7]{3}", value):
        return f"{shown(value)} is no mode of a file"
    if not int(value, 8) & 0o222:
        return f"{shown(value)} lets nobody connect"
    return ""


def group_fault(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}", value):
        return f"{shown(value)} is not the name of a group"
    return ""


def advertise_fault(value: str) -> str:
    fault = address_fault(value)
    if not fault and ipaddress.ip_address(value).is_unspecified:
        return f"{shown(value)} is no address that a peer could dial"
    return fault


def word_fault(value: str) -> str:
    if not 1 <= len(value) <= WORD_CHARACTERS_MAX:
        return f"is {len(value)} characters long"
    if not value.isprintable() or value != value.strip():
        return f"{shown(value)} has characters that cannot be seen"
    return ""


def path_fault(value: str, bytes_max: int = PATH_BYTES_MAX) -> str:
    if not value or not value.isprintable():
        return f"{shown(value)} is not a path"
    if len(value.encode(errors="surrogateescape")) > bytes_max:
        return "is too long"
    return ""


def socket_path_fault(value: str) -> str:
    return path_fault(value, SOCKET_PATH_BYTES_MAX)


def peer_fault(value: str) -> str:
    match = re.fullmatch(
        r"(?:\[(?P<six>[^\]]*)\]|(?P<host>[^:\[\]]*))(?::(?P<port>\d{1,5}))?", value
    )
    if match is None:
        return f"{shown(value)} is not a host" + (
            "; write [address]:port for IPv6" if value.count(":") > 1 else ""
        )
    if match["six"] is not None and address_fault(match["six"]):
        return f"{shown(value)} is not an IPv6 address in brackets"
    if match["host"] is not None and not _is_host(match["host"]):
        return f"{shown(value)} is not a host"
    if match["port"] is not None and not 1 <= int(match["port"]) <= 65535:
        return f"{shown(value)} has a port that does not exist"
    return ""


def _is_host(value: str) -> bool:
    if re.fullmatch(r"[0-9.]+", value):
        return not address_fault(value)
    label = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
    return len(value) <= 253 and re.fullmatch(rf"{label}(\.{label})*\.?", value) is not None


def usb_fault(value: str) -> str:
    if not re.fullmatch(r"[0-9A-Fa-f]{4}:[0-9A-Fa-f]{4}(:[!-~]{1,64})?", value):
        return f"{shown(value)} is not a USB id"
    return ""


def topic_fault(value: str) -> str:
    """A topic template must be a topic name of MQTT 5.0 section 4.7 once it is filled in."""
    return _template_fault(value, PLACEHOLDERS)


def filter_fault(value: str) -> str:
    """A topic filter of MQTT 5.0 section 4.7, and no shared one."""
    if not 1 <= len(value) <= TOPIC_CHARACTERS_MAX:
        return f"is {len(value)} characters long"
    if not value.isprintable():
        return f"{shown(value)} has characters that cannot be seen"
    if value.startswith("$share/"):
        return f"{shown(value)} is a shared subscription, and no filter"
    levels = value.split("/")
    if any(len(level) > 1 and ("+" in level or "#" in level) for level in levels):
        return f"{shown(value)} has a wildcard that does not have its level for itself"
    if "#" in levels[:-1]:
        return f"{shown(value)} has # before its last level"
    return ""


def response_fault(value: str) -> str:
    """The beginning of topics for answers; another template."""
    return _template_fault(value, ("client",))


def _template_fault(value: str, placeholders: tuple[str, ...]) -> str:
    if not 1 <= len(value) <= TOPIC_CHARACTERS_MAX:
        return f"is {len(value)} characters long"
    if "+" in value or "#" in value:
        return f"{shown(value)} has a wildcard, and nothing can be published to a wildcard"
    if value.startswith("$"):
        return f"{shown(value)} begins with $, which is kept for the broker itself"
    if not value.isprintable():
        return f"{shown(value)} has characters that cannot be seen"
    for placeholder in re.findall(r"\{([^{}]*)\}", value):
        if placeholder not in placeholders:
            return f"{{{placeholder}}} is not a placeholder"
    if re.search(r"[{}]", re.sub(r"\{[^{}]*\}", "", value)):
        return f"{shown(value)} has a brace without its partner"
    return ""


def cluster_key_fault(value: str) -> str:
    """Also for what was read from `key_file`. Says nothing that would give the key away."""
    if not CLUSTER_KEY_CHARACTERS_MIN <= len(value) <= CLUSTER_KEY_CHARACTERS_MAX:
        return f"is {len(value)} characters long"
    if not value.isprintable() or value != value.strip():
        return "has blanks at an end, a line break or other characters that cannot be seen"
    if len(set(value)) < CLUSTER_KEY_DIFFERENT_MIN:
        return "repeats too few different characters"
    return ""


def shown(value: object) -> str:
    """A value as a message may repeat it: in quotes, on one line, short."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        text = repr(value)
    except ValueError:  # a number in hexadecimal that is too long to be written in decimal
        return "the number"
    return text if len(text) <= 60 else f"{text[:56]}...{text[-1]}"
