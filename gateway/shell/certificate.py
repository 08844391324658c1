"""The certificate that MQTT clients see, and those they show: files in, TLS settings or words out.

What is loaded has been shown to a client of our own first, so that a certificate that no client would
take is found here and not by the clients. Must not know MQTT, nor the keys of the links, nor when to
look again (`renewal.py`).
"""

import hashlib
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.config import TlsSection

FILE_BYTES_MAX = 1_048_576  # a bundle of all public authorities has a fifth of it
HANDSHAKE_TURNS_MAX = 8  # each side speaks twice
_CERTIFICATE, _KEY = "-----BEGIN CERTIFICATE-----", "PRIVATE KEY-----"
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_CRL = "-----BEGIN X509 CRL-----"
# X509_V_FLAG_NO_CHECK_TIME of OpenSSL, which Python has no name for.
_NO_CHECK_TIME = ssl.VerifyFlags(0x200000)


class CertificateError(Exception):
    """A file cannot be used. `key` is the key of [tls] that names it."""

    def __init__(self, key: str, text: str, remedy: str) -> None:
        super().__init__(f"{text}; {remedy}")
        self.key = key
        self.text = text
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Files:
    """Where everything stands; `key` may be in the file of the certificate."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    client_crl: Path | None = None
    required: bool = False  # whether a client must show a certificate

    def all(self) -> list[Path]:
        """Each file once."""
        files = (self.certificate, self.key, self.client_ca, self.client_crl)
        return list(dict.fromkeys(file for file in files if file is not None))


@dataclass(frozen=True, slots=True)
class Loaded:
    """What is in use: `ends_s` is in seconds of Unix time."""

    context: ssl.SSLContext
    sha256: str  # of the certificate, in hexadecimal
    ends_s: float
    signs_itself: bool


def files_of(tls: TlsSection, own: Path) -> Files:
    """The files that [tls] names, `own` where it names no certificate."""
    certificate = Path(tls.certificate_file) if tls.certificate_file else own
    return Files(
        certificate,
        Path(tls.key_file) if tls.key_file else certificate,
        Path(tls.client_ca_file) if tls.client_ca_file else None,
        Path(tls.client_crl_file) if tls.client_crl_file else None,
        tls.client_certificates == "required",
    )


def faults(tls: TlsSection) -> Iterable[tuple[str, str, str]]:
    """Key, text and remedy of all that is wrong with the files that [tls] names."""
    files = files_of(tls, Path())
    try:
        if tls.certificate_file:
            _server_context(files)
    except CertificateError as error:
        yield error.key, error.text, error.remedy
    try:
        if files.client_ca is not None:
            _trust_clients(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), files, True)
    except CertificateError as error:
        yield error.key, error.text, error.remedy


def load(files: Files, check_dates: bool = True) -> Loaded:
    """TLS 1.2 or newer by these files; `check_dates`: of clients' certificates.

    Raises CertificateError.
    """
    context, shown, der = _server_context(files)
    if files.client_ca is not None:
        _trust_clients(context, files, check_dates)
    return Loaded(
        context,
        hashlib.sha256(der).hexdigest(),
        seconds(shown["notAfter"]),
        shown["subject"] == shown["issuer"],
    )


def seconds(time: str) -> float:
    """As ssl.cert_time_to_seconds, which would load how all the world writes its dates."""
    month, day, clock, year, _ = time.split()  # "Nov  5 13:04:59 2027 GMT"
    hour, minute, second = map(int, clock.split(":"))
    date = int(year), _MONTHS.index(month) + 1, int(day)
    return datetime(*date, hour, minute, second, tzinfo=UTC).timestamp()


def common_name(certificate: dict[str, Any]) -> str:
    """The first common name of a certificate's subject; empty if there is none."""
    names = [v for part in certificate.get("subject", ()) for k, v in part if k == "commonName"]
    return str(names[0]) if names else ""


def readable_by_others(path: Path) -> bool:
    """Whether everybody on this box may read the file."""
    try:
        return bool(path.stat().st_mode & 0o004)
    except OSError:
        return False


