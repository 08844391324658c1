"""Files that were set aside stay a problem that gwctl names, until somebody has moved them away."""

import json
import subprocess
import sys
from pathlib import Path

from gateway.control import Severity
from gateway.shell.set_aside import SHOWN, names, problems, untold
from tests.gateways import Gateway, free_port, wait_until

ASIDE = ("broker.db.broken-1", "log/000000000001.seg.unknown-2", "state.db.foreign-1")
OTHERS = ("broker.db", "broker.db-wal", "state.db.broken-1-wal", "log/000000000002.seg", "ballast")


def test_what_was_set_aside_is_found_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    for name in (*ASIDE, *OTHERS):
        (tmp_path / name).touch()
    assert names(str(tmp_path)) == sorted(ASIDE)
    assert names(str(tmp_path / "nowhere")) == []


def test_what_is_told_with_its_reason_is_not_told_twice() -> None:
    assert untold(list(ASIDE), [f"it cannot be read: {Path(ASIDE[1]).name}"]) == [
        ASIDE[0],
        ASIDE[2],
    ]


def test_of_many_files_some_are_named() -> None:
    found = [f"log/{number}.seg.broken-1" for number in range(SHOWN + 2)]
    (problem,) = problems(found, "/state")
    assert problem.text.endswith(f"{found[SHOWN - 1]} and 2 more")
    assert "move them out of /state" in problem.remedy
    assert problem.severity is Severity.WARNING
    assert problems([], "/state") == []


def test_gwctl_names_a_damaged_file_until_it_is_moved_away(tmp_path: Path) -> None:
    def told(gateway: Gateway) -> list[str]:
        command = [sys.executable, "-m", "gateway.ctl.main", "status", "--json"]
        command += ["--socket", str(gateway.control_socket)]
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        return [problem["text"] for problem in json.loads(answer.stdout)["problems"]]

    gateway = Gateway("gw", "127.0.0.1", tmp_path, port=free_port())
    with gateway:
        gateway.stop()
        (tmp_path / "state" / "broker.db").write_bytes(b"no database" * 1_000)
        gateway.start()
        name = "broker.db.broken-1"
        assert len(told(gateway)) == 1 and name in told(gateway)[0], "once, with the reason"
        gateway.stop()
        gateway.start()
        wait_until(lambda: any(name in text for text in told(gateway)), "it is told still", 10)
        (tmp_path / "state" / name).rename(tmp_path / name)
        wait_until(lambda: not told(gateway), "it is told no more", 10)
