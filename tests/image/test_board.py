"""The image for the card, in an emulated board: it boots, serves, and remembers."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.image.board import CARD_BYTES, Board, Card
from tests.image.installer import InstallerFile, Operator
from tests.image.waiting import wait_until
from tests.requires import needs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

UP_S = 180.0  # from the login prompt to everything running: emulated, and busy with other things
KEPT = (  # what must be the same after a reboot
    "cat /etc/machine-id",
    "cat /etc/ssh/keys/ssh_host_ed25519_key.pub",
    "cat /etc/gateway/gateway.toml",
)
BOOTS = (
    "import sqlite3; print(sqlite3.connect('/var/lib/gatewayd/state.db')"
    ".execute(\\\"select value from about where key = 'boot'\\\").fetchone()[0])"
)


@pytest.fixture(scope="module")
def board(
    card_image: Path, operator: Operator, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Board]:
    """Up and running, with an installer's file."""
    for command in ("qemu-system-aarch64", "mcopy"):
        needs(command)
    folder = tmp_path_factory.mktemp("board")
    card = Card(card_image, folder)
    card.write(1, "gateway.toml", InstallerFile("gw9", operator.public_key).text(), folder)
    board = Board(card, folder)
    try:
        board.start()
        board.wait_for_login()
        wait_for_running(board)
        yield board
    finally:
        board.close()


def wait_for_running(board: Board) -> None:
    wait_until(
        lambda: board.run("systemctl is-system-running") in ("running", "degraded"),
        UP_S,
        "the board is up",
        board.story,
    )


def status(board: Board, operator: Operator) -> dict[str, Any]:
    words = [*operator.ssh("127.0.0.1", board.ssh_port), "gwctl", "status", "--json"]
    answer = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert answer.stdout.startswith("{"), f"{answer}\n{board.story()[-6000:]}"
    return dict(json.loads(answer.stdout))


def test_nothing_failed_at_boot(board: Board) -> None:
    failed = board.run("systemctl --failed --plain --no-legend --no-pager")
    assert failed == "", board.run("journalctl -b -p warning --no-pager | tail -n 60")
    assert board.run("systemctl is-system-running") == "running"


def test_the_gateway_is_healthy(board: Board, operator: Operator) -> None:
    document = status(board, operator)
    assert document["health"] == "healthy"
    assert [gateway["name"] for gateway in document["gateways"]] == ["gw9"]


def test_the_system_cannot_be_changed_for_good(board: Board) -> None:
    assert board.run("findmnt -n -o FSTYPE /") == "overlay"
    assert board.run("findmnt -n -o OPTIONS /boot/config").startswith("ro,")


def test_the_data_partition_fills_the_card(board: Board) -> None:
    size = int(board.run("df --block-size=1 --output=size /data | tail -n 1"))
    assert size > 0.6 * CARD_BYTES


def test_the_watchdog_is_armed(board: Board) -> None:
    assert board.run("systemctl show --property=RuntimeWatchdogUSec --value") == "15s"
    assert "Using hardware watchdog" in board.run("journalctl -b --no-pager -t systemd | cat")


def test_a_reboot_keeps_what_the_list_names_and_nothing_else(
    board: Board, operator: Operator
) -> None:
    before = [board.run(line) for line in KEPT]
    identity = status(board, operator)["gateways"][0]["id"]
    boots = int(board.run(f'python3 -c "{BOOTS}"'))
    board.run("touch /etc/forgotten /root/forgotten")
    board.reboot()
    board.wait_for_login(times=2)
    wait_for_running(board)
    assert [board.run(line) for line in KEPT] == before
    assert status(board, operator)["gateways"][0]["id"] == identity
    assert int(board.run(f'python3 -c "{BOOTS}"')) == boots + 1
    assert board.run("ls /etc/forgotten /root/forgotten").count("cannot access") == 2
    assert board.run("systemctl is-system-running") == "running"
