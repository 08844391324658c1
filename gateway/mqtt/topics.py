"""Topic names and topic filters (sections 4.7 and 4.8.2): what is well formed, and what matches.

`matches` is the definition that the tree is tested against. Knows nothing of packets or sessions.
"""

from gateway.errors import ProtocolError
from gateway.limits import TOPIC_BYTES_MAX, TOPIC_LEVELS_MAX
from gateway.mqtt.reasons import Reason


def levels(topic: str) -> list[str]:
    """The levels of a topic name or filter; a slash at either end has an empty level beside it."""
    return topic.split("/")


def check_topic_name(topic: str) -> None:
    """Raise ProtocolError (0x90) unless a message may be published to `topic`."""
    if "+" in topic or "#" in topic:  # [MQTT-3.3.2-2] [MQTT-4.7.0-1]
        raise ProtocolError(Reason.TOPIC_NAME_INVALID, "a topic name contains a wildcard")
    _check_form(topic, Reason.TOPIC_NAME_INVALID)


def check_topic_filter(topic_filter: str) -> None:
    """Raise ProtocolError (0x8F) unless one may subscribe to `topic_filter`.

    A filter that begins with "$share/" is a shared subscription whatever the version of the
    client: 3.1.1 knows none, and no broker means anything else by it.
    """
    _check_form(topic_filter, Reason.TOPIC_FILTER_INVALID)
    if topic_filter.startswith("$share/"):
        topic_filter = _check_share(topic_filter)
    if "+" not in topic_filter and "#" not in topic_filter:
        return
    parts = levels(topic_filter)
    for part in parts:
        if len(part) > 1 and ("+" in part or "#" in part):  # [MQTT-4.7.1-1] [MQTT-4.7.1-2]
            raise _bad_filter("a wildcard does not have its level for itself")
    if "#" in parts[:-1]:  # [MQTT-4.7.1-1]
        raise _bad_filter("# stands before the last level")


def split_share(topic_filter: str) -> tuple[str, str]:
    """The share name and the filter of a checked filter; no name when it is not shared."""
    if not topic_filter.startswith("$share/"):
        return "", topic_filter
    _, name, rest = topic_filter.split("/", 2)
    return name, rest


def matches(topic_filter: str, topic: str) -> bool:
    """Whether a message to `topic` is one for `topic_filter` (section 4.7).

    Both are well formed, and the filter is not a shared one: split_share() comes before.
    """
    wanted = levels(topic_filter)
    given = levels(topic)
    if topic.startswith("$") and wanted[0] in ("+", "#"):  # [MQTT-4.7.2-1]
        return False
    for index, part in enumerate(wanted):
        if part == "#":
            return True  # also the parent level: index may be len(given)
        # [MQTT-4.7.3-4]
        if index >= len(given) or part not in ("+", given[index]):
            return False
    return len(wanted) == len(given)


def _check_form(topic: str, reason: Reason) -> None:
    if not topic:  # [MQTT-4.7.3-1]
        raise ProtocolError(reason, "a topic is empty")
    if topic.count("/") >= TOPIC_LEVELS_MAX:
        raise ProtocolError(reason, f"a topic has more than {TOPIC_LEVELS_MAX} levels")
    if "\0" in topic:  # [MQTT-4.7.3-2]
        raise ProtocolError(reason, "a topic contains U+0000")
    # Four bytes a character at most, so a short topic need not be encoded to be measured.
    if len(topic) * 4 > TOPIC_BYTES_MAX and len(topic.encode()) > TOPIC_BYTES_MAX:
        raise ProtocolError(reason, f"a topic has more than {TOPIC_BYTES_MAX} bytes")


def _check_share(topic_filter: str) -> str:
    """Check the share name and return the filter behind it."""
    parts = topic_filter.split("/", 2)
    if len(parts) < 3 or not parts[2]:  # [MQTT-4.8.2-2]
        raise _bad_filter("a shared subscription has no topic filter")
    name = parts[1]
    if not name or "+" in name or "#" in name:  # [MQTT-4.8.2-1] [MQTT-4.8.2-2]
        raise _bad_filter("a share name is empty or contains a wildcard")
    return parts[2]


def _bad_filter(detail: str) -> ProtocolError:
    return ProtocolError(Reason.TOPIC_FILTER_INVALID, detail)
