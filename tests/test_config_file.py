"""What the configuration file may say, what it may not, and where the finger points."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config import ClusterSection, Config, ConfigError, GatewaySection, Problem, SerialPort
from gateway.config_file import parse

KEY = "correct-horse-battery"
FILES = {"good.key": f"{KEY}\n", "short.key": "short"}
CASES = tomllib.loads((Path(__file__).parent / "config" / "problems.toml").read_text())["case"]


def read_file(name: str) -> str:
    if name == "binary.key":
        return b"\xff".decode()
    if name not in FILES:
        raise FileNotFoundError(2, "No such file or directory", name)
    return FILES[name]


def problems_of(text: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        parse(text, "gateway.toml", read_file)
    return caught.value.problems


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_every_problem_is_reported_with_its_line_its_key_and_what_is_allowed(case):
    problems = problems_of(case["text"])
    found = [f"{problem.line}: {problem.key}" for problem in problems]
    assert found == [place for place, _ in case["problems"]]
    for problem, (_, words) in zip(problems, case["problems"], strict=True):
        assert words in f"{problem.text}; {problem.remedy}"
        assert "\n" not in problem.text + problem.remedy


def test_an_empty_file_is_all_defaults():
    assert parse("", "gateway.toml") == Config()


def test_what_is_written_is_what_comes_out():
    config = parse(
        """
        [gateway]
        name = "gw1"
        address = "127.0.0.1"
        [cluster]
        name = "home"
        key_file = "good.key"
        peers = ["gw2", "10.0.0.3:7883", "[fe80::1]:7883", "gw4.local"]
        heartbeat_s = 1
        [[serial]]
        name = "scale"
        usb = "0403:6001:A50285BI"
        format = "csv"
        columns = ["weight", "unit"]
        stop_bits = 2
        topic = "{port}/of/{gateway}"
        [[serial]]
        name = "meter"
        path = "/dev/ttyAMA0"
        """,
        "gateway.toml",
        read_file,
    )
    assert config.gateway == GatewaySection(name="gw1", address="127.0.0.1")
    peers = ("gw2", "10.0.0.3:7883", "[fe80::1]:7883", "gw4.local")
    assert config.cluster == ClusterSection("home", KEY, peers=peers, heartbeat_s=1.0)
    assert config.serial == (
        SerialPort(
            "scale",
            usb="0403:6001:A50285BI",
            format="csv",
            columns=("weight", "unit"),
            stop_bits=2,
            topic="{port}/of/{gateway}",
        ),
        SerialPort("meter", path="/dev/ttyAMA0"),
    )
    assert config.cluster is not None
    assert isinstance(config.cluster.heartbeat_s, float)


def test_a_problem_is_printed_as_one_line_that_editors_can_follow():
    with pytest.raises(ConfigError) as caught:
        parse("[mqtt]\nport = 0\n[x]\n", "/etc/gateway/gateway.toml")
    assert caught.value.lines() == [
        "/etc/gateway/gateway.toml:2: mqtt.port: 0 is out of range; "
        "allowed: a whole number from 1 to 65535",
        "/etc/gateway/gateway.toml:3: x: there is no such section; "
        "allowed: [gateway], [mqtt], [tls], [proxy], [storage], [metrics], "
        "[cluster], [[durability]], [[serial]]",
    ]
    assert str(caught.value) == "\n".join(caught.value.lines())


def test_the_cluster_key_is_in_no_repr_and_in_no_message():
    config = parse(f'[cluster]\nname = "home"\nkey = "{KEY}"\n', "gateway.toml")
    assert config.cluster is not None
    assert config.cluster.key == KEY
    assert KEY not in repr(config)
    for wrong in (f'key = " {KEY}"', f'key = ["{KEY}"]', f'keys = "{KEY}"', f'key = "{KEY}'):
        problems = problems_of(f'[cluster]\nname = "home"\n{wrong}\n')
        assert KEY not in repr(problems)


def test_a_text_or_a_number_of_any_length_is_shown_in_one_short_line():
    (long,) = problems_of(f'[gateway]\naddress = "{"x" * 5000}"\n')
    assert len(long.text) < 100
    (huge,) = problems_of(f"[mqtt]\nport = 0x{'f' * 5000}\n")
    assert huge.text == "the number is out of range"


def test_a_file_of_any_length_or_depth_is_refused_in_words():
    (long,) = problems_of("#" * 300_000)
    assert "300000 characters" in long.text
    (deep,) = problems_of("x = " + "[" * 20_000 + "]" * 20_000)
    assert deep.text


def test_more_ports_or_peers_than_a_gateway_can_have_are_refused():
    port = '[[serial]]\nname = "p{0}"\npath = "/dev/p{0}"\n'
    assert len(parse("".join(port.format(n) for n in range(64)), "x").serial) == 64
    (problem,) = problems_of("".join(port.format(n) for n in range(65)))
    assert (problem.line, problem.text) == (1, "has 65 ports")
    peers = ", ".join(f'"gw{n}"' for n in range(65))
    cluster = f'[cluster]\nname = "home"\nkey = "{KEY}"\npeers = [{peers}]\n'
    (problem,) = problems_of(cluster)
    assert (problem.line, problem.text) == (4, "has 65 elements")


KEYS = ["port", "name", "key", "peers", "columns", "heartbeat_s", "stop_bits", "path", "topic", "x"]
VALUES = st.sampled_from(
    ["1", "-1", "1.5", "nan", "true", '"gw"', '""', "[]", '["a"]', "{}", "1979-05-27", "[1, [2]]"]
)
LINES = st.one_of(
    st.sampled_from(["[gateway]", "[mqtt]", "[cluster]", "[[serial]]", "[x]", "# word", ""]),
    st.builds("{} = {}".format, st.sampled_from(KEYS), VALUES),
)


@given(st.one_of(st.text(), st.lists(LINES, max_size=12).map("\n".join)))
@example("serial = [[]]\ncluster = []")
@example("mqtt = {port = 1, port.x = 2}")
def test_any_text_is_a_configuration_or_a_list_of_problems(text):
    try:
        config = parse(text, "gateway.toml", read_file)
    except ConfigError as error:
        lines = [problem.line for problem in error.problems]
        assert lines == sorted(lines)
        assert all(1 <= line <= text.count("\n") + 1 for line in lines)
        assert all(line.isprintable() for line in error.lines())
    else:
        assert isinstance(config, Config)
