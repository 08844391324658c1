"""What the world tells the station, and what the station asks of the world.

Rules: values only, no behaviour. A port is named by its configured name throughout. Must not know
how a port is opened or which MQTT library carries a message.
"""

from dataclasses import dataclass
from enum import Enum

# Inputs: what happened.


@dataclass(frozen=True, slots=True)
class Opened:
    """The port answered `OpenPort`; bytes may follow."""

    port: str
    path: str


@dataclass(frozen=True, slots=True)
class OpenFailed:
    """The port could not be opened. `missing`: it is not there; else it is there and unusable."""

    port: str
    missing: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes came from an open port, cut anywhere."""

    port: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Written:
    """The whole of the last `WriteToPort` was handed to the kernel."""

    port: str


@dataclass(frozen=True, slots=True)
class Lost:
    """An open port hung up or failed."""

    port: str
    detail: str


@dataclass(frozen=True, slots=True)
class Command:
    """Somebody published to a command topic. `replayed`: it is a retained copy, sent because we
    subscribed, and not an order given now."""

    topic: str
    payload: bytes
    replayed: bool


@dataclass(frozen=True, slots=True)
class BrokerConnected:
    """The broker accepted us and the command topics are subscribed."""


@dataclass(frozen=True, slots=True)
class BrokerLost:
    """The connection ended, or could not be made. What was in flight may have arrived, or not."""

    detail: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker has taken the message (QoS 0: the socket has)."""

    serial: int


@dataclass(frozen=True, slots=True)
class Stop:
    """The process is to end; `Finished` says when it may."""


@dataclass(frozen=True, slots=True)
class Ordered:
    """From the station to a port: this was published to the port's command topic now."""

    port: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class GivenUp:
    """From the station to a port: one of its readings will not reach the broker."""

    port: str
    detail: str


ChannelInput = Opened | OpenFailed | Received | Written | Lost
PortInput = ChannelInput | Ordered | GivenUp | Stop
Input = ChannelInput | Command | BrokerConnected | BrokerLost | Acknowledged | Stop

# Effects: what the world must now do, in order, once.


@dataclass(frozen=True, slots=True)
class OpenPort:
    """Open the port; answer `Opened` or `OpenFailed`."""

    port: str


@dataclass(frozen=True, slots=True)
class ClosePort:
    """Close the port or give up opening it; say nothing more about it until the next `OpenPort`."""

    port: str


@dataclass(frozen=True, slots=True)
class WriteToPort:
    """Write all of `data`; answer `Written`, or `Lost`. There is never a second one before that."""

    port: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """From a port to the station: the payload to publish for one line."""

    port: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Connect:
    """Connect to the broker; answer `BrokerConnected` or `BrokerLost`."""


@dataclass(frozen=True, slots=True)
class Message:
    """Publish this, after the ones before it; answer `Acknowledged` with its serial number.

    `port` is the port that it came from; empty for the status document.
    """

    serial: int
    port: str
    topic: str
    payload: bytes
    qos: int
    retain: bool


class Level(Enum):
    """How loud a note is."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Note:
    """For the log."""

    level: Level
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """Everything that could be said has been said: disconnect and end."""


ChannelEffect = OpenPort | ClosePort | WriteToPort
PortEffect = ChannelEffect | Reading | Note
Effect = ChannelEffect | Note | Connect | Message | Finished
