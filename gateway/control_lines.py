"""How gwctl asks and gatewayd answers: one JSON object a line each way, over a Unix socket.

    request   {"command":"clients","arguments":{"limit":100}}      arguments may be left out
    answer    {"ok":true,"result":{...}}
    refusal   {"ok":false,"error":"what","remedy":"what to do"}
    stream    {"ok":true,"stream":true}, then {"item":{...}} again and again until gwctl hangs up

Both sides import this file, `control_commands.py` and `control.py`, and nothing else of each other.
It must stay light, for gwctl is started by hand on small boxes: tuples with names instead of
dataclasses, whose import alone takes as long as all of gwctl's own work. Must not know what the
commands are or what a document says.
"""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

REQUEST_BYTES_MAX = 65_536  # with the line's end; a rule or a password is far below it
ANSWER_BYTES_MAX = 4_194_304  # 32 gateways with 64 serial ports each are under 1 MB

Document: TypeAlias = dict[str, Any]


class ControlError(Exception):
    """The other side broke the protocol or refused. `remedy` tells the operator what to do."""

    def __init__(self, text: str, remedy: str) -> None:
        super().__init__(text)
        self.text = text
        self.remedy = remedy


class RefusedError(ControlError):
    """The gateway understood, and says no."""


class Request(NamedTuple):
    """One command as it came; `control_commands.py` says whether there is such a one."""

    command: str
    arguments: Document


def encode_request(command: str, arguments: Mapping[str, Any] | None = None) -> bytes:
    """Raises ControlError when the request is longer than the gateway would read."""
    line = _line({"command": command} | ({"arguments": dict(arguments)} if arguments else {}))
    if len(line) > REQUEST_BYTES_MAX:
        text = f"what is asked has more than {REQUEST_BYTES_MAX} bytes"
        raise ControlError(text, "ask with shorter arguments")
    return line


def decode_request(line: bytes) -> Request:
    """Raises ControlError; the daemon must answer with `encode_refusal`."""
    request = _object(line, REQUEST_BYTES_MAX)
    command, arguments = request.get("command"), request.get("arguments", {})
    if not isinstance(command, str):
        raise ControlError("the request names no command", "ask for one by its name")
    if not isinstance(arguments, dict):
        raise ControlError("the arguments are not an object", "write them by their names")
    return Request(command, arguments)


def encode_answer(document: Mapping[str, Any]) -> bytes:
    """The answer; a refusal when the document is longer than gwctl would read."""
    line = _line({"ok": True, "result": document})
    if len(line) > ANSWER_BYTES_MAX:
        return encode_refusal("the answer is too long", "ask for less with --limit")
    return line


def encode_refusal(error: str, remedy: str) -> bytes:
    return _line({"ok": False, "error": error, "remedy": remedy})


def encode_stream() -> bytes:
    """The first line of a stream."""
    return _line({"ok": True, "stream": True})


def encode_item(document: Mapping[str, Any]) -> bytes:
    """One further line of a stream."""
    return _line({"item": document})


def decode_answer(line: bytes) -> object:
    """The document. Raises RefusedError in the daemon's own words, or ControlError."""
    answer = _object(line, ANSWER_BYTES_MAX)
    if answer.get("ok") is True and "result" in answer:
        return answer["result"]
    raise _refusal(answer)


def decode_stream(line: bytes) -> None:
    """Reads the first line of a stream. Raises as `decode_answer`."""
    answer = _object(line, ANSWER_BYTES_MAX)
    if answer.get("ok") is not True or answer.get("stream") is not True:
        raise _refusal(answer)


def decode_item(line: bytes) -> Document:
    item = _object(line, ANSWER_BYTES_MAX).get("item")
    if not isinstance(item, dict):
        raise misfit("the stream brought a line that is no item")
    return item


def misfit(text: str) -> ControlError:
    """For what cannot be when both sides are of one version."""
    return ControlError(text, "see that gwctl and gatewayd are of the same version")


def _refusal(answer: Document) -> ControlError:
    error, remedy = answer.get("error"), answer.get("remedy")
    if answer.get("ok") is False and isinstance(error, str) and isinstance(remedy, str):
        return RefusedError(error, remedy)
    return misfit("the answer is neither a result nor a refusal")


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _object(line: bytes, bytes_max: int) -> Document:
    if len(line) > bytes_max:
        raise misfit(f"the line has more than {bytes_max} bytes")
    try:
        document = json.loads(line, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise misfit("the line is not JSON") from None
    if not isinstance(document, dict):
        raise misfit("the line is not a JSON object")
    return document


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
