"""Prints docs/man/gwctl.1 from the table of commands, by way of gwctl's own parser.

    .venv/bin/python -m tools.man_page > docs/man/gwctl.1

Nothing about a single command is written here: its words stand in `gateway/control_commands.py`.
"""

from gateway.ctl.outline import Outline, Word, outlines
from gateway.ctl.parser import EXIT_STATUSES

HEAD = r"""
.\" Printed by tools/man_page.py; change the table in gateway/control_commands.py instead.
.TH GWCTL 1 "" "edge gateway" "User Commands"
.SH NAME
gwctl \- asks a gateway how it and its mesh are
.SH SYNOPSIS
.B gwctl
.RI [ options ]
.I command
.RI [ arguments ]
"""
TAIL = r"""
.SH ENVIRONMENT
.TP
.B GWCTL_SOCKET
The control socket, where \fB\-\-socket\fR is not given.
.SH FILES
.TP
.I /run/gatewayd/control.sock
The control socket of gatewayd; who may write to it may ask, and change things.
.TP
.I /etc/gateway/gateway.toml
The configuration.
"""


def page() -> str:
    """The whole page, as roff."""
    own, *commands = outlines()
    lines = [HEAD.strip(), ".SH DESCRIPTION", _text(own.description), ".SH OPTIONS"]
    lines += _words(own)
    lines.append(".SH COMMANDS")
    for command in commands:
        lines += [f".SS {_text(_usage(command))}", _text(command.description), *_words(command)]
    lines += [".SH EXIT STATUS", _text(EXIT_STATUSES.partition(": ")[2]), TAIL.strip()]
    return "\n".join(lines) + "\n"


def _usage(command: Outline) -> str:
    standing = [word for word in command.arguments if not word.names]
    values = [word.value if word.needed else f"[{word.value}]" for word in standing]
    return " ".join([command.words, *values])


def _words(outline: Outline) -> list[str]:
    lines = []
    for word in outline.arguments:
        if word.help:
            lines += [".TP", _head(word), _text(word.help)]
    return lines


def _head(word: Word) -> str:
    value = word.value if word.needed or not word.value else f"[{word.value}]"
    names = ", ".join(rf"\fB{_text(name)}\fR" for name in word.names)
    return " ".join(filter(None, (names, rf"\fI{_text(value)}\fR" if value else "")))


def _text(text: str) -> str:
    """A text as roff takes it: no escapes, a minus that can be copied, no request at its head."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    print(page(), end="")
