"""Any packet that a version can say, for the property tests; and how often they try.

The table of properties is a second reading of the specification's table 2-4 and shares nothing
with the one in gateway/mqtt/properties.py.
"""

from functools import cache

from hypothesis import settings
from hypothesis import strategies as st

from gateway.mqtt import packets, reasons
from gateway.mqtt.packets import Version
from gateway.mqtt.properties import NO_PROPERTIES, Properties
from gateway.mqtt.reasons import Reason

# The same examples in every run: a failure is one that somebody can repeat.
repeatable = settings(derandomize=True, max_examples=150, deadline=None, database=None)
often = settings(repeatable, max_examples=1_500)  # for what draws little

_ACKS = "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH"
_ALL = f"CONNECT PUBLISH WILL SUBSCRIBE UNSUBSCRIBE {_ACKS}"

texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12
) | st.sampled_from(["", "a", "é€🌍", "\ufeff"])
datas = st.binary(max_size=12)
bits = st.integers(0, 1)
u16s = st.integers(0, 0xFFFF) | st.sampled_from([0, 1, 0xFFFF])
u16s_not_0 = st.integers(1, 0xFFFF)
u32s = st.integers(0, 0xFFFF_FFFF)
varints_not_0 = st.integers(1, 268_435_455) | st.sampled_from([1, 127, 128, 16_383, 16_384])
qos = st.integers(0, 2)
topics = texts.map(lambda text: text.replace("+", "p").replace("#", "h") or "t")
pairs = st.tuples(texts, texts)

PROPERTIES = {  # field: (its values, what may carry it)
    "payload_format_indicator": (bits, "PUBLISH WILL"),
    "message_expiry_interval_s": (u32s, "PUBLISH WILL"),
    "content_type": (texts, "PUBLISH WILL"),
    "response_topic": (topics, "PUBLISH WILL"),
    "correlation_data": (datas, "PUBLISH WILL"),
    "subscription_identifiers": (st.tuples(varints_not_0), "PUBLISH SUBSCRIBE"),
    "session_expiry_interval_s": (u32s, "CONNECT CONNACK DISCONNECT"),
    "assigned_client_identifier": (texts, "CONNACK"),
    "server_keep_alive_s": (u16s, "CONNACK"),
    "authentication_method": (texts, "CONNECT CONNACK AUTH"),
    "authentication_data": (datas, "CONNECT CONNACK AUTH"),
    "request_problem_information": (st.booleans(), "CONNECT"),
    "will_delay_interval_s": (u32s, "WILL"),
    "request_response_information": (st.booleans(), "CONNECT"),
    "response_information": (texts, "CONNACK"),
    "server_reference": (texts, "CONNACK DISCONNECT"),
    "reason_string": (texts, _ACKS),
    "receive_maximum": (u16s_not_0, "CONNECT CONNACK"),
    "topic_alias_maximum": (u16s, "CONNECT CONNACK"),
    "topic_alias": (u16s_not_0, "PUBLISH"),
    "maximum_qos": (bits, "CONNACK"),
    "retain_available": (st.booleans(), "CONNACK"),
    "user_properties": (st.lists(pairs, min_size=1, max_size=3).map(tuple), _ALL),
    "maximum_packet_size_bytes": (st.integers(1, 0xFFFF_FFFF), "CONNECT CONNACK"),
    "wildcard_subscription_available": (st.booleans(), "CONNACK"),
    "subscription_identifiers_available": (st.booleans(), "CONNACK"),
    "shared_subscription_available": (st.booleans(), "CONNACK"),
}

_levels = st.sampled_from(["+", "", "a", "b", "$c"]) | texts.map(
    lambda text: "".join(each for each in text if each not in "/+#")
)
plain_filters = st.builds(
    lambda levels, hash_: "/".join(levels + ["#"] * hash_) or "#",
    st.lists(_levels, min_size=1, max_size=6),
    st.booleans(),
).filter(lambda topic_filter: not topic_filter.startswith("$share/"))
filters = plain_filters | plain_filters.map(lambda topic_filter: f"$share/group/{topic_filter}")


def properties(carrier: str, version: Version, always: str = "") -> st.SearchStrategy[Properties]:
    """Any set of properties that `carrier` may carry; the one named `always` is not left out."""
    if version is not Version.MQTT5:
        return st.just(NO_PROPERTIES)
    mine = {
        name: values
        for name, (values, carriers) in PROPERTIES.items()
        if carrier in carriers.split()
    }
    needed = {always: mine.pop(always)} if always else {}
    return st.fixed_dictionaries(needed, optional=mine).map(lambda given: Properties(**given))


@cache  # made anew for each example, strategies fill hypothesis' own caches and slow it down
def packets_of(version: Version) -> st.SearchStrategy[packets.Packet]:
    """Any packet of a version."""
    kinds = [
        *(_connects(version), _connacks(version), publishes(version), _subscribes(version)),
        *(_subacks(version), _unsubscribes(version), _unsubacks(version), _disconnects(version)),
        *(st.just(packets.PingReq()), st.just(packets.PingResp())),
        *(_acknowledgements(version)),
    ]
    if version is Version.MQTT5:
        kinds.append(st.just(packets.Auth()))
        kinds.append(
            st.builds(
                packets.Auth,
                st.sampled_from(sorted(reasons.AUTH_REASONS)),
                properties("AUTH", version, always="authentication_method"),
            )
        )
    return st.one_of(kinds)


