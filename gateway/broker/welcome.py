"""CONNACK of a client that is let in: what it is told about this gateway and its own session.

Must not know how the session was found.
"""

from dataclasses import replace

from gateway.broker.connection import Connection
from gateway.broker.session import Session
from gateway.config import MqttSection
from gateway.limits import RECEIVE_MAXIMUM
from gateway.mqtt.encode import encode
from gateway.mqtt.packets import ConnAck, Connect, Version
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from gateway.mqtt.reasons import Reason


def keep_alive_s(settings: MqttSection, packet: Connect) -> int:
    """The keep-alive that holds: the client's, unless it can be told a shorter one."""
    longest = settings.keep_alive_max_s
    asked = packet.keep_alive_s
    if longest and packet.version is Version.MQTT5 and not 0 < asked <= longest:
        return longest
    return asked  # [MQTT-3.2.2-22]


def connack(
    connection: Connection,
    session: Session,
    packet: Connect,
    present: bool,
    assigned: bool,
    asked_s: int,
) -> bytes | None:
    """The frame, or None if the client takes no packet as large as that.

    `asked_s` is the session expiry that the client asked for.
    """
    properties = NO_PROPERTIES
    if packet.version is Version.MQTT5:
        properties = _properties(connection, session, packet, assigned, asked_s)
    bytes_max = connection.outbox.packet_bytes_max
    frame = encode(ConnAck(present, Reason.SUCCESS, properties), packet.version)
    if 0 < bytes_max < len(frame) and properties.response_information is not None:
        properties = replace(properties, response_information=None)
        frame = encode(ConnAck(present, Reason.SUCCESS, properties), packet.version)
    return None if 0 < bytes_max < len(frame) else frame


def _properties(
    connection: Connection, session: Session, packet: Connect, assigned: bool, asked_s: int
) -> Properties:
    settings = connection.broker.settings
    # [MQTT-4.12.0-5] [MQTT-4.12.0-6]
    authentication = connection.authentication
    kept_s = keep_alive_s(settings, packet)
    expiry_s = int(session.expiry_s)
    return Properties(
        receive_maximum=RECEIVE_MAXIMUM,
        maximum_packet_size_bytes=settings.packet_bytes_max,
        topic_alias_maximum=settings.topic_aliases_max or None,
        # [MQTT-3.1.3-7]
        assigned_client_identifier=session.client_id if assigned else None,
        session_expiry_interval_s=expiry_s if expiry_s != asked_s else None,
        server_keep_alive_s=kept_s if kept_s != packet.keep_alive_s else None,
        response_information=_response_information(settings, session.client_id, packet),
        authentication_method=authentication.method if authentication else None,
        authentication_data=authentication.signature if authentication else None,
    )


def _response_information(settings: MqttSection, client_id: str, packet: Connect) -> str | None:
    """Where answers to this client may go, if it asked [MQTT-3.1.2-28]."""
    template = settings.response_information
    if not packet.properties.request_response_information or not template:
        return None
    if "{client}" in template and ("+" in client_id or "#" in client_id):
        return None  # no topic can be made of it
    return template.replace("{client}", client_id)
