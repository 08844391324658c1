"""The certificate that MQTT clients see, and the TLS settings around it.

A gateway without one makes its own at the first start: ECDSA P-256, which small devices know, valid
from 1970 to 9999, because these boxes have no clock when they boot. Key and certificate stand in one
file of the state directory, which only the daemon may read, and stay the same from then on, so that
a client may pin the fingerprint. Must not know MQTT, nor the keys of the links.
"""

import contextlib
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.shell.tls import NOT_AFTER, NOT_BEFORE

FILE_NAME = "server.pem"


class CertificateError(Exception):
    """The certificate cannot be used or made; the text says which file and what to do."""


def server_context(path: Path, names: Sequence[str], addresses: Sequence[str]) -> ssl.SSLContext:
    """TLS 1.2 or newer with the certificate in `path`, which is made when the file is missing.

    `names` and `addresses` are what clients may call this gateway; the first name is the subject.
    Raises CertificateError.
    """
    try:
        if not path.exists():
            _write(path, self_made(names, addresses))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_cert_chain(path)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        reason = getattr(error, "strerror", None) or error
        text = f"the certificate in {path} cannot be used: {reason}; move the file away"
        raise CertificateError(f"{text}, and a new one is made at the next start") from error
    return context


def fingerprint(path: Path) -> str:
    """SHA-256 of the certificate in `path`, in hexadecimal. Raises OSError or ValueError."""
    return x509.load_pem_x509_certificate(path.read_bytes()).fingerprint(hashes.SHA256()).hex()


def self_made(names: Sequence[str], addresses: Sequence[str]) -> bytes:
    """A new key and its certificate, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    known: list[x509.GeneralName] = [x509.DNSName(name) for name in names]
    known += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        # An authority of itself: clients are given this very certificate as what they trust.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .add_extension(x509.SubjectAlternativeName(known), False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        .sign(key, hashes.SHA256())
    )
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    return text + certificate.public_bytes(pem)


def _write(path: Path, text: bytes) -> None:
    """Whole or not at all, whenever the plug is pulled; never readable for others."""
    draft = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        draft.unlink()
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(handle, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
