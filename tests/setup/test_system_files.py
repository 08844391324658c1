"""The texts of hosts, authorized keys and the network's file."""

import configparser

import pytest

from gateway.setup.installer import NetworkSection, SshSection
from gateway.setup.system_files import authorized_keys_file, hosts_file, network_file


def network(section: NetworkSection) -> dict[str, dict[str, str]]:
    parser = configparser.ConfigParser()
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(network_file(section))
    return {name: dict(parser[name]) for name in parser.sections()}


def test_without_a_word_it_is_dhcp_on_every_wire() -> None:
    written = network(NetworkSection())
    assert written["Match"]["Name"] == "en* eth*"
    assert written["Network"]["DHCP"] == "yes"
    assert "Address" not in written["Network"]


def test_a_fixed_address_asks_nobody() -> None:
    section = NetworkSection("eth1", "192.168.1.10/24", "192.168.1.1", ("9.9.9.9",))
    written = network(section)
    assert written["Match"]["Name"] == "eth1"
    assert written["Network"]["DHCP"] == "no"
    assert written["Network"]["Address"] == "192.168.1.10/24"
    assert written["Network"]["Gateway"] == "192.168.1.1"
    assert written["Network"]["DNS"] == "9.9.9.9"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"),
        ("127.0.0.1 localhost\n", "127.0.0.1 localhost\n"),
        ("127.0.1.1 old\n127.0.0.1 localhost\n10.0.0.9 plc", "127.0.0.1 localhost\n10.0.0.9 plc\n"),
    ],
)
def test_the_box_knows_its_own_name_and_keeps_other_lines(before: str, after: str) -> None:
    expected = after + "127.0.1.1\tgw1.local gw1\n"
    assert hosts_file(before, "gw1") == expected
    assert hosts_file(expected, "gw1") == expected


def test_a_key_may_log_in_and_forward_nothing() -> None:
    lines = authorized_keys_file(SshSection(("ssh-ed25519 AAAA anna", "ssh-rsa BBBB"))).splitlines()
    assert lines[1:] == ["restrict,pty ssh-ed25519 AAAA anna", "restrict,pty ssh-rsa BBBB"]
