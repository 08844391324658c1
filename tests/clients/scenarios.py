"""Scenarios: a few clients' packets, said to any broker, and what each client hears after each.

tests/scenarios/*.txt is a line or two of prose and then scenarios:

    --- what it shows
    name > Connect(MQTT5, "id", True, 60)      a client says a packet, in the words of packets.py
    name > bytes 30 05 0003 "a/#"              or bytes, as in tests/vectors
    name cut                                   its connection is gone
    ~ why                                      the answers to the line above differ, and may

A name stands for a connection, made with its first line and again after a cut. What is heard before
all have been quiet for a while belongs to the line above: nothing else tells a client that a broker
has finished, one that writes to its disk least of all.
"""

import re
import select
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gateway.mqtt.decode import decode
from gateway.mqtt.encode import encode
from gateway.mqtt.framing import split
from gateway.mqtt.packets import ConnAck, Connect, Packet, Publish, Version
from gateway.mqtt.properties import NO_PROPERTIES
from tests.mqtt.vectors import _WORDS, Reason, _bytes

FOLDER = Path(__file__).parent.parent / "scenarios"
ANSWER_S_MAX = 5.0
QUIET_S = 0.15  # a commit to a disk and a will take a few milliseconds
WORDS = {**_WORDS, "Reason": Reason}


@dataclass(slots=True)
class Step:
    """One line: who, what bytes (None: cut), and why the brokers may differ in it."""

    client: str
    said: str
    data: bytes | None
    packet: Packet | None = None
    differs: str = ""


@dataclass(slots=True)
class Scenario:
    title: str
    steps: list[Step] = field(default_factory=list)


def load() -> Iterator[Scenario]:
    """Every scenario of every file."""
    for path in sorted(FOLDER.glob("*.txt")):
        for text in re.split(r"^--- ", path.read_text(), flags=re.MULTILINE)[1:]:
            title, *lines = text.strip().splitlines()
            scenario = Scenario(title)
            for line in lines:
                if line.startswith("~ "):
                    scenario.steps[-1].differs = line[2:]
                else:
                    scenario.steps.append(_step(line, scenario.steps))
            yield scenario


def _step(line: str, before: list[Step]) -> Step:
    if line.endswith(" cut"):
        return Step(line.removesuffix(" cut"), "cut", None)
    client, said = line.split(" > ", 1)
    if said.startswith("bytes "):
        return Step(client, said, _bytes(said.removeprefix("bytes ")))
    packet: Packet = eval(said, dict(WORDS))  # our own files, and no builtins
    version = Version.MQTT311
    for packet_before in (
        packet,
        *(step.packet for step in reversed(before) if step.client == client),
    ):
        if isinstance(packet_before, Connect):
            version = packet_before.version
            break
    return Step(client, said, encode(packet, version), packet)


class Speaker:
    """One client's connection to a broker."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, ANSWER_S_MAX)
        self.version = Version.MQTT311
        self.admitted = False
        self.closed = False
        self._unread = b""

    def say(self, step: Step) -> None:
        assert step.data is not None
        if isinstance(step.packet, Connect) and not self.admitted:
            self.version = step.packet.version
        try:
            self.socket.sendall(step.data)
        except OSError:
            self.closed = True

    def hear(self) -> list[Packet]:
        """What has come; call it when there is something to read."""
        try:
            came = self.socket.recv(65_536)
        except ConnectionError:
            came = b""
        self.closed = not came
        self._unread += came
        frames, rest = split(self._unread, 268_435_455)
        said, self._unread = self._unread, self._unread[rest:]
        heard = [decode(first, said[start:end], self.version) for first, start, end in frames]
        self.admitted |= any(isinstance(packet, ConnAck) for packet in heard)
        return heard


def play(scenario: Scenario, address: tuple[str, int]) -> list[list[str]]:
    """What every client heard after each step, in plain words that two brokers can share."""
    speakers: dict[str, Speaker] = {}
    answers = []
    try:
        for step in scenario.steps:
            speaker = speakers.get(step.client)
            if step.data is None:
                assert speaker is not None
                speakers.pop(step.client).socket.close()
            else:
                if speaker is None:
                    speaker = speakers[step.client] = Speaker(address)
                speaker.say(step)
            answers.append(_heard(speakers))
    finally:
        for each in speakers.values():
            each.socket.close()
    return answers


def _heard(speakers: dict[str, Speaker]) -> list[str]:
    """Until all have been quiet for QUIET_S, or have been cut off."""
    came: dict[str, list[str]] = {name: [] for name in speakers}
    while connected := {
        each.socket: (name, each) for name, each in speakers.items() if not each.closed
    }:
        ready, _, _ = select.select(list(connected), [], [], QUIET_S)
        if not ready:
            break
        for line in ready:
            name, speaker = connected[line]
            came[name] += [_plain(packet) for packet in speaker.hear()]
            if speaker.closed:
                came[name].append("closed")
    # Acknowledgements and messages of one turn may leave in either order.
    return [f"{name}: {what}" for name in sorted(came) for what in sorted(came[name])]


def _plain(packet: Packet) -> str:
    """Without what a broker is free to choose: its limits, and the words of its reasons."""
    if isinstance(packet, ConnAck):
        named = packet.properties.assigned_client_identifier is not None
        return f"ConnAck(present={packet.session_present}, {packet.reason.name}, named={named})"
    properties = getattr(packet, "properties", NO_PROPERTIES)
    if properties == NO_PROPERTIES or not isinstance(packet, Publish):
        return repr(packet).replace(f", properties={properties!r}", "")
    return repr(packet)
