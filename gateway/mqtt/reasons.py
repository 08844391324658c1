"""Reason codes: all of MQTT 5.0 (section 2.4), which packet may carry which, and 3.1.1's answers.

The whole product speaks 5.0 reasons; what an older client is told instead is one table here. Knows
no packet and no bytes.
"""

from enum import IntEnum


class Reason(IntEnum):
    """Section 2.4. From 0x80 on it is a failure. Names of equal value are aliases of the first."""

    SUCCESS = 0x00
    NORMAL_DISCONNECTION = 0x00
    GRANTED_QOS_0 = 0x00
    GRANTED_QOS_1 = 0x01
    GRANTED_QOS_2 = 0x02
    DISCONNECT_WITH_WILL_MESSAGE = 0x04
    NO_MATCHING_SUBSCRIBERS = 0x10
    NO_SUBSCRIPTION_EXISTED = 0x11
    CONTINUE_AUTHENTICATION = 0x18
    RE_AUTHENTICATE = 0x19
    UNSPECIFIED_ERROR = 0x80
    MALFORMED_PACKET = 0x81
    PROTOCOL_ERROR = 0x82
    IMPLEMENTATION_SPECIFIC_ERROR = 0x83
    UNSUPPORTED_PROTOCOL_VERSION = 0x84
    CLIENT_IDENTIFIER_NOT_VALID = 0x85
    BAD_USER_NAME_OR_PASSWORD = 0x86
    NOT_AUTHORIZED = 0x87
    SERVER_UNAVAILABLE = 0x88
    SERVER_BUSY = 0x89
    BANNED = 0x8A
    SERVER_SHUTTING_DOWN = 0x8B
    BAD_AUTHENTICATION_METHOD = 0x8C
    KEEP_ALIVE_TIMEOUT = 0x8D
    SESSION_TAKEN_OVER = 0x8E
    TOPIC_FILTER_INVALID = 0x8F
    TOPIC_NAME_INVALID = 0x90
    PACKET_IDENTIFIER_IN_USE = 0x91
    PACKET_IDENTIFIER_NOT_FOUND = 0x92
    RECEIVE_MAXIMUM_EXCEEDED = 0x93
    TOPIC_ALIAS_INVALID = 0x94
    PACKET_TOO_LARGE = 0x95
    MESSAGE_RATE_TOO_HIGH = 0x96
    QUOTA_EXCEEDED = 0x97
    ADMINISTRATIVE_ACTION = 0x98
    PAYLOAD_FORMAT_INVALID = 0x99
    RETAIN_NOT_SUPPORTED = 0x9A
    QOS_NOT_SUPPORTED = 0x9B
    USE_ANOTHER_SERVER = 0x9C
    SERVER_MOVED = 0x9D
    SHARED_SUBSCRIPTIONS_NOT_SUPPORTED = 0x9E
    CONNECTION_RATE_EXCEEDED = 0x9F
    MAXIMUM_CONNECT_TIME = 0xA0
    SUBSCRIPTION_IDENTIFIERS_NOT_SUPPORTED = 0xA1
    WILDCARD_SUBSCRIPTIONS_NOT_SUPPORTED = 0xA2


# Which packet may carry which reason, packet by packet as its section lists them.

CONNACK_REASONS = frozenset(  # 3.2.2.2 [MQTT-3.2.2-8]
    map(
        Reason,
        (
            *(0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C),
            *(0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F),
        ),
    )
)
PUBACK_REASONS = PUBREC_REASONS = frozenset(  # 3.4.2.1 [MQTT-3.4.2-1], 3.5.2.1 [MQTT-3.5.2-1]
    map(Reason, (0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99))
)
PUBREL_REASONS = PUBCOMP_REASONS = frozenset(  # 3.6.2.1 [MQTT-3.6.2-1], 3.7.2.1 [MQTT-3.7.2-1]
    map(Reason, (0x00, 0x92))
)
SUBACK_REASONS = frozenset(  # 3.9.3 [MQTT-3.9.3-2]
    map(Reason, (0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2))
)
UNSUBACK_REASONS = frozenset(  # 3.11.3 [MQTT-3.11.3-2]
    map(Reason, (0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91))
)
DISCONNECT_REASONS = frozenset(  # 3.14.2.1 [MQTT-3.14.2-1]; 0x8C stands in the table of 2.4 only
    map(
        Reason,
        (
            *(0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8C, 0x8D, 0x8E, 0x8F),
            *(0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F),
            *(0xA0, 0xA1, 0xA2),
        ),
    )
)
AUTH_REASONS = frozenset(map(Reason, (0x00, 0x18, 0x19)))  # 3.15.2.1 [MQTT-3.15.2-1]


# What 3.1 and 3.1.1 clients are told (3.1.1: table 3.1). A refusal that will pass with time is
# "server unavailable", one that will not is "not authorized", so that a client may know whether to
# come again.
CONNACK_RETURN_CODES: dict[Reason, int] = {
    Reason.SUCCESS: 0,
    Reason.UNSUPPORTED_PROTOCOL_VERSION: 1,
    Reason.CLIENT_IDENTIFIER_NOT_VALID: 2,
    Reason.SERVER_UNAVAILABLE: 3,
    Reason.SERVER_BUSY: 3,
    Reason.QUOTA_EXCEEDED: 3,
    Reason.USE_ANOTHER_SERVER: 3,
    Reason.SERVER_MOVED: 3,
    Reason.CONNECTION_RATE_EXCEEDED: 3,
    Reason.UNSPECIFIED_ERROR: 3,
    Reason.IMPLEMENTATION_SPECIFIC_ERROR: 3,
    Reason.BAD_USER_NAME_OR_PASSWORD: 4,
    Reason.NOT_AUTHORIZED: 5,
    Reason.BANNED: 5,
    Reason.BAD_AUTHENTICATION_METHOD: 5,
    Reason.MALFORMED_PACKET: 5,
    Reason.PROTOCOL_ERROR: 5,
    Reason.TOPIC_NAME_INVALID: 5,
    Reason.PACKET_TOO_LARGE: 5,
    Reason.PAYLOAD_FORMAT_INVALID: 5,
    Reason.RETAIN_NOT_SUPPORTED: 5,
    Reason.QOS_NOT_SUPPORTED: 5,
}

# The same read by a client.
REASON_OF_RETURN_CODE: dict[int, Reason] = {
    0: Reason.SUCCESS,
    1: Reason.UNSUPPORTED_PROTOCOL_VERSION,
    2: Reason.CLIENT_IDENTIFIER_NOT_VALID,
    3: Reason.SERVER_UNAVAILABLE,
    4: Reason.BAD_USER_NAME_OR_PASSWORD,
    5: Reason.NOT_AUTHORIZED,
}
