"""Certificates for tests: an authority, and what it signs, as PEM files."""

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

PEM, PLAIN = serialization.Encoding.PEM, serialization.NoEncryption()


class Authority:
    """Signs for whoever asks; its own certificate is in `file`."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}.pem"
        certificate = self._sign(self._name, self._key, timedelta(0), timedelta(days=3650), True)
        self.file.write_bytes(certificate.public_bytes(PEM))

    def sign(
        self, name: str, days: float = 365, begins_in_days: float = 0, subject: bool = True
    ) -> tuple[Path, Path]:
        """Certificate and key for a server or a client; without a common name if not `subject`."""
        key = ec.generate_private_key(ec.SECP256R1())
        attribute = NameOID.COMMON_NAME if subject else NameOID.ORGANIZATION_NAME
        begin = timedelta(days=begins_in_days)
        named = x509.Name([x509.NameAttribute(attribute, name)])
        certificate = self._sign(named, key, begin, timedelta(days=days), False)
        files = (self._folder / f"{name}.crt", self._folder / f"{name}.key")
        files[0].write_bytes(certificate.public_bytes(PEM))
        files[1].write_bytes(key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, PLAIN))
        files[1].chmod(0o600)
        return files

    def revoke(self, *signed: tuple[Path, Path]) -> Path:
        """The list of these and no others, good for a day."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._name)
            .last_update(now - timedelta(days=1))
            .next_update(now + timedelta(days=1))
        )
        for certificate, _ in signed:
            number = x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number
            revoked = x509.RevokedCertificateBuilder().serial_number(number).revocation_date(now)
            builder = builder.add_revoked_certificate(revoked.build())
        file = self._folder / "revoked.pem"
        file.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(PEM))
        return file

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        begins_in: timedelta,
        lasts: timedelta,
        is_authority: bool,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        own = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins_in - timedelta(days=1))
            .not_valid_after(now + begins_in + lasts)
            .add_extension(x509.BasicConstraints(is_authority, None), True)
            .add_extension(x509.SubjectAlternativeName(own), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), False
            )
            .add_extension(_usage(is_authority), True)
            .sign(self._key, hashes.SHA256())
        )


def _usage(is_authority: bool) -> x509.KeyUsage:
    """Python 3.13 takes no authority without it."""
    return x509.KeyUsage(
        not is_authority, False, False, False, False, is_authority, is_authority, False, False
    )


def signs_itself(file: Path, days: float) -> None:
    """Key and certificate in one file, as a gateway keeps its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gw1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=400))
        .not_valid_after(now + timedelta(days=days))
        .sign(key, hashes.SHA256())
    )
    text = key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, PLAIN)
    file.write_bytes(text + certificate.public_bytes(PEM))
    file.chmod(0o600)
