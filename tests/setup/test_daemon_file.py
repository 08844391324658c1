"""What is written for the daemons is read by them as it was meant."""

import tomllib

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import (
    ClusterSection,
    Config,
    DurabilityRule,
    GatewaySection,
    MqttSection,
    SerialPort,
)
from gateway.config_file import parse
from gateway.setup.daemon_file import daemon_file

NAMES = st.from_regex(r"[A-Za-z0-9]{1,8}", fullmatch=True)
VISIBLE = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
CLUSTERS = st.builds(
    ClusterSection,
    name=NAMES,
    key=VISIBLE.map(lambda text: f'{text}"\\#[correct-horse-battery'),
    discovery=st.booleans(),
    peers=st.lists(NAMES.map(lambda name: f"gw{name}:7883"), max_size=3).map(tuple),
    heartbeat_s=st.floats(0.05, 1.49),
)
PORTS = st.lists(
    st.builds(
        SerialPort,
        name=NAMES,
        path=VISIBLE.map(lambda text: f"/dev/{text}"),
        stop_bits=st.sampled_from([1.0, 1.5, 2.0]),
        format=st.just("csv"),
        columns=st.lists(VISIBLE, min_size=1, max_size=3, unique=True).map(tuple),
        retain=st.booleans(),
    ),
    max_size=3,
    unique_by=(lambda port: port.name, lambda port: port.path),
).map(tuple)
RULES = st.lists(
    st.builds(
        DurabilityRule,
        filter=NAMES.map(lambda name: f"{name}/#"),
        level=st.sampled_from(["mesh", "local", "memory"]),
    ),
    max_size=3,
    unique_by=lambda rule: rule.filter,
).map(tuple)
CONFIGS = st.builds(
    Config,
    gateway=st.builds(GatewaySection, name=NAMES),
    mqtt=st.builds(MqttSection, port=st.integers(1, 7000)),
    cluster=st.none() | CLUSTERS,
    serial=PORTS,
    durability=RULES,
)


@given(CONFIGS)
@settings(deadline=None)
def test_what_is_written_is_read_as_it_was(config: Config) -> None:
    assert parse(daemon_file(config), "gateway.toml") == config


def test_defaults_are_left_out() -> None:
    config = Config(GatewaySection(name="gw1"))
    assert tomllib.loads(daemon_file(config)) == {"gateway": {"name": "gw1"}, "mqtt": {}}


def test_a_value_cannot_break_out_of_its_line() -> None:
    config = Config(GatewaySection(name='x"\nkey = 1\x7f\u2028'))
    read = tomllib.loads(daemon_file(config))
    assert read["gateway"] == {"name": config.gateway.name}
