"""What is a public key and what only looks like one."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.setup.ssh_keys import ssh_key_fault

ED25519 = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPm4HBkCO8BC2jYsuvX0eJlKzPCGLQgNRgBbXhhqqQNC anna@laptop"
)
BLOB = ED25519.split()[1]


def token_key(kind: str, *fields: bytes) -> str:
    parts = [kind.encode(), *fields]
    blob = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return f"{kind} {base64.b64encode(blob).decode()}"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ed25519-256", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048"])
def test_what_ssh_keygen_makes_is_a_key(kind: str, public_keys: dict[str, str]) -> None:
    assert ssh_key_fault(public_keys[kind]) == ""


@pytest.mark.slow
def test_an_rsa_key_that_is_too_short_is_refused(public_keys: dict[str, str]) -> None:
    assert ssh_key_fault(public_keys["rsa-1024"]) == "has 1024 bits, 2048 are the least"


@pytest.mark.parametrize(
    "line",
    [
        token_key("sk-ssh-ed25519@openssh.com", b"k" * 32, b"ssh:"),
        token_key("sk-ecdsa-sha2-nistp256@openssh.com", b"nistp256", b"\4" * 65, b"ssh:"),
        ED25519,
        f"ssh-ed25519 {BLOB}",
        f"ssh-ed25519 {BLOB} anna of the second floor",
    ],
)
def test_a_key_may_be_on_a_token_and_have_any_remark(line: str) -> None:
    assert ssh_key_fault(line) == ""


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("", "does not begin with a type"),
        ("anna@laptop", "does not begin with a type"),
        (BLOB, "does not begin with a type"),
        (f"ssh-dss {BLOB}", "does not begin with a type"),
        (f'command="sh" {ED25519}', "does not begin with a type"),
        ("ssh-ed25519", "is not whole: a part of it is missing"),
        (f"ssh-ed25519 {BLOB[:-4]} anna", "is not whole"),
        (f"ssh-ed25519 {BLOB[:40]}", "is not whole"),
        ("ssh-ed25519 AAAA... anna@laptop", "is not base64"),
        (f"ssh-ed25519 {BLOB[:-1]}é", "is not base64"),
        (f"ssh-rsa {BLOB}", "is not whole"),
        (token_key("ssh-rsa", b"\1\0\1", b"\1" * 400)[:-8], "is not whole: a part"),
        (token_key("ssh-ed25519", b"short"), "is not whole: it is too short"),
        (ED25519.replace("ssh-ed25519 ", "sk-ssh-ed25519@openssh.com "), "is not whole"),
        (f"ssh-ed25519  {BLOB}", "is not whole"),
        (f"{ED25519}\nssh-ed25519 {BLOB}", "cannot be seen"),
        (f"{ED25519} ", "cannot be seen"),
        (f"{ED25519}\t", "cannot be seen"),
        (f"{ED25519} {'x' * 8192}", "characters long"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn", "is a private key"),
        (token_key("ecdsa-sha2-nistp256", b"nistp384", b"\4" * 97), "one curve written"),
        (token_key("ecdsa-sha2-nistp256", b"nistp256", b"\2" * 33), "its point"),
        (token_key("ssh-ed25519", b"k" * 32).replace("ssh-ed25519", "ssh-rsa"), "is not whole"),
        (
            "ecdsa-sha2-nistp256 "
            + token_key("ecdsa-sha2-nistp384", b"nistp384", b"\4" * 97).split()[1],
            "one type written and another inside",
        ),
    ],
)
def test_what_is_wrong_is_said(line: str, fault: str) -> None:
    assert fault in ssh_key_fault(line)


@given(st.text() | st.binary().map(lambda blob: f"ssh-rsa {base64.b64encode(blob).decode()}"))
def test_anything_else_is_refused_without_an_accident(line: str) -> None:
    assert ssh_key_fault(line)