def _connects(version: Version) -> st.SearchStrategy[packets.Connect]:
    wills = st.builds(packets.Will, topics, datas, qos, st.booleans(), properties("WILL", version))
    client_ids = texts.filter(bool) if version is Version.MQTT31 else texts

    def fits(connect: packets.Connect) -> bool:
        if version is not Version.MQTT5 and connect.username is None and connect.password:
            return False
        given = connect.properties
        return given.authentication_data is None or given.authentication_method is not None

    connects = st.builds(
        packets.Connect,
        st.just(version),
        client_ids,
        st.booleans(),
        u16s,
        st.none() | wills,
        st.none() | texts,
        st.none() | datas.filter(bool),
        properties("CONNECT", version),
    )
    return connects.filter(fits)


def _connacks(version: Version) -> st.SearchStrategy[packets.ConnAck]:
    if version is Version.MQTT5:
        refusals = sorted(reasons.CONNACK_REASONS)
    else:
        refusals = list(reasons.REASON_OF_RETURN_CODE.values())
    given = properties("CONNACK", version)
    refused = st.builds(packets.ConnAck, st.just(False), st.sampled_from(refusals), given)
    if version is Version.MQTT31:
        return refused
    return refused | st.builds(packets.ConnAck, st.just(True), st.just(Reason.SUCCESS), given)


def publishes(version: Version) -> st.SearchStrategy[packets.Publish]:
    given = properties("PUBLISH", version)
    payloads = st.binary(max_size=300)
    once = st.builds(packets.Publish, topics, payloads, st.just(0), st.booleans(), properties=given)
    more = st.builds(
        packets.Publish,
        *(topics, payloads, st.integers(1, 2), st.booleans(), st.booleans(), u16s_not_0, given),
    )
    if version is not Version.MQTT5:
        return once | more
    by_alias = properties("PUBLISH", version, always="topic_alias")
    return once | more | st.builds(packets.Publish, st.just(""), payloads, properties=by_alias)


def _acknowledgements(version: Version) -> list[st.SearchStrategy[packets.Packet]]:
    kinds = (
        (packets.PubAck, "PUBACK", reasons.PUBACK_REASONS),
        (packets.PubRec, "PUBREC", reasons.PUBREC_REASONS),
        (packets.PubRel, "PUBREL", reasons.PUBREL_REASONS),
        (packets.PubComp, "PUBCOMP", reasons.PUBCOMP_REASONS),
    )
    if version is not Version.MQTT5:
        return [st.builds(make, u16s_not_0) for make, _, _ in kinds]
    return [
        st.builds(make, u16s_not_0, st.sampled_from(sorted(allowed)), properties(carrier, version))
        for make, carrier, allowed in kinds
    ]


def _subscribes(version: Version) -> st.SearchStrategy[packets.Subscribe]:
    plain = st.builds(packets.Subscription, filters, qos)
    if version is Version.MQTT5:
        flags = (st.booleans(), st.integers(0, 2))
        plain = st.builds(packets.Subscription, plain_filters, qos, st.booleans(), *flags)
        shared = st.builds(packets.Subscription, filters, qos, st.just(False), *flags)
        plain = plain | shared
    lists = st.lists(plain, min_size=1, max_size=4).map(tuple)
    return st.builds(packets.Subscribe, u16s_not_0, lists, properties("SUBSCRIBE", version))


def _subacks(version: Version) -> st.SearchStrategy[packets.SubAck]:
    allowed = sorted(reasons.SUBACK_REASONS)
    if version is not Version.MQTT5:
        allowed = allowed[:4]
    lists = st.lists(st.sampled_from(allowed), min_size=1, max_size=4).map(tuple)
    return st.builds(packets.SubAck, u16s_not_0, lists, properties("SUBACK", version))


def _unsubscribes(version: Version) -> st.SearchStrategy[packets.Unsubscribe]:
    lists = st.lists(filters, min_size=1, max_size=4).map(tuple)
    return st.builds(packets.Unsubscribe, u16s_not_0, lists, properties("UNSUBSCRIBE", version))


def _unsubacks(version: Version) -> st.SearchStrategy[packets.UnsubAck]:
    if version is not Version.MQTT5:
        return st.builds(packets.UnsubAck, u16s_not_0)
    codes = st.sampled_from(sorted(reasons.UNSUBACK_REASONS))
    lists = st.lists(codes, min_size=1, max_size=4).map(tuple)
    return st.builds(packets.UnsubAck, u16s_not_0, lists, properties("UNSUBACK", version))


def _disconnects(version: Version) -> st.SearchStrategy[packets.Disconnect]:
    if version is not Version.MQTT5:
        return st.just(packets.Disconnect())
    codes = st.sampled_from(sorted(reasons.DISCONNECT_REASONS))
    return st.builds(packets.Disconnect, codes, properties("DISCONNECT", version))
