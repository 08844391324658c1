"""Makes a key and its certificate: `python -m gateway.shell.certificate_maker NAME... -- ADDRESS...`.

ECDSA P-256, which small devices know; valid from 1970 to 9999, because these boxes have no clock when
they boot. Both go to standard output as PEM. A process of its own: see `self_made.py`.
"""

import ipaddress
import sys
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gateway.shell.tls import NOT_AFTER, NOT_BEFORE


def make(names: Sequence[str], addresses: Sequence[str]) -> bytes:
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


def main(arguments: Sequence[str]) -> None:
    """Prints what `make` makes of the words before and after `--`."""
    at = list(arguments).index("--")
    sys.stdout.buffer.write(make(arguments[:at], arguments[at + 1 :]))


if __name__ == "__main__":
    main(sys.argv[1:])
