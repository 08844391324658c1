#!/usr/bin/env python3
"""Looks for programs of another processor in a system: elf-scan.py FOLDER aarch64|x86_64.

Fails with their names. Reads the header of each file that begins as ELF does; e_machine is a
little-endian number at byte 18.
"""

import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

MACHINES = {"x86_64": 62, "aarch64": 183}
ANY = (0, 247)  # none, and BPF, which the kernel compiles on every processor


def programs(folder: Path) -> Iterator[tuple[Path, int]]:
    """Every ELF file with its machine."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            if path.is_symlink() or not path.is_file():
                continue
            with path.open("rb") as file:
                header = file.read(20)
            if header[:4] == b"\x7fELF":
                yield path, struct.unpack_from("<H", header, 18)[0]


def main(folder: str, machine: str) -> int:
    found = list(programs(Path(folder)))
    wrong = [path for path, number in found if number not in (MACHINES[machine], *ANY)]
    for path in wrong:
        print(f"{path} is for another processor than {machine}", file=sys.stderr)
    if not found:
        print(f"{folder} has no program at all", file=sys.stderr)
    return 1 if wrong or not found else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
