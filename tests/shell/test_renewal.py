"""What clients by TLS are shown stays up to date (gateway/shell/renewal.py)."""

import hashlib
import os
import shutil
import ssl
import stat
from pathlib import Path

import pytest

from gateway.config import TlsSection
from gateway.control import Severity
from gateway.shell.certificate import CertificateError
from gateway.shell.renewal import OWN_FILE, Renewal
from tests.authority import Authority, signs_itself


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def renewal(folder: Path, sure: bool = True, **keys: object) -> Renewal:
    synchronised = folder / "synchronised"
    if sure:
        synchronised.touch()
    tls = TlsSection(**{key: str(value) for key, value in keys.items()})
    return Renewal(tls, str(folder), ("gw1",), ("127.0.0.1",), synchronised)


def sha256(file: Path) -> str:
    return hashlib.sha256(ssl.PEM_cert_to_DER_cert(file.read_text())).hexdigest()


def put(new: tuple[Path, Path], place: tuple[Path, Path]) -> None:
    for source, target in zip(new, place, strict=True):
        shutil.copy(source, target)


def told(files: Renewal) -> str:
    return "\n".join(f"{p.severity}: {p.text} -> {p.remedy}" for p in files.problems())


def test_a_certificate_is_made_once_and_nobody_else_reads_its_key(tmp_path: Path) -> None:
    first = renewal(tmp_path)
    path = tmp_path / OWN_FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    made = path.read_bytes()
    second = renewal(tmp_path)
    assert path.read_bytes() == made
    assert first.status() == second.status()
    assert first.status().self_made and first.status().ends == "9999-12-31T23:59:59Z"
    assert first.problems() == []


def test_a_bad_own_file_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / OWN_FILE
    path.write_text("nonsense")
    with pytest.raises(CertificateError, match=r"server\.pem; move the file away"):
        renewal(tmp_path)
    assert path.read_text() == "nonsense"


def test_tls_older_than_1_2_is_not_spoken(tmp_path: Path) -> None:
    assert renewal(tmp_path).context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_a_changed_file_is_loaded_when_it_has_been_quiet_for_one_look(
    tmp_path: Path, authority: Authority
) -> None:
    used, new = authority.sign("used"), authority.sign("new")
    files = renewal(tmp_path, certificate_file=used[0], key_file=used[1])
    before = files.context
    files.look()
    assert files.context is before
    shutil.copy(new[0], used[0])
    files.look()  # the key may be on its way
    assert files.context is before and not files.problems()
    shutil.copy(new[1], used[1])
    files.look()
    files.look()
    assert files.sha256 == sha256(new[0]) and files.context is not before
    loaded = files.context
    files.look()
    assert files.context is loaded


def test_what_cannot_be_used_is_told_once_and_the_old_goes_on(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    used, new = authority.sign("used"), authority.sign("new")
    files = renewal(tmp_path, certificate_file=used[0], key_file=used[1])
    before = files.context
    shutil.copy(new[0], used[0])
    for _ in range(3):
        files.look(at_once=True)
    assert files.context is before
    (line,) = [r.message for r in caplog.records if "not used" in r.message]
    assert "is not that of the certificate in" in line
    (problem,) = files.problems()
    assert problem.severity is Severity.ERROR and "the old ones are" in problem.text
    assert "systemctl reload gatewayd" in problem.remedy
    used[0].unlink()
    files.look()
    files.look()
    assert "No such file or directory" in told(files) and files.context is before
    put(new, used)
    files.look()
    files.look()
    assert files.problems() == [] and files.sha256 == sha256(new[0])


def test_the_end_is_told_thirty_days_before_and_when_it_has_come(
    tmp_path: Path, authority: Authority
) -> None:
    used = authority.sign("used", days=31.5)
    files = renewal(tmp_path, certificate_file=used[0], key_file=used[1])
    assert files.problems() == [] and files.status().ends_days == 31.5
    put(authority.sign("soon", days=5.1), used)
    files.look(at_once=True)
    assert told(files).startswith("warning: the certificate ends in 5 days -> put a new one into")
    put(authority.sign("past", days=-0.5), used)
    files.look(at_once=True)
    assert told(files).startswith("error: the certificate has ended")


@pytest.mark.parametrize(("days", "sure", "is_made"), [(29, True, True), (31, True, False)])
def test_its_own_certificate_is_made_anew_before_it_ends(
    tmp_path: Path, days: float, sure: bool, is_made: bool
) -> None:
    signs_itself(tmp_path / OWN_FILE, days)
    before = (tmp_path / OWN_FILE).read_bytes()
    files = renewal(tmp_path, sure)
    assert ((tmp_path / OWN_FILE).read_bytes() != before) is is_made
    assert (files.status().ends_days > 1e6) is is_made
    assert files.problems() == []


def test_nothing_is_made_anew_by_a_clock_that_may_be_wrong(tmp_path: Path) -> None:
    signs_itself(tmp_path / OWN_FILE, 3)
    files = renewal(tmp_path, sure=False)
    assert "ends in 3 days" in told(files)
    (tmp_path / "synchronised").touch()
    files.look()
    assert files.problems() == [] and files.status().ends_days > 1e6


def test_a_certificate_that_cannot_be_made_anew_is_told_once_and_tried_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signs_itself(tmp_path / OWN_FILE, 3)
    in_the_way = tmp_path / "server.new"
    in_the_way.mkdir()
    files = renewal(tmp_path)
    files.look()
    assert len([r for r in caplog.records if "soon ends" in r.message]) == 1
    assert "a new certificate cannot be made" in told(files) and "ends in 3 days" in told(files)
    in_the_way.rmdir()
    files.look()
    assert files.problems() == [] and files.status().ends_days > 1e6


def test_a_certificate_that_somebody_else_signed_is_never_replaced(
    tmp_path: Path, authority: Authority
) -> None:
    certificate, key = authority.sign("gw1", days=3)
    own = tmp_path / OWN_FILE
    own.write_bytes(key.read_bytes() + certificate.read_bytes())
    files = renewal(tmp_path)
    assert "ends in 3 days" in told(files) and files.sha256 == sha256(certificate)
    assert not files.status().self_made


def test_a_key_that_everybody_may_read_is_a_warning(tmp_path: Path, authority: Authority) -> None:
    used = authority.sign("used")
    os.chmod(used[1], 0o644)
    files = renewal(tmp_path, certificate_file=used[0], key_file=used[1])
    assert told(files).startswith("warning: everybody on this box may read the key")
    os.chmod(used[1], 0o640)
    files.look(at_once=True)
    assert files.problems() == []


def test_dates_of_clients_count_when_the_clock_is_sure(
    tmp_path: Path, authority: Authority
) -> None:
    files = renewal(tmp_path, sure=False, client_ca_file=authority.file)
    no_check_time = 0x200000
    assert files.context.verify_flags & no_check_time
    assert told(files).startswith("notice: the clock may be wrong")
    (tmp_path / "synchronised").touch()
    files.look()
    assert not files.context.verify_flags & no_check_time and files.problems() == []


def test_dates_of_clients_count_always_where_that_is_asked_for(
    tmp_path: Path, authority: Authority
) -> None:
    tls = TlsSection(client_ca_file=str(authority.file), strict_dates=True)
    files = Renewal(tls, str(tmp_path), ("gw1",), (), tmp_path / "synchronised")
    assert not files.context.verify_flags & 0x200000 and files.problems() == []
