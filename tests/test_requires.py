"""A missing part is skipped here and a failure in CI: what keeps CI from testing nothing."""

from pathlib import Path

import pytest

from tests.requires import missing, needs, prepared


def test_what_is_there_is_found() -> None:
    assert Path(needs("sh")).is_file()


def test_outside_ci_a_missing_command_skips(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no-such-command is not installed"):
        needs("no-such-command")


def test_in_ci_a_missing_command_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no-such-command is not installed"):
        needs("no-such-command")


def test_what_cannot_be_prepared_ends_with_the_last_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CI", "true")
    script = tmp_path / "prepare.sh"
    script.write_text("#!/bin/sh\necho first >&2\necho no network >&2\nexit 1\n")
    script.chmod(0o755)
    with pytest.raises(pytest.fail.Exception, match="but: no network"):
        prepared(script)


def test_missing_never_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="a reason"):
        missing("a reason")


def test_no_test_has_a_skip_of_its_own() -> None:
    """It would be a skip in CI, too."""
    words = ("skip" + "if", "importor" + "skip", "pytest." + "skip(")
    own = [
        f"{path.name}: {word}"
        for path in sorted(Path(__file__).parent.rglob("*.py"))
        for word in words
        if path.name != "requires.py" and word in path.read_text()
    ]
    assert own == []
