"""The keys of the links: everything follows from the cluster's name and key.

The typed key is stretched (scrypt, RFC 7914), and from the result come, under labels of their own
(HKDF, RFC 5869): the fingerprint that mDNS shows, and the private key of the authority that signs
link certificates. Each process makes its own certificate at start and keeps it in memory only.
Certificates are valid from 1970 to 9999: these boxes have no clock when they boot. An authority made
for links signs links and nothing else; a link certificate never logs a client in.
"""

import hashlib
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.x509.oid import NameOID

SCRYPT_N = 2**14  # with r = 8 this is 16 MB and about 50 ms here, half a second on a Pi Zero 2
SCRYPT_R = 8
NOT_BEFORE = datetime(1970, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
FINGERPRINT_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ClusterKeys:
    """`secret` is the stretched key; it must not be shown."""

    cluster: str
    secret: bytes

    def __repr__(self) -> str:
        return f"ClusterKeys({self.cluster!r})"

    def fingerprint(self) -> str:
        """What mDNS shows, so that gateways with another key are not even dialled."""
        return _derive(self.secret, b"fingerprint").hex()[:FINGERPRINT_DIGITS]


def stretch(cluster: str, key: str) -> ClusterKeys:
    """The cluster's keys from its name and the key as it stands in the configuration."""
    salt = b"gateway-cluster\0" + cluster.encode()
    secret = hashlib.scrypt(key.encode(), salt=salt, n=SCRYPT_N, r=SCRYPT_R, p=1, dklen=32)
    return ClusterKeys(cluster, secret)


@dataclass(frozen=True, slots=True)
class LinkContexts:
    """The TLS settings of links, for the side that accepts and the side that dials."""

    accepting: ssl.SSLContext
    dialling: ssl.SSLContext


def link_contexts(keys: ClusterKeys, gateway: str) -> LinkContexts:
    """TLS 1.3, both sides shown by a certificate of the cluster's link authority."""
    authority_key = Ed25519PrivateKey.from_private_bytes(_derive(keys.secret, b"link authority"))
    authority = _certificate(keys.cluster, keys.cluster, authority_key, authority_key, True)
    own_key = Ed25519PrivateKey.generate()
    own = _certificate(keys.cluster, gateway, authority_key, own_key, False)
    trusted = authority.public_bytes(serialization.Encoding.PEM).decode()
    accepting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    dialling = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for context in (accepting, dialling):
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False  # a gateway is known by its id, not by where it answers
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=trusted)
        _load(context, own, own_key)
    return LinkContexts(accepting, dialling)


def certified_gateway(certificate: dict[str, object] | None) -> str:
    """The gateway id in a certificate that the handshake has verified; empty if there is none."""
    subject = (certificate or {}).get("subject", ())
    assert isinstance(subject, tuple)
    names = [value for part in subject for key, value in part if key == "commonName"]
    return names[0] if names else ""


def _derive(secret: bytes, label: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=label).derive(secret)


def _certificate(
    cluster: str, subject: str, signer: Ed25519PrivateKey, key: Ed25519PrivateKey, authority: bool
) -> x509.Certificate:
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cluster)])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    public = key.public_key()
    # the authority's certificate is the same on every gateway: its number follows from its key
    digest = hashlib.sha256(public.public_bytes_raw()).digest()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(int.from_bytes(digest[:16], "big") >> 1 | 1)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        .add_extension(
            x509.BasicConstraints(ca=authority, path_length=0 if authority else None), True
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), False
        )
    )
    if authority:
        builder = builder.add_extension(_usage(signs=False, certifies=True), True)
    return builder.sign(signer, None)


def _usage(signs: bool, certifies: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signs,
        key_cert_sign=certifies,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _load(context: ssl.SSLContext, certificate: x509.Certificate, key: Ed25519PrivateKey) -> None:
    """Python reads certificates from files only: from one that is in memory and has no name."""
    pem = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    text = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain)
    handle = os.memfd_create("link-certificate", os.MFD_CLOEXEC)
    try:
        os.write(handle, text + certificate.public_bytes(pem))
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
