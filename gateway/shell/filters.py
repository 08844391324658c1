"""Topic filters as an operator types them. Must not know what they are for."""

from gateway.control_lines import ControlError
from gateway.errors import ProtocolError
from gateway.mqtt.topics import check_topic_filter, split_share


def checked_filter(topic_filter: str) -> str:
    """The filter itself. Raises ControlError for what is none."""
    try:
        check_topic_filter(topic_filter)
    except ProtocolError as error:
        remedy = "write one like sensors/+/temperature or sensors/#"
        raise ControlError(f"{topic_filter!r} is no topic filter: {error.detail}", remedy) from None
    if split_share(topic_filter)[0]:
        raise ControlError("a shared subscription is no topic filter", "leave its name out")
    return topic_filter
