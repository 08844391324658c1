"""The face's options in paho's classes, for paho and for aiomqtt, which takes the same ones."""

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties as PahoProperties
from paho.mqtt.subscribeoptions import SubscribeOptions

from tests.clients.face import Login, Properties, Version

_NAMES = {
    "payload_format_indicator": "PayloadFormatIndicator",
    "message_expiry_interval_s": "MessageExpiryInterval",
    "content_type": "ContentType",
    "response_topic": "ResponseTopic",
    "correlation_data": "CorrelationData",
}


def connect_properties(login: Login, version: Version) -> PahoProperties | None:
    """CONNECT's properties; None where the version has none."""
    if version < Version.MQTT5:
        return None
    properties = PahoProperties(PacketTypes.CONNECT)
    properties.SessionExpiryInterval = login.session_expiry_s
    return properties


def message_properties(
    properties: Properties, version: Version, packet_type: int = PacketTypes.PUBLISH
) -> PahoProperties | None:
    """PUBLISH's or a will's properties; None where the version has none."""
    if version < Version.MQTT5:
        return None
    given = PahoProperties(packet_type)
    for ours, theirs in _NAMES.items():
        if (value := getattr(properties, ours)) is not None:
            setattr(given, theirs, value)
    if properties.user_properties:
        given.UserProperty = list(properties.user_properties)
    return given


def received_properties(given: PahoProperties | None) -> Properties:
    """What arrived with a PUBLISH."""
    if given is None:
        return Properties()
    return Properties(
        **{ours: getattr(given, theirs, None) for ours, theirs in _NAMES.items()},
        subscription_identifiers=tuple(getattr(given, "SubscriptionIdentifier", ())),
        user_properties=tuple(map(tuple, getattr(given, "UserProperty", ()))),
    )


def subscribe_options(
    qos: int, no_local: bool, retain_as_published: bool, retain_handling: int
) -> SubscribeOptions:
    return SubscribeOptions(qos, no_local, retain_as_published, retain_handling)
