"""The installer's file as text: what it may say, and what is said back."""

import re
from pathlib import Path

import pytest

import gateway.setup
from gateway.config import ConfigError
from gateway.setup.installer import Installation, NetworkSection, parse_installation

TEMPLATE = Path(gateway.setup.__file__).parent / "template.toml"
KEY = "correct-horse-battery"
SSH_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPm4HBkCO8BC2jYsuvX0eJlKzPCGLQgNRgBbXhhqqQNC anna@laptop"
)
WHOLE = f"""\
[gateway]
name = "gw1"

[cluster]
name = "home"
key = "{KEY}"

[ssh]
keys = ["{SSH_KEY}"]

[network]
interface = "eth0"
address = "192.168.1.10/24"
gateway = "192.168.1.1"
dns = ["192.168.1.1", "2001:db8::1"]

[[serial]]
name = "scale"
usb = "0403:6001"

[mqtt]
allow_anonymous = "everywhere"
"""


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse_installation(text, "gateway.toml")
    return caught.value.lines()


def test_a_whole_file_is_understood() -> None:
    installation = parse_installation(WHOLE, "gateway.toml")
    config = installation.config
    assert config.gateway.name == "gw1"
    assert config.cluster is not None
    assert (config.cluster.name, config.cluster.key) == ("home", KEY)
    assert [port.usb for port in config.serial] == ["0403:6001"]
    assert config.mqtt.allow_anonymous == "everywhere"
    assert installation.ssh.keys == (SSH_KEY,)
    assert installation.network == NetworkSection(
        "eth0", "192.168.1.10/24", "192.168.1.1", ("192.168.1.1", "2001:db8::1")
    )


def test_lines_may_end_as_on_windows() -> None:
    windows = WHOLE.replace("\n", "\r\n")
    assert parse_installation(windows, "f") == parse_installation(WHOLE, "f")


def test_the_template_as_shipped_sets_nothing() -> None:
    assert parse_installation(TEMPLATE.read_text(), "gateway.toml") == Installation()


def test_every_example_of_the_template_is_allowed() -> None:
    text = re.sub(r"^#(?! )", "", TEMPLATE.read_text(), flags=re.M)
    text = text.replace('key = ""', f'key = "{KEY}"')
    text = re.sub(r'^# *"ssh-ed25519.*"', f'"{SSH_KEY}"', text, flags=re.M)
    text = re.sub(r'^ +"ssh-ed25519.*"', f'"{SSH_KEY}"', text, flags=re.M)
    installation = parse_installation(text, "gateway.toml")
    assert installation.ssh.keys == (SSH_KEY,)
    assert installation.network.address and installation.config.serial
    assert installation.config.cluster is not None


def test_the_template_fits_an_editor_of_any_kind() -> None:
    text = TEMPLATE.read_bytes()
    assert text.isascii()
    assert max(len(line) for line in text.splitlines()) <= 100


def test_everything_that_is_wrong_is_told_at_once() -> None:
    text = """\
[gateway]
name = "gw 1"
address = "0.0.0.0"
[cluster]
name = "home"
[ssh]
key = "x"
keys = ["ssh-dss AAAA"]
[network]
address = "192.168.1.10"
[serail]
[[serial]]
name = "scale"
"""
    assert [re.sub(r"; .*", "", line) for line in problems(text)] == [
        "gateway.toml:2: gateway.name: 'gw 1' is not a name",
        "gateway.toml:3: gateway.address: is not a key of [gateway]",
        "gateway.toml:4: cluster.key: is missing",
        "gateway.toml:7: ssh.key: is not a key of [ssh]",
        "gateway.toml:8: ssh.keys: does not begin with a type of key that is accepted",
        "gateway.toml:10: network.address: '192.168.1.10' does not end in the size of a LAN",
        "gateway.toml:11: serail: there is no such section",
        "gateway.toml:12: serial.path: neither path nor usb is given",
    ]


def test_a_key_in_the_wrong_place_is_sent_home() -> None:
    assert "it belongs below [network]" in problems('[gateway]\ndns = ["192.168.1.1"]\n')[0]


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ('address = "192.168.1.10"', "does not end in the size of a LAN"),
        ('address = "192.168.1.10/255.255.255.0"', "does not end in the size"),
        ('address = "192.168.1.10/0"', "does not end in the size"),
        ('address = "192.168.1.10/31"', "does not end in the size"),
        ('address = "192.168.1.300/24"', "is not an address with its network"),
        ('address = "192.168.1.0/24"', "is the network itself"),
        ('address = "192.168.1.255/24"', "is the network itself"),
        ('address = "127.0.0.1/8"', "cannot be the address of a box"),
        ('address = "224.0.0.5/24"', "cannot be the address of a box"),
        ('address = "0.0.0.5/24"', "cannot be the address of a box"),
        ('address = "fe80::1/64"', "is not an address with its network"),
        ('address = "192.168.1.10/24\\nDHCP=yes"', "is not an address with its network"),
        ("address = 7", "7 is not text in quotes"),
        ('gateway = "192.168.1.1"', "is given without address"),
        ('address = "10.0.0.2/24"\ngateway = "10.0.1.1"', "is not a box in 10.0.0.0/24"),
        ('address = "10.0.0.2/24"\ngateway = "10.0.0.0"', "is not a box in 10.0.0.0/24"),
        ('address = "10.0.0.2/24"\ngateway = "10.0.0.2"', "is the box's own address"),
        ('address = "10.0.0.2/24"\ngateway = "router"', "is not an IPv4 address"),
        ('dns = ["dns.example.org"]', "is not an IP address"),
        ('dns = ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]', "has 4 elements"),
        ('interface = "eth0 eth1"', "is not the name of a network interface"),
        ('interface = "eth0\\n[Network]"', "is not the name of a network interface"),
        ('interface = "a-name-of-sixteen"', "is not the name of a network interface"),
    ],
)
def test_a_network_that_cannot_work_is_refused(section: str, text: str) -> None:
    (problem,) = problems(f"[network]\n{section}\n")
    assert text in problem
    assert "; allowed: " in problem


def test_a_link_local_address_is_one() -> None:
    text = '[network]\naddress = "169.254.7.7/16"\n'
    assert parse_installation(text, "f").network.address == "169.254.7.7/16"


def test_neither_the_cluster_key_nor_an_ssh_key_is_repeated() -> None:
    text = f'[cluster]\nname = "home"\nkey = "{KEY} "\n[ssh]\nkeys = ["ssh-dss {KEY}"]\n'
    told = problems(text)
    assert len(told) == 2
    assert not any(KEY in line for line in told)


def test_a_file_that_is_no_toml_says_where() -> None:
    (problem,) = problems('[gateway]\nname = "gw1\n')
    assert problem.startswith("gateway.toml:2: this is not TOML: ")


def test_the_example_of_the_page_is_allowed() -> None:
    page = (TEMPLATE.parents[2] / "docs" / "installing.md").read_text()
    example = page.split("```toml\n")[1].split("```")[0]
    assert parse_installation(example, "gateway.toml").config.gateway.name == "gw1"


def test_the_mistake_of_the_page_is_told_so() -> None:
    page = (TEMPLATE.parents[2] / "docs" / "installing.md").read_text()
    assert problems('[gateway]\nname = "gw 1"\n')[0] in page
