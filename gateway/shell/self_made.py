"""Has the certificate made that MQTT clients see, for a gateway that was given none.

In a process of its own, `certificate_maker.py`: the library takes 13 MB, needed once in the life of a
card, and the daemon would keep them until it is started again.
"""

import os
import subprocess
import sys
from collections.abc import Sequence

MAKE_TIMEOUT_S = 30.0  # half of what systemd waits for a start


def self_made(names: Sequence[str], addresses: Sequence[str]) -> bytes:
    """A new key and its certificate, as PEM. Raises OSError, or ValueError with what went wrong."""
    # -P: what lies in the working directory is no module of ours. Where ours lie this process knows, and
    # perhaps nobody else: the image's programs put that into their own path.
    modules = os.pathsep.join(filter(None, sys.path))
    command = [sys.executable, "-P", "-m", "gateway.shell.certificate_maker"]
    try:
        made = subprocess.run(
            [*command, *names, "--", *addresses],
            env=os.environ | {"PYTHONPATH": modules},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=MAKE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ValueError(f"it was not made within {MAKE_TIMEOUT_S:.0f} s") from error
    if made.returncode:
        said = made.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["nothing"]
        raise ValueError(f"it could not be made: {said[0]}")
    return made.stdout
