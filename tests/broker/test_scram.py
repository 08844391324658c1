"""SCRAM-SHA-256: the vector of RFC 7677, another implementation as the client, and what does not fit."""

from base64 import b64decode, b64encode
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scramp import ScramClient, ScramException, ScramMechanism
from scramp.utils import saslprep as theirs

from gateway.broker.scram import (
    CLIENT_NONCE_CHARACTERS_MAX,
    ITERATIONS_MIN,
    MESSAGE_BYTES_MAX,
    METHOD,
    Exchange,
    Keys,
    Step,
    make_keys,
)

SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
PENCIL = make_keys("pencil", SALT, 4_096)
NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
FULL_NONCE = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
PROOF = b"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
FINAL = b"c=biws," + FULL_NONCE + b"," + PROOF


def exchange(keys: Keys = PENCIL) -> Exchange:
    return Exchange(NONCE, lambda user: keys)


def test_the_vector_of_rfc_7677() -> None:
    one = exchange()
    assert one.challenge(FIRST) == FULL_NONCE + b",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    assert one.user == "user"
    assert one.signature(FINAL) == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    assert one.step is Step.NOTHING


def test_the_keys_are_those_of_another_implementation() -> None:
    salt, stored, server, iterations = ScramMechanism().make_auth_info("pencil", 4_096, SALT)
    assert Keys(iterations, salt, stored, server) == PENCIL


TYPED = st.text("abc=, äß\u00aa\u0627\u00ad", min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(TYPED, TYPED, TYPED)
@example("=", "=", "\u00ad")
def test_another_implementation_as_the_client_is_understood(
    user: str, password: str, tried: str
) -> None:
    try:
        keys = make_keys(password, SALT, ITERATIONS_MIN)
        client = ScramClient([METHOD], user, tried)
        first = client.get_client_first()
    except (ValueError, ScramException):
        return
    asked: list[str] = []
    one = Exchange(NONCE, lambda name: asked.append(name) or keys)  # type: ignore[func-returns-value]
    client.set_server_first(one.challenge(first.encode()).decode())
    signature = one.signature(client.get_client_final().encode())
    assert (signature is not None) == (theirs(tried) == theirs(password))
    if signature is not None:
        client.set_server_final(signature.decode())
        assert asked == [one.user]


@pytest.mark.parametrize(
    ("final", "keys"),
    [
        (FINAL.replace(b"dHzb", b"dHzc"), PENCIL),
        (FINAL, replace(PENCIL, stored=bytes(32))),
        (b"c=biws," + FULL_NONCE + b",x=1," + PROOF, PENCIL),  # it is not what was signed
    ],
)
def test_a_proof_that_does_not_fit_is_no_proof(final: bytes, keys: Keys) -> None:
    one = exchange(keys)
    one.challenge(FIRST)
    assert one.signature(final) is None


@pytest.mark.parametrize(
    ("final", "why"),
    [
        (b"", "not the form"),
        (b"\xff", "no UTF-8"),
        (FULL_NONCE + b"," + PROOF, "not those of a SCRAM message"),
        (b"c=biws," + FULL_NONCE, "not the form"),
        (b"c=eSws," + FULL_NONCE + b"," + PROOF, "does not belong"),  # y,, and it began with n,,
        (b"c=biws,r=rOprNGfwEbeRWgbNEkqO," + PROOF, "does not belong"),
        (b"c=biws," + FULL_NONCE + b"x," + PROOF, "does not belong"),
        (b"c=biws," + FULL_NONCE + b",p=!", "no base64"),
        (b"c=biws," + FULL_NONCE + b",p=AAAA", "32 bytes"),
        (FINAL + b",x=1", "no base64"),  # nothing may follow the proof
        (b"x" * (MESSAGE_BYTES_MAX + 1), "more than"),
    ],
)
def test_a_last_message_that_is_none_is_refused_and_says_why(final: bytes, why: str) -> None:
    one = exchange()
    one.challenge(FIRST)
    with pytest.raises(ValueError, match=why):
        one.signature(final)
    assert one.step is Step.NOTHING


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (b"", "no first message"),
        (b"n=user,r=nonce", "no first message"),
        (b"p=tls-unique,,n=user,r=nonce", "channel binding is not offered"),
        (b"x,,n=user,r=nonce", "neither n, y nor p"),
        (b"n,a=other,n=user,r=nonce", "another user"),
        (b"n,b=user,n=user,r=nonce", "not those"),
        (b"n,,m=1,n=user,r=nonce", "extension"),
        (b"n,,r=nonce,n=user", "not those"),
        (b"n,,n=user", "not those"),
        (b"n,,n=,r=nonce", "not the form"),
        (b"n,,n=user,r=", "not the form"),
        (b"n,,n=us=er,r=nonce", "=3D"),
        (b"n,,n=us\0er,r=nonce", "zero byte"),
        (b"n,,n=us\x07er,r=nonce", "control character"),
        (b"n,,n=user,r=no\xc3\xa9nce", "nonce"),
        (b"n,,n=user,r=" + b"x" * (CLIENT_NONCE_CHARACTERS_MAX + 1), "too long"),
        (b"n,,n=\xff,r=nonce", "no UTF-8"),
        (b"n,,n=" + b"x" * MESSAGE_BYTES_MAX + b",r=nonce", "more than"),
    ],
)
def test_a_first_message_that_is_none_is_refused_and_says_why(first: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        exchange().challenge(first)


@pytest.mark.parametrize(
    ("header", "user"),
    [("n,,", "user"), ("y,,", "user"), ("n,a=user,", "user"), ("y,,", "a=2Cb=3Dc")],
)
def test_a_client_may_say_that_it_could_bind_the_channel_and_who_it_acts_for(
    header: str, user: str
) -> None:
    one = exchange()
    one.challenge(f"{header}n={user},r=abc,x=an extension that may be left aside".encode())
    assert one.user == user.replace("=2C", ",").replace("=3D", "=")
    binding = b64encode(header.encode()).decode()
    final = f"c={binding},r=abc{NONCE},p={b64encode(bytes(32)).decode()}"
    assert one.signature(final.encode()) is None, "well-formed, and no proof"


def test_the_secrets_do_not_show() -> None:
    shown = repr(replace(PENCIL, stored=b"stored", server=b"server"))
    assert "b'stored'" not in shown and "b'server'" not in shown
