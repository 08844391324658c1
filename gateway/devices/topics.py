"""Topic templates: "{gateway}" and "{port}" filled in, the result checked.

Must not know what is published. Raises ValueError with a sentence for the operator.
"""

import re

_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
_TOPIC_BYTES_MAX = 65_535  # a UTF-8 string of MQTT (section 1.5.4)


def expand(template: str, gateway: str, port: str) -> str:
    """The topic that `template` means for this port of this gateway.

    Raises ValueError when the template has another placeholder, or the result is not a topic that
    may be published to (MQTT 5.0 section 4.7).
    """
    names = {"gateway": gateway, "port": port}
    for name in _PLACEHOLDER.findall(template):
        if name not in names:
            raise ValueError(
                f"topic {template!r}: {{{name}}} is unknown; {{gateway}} and {{port}} are allowed"
            )
    topic = _PLACEHOLDER.sub(lambda found: names[found[1]], template)
    if not topic:
        raise ValueError("a topic must not be empty")
    if any(character in topic for character in "+#\0"):
        raise ValueError(f"topic {topic!r} must not contain + or #")
    if len(topic.encode()) > _TOPIC_BYTES_MAX:
        raise ValueError(f"topic {topic[:40]!r}... is longer than {_TOPIC_BYTES_MAX} bytes")
    return topic
