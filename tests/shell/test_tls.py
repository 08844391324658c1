"""The keys of the links, between real sockets: who is let in, and that no clock keeps anybody out."""

import socket
import ssl
import threading
from datetime import UTC, datetime

import pytest
from cryptography import x509

from gateway.shell.tls import ClusterKeys, LinkContexts, certified_gateway, link_contexts, stretch

TIMEOUT_S = 5.0


@pytest.fixture(scope="module")
def keys() -> ClusterKeys:
    return stretch("plant", "correct horse battery staple")


@pytest.fixture(scope="module")
def other_keys() -> ClusterKeys:
    return stretch("plant", "another key altogether")


class Side:
    """One end of a handshake: what came of it."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.certified = ""
        self.version: str | None = None
        self.got = b""
        self.context: ssl.SSLContext | None = None


def talk(
    dialling: ssl.SSLContext, accepting: ssl.SSLContext, name: str | None = None
) -> tuple[Side, Side]:
    """A handshake over loopback, in which this name is asked for, and a word each way."""
    sides = Side(), Side()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT_S)

        def accept() -> None:
            plain, _ = server.accept()
            _hold(plain, accepting, sides[1], server_side=True)

        thread = threading.Thread(target=accept)
        thread.start()
        plain = socket.create_connection(server.getsockname(), TIMEOUT_S)
        _hold(plain, dialling, sides[0], server_side=False, name=name)
        thread.join(TIMEOUT_S)
    return sides


def _hold(
    plain: socket.socket,
    context: ssl.SSLContext,
    side: Side,
    server_side: bool,
    name: str | None = None,
) -> None:
    plain.settimeout(TIMEOUT_S)
    try:
        with context.wrap_socket(plain, server_side=server_side, server_hostname=name) as secured:
            side.context = secured.context
            side.certified = certified_gateway(secured.getpeercert())  # type: ignore[arg-type]
            side.version = secured.version()
            secured.sendall(b"word")
            side.got = secured.recv(4)
    except OSError as error:
        side.error = error
    finally:
        plain.close()


def test_two_with_the_same_key_know_each_other_by_id(keys: ClusterKeys) -> None:
    a, b = link_contexts(keys, "aaaa"), link_contexts(keys, "bbbb")
    dialled, accepted = talk(a.dialling, b.accepting)
    assert (dialled.error, accepted.error) == (None, None)
    assert (dialled.certified, accepted.certified) == ("bbbb", "aaaa")
    assert dialled.version == accepted.version == "TLSv1.3"
    assert (dialled.got, accepted.got) == (b"word", b"word")


def test_another_key_is_refused_by_both_sides(keys: ClusterKeys, other_keys: ClusterKeys) -> None:
    ours, theirs = link_contexts(keys, "aaaa"), link_contexts(other_keys, "bbbb")
    for one, other in ((ours, theirs), (theirs, ours)):
        dialled, accepted = talk(one.dialling, other.accepting)
        assert isinstance(dialled.error, ssl.SSLError)
        assert isinstance(accepted.error, ssl.SSLError)
        assert not dialled.got and not accepted.got


def test_the_accepting_side_alone_refuses_another_key(
    keys: ClusterKeys, other_keys: ClusterKeys
) -> None:
    stranger = link_contexts(other_keys, "bbbb").dialling
    stranger.verify_mode = ssl.CERT_NONE  # it would take anybody
    dialled, accepted = talk(stranger, link_contexts(keys, "aaaa").accepting)
    assert isinstance(accepted.error, ssl.SSLError)
    assert dialled.got == b""


def test_the_dialling_side_alone_refuses_another_key(
    keys: ClusterKeys, other_keys: ClusterKeys
) -> None:
    stranger = link_contexts(other_keys, "bbbb").accepting
    stranger.verify_mode = ssl.CERT_NONE
    dialled, _ = talk(link_contexts(keys, "aaaa").dialling, stranger)
    assert isinstance(dialled.error, ssl.SSLCertVerificationError)


def test_who_shows_no_certificate_is_refused(keys: ClusterKeys) -> None:
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.check_hostname, nobody.verify_mode = False, ssl.CERT_NONE
    dialled, accepted = talk(nobody, link_contexts(keys, "aaaa").accepting)
    assert isinstance(accepted.error, ssl.SSLError)
    assert dialled.got == b""


@pytest.mark.parametrize("dialling", [True, False])
def test_tls_12_is_refused(keys: ClusterKeys, dialling: bool) -> None:
    old = link_contexts(keys, "aaaa")
    for context in (old.dialling, old.accepting):
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    new = link_contexts(keys, "bbbb")
    sides = talk(*((old.dialling, new.accepting) if dialling else (new.dialling, old.accepting)))
    assert all(isinstance(side.error, OSError) for side in sides)


def _load(contexts: LinkContexts) -> list[x509.Certificate]:
    """The authority, as the contexts trust it."""
    return [
        x509.load_der_x509_certificate(der)
        for der in contexts.accepting.get_ca_certs(binary_form=True)
    ]


@pytest.mark.parametrize("year", [1970, 9998])
def test_certificates_are_valid_whatever_the_clock_says(keys: ClusterKeys, year: int) -> None:
    now = datetime(year, 1, 1, 0, 0, 1, tzinfo=UTC)
    contexts = link_contexts(keys, "aaaa")
    (authority,) = _load(contexts)
    seen = [authority, _shown(contexts)]
    for certificate in seen:
        assert certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc


def _shown(contexts: LinkContexts) -> x509.Certificate:
    """The certificate that a gateway shows on its links."""
    found: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(TIMEOUT_S)

        def accept() -> None:
            plain, _ = server.accept()
            _hold(plain, contexts.accepting, Side(), server_side=True)

        thread = threading.Thread(target=accept)
        thread.start()
        plain = socket.create_connection(server.getsockname(), TIMEOUT_S)
        with contexts.dialling.wrap_socket(plain) as secured:
            found.append(secured.getpeercert(binary_form=True) or b"")
            secured.sendall(b"word")
            secured.recv(4)
        thread.join(TIMEOUT_S)
    return x509.load_der_x509_certificate(found[0])


def test_the_authority_is_the_same_on_every_gateway_and_signs_links_only(keys: ClusterKeys) -> None:
    authorities = [_load(link_contexts(keys, name))[0] for name in ("aaaa", "bbbb")]
    assert authorities[0].public_key() == authorities[1].public_key()
    usage = authorities[0].extensions.get_extension_for_class(x509.KeyUsage).value
    assert usage.key_cert_sign and not usage.digital_signature
    basic = authorities[0].extensions.get_extension_for_class(x509.BasicConstraints).value
    assert basic.ca and basic.path_length == 0


def test_a_link_certificate_cannot_sign_another(keys: ClusterKeys) -> None:
    shown = _shown(link_contexts(keys, "aaaa"))
    assert not shown.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


@pytest.mark.slow
def test_the_fingerprint_tells_keys_apart_and_does_not_show_them(
    keys: ClusterKeys, other_keys: ClusterKeys
) -> None:
    assert keys.fingerprint() != other_keys.fingerprint()
    assert keys.fingerprint() not in keys.secret.hex()
    assert stretch("plant", "correct horse battery staple") == keys
    assert stretch("greenhouse", "correct horse battery staple").secret != keys.secret
    assert keys.secret.hex() not in repr(keys)
