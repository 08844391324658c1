"""What people bring: the installer's file, and the operator's SSH key."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

CLUSTER_KEY = "correct-horse-battery-staple"


@dataclass(frozen=True, slots=True)
class InstallerFile:
    """The installer's file of one gateway. Without an address it is given one by the network."""

    name: str
    ssh_key: str
    interface: str = ""
    address: str = ""  # "10.77.0.1/24"
    cluster_key: str = CLUSTER_KEY

    def text(self) -> str:
        network = f'[network]\ninterface = "{self.interface}"\n' if self.interface else ""
        network += f'address = "{self.address}"\n' if self.address else ""
        return (
            f'[gateway]\nname = "{self.name}"\n'
            f'[cluster]\nname = "plant"\nkey = "{self.cluster_key}"\n'
            f'[ssh]\nkeys = ["{self.ssh_key}"]\n'
            '[mqtt]\nallow_anonymous = "everywhere"\n' + network
        )


class Operator:
    """Somebody with a key of their own, who remembers the gateways' keys."""

    def __init__(self, folder: Path) -> None:
        self._key = folder / "id_ed25519"
        self._known = folder / "known_hosts"
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", self._key]
        subprocess.run(command, check=True, timeout=10)
        self.public_key = self._key.with_suffix(".pub").read_text().strip()

    def ssh(self, address: str, port: int = 22, user: str = "gw") -> list[str]:
        """The words of a call of ssh; the command for the gateway is to follow.

        A gateway is trusted at first sight; one whose key has changed is refused.
        """
        options = {
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
            "StrictHostKeyChecking": "accept-new",
            "UserKnownHostsFile": self._known,
            "GlobalKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
        }
        words = [f"-o{key}={value}" for key, value in options.items()]
        return ["ssh", "-F", "none", "-i", str(self._key), *words, f"-p{port}", f"{user}@{address}"]
