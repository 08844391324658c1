"""The card in a board that is made of software: qemu's `virt`, without KVM.

The firmware of a Raspberry Pi is not emulated, so this file plays it: it reads autoboot.txt from
the first partition, and kernel, initrd and cmdline.txt from the partition that is named there. Two
words are added to the kernel's line: the console of this board, and a root shell on a second one,
for on the box nobody is root.
"""

import contextlib
import re
import shutil
import socket
import struct
import subprocess
import uuid
from pathlib import Path

from tests.image.waiting import wait_until

SECTOR = 512
CARD_BYTES = 4 * 1024**3  # larger than the image, so that there is room to grow into
MEMORY_MB = 512  # of the smallest board
LOGIN_S = 300.0  # 60 to 100 on an idle machine of two cores
ANSWER_S = 60.0
OWN_WORDS = "systemd.debug_shell=hvc0 systemd.mask=serial-getty@hvc0.service"


class Card:
    """A copy of the image, as if written to a larger card."""

    def __init__(self, image: Path, folder: Path) -> None:
        self.path = folder / "card.img"
        subprocess.run(["cp", "--sparse=always", image, self.path], check=True, timeout=60)
        with self.path.open("rb+") as file:
            file.truncate(CARD_BYTES)

    def _partition(self, number: int) -> str:
        """The primary partition, as mtools wants it."""
        with self.path.open("rb") as file:
            table = file.read(SECTOR)[446:510]
        return f"{self.path}@@{struct.unpack_from('<I', table, 16 * (number - 1) + 8)[0] * SECTOR}"

    def read(self, partition: int, name: str, target: Path) -> Path:
        command = ["mcopy", "-n", "-o", "-i", self._partition(partition), f"::{name}", target]
        subprocess.run(command, check=True, timeout=30)
        return target

    def write(self, partition: int, name: str, text: str, folder: Path) -> None:
        source = folder / name
        source.write_text(text)
        command = ["mcopy", "-o", "-i", self._partition(partition), source, f"::{name}"]
        subprocess.run(command, check=True, timeout=30)


class Board:
    """The board with its card in it. `close` pulls the plug."""

    def __init__(self, card: Card, folder: Path) -> None:
        self._card = card
        self._folder = folder
        self._console = folder / "console.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.ssh_port = _free_port()

    def start(self) -> None:
        folder = self._folder
        autoboot = self._card.read(1, "autoboot.txt", folder / "autoboot.txt").read_text()
        found = re.search(r"^\[all\]\s+boot_partition=(\d)", autoboot)
        assert found, autoboot
        boot = int(found[1])
        kernel = self._card.read(boot, "kernel8.img", folder / "kernel")
        initrd = self._card.read(boot, "initramfs8", folder / "initrd")
        words = self._card.read(boot, "cmdline.txt", folder / "cmdline.txt").read_text().split()
        others = [word for word in words if not word.startswith("console=")]
        line = " ".join(["console=ttyAMA0", *others, OWN_WORDS])
        drive = f"if=none,id=card,format=raw,file={self._card.path}"
        network = f"user,id=lan,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22"
        shell = f"socket,id=shell,path={self._shell()},server=on,wait=off"
        command = [
            *("qemu-system-aarch64", "-machine", "virt", "-cpu", "cortex-a53", "-smp", "2"),
            *("-m", str(MEMORY_MB), "-display", "none", "-monitor", "none"),
            *("-kernel", kernel, "-initrd", initrd, "-append", line),
            *("-drive", drive, "-device", "virtio-blk-pci,drive=card"),
            *("-netdev", network, "-device", "virtio-net-pci,netdev=lan,romfile="),
            *("-device", "i6300esb"),  # a watchdog
            *("-device", "virtio-serial-pci", "-chardev", shell, "-device"),
            *("virtconsole,chardev=shell", "-serial", f"file:{self._console}"),
        ]
        with (folder / "qemu.log").open("wb") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _shell(self) -> Path:
        return self._folder / "shell"

    def story(self) -> str:
        log = (self._folder / "qemu.log").read_text(errors="replace")
        return log + self.console()

    def console(self) -> str:
        return self._console.read_text(errors="replace") if self._console.exists() else ""

    def wait_for_login(self, times: int = 1) -> float:
        """Until the console has asked for the `times`th time who is there."""
        assert self._process is not None
        process = self._process

        def asked() -> bool:
            assert process.poll() is None, f"qemu ended\n{self.story()}"
            return len(re.findall(r"^\S+ login: ", self.console(), re.M)) >= times

        return wait_until(asked, LOGIN_S, f"login {times}", self.story)

    def run(self, line: str) -> str:
        """What a line for root's shell prints."""
        begin, end = (f"--{uuid.uuid4().hex}--" for _ in range(2))
        with socket.socket(socket.AF_UNIX) as shell:
            shell.settimeout(ANSWER_S)
            shell.connect(str(self._shell()))
            # Split, so that the terminal's echo of the line is not taken for the answer.
            marks = [f"echo {mark[:9]}''{mark[9:]}" for mark in (begin, end)]
            shell.sendall(f"{marks[0]}; {{ {line}; }} 2>&1; {marks[1]}\n".encode())
            answer = ""
            with contextlib.suppress(TimeoutError):
                while end not in answer:
                    answer += shell.recv(4096).decode(errors="replace")
        assert end in answer, f"no answer to {line}: {answer}\n{self.story()[-6000:]}"
        text = answer.partition(begin)[2].partition(end)[0].replace("\r", "")
        return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text).strip()

    def reboot(self) -> None:
        """Told, not done: the console will ask for a login again."""
        self.run("systemctl --no-block reboot")

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
        shutil.rmtree(self._folder, ignore_errors=True)  # a card is large


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