def _server_context(files: Files) -> tuple[ssl.SSLContext, dict[str, Any], bytes]:
    """The settings, and the certificate as a client gets it, read and in DER."""
    _read(files.certificate, "certificate_file", _CERTIFICATE, "certificate")
    key_name = "certificate_file" if files.key == files.certificate else "key_file"
    text = _read(files.key, key_name, _KEY, "private key")
    if "ENCRYPTED" in text:
        why = f"the key in {files.key} has a passphrase, and there is nobody to type it"
        raise CertificateError(
            key_name, why, f"take it away: openssl pkey -in {files.key} -out ..."
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(files.certificate, files.key, password=_nobody_types)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            why = f"the key in {files.key} is not that of the certificate in {files.certificate}"
            raise CertificateError(key_name, why, "name the two that belong together") from error
        raise _unusable(files.certificate, "certificate_file", error) from error
    return context, *_as_a_client_sees(context, files.certificate)


def _trust_clients(context: ssl.SSLContext, files: Files, check_dates: bool) -> None:
    assert files.client_ca is not None
    _trust(context, files.client_ca, "client_ca_file", _CERTIFICATE, "certificate")
    if files.client_crl is not None:
        _trust(context, files.client_crl, "client_crl_file", _CRL, "X509 CRL")
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    context.verify_mode = ssl.CERT_REQUIRED if files.required else ssl.CERT_OPTIONAL
    if not check_dates:
        context.verify_flags |= _NO_CHECK_TIME


def _trust(context: ssl.SSLContext, file: Path, key: str, wanted: str, what: str) -> None:
    _read(file, key, wanted, what)
    try:
        context.load_verify_locations(file)
    except (OSError, ValueError) as error:
        raise _unusable(file, key, error) from error


def _as_a_client_sees(context: ssl.SSLContext, path: Path) -> tuple[dict[str, Any], bytes]:
    """What a client gets that trusts `path` and looks at no date.

    This way needs no library for certificates, whose memory a gateway does not have to spare.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client.load_verify_locations(path)
        one = client.wrap_bio(to_client, to_server)
        other = context.wrap_bio(to_server, to_client, server_side=True)
        for turn in range(HANDSHAKE_TURNS_MAX):
            try:
                (other if turn % 2 else one).do_handshake()
            except ssl.SSLWantReadError:
                continue
        shown, der = one.getpeercert(), one.getpeercert(binary_form=True)
    except (OSError, ValueError) as error:
        raise _unusable(path, "certificate_file", error) from error
    assert shown is not None and der is not None, "a handshake that ended shows a certificate"
    return shown, der


def _read(path: Path, key: str, wanted: str, what: str) -> str:
    """The text of a PEM file that has at least one of what is wanted in it."""
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1).decode("ascii", errors="replace")
    except OSError as error:
        why = f"{path} cannot be read: {error.strerror or error}"
        remedy = f"name a file that the daemon's user may read; see: ls -l {path}"
        raise CertificateError(key, why, remedy) from error
    if len(text) > FILE_BYTES_MAX:
        raise CertificateError(key, f"{path} is too long", f"allowed: {FILE_BYTES_MAX} bytes")
    if wanted not in text:
        why = f"there is no {what} in {path}"
        raise CertificateError(
            key, why, f"name a file in PEM form, with -----BEGIN ... {what.upper()}"
        )
    return text


def _nobody_types() -> str:
    raise ValueError("it asks for a passphrase")


def _unusable(path: Path, key: str, error: Exception) -> CertificateError:
    """OpenSSL's word for it, made readable: CA_MD_TOO_WEAK is "ca md too weak"."""
    verified = getattr(error, "verify_message", "")
    reason = str(verified or getattr(error, "reason", None) or error).replace("_", " ").lower()
    text = f"{path} cannot be used: {reason}"
    return CertificateError(key, text, f"see: openssl x509 -in {os.fspath(path)} -noout -text")
