"""The certificate that MQTT clients see, and the TLS settings around it.

A gateway without one makes its own at the first start (`self_made.py`). Key and certificate stand in
one file of the state directory, which only the daemon may read, and stay the same from then on, so
that a client may pin the fingerprint. Must not know MQTT, nor the keys of the links.
"""

import contextlib
import hashlib
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from gateway.shell.self_made import self_made

FILE_NAME = "server.pem"
_HEAD, _FOOT = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


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
    """SHA-256 of the first certificate in `path`, in hexadecimal. Raises OSError or ValueError."""
    _, head, rest = path.read_text().partition(_HEAD)
    body, foot, _ = rest.partition(_FOOT)
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(head + body + foot)).hexdigest()


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
