"""The cluster keys in their file, and which of them two gateways take: real TLS, a real directory."""

import ssl
from pathlib import Path

import pytest

from gateway.keyring import Key
from gateway.shell.link_keys import FILE_NAME, LinkKeys
from gateway.shell.self_made import self_made
from gateway.shell.tls import ClusterKeys, link_contexts
from tests.authority import Authority
from tests.shell.test_tls import Side, talk

FIRST = ClusterKeys("plant", b"1" * 32)
SECOND = ClusterKeys("plant", b"2" * 32)
AT = (5, 0, "aaaa")


def key_of(keys: ClusterKeys) -> Key:
    return Key(keys.fingerprint(), keys.secret, AT)


def gateway(directory: Path, ours: ClusterKeys, *more: Key, name: str = "aaaa") -> LinkKeys:
    """A gateway's keys, with these besides the configuration's."""
    directory.mkdir(exist_ok=True)
    keys = LinkKeys(str(directory), ours, name)
    keys.keyring.merge(more)
    keys.use(keys.keyring.keys.values())
    return keys


def link(one: LinkKeys, other: LinkKeys, key: ClusterKeys) -> tuple[Side, Side]:
    dialling = one.dialling(key.fingerprint())
    assert dialling is not None
    return talk(dialling, other.accepting(), key.fingerprint())


def test_the_configuration_has_the_first_key(tmp_path: Path) -> None:
    keys = gateway(tmp_path, FIRST)
    assert keys.fingerprints() == [FIRST.fingerprint()]
    assert keys.notes == [] and not (tmp_path / FILE_NAME).exists()


def test_what_was_written_counts_while_it_knows_the_configurations_key(tmp_path: Path) -> None:
    written = [Key(FIRST.fingerprint(), b""), key_of(SECOND).kept("aaaa")]
    gateway(tmp_path, FIRST).write(written)
    for configured in (FIRST, SECOND):
        keys = gateway(tmp_path, configured)
        assert list(keys.keyring.keys.values()) == written and keys.notes == []
        assert keys.fingerprints() == [SECOND.fingerprint()]
        assert keys.over(FIRST.fingerprint()) and keys.dialling(FIRST.fingerprint()) is None
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600
    assert FIRST.secret not in (tmp_path / FILE_NAME).read_bytes()


def test_another_key_in_the_configuration_is_the_operators_word(tmp_path: Path) -> None:
    gateway(tmp_path, FIRST).write([Key(FIRST.fingerprint(), b""), key_of(SECOND)])
    third = ClusterKeys("plant", b"3" * 32)
    keys = gateway(tmp_path, third)
    assert keys.fingerprints() == [third.fingerprint()]
    assert "set aside as cluster-keys.aside-1" in keys.notes[0]
    assert (tmp_path / f"{FILE_NAME}.aside-1").exists()


@pytest.mark.parametrize("content", [b"", b"\x01", b"no keys at all" * 9, b"\x93\x02\xa5plant\x90"])
def test_a_file_that_cannot_be_used_is_set_aside(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    keys = gateway(tmp_path, FIRST)
    assert keys.fingerprints() == [FIRST.fingerprint()]
    assert (tmp_path / f"{FILE_NAME}.aside-1").read_bytes() == content


def test_the_key_of_another_cluster_is_not_taken(tmp_path: Path) -> None:
    gateway(tmp_path, FIRST).write([key_of(FIRST)])
    keys = gateway(tmp_path, ClusterKeys("greenhouse", FIRST.secret))
    assert "another cluster" in keys.notes[0]


@pytest.mark.parametrize("key", [FIRST, SECOND])
def test_of_two_keys_both_sides_take_the_one_that_is_asked_for(
    tmp_path: Path, key: ClusterKeys
) -> None:
    one = gateway(tmp_path / "a", FIRST, key_of(SECOND), name="aaaa")
    other = gateway(tmp_path / "b", FIRST, key_of(SECOND), name="bbbb")
    dialled, accepted = link(one, other, key)
    assert (dialled.error, accepted.error) == (None, None)
    assert (dialled.certified, accepted.certified) == ("bbbb", "aaaa")
    assert accepted.context is not None
    assert other.accepted_by(accepted.context) == key.fingerprint()
    other.use([Key(key.fingerprint(), b"")])
    assert other.accepted_by(accepted.context) == key.fingerprint()


def test_who_has_not_heard_of_the_new_key_comes_in_with_the_old_one(tmp_path: Path) -> None:
    away = gateway(tmp_path / "a", FIRST, name="aaaa")
    other = gateway(tmp_path / "b", FIRST, key_of(SECOND), name="bbbb")
    assert link(away, other, FIRST)[0].error is None
    assert link(other, away, FIRST)[0].error is None
    dialled, _ = link(other, away, SECOND)
    assert isinstance(dialled.error, ssl.SSLError)
    assert "UNRECOGNIZED_NAME" in dialled.error.reason


def test_a_version_that_does_not_say_which_key_is_taken_by_the_oldest(tmp_path: Path) -> None:
    other = gateway(tmp_path, FIRST, key_of(SECOND), name="bbbb")
    dialled, accepted = talk(link_contexts(FIRST, "aaaa").dialling, other.accepting())
    assert dialled.error is None and accepted.certified == "aaaa"


def test_a_key_that_is_over_lets_nobody_in_and_is_known_as_such(tmp_path: Path) -> None:
    away = gateway(tmp_path / "a", FIRST, name="aaaa")
    over = Key(FIRST.fingerprint(), b"")
    other = gateway(tmp_path / "b", FIRST, key_of(SECOND), over, name="bbbb")
    dialled, accepted = link(away, other, FIRST)
    assert isinstance(dialled.error, ssl.SSLError) and isinstance(accepted.error, ssl.SSLError)
    assert not dialled.got and not accepted.got
    assert other.over(other.stranger()) and other.stranger() == ""
    # nor does it help the thief of the old key to name the new one, or none
    for name in (SECOND.fingerprint(), None):
        thief = link_contexts(FIRST, "aaaa").dialling
        thief.verify_mode = ssl.CERT_NONE
        dialled, accepted = talk(thief, other.accepting(), name)
        assert isinstance(accepted.error, ssl.SSLError) and not dialled.got


@pytest.mark.slow
def test_certificates_of_clients_and_servers_make_no_link(tmp_path: Path) -> None:
    other = gateway(tmp_path, FIRST, name="bbbb")
    server = tmp_path / "server.pem"
    server.write_bytes(self_made(["gw1"], ["127.0.0.1"]))
    for certificate, key in (Authority(tmp_path).sign("aaaa"), (server, server)):
        client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
        client.load_cert_chain(certificate, key)
        dialled, accepted = talk(client, other.accepting(), FIRST.fingerprint())
        assert isinstance(accepted.error, ssl.SSLCertVerificationError) and not dialled.got
