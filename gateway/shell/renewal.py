"""Keeps what clients by TLS are shown up to date, while connections come and go.

Files that changed are loaded when they have been quiet for one look, or at once when somebody says so
(SIGHUP); what cannot be used is told once, and what was in use stays in use. Without a certificate in
the configuration the gateway makes its own, and makes it anew before it ends. While the clock may be
wrong (these boxes have none of their own) the dates of clients' certificates are not looked at, unless
that is asked for: a wrong clock must not lock everybody out. Must not know MQTT, nor who asks.
"""

import contextlib
import logging
import os
import ssl
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from gateway.config import TlsSection
from gateway.control import ProblemStatus, Severity, TlsStatus
from gateway.shell.certificate import (
    CertificateError,
    Loaded,
    files_of,
    load,
    readable_by_others,
)
from gateway.wording import several

OWN_FILE = "server.pem"
ENDS_SOON_DAYS = 30.0
# systemd-timesyncd makes it when a time server was reached since the box started.
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")

_ANOTHER = "move the file away, and a new one is made at the next start"

_Marks = dict[Path, tuple[int, int, int] | None]

logger = logging.getLogger("gatewayd")


class Renewal:
    """The TLS settings of now: `context` is for the next client that comes.

    `names` and `addresses` are what clients may call this gateway, for a certificate of its own.
    Everything but `context`, `status` and `problems` waits for files: not for the loop's thread.
    """

    def __init__(
        self,
        tls: TlsSection,
        state_dir: str,
        names: Sequence[str],
        addresses: Sequence[str],
        synchronised: Path = SYNCHRONISED,
    ) -> None:
        self._own = Path(state_dir) / OWN_FILE
        self._files = files_of(tls, self._own)
        self._makes_its_own = not tls.certificate_file
        self._strict = tls.strict_dates
        self._names, self._addresses = names, addresses
        self._synchronised = synchronised
        self._one_at_a_time = threading.Lock()
        self._problem: CertificateError | None = None  # with new files
        self._cannot_make: CertificateError | None = None
        self._open_key = False
        self._sure = self._clock_is_sure()
        if self._makes_its_own and not self._own.exists():
            self._make()
        self._seen = self._tried = self._marks()
        try:
            self._loaded = self._load()
        except CertificateError as error:
            if self._makes_its_own and error.key == "certificate_file":
                error = CertificateError(error.key, error.text, _ANOTHER)
            raise error from None
        self._renew()

    @property
    def context(self) -> ssl.SSLContext:
        """For the next client."""
        return self._loaded.context

    @property
    def sha256(self) -> str:
        """Fingerprint of the certificate in use, in hexadecimal."""
        return self._loaded.sha256

    def look(self, at_once: bool = False) -> None:
        """Loads what changed; to be called now and then."""
        with self._one_at_a_time:
            before, self._seen, sure = self._seen, self._marks(), self._clock_is_sure()
            is_quiet = at_once or self._seen == before
            if at_once or sure != self._sure or (is_quiet and self._seen != self._tried):
                self._sure, self._tried = sure, self._seen
                self._load_again()
            self._renew()

    def status(self) -> TlsStatus:
        """What `gwctl status` shows."""
        asked = "required" if self._files.required else "optional"
        return TlsStatus(
            certificate_sha256=self._loaded.sha256,
            ends=datetime.fromtimestamp(self._loaded.ends_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            ends_days=round((self._loaded.ends_s - time.time()) / 86_400, 1),
            self_made=self._is_self_made(),
            client_certificates="off" if self._files.client_ca is None else asked,
        )

    def problems(self) -> list[ProblemStatus]:
        """What is wrong with certificates and keys, in words."""
        found = []
        if self._problem is not None:
            text = f"new certificates are not used, the old ones are: {self._problem.text}"
            remedy = f"{self._problem.remedy}; then: systemctl reload gatewayd"
            found.append(ProblemStatus(Severity.ERROR, text, remedy))
        if self._cannot_make is not None:
            text = f"a new certificate cannot be made: {self._cannot_make.text}"
            found.append(ProblemStatus(Severity.ERROR, text, self._cannot_make.remedy))
        found += _dates(self._loaded, time.time(), self._files.certificate)
        if self._open_key:
            text = f"everybody on this box may read the key in {self._files.key}"
            remedy = f"chmod o-r {self._files.key}"
            found.append(ProblemStatus(Severity.WARNING, text, remedy))
        if self._files.client_ca is not None and not self._sure and not self._strict:
            text = "the clock may be wrong, so that dates of clients' certificates are not checked"
            remedy = "let a time server be reached, or set tls.strict_dates"
            found.append(ProblemStatus(Severity.NOTICE, text, remedy))
        return found

    def _clock_is_sure(self) -> bool:
        return self._synchronised.exists()

    def _load(self) -> Loaded:
        self._open_key = readable_by_others(self._files.key)
        if self._open_key:
            logger.warning("everybody on this box may read the key in %s", self._files.key)
        return load(self._files, self._strict or self._sure)

    def _load_again(self) -> None:
        told, before = str(self._problem), self._loaded
        try:
            self._loaded = self._load()
        except CertificateError as error:
            self._problem = error
            if str(error) != told:
                logger.error("new certificates are not used, the old ones are: %s", error)
            return
        self._problem = None
        if self._loaded.sha256 != before.sha256:
            logger.info("new connections get the certificate SHA-256 %s", self._loaded.sha256)
        else:
            logger.info("certificates were loaded again")

    def _is_self_made(self) -> bool:
        """Not so what somebody else signed and put into the place of the gateway's own."""
        return self._makes_its_own and self._loaded.signs_itself

    def _renew(self) -> None:
        """Makes the gateway's own certificate anew when it soon ends."""
        ends_soon = self._loaded.ends_s - time.time() < ENDS_SOON_DAYS * 86_400
        if not (self._is_self_made() and ends_soon and self._sure) or self._problem is not None:
            return
        try:
            self._make()
        except CertificateError as error:
            if str(error) != str(self._cannot_make):
                logger.error("the gateway's own certificate soon ends: %s", error)
            self._cannot_make = error
            return
        self._cannot_make = None
        logger.warning("the gateway's own certificate was made anew: clients need the new one")
        self._seen = self._tried = self._marks()
        self._load_again()

    def _make(self) -> None:
        """Raises CertificateError."""
        from gateway.shell.self_made import self_made  # what it needs takes memory, for good

        try:
            _write(self._own, self_made(self._names, self._addresses))
        except OSError as error:
            text = f"{self._own} cannot be written: {error.strerror or error}"
            remedy = "make room on the disk of the state directory"
            raise CertificateError("certificate_file", text, remedy) from error

    def _marks(self) -> _Marks:
        """What tells a file that was changed from one that was not."""
        return {file: _mark(file) for file in self._files.all()}


def _mark(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _dates(loaded: Loaded, now_s: float, file: Path) -> list[ProblemStatus]:
    days = (loaded.ends_s - now_s) / 86_400
    if days >= ENDS_SOON_DAYS:
        return []
    remedy = f"put a new one into {file}; it is loaded within seconds"
    if days < 0:
        text = "the certificate has ended: clients that check it do not connect by TLS"
        return [ProblemStatus(Severity.ERROR, text, remedy)]
    text = f"the certificate ends in {several(round(days), 'day[s]')}"
    return [ProblemStatus(Severity.WARNING, text, remedy)]


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
