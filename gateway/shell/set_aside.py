"""Files of the state directory that were set aside because they could not be used: a problem to see to.

It is told until somebody has moved them away, for what they held may be missing. Must not know why they
were set aside.
"""

import re
from pathlib import Path

from gateway.control import ProblemStatus, Severity

SHOWN = 3
_NAME = re.compile(r".*\.(db|seg)\.[a-z]+-\d+")


def names(state_dir: str) -> list[str]:
    """As paths below the state directory. Blocks for the file system: not for the loop's thread."""
    here = Path(state_dir)
    found = [*here.glob("*.db.*"), *here.glob("log/*.seg.*")]
    return sorted(str(path.relative_to(here)) for path in found if _NAME.fullmatch(path.name))


def untold(found: list[str], told: list[str]) -> list[str]:
    """Those that no text names: what this start set aside is told with its reason."""
    return [name for name in found if not any(Path(name).name in text for text in told)]


def problems(found: list[str], state_dir: str) -> list[ProblemStatus]:
    """What to say of them; nothing where there are none."""
    if not found:
        return []
    shown = ", ".join(found[:SHOWN])
    if len(found) > SHOWN:
        shown += f" and {len(found) - SHOWN} more"
    text = f"files that could not be used, or not whole, were set aside: {shown}"
    remedy = "gwctl log, or journalctl -u gatewayd, says why; see whether anything is missed, then"
    remedy += f" move them out of {state_dir}"
    return [ProblemStatus(Severity.WARNING, text, remedy)]
