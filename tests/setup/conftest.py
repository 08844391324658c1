"""A box for the tests: a folder as its root, a folder as the card's FAT partition."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.setup.main import set_up
from tests.requires import needs


@dataclass(frozen=True)
class Box:
    root: Path
    card: Path

    def write(self, text: str | bytes) -> None:
        """The installer edits the file."""
        self.installer.write_bytes(text.encode() if isinstance(text, str) else text)

    def start(self) -> bool:
        return set_up(self.installer, self.root)

    @property
    def installer(self) -> Path:
        return self.card / "gateway.toml"

    @property
    def errors(self) -> Path:
        return self.card / "gateway-errors.txt"

    def path(self, name: str) -> Path:
        return self.root / name

    def read(self, name: str) -> str:
        return self.path(name).read_text()

    def snapshot(self) -> dict[str, tuple[int, int, bytes]]:
        """Every file with its inode, which changes when the file is written anew."""
        files = [path for path in self.root.rglob("*") if path.is_file()]
        return {
            str(path.relative_to(self.root)): (
                path.stat().st_ino,
                path.stat().st_mode,
                path.read_bytes(),
            )
            for path in files
        }


@pytest.fixture
def box(tmp_path: Path) -> Box:
    needs("ssh-keygen")
    box = Box(tmp_path / "root", tmp_path / "card")
    (box.root / "etc").mkdir(parents=True)
    box.card.mkdir()
    return box


@pytest.fixture(scope="session")
def public_keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A real public key of each type that needs no token, by "type-bits"."""
    folder = tmp_path_factory.mktemp("keys")
    lines = {}
    kinds = ["ed25519-256", "ecdsa-256", "ecdsa-384", "ecdsa-521", "rsa-2048", "rsa-1024"]
    for kind in kinds:
        name, _, bits = kind.partition("-")
        path = folder / kind
        command = [needs("ssh-keygen"), "-q", "-t", name, "-b", bits, "-N", "", "-f", path]
        subprocess.run([*command, "-C", f"{kind} of anna"], check=True, timeout=60)
        lines[kind] = path.with_suffix(".pub").read_text().strip()
    return lines
