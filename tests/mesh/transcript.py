"""Who said what to whom, compared with a file that people read.

REWRITE_TRANSCRIPTS=1 makes `make test` write the files anew; the difference is then looked at as a diff.
"""

import os
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "transcripts"


def check(name: str, lines: list[str]) -> None:
    """Compares the lines with tests/transcripts/<name>.txt."""
    path = FOLDER / f"{name}.txt"
    text = "\n".join(lines) + "\n"
    if os.environ.get("REWRITE_TRANSCRIPTS"):
        path.write_text(text)
    assert path.read_text() == text, f"differs from {path}; see REWRITE_TRANSCRIPTS"
