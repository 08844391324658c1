"""What the broker answers to one client, in a form that this client takes.

A reason string tells whoever reads the client's log what is wrong. It is left out for versions that have
none, for clients that asked for none, and where it would make the packet larger than the client takes.
Must not know what happened.
"""

from dataclasses import dataclass, replace
from functools import cache

from gateway.broker.outbox import Outbox
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import (
    Acknowledgement,
    ConnAck,
    Connect,
    Disconnect,
    SubAck,
    UnsubAck,
    Version,
)

REASON_CHARACTERS_MAX = 256  # it goes to a log; names of clients stand in it, and may have 65 kB

Answer = ConnAck | Disconnect | Acknowledgement | SubAck | UnsubAck


@dataclass(frozen=True, slots=True)
class Wishes:
    """What CONNECT said about answers. `problems`: reason strings are wanted in every packet."""

    version: Version = Version.MQTT311
    problems: bool = True


UNKNOWN = Wishes()  # no CONNECT has come
_wishes = cache(Wishes)  # there are six


def wishes_of(packet: Connect) -> Wishes:
    """The default of request problem information is 1, section 3.1.2.11.7."""
    return _wishes(packet.version, packet.properties.request_problem_information is not False)


def worded(answer: Answer, why: str, wishes: Wishes, outbox: Outbox) -> bytes:
    """The answer as a frame, with `why` if the client may hear it: up to a semicolon, behind which
    stands what the operator should do.

    A frame without it may still be too large: whether it is sent is the caller's to decide.
    """
    bytes_max = outbox.packet_bytes_max
    # [MQTT-3.1.2-29]: only these two may say why to a client that did not ask
    heard = wishes.problems or isinstance(answer, ConnAck | Disconnect)
    if why and heard and wishes.version is Version.MQTT5:
        why = why.partition("; ")[0]
        told = (
            why if len(why) <= REASON_CHARACTERS_MAX else why[: REASON_CHARACTERS_MAX - 3] + "..."
        )
        properties = replace(answer.properties, reason_string=told)
        frame = encode(replace(answer, properties=properties), wishes.version)
        # [MQTT-3.2.2-19] [MQTT-3.4.2-2] [MQTT-3.5.2-2] [MQTT-3.6.2-2] [MQTT-3.7.2-2]
        # [MQTT-3.9.2-1] [MQTT-3.11.2-1] [MQTT-3.14.2-3]
        if not bytes_max or len(frame) <= bytes_max:
            return frame
    return encode(answer, wishes.version)
