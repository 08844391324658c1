"""Which box this is: its serial number. For `shell/` and `setup/`; touches the world.

Must not know who asks.
"""

import uuid
from pathlib import Path

_SERIAL_FILES = (
    "/sys/firmware/devicetree/base/serial-number",  # Raspberry Pi and other device-tree boards
    "/sys/class/dmi/id/product_serial",  # PCs, readable by root only
)
_NO_SERIALS = ("", "0", "none", "default string", "to be filled by o.e.m.", "not specified")


def serial_number() -> str:
    """The board's serial number; where there is none, the machine id and a MAC address."""
    for name in _SERIAL_FILES:
        try:
            text = Path(name).read_text("ascii", "replace").strip("\0 \n")
        except OSError:
            continue
        if text.lower() not in _NO_SERIALS:
            return text
    try:
        machine = Path("/etc/machine-id").read_text("ascii").strip()
    except OSError:
        machine = ""
    return f"{machine}-{uuid.getnode():012x}"
