"""From the installer's file to the box, below a root of its own; with the real ssh-keygen."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.config_loader import load_config
from gateway.setup.host_key import ensure_host_key
from gateway.setup.main import main
from tests.requires import missing, needs
from tests.setup.conftest import Box
from tests.setup.test_installer import KEY, SSH_KEY, TEMPLATE, WHOLE

DAEMON_FILE = "etc/gateway/gateway.toml"
NETWORK_FILE = "etc/systemd/network/10-gateway.network"
HOST_KEY = "etc/ssh/keys/ssh_host_ed25519_key"
BAD = WHOLE.replace('name = "gw1"', 'name = "gw 1"')


def test_a_whole_file_is_applied(box: Box) -> None:
    box.write(WHOLE)
    assert box.start()
    config = load_config(box.path(DAEMON_FILE))
    assert config.gateway.name == "gw1"
    assert config.cluster is not None and config.cluster.key == KEY
    assert box.read("etc/hostname") == "gw1\n"
    assert "127.0.1.1\tgw1.local gw1\n" in box.read("etc/hosts")
    assert "Address=192.168.1.10/24\n" in box.read(NETWORK_FILE)
    assert f"restrict,pty {SSH_KEY}\n" in box.read("etc/ssh/authorized_keys/gw")
    assert not box.errors.exists()


def test_nothing_edited_is_a_gateway_alone_with_a_name_of_its_hardware(box: Box) -> None:
    box.write(TEMPLATE.read_bytes())
    assert box.start()
    config = load_config(box.path(DAEMON_FILE))
    assert config.cluster is None
    assert re.fullmatch(r"gw-[0-9a-f]{6}", config.gateway.name)
    assert box.read("etc/hostname") == f"{config.gateway.name}\n"
    assert "DHCP=yes\n" in box.read(NETWORK_FILE)
    assert "restrict" not in box.read("etc/ssh/authorized_keys/gw")
    box.start()
    assert load_config(box.path(DAEMON_FILE)) == config


def test_a_second_start_writes_nothing(box: Box) -> None:
    box.write(WHOLE)
    box.start()
    before = box.snapshot()
    assert len(before) == 8
    assert box.start()
    assert box.snapshot() == before


def test_secrets_are_closed_and_what_sshd_reads_as_gw_is_open(box: Box) -> None:
    (box.root / "etc/group").write_text(f"root:x:0:\ngateway:x:{os.getgid()}:\n")
    box.write(WHOLE)
    before = os.umask(0o077)
    try:
        assert main(["--installer", str(box.installer), "--root", str(box.root)]) == 0
    finally:
        os.umask(before)

    def mode(name: str) -> int:
        return stat.S_IMODE(box.path(name).stat().st_mode)

    assert mode(DAEMON_FILE) == 0o640
    assert mode("var/lib/gateway-setup/installer.toml") == 0o600
    assert mode(HOST_KEY) == 0o600
    for name in ("etc/ssh/authorized_keys/gw", NETWORK_FILE, "etc/hosts", "etc/hostname"):
        assert mode(name) == 0o644
        assert mode(os.path.dirname(name)) == 0o755


def test_the_daemons_file_belongs_to_their_group(box: Box) -> None:
    if os.geteuid() != 0:
        missing("only root may give a file to another group")
    (box.root / "etc/group").write_text("gateway:x:4711:\n")
    box.write(WHOLE)
    box.start()
    status = box.path(DAEMON_FILE).stat()
    assert (status.st_uid, status.st_gid) == (0, 4711)


# Mistakes.


def test_a_mistake_is_told_beside_the_file_and_the_last_good_one_counts(box: Box) -> None:
    box.write(WHOLE)
    box.start()
    before = box.snapshot()
    box.write(BAD)
    assert box.start()
    assert box.snapshot() == before
    note = box.errors.read_bytes().decode()
    assert "gateway.toml:2: gateway.name: 'gw 1' is not a name; allowed: letters" in note
    assert "by the last file in which nothing was wrong" in note
    assert note.count("\r\n") == note.count("\n") > 4


def test_a_mistake_in_the_first_file_leaves_a_gateway_alone(box: Box) -> None:
    box.write(BAD)
    assert box.start()
    assert load_config(box.path(DAEMON_FILE)).cluster is None
    assert "alone" in box.errors.read_text()
    assert box.path(HOST_KEY).exists()


def test_a_file_put_right_takes_the_note_away(box: Box) -> None:
    box.write(BAD)
    box.start()
    assert box.errors.exists()
    box.write(WHOLE)
    assert box.start()
    assert not box.errors.exists()
    assert load_config(box.path(DAEMON_FILE)).gateway.name == "gw1"


def test_the_same_mistake_again_does_not_write_to_the_card(box: Box) -> None:
    box.write(BAD)
    box.start()
    before = box.errors.stat().st_ino, box.errors.stat().st_mtime_ns
    box.start()
    assert (box.errors.stat().st_ino, box.errors.stat().st_mtime_ns) == before


def test_a_file_of_windows_with_a_byte_order_mark_is_a_file(box: Box) -> None:
    box.write(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode())
    assert box.start()
    assert not box.errors.exists()
    box.write(BAD)
    box.start()
    assert load_config(box.path(DAEMON_FILE)).gateway.name == "gw1"  # it was kept well, too


@pytest.mark.parametrize("content", [WHOLE.encode("utf-16"), b"\0" * 512, b"\xff" * 512])
def test_a_file_that_is_no_text_is_a_mistake_like_others(box: Box, content: bytes) -> None:
    box.write(content)
    assert box.start()
    assert "gateway.toml:1: this is not " in box.errors.read_text()


def test_a_file_that_is_gone_is_a_mistake_with_a_remedy(box: Box) -> None:
    box.write(WHOLE)
    box.start()
    box.installer.rename(box.card / "gateway.toml.txt")
    assert box.start()
    assert "rename gateway.toml.txt to gateway.toml" in box.errors.read_text()
    assert load_config(box.path(DAEMON_FILE)).gateway.name == "gw1"


def test_a_card_without_its_partition_is_no_reason_to_stay_out(box: Box) -> None:
    box.write(WHOLE)
    box.start()
    before = box.snapshot()
    box.installer.unlink()
    box.card.rmdir()
    assert not box.start()  # there is nowhere to say so but in the log
    assert box.snapshot() == before


def test_a_kept_file_that_is_no_good_any_more_is_not_used(box: Box) -> None:
    box.write(WHOLE)
    box.start()
    box.path("var/lib/gateway-setup/installer.toml").write_text("[gone]\n")
    box.write(BAD)
    assert box.start()
    assert load_config(box.path(DAEMON_FILE)).cluster is None


def test_one_step_that_fails_keeps_no_other_from_being_done(box: Box) -> None:
    box.write(WHOLE)
    (box.root / "etc/ssh").write_text("a file where a folder should be")
    assert not box.start()
    assert load_config(box.path(DAEMON_FILE)).gateway.name == "gw1"
    assert "Address=" in box.read(NETWORK_FILE)


def test_what_a_pulled_plug_left_is_written_over(box: Box) -> None:
    box.path("etc/gateway").mkdir()
    box.path("etc/gateway/.gateway.toml.new").write_text("[gatew")
    box.write(WHOLE)
    assert box.start()
    assert os.listdir(box.path("etc/gateway")) == ["gateway.toml"]


@pytest.mark.parametrize("content", ["mine", "gw1\n"])
def test_a_link_where_a_file_belongs_is_replaced(box: Box, tmp_path: Path, content: str) -> None:
    outside = tmp_path / "outside"
    outside.write_text(content)
    box.path("etc/hostname").symlink_to(outside)
    box.write(WHOLE)
    assert box.start()
    assert outside.read_text() == content
    assert box.read("etc/hostname") == "gw1\n"
    assert not box.path("etc/hostname").is_symlink()


# The host key.


def test_the_host_key_is_made_once(tmp_path: Path) -> None:
    needs("ssh-keygen")
    assert ensure_host_key(tmp_path)
    key = (tmp_path / "ssh_host_ed25519_key").read_bytes()
    assert not ensure_host_key(tmp_path)
    assert (tmp_path / "ssh_host_ed25519_key").read_bytes() == key
    assert (tmp_path / "ssh_host_ed25519_key.pub").read_text().startswith("ssh-ed25519 ")


@pytest.mark.parametrize("left", [b"", b"-----BEGIN OPENSSH PRIVATE KEY-----\n"])
def test_a_host_key_that_is_not_whole_is_made_anew(tmp_path: Path, left: bytes) -> None:
    needs("ssh-keygen")
    (tmp_path / ".new").mkdir()
    (tmp_path / ".new" / "ssh_host_ed25519_key").write_bytes(b"half")
    (tmp_path / "ssh_host_ed25519_key").write_bytes(left)
    assert ensure_host_key(tmp_path)
    assert not ensure_host_key(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["ssh_host_ed25519_key", "ssh_host_ed25519_key.pub"]


# The partition that is read-only but for a moment.

READ_ONLY_CARD = """\
mount -t tmpfs -o size=1m card "$1"
printf '[gateway]\\nname = "gw 1"\\n' > "$1/gateway.toml"
mount -o remount,ro "$1"
"$3" -m gateway.setup.main --installer "$1/gateway.toml" --root "$2" || exit 1
cat "$1/gateway-errors.txt"
if touch "$1/probe" 2>/dev/null; then echo "the card is still writable"; fi
"""


@pytest.mark.slow
def test_the_card_is_writable_only_while_the_note_is_written(box: Box) -> None:
    if os.geteuid() != 0:
        missing("only root may mount")
    in_own_mounts = [needs("unshare"), "-m", "sh", "-euc", READ_ONLY_CARD, "sh"]
    run = subprocess.run(
        [*in_own_mounts, str(box.card), str(box.root), sys.executable],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "gateway.toml:2: gateway.name:" in run.stdout
    assert "still writable" not in run.stdout
