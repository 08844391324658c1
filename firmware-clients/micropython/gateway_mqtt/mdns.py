"""Finds gateways by one mDNS question, because MicroPython has no service query of its own.

A one-shot query (RFC 6762, 5.1): sent from a port of our own, so responders answer straight to us;
nothing is joined and nothing runs on afterwards. PTR names the instances, SRV their port and host,
A the host's address.

Rules: whatever arrives, it is bounded and never raises. Knows nothing of MQTT.
"""

import os
import select
import socket
import struct
import time

GROUP = "224.0.0.251"
PORT = 5353
SERVICE = "_mqtt._tcp"
GATEWAYS_MAX = 16
ANSWERS_MAX = 64  # packets read for one question
ANSWER_BYTES_MAX = 1500
RECORDS_MAX = 64  # of one packet
NAME_STEPS_MAX = 40  # labels and jumps of one name
A, PTR, SRV = 1, 12, 33


def find(service=SERVICE, wait_ms=1000, address=None):
    """Asks the local network and waits `wait_ms`. Returns ["192.168.1.10:1883", ...], the best
    first: by SRV priority, in random order within one. `address` is our own on the network to ask,
    where there are several.
    """
    found = []
    try:
        asker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    except OSError:
        return found
    try:
        if address:
            asker.bind(_sockaddr(address, 0))
        for packet, sender in _answers(asker, question(service), wait_ms):
            found.extend(parse(packet, service, sender))
    except OSError:
        pass  # no network, no gateways
    finally:
        asker.close()
    return best_first(found)


def best_first(found):
    """The gateways of [(priority, gateway), ...], each once, in random order within a priority."""
    gateways = []
    for _priority, _luck, gateway in sorted((each[0], os.urandom(2), each[1]) for each in found):
        if gateway not in gateways:
            gateways.append(gateway)
    return gateways[:GATEWAYS_MAX]


def question(service):
    """The query packet: PTR of service.local, with the unicast-response bit."""
    labels = b"".join(
        bytes([len(label)]) + label.encode() for label in (service + ".local").split(".")
    )
    return b"\0\0\0\0\0\1\0\0\0\0\0\0" + labels + b"\0" + struct.pack("!HH", PTR, 0x8001)


def parse(packet, service, sender):
    """[(priority, "address:port"), ...] of one answer; [] when it is none. A host without A record
    is `sender`.
    """
    instances, services, addresses = [], {}, {}
    try:
        for name, kind, start, end in _records(packet):
            if kind == PTR and name == (service + ".local").encode():
                instances.append(_name(packet, start)[0])
            elif kind == SRV and end - start > 6:
                priority, _weight, port = struct.unpack_from("!HHH", packet, start)
                services[name] = (priority, port, _name(packet, start + 6)[0])
            elif kind == A and end - start == 4:
                addresses.setdefault(name, []).append(_dotted(packet[start:end]))
    except (IndexError, ValueError):
        return []
    gateways = []
    for instance in instances:
        if instance in services:
            priority, port, host = services[instance]
            known = addresses.get(host, [sender])
            gateways.append((priority, f"{sender if sender in known else known[0]}:{port}"))
    return gateways


def _answers(asker, query, wait_ms):
    """(packet, sender's address) of each answer that comes in time."""
    asker.setblocking(False)
    poller = select.poll()
    poller.register(asker, select.POLLIN)
    target = _sockaddr(GROUP, PORT)
    answers = 0
    for share in (wait_ms // 3, wait_ms - wait_ms // 3):  # asked twice: Wi-Fi loses multicast
        asker.sendto(query, target)
        end = time.ticks_add(time.ticks_ms(), share)
        while answers < ANSWERS_MAX and poller.poll(max(0, time.ticks_diff(end, time.ticks_ms()))):
            packet, sender = asker.recvfrom(ANSWER_BYTES_MAX)
            # The Unix port gives the bytes of a struct sockaddr, boards a tuple.
            yield packet, sender[0] if isinstance(sender, tuple) else _dotted(sender[4:8])
            answers += 1


def _dotted(address):
    return ".".join(str(byte) for byte in address)


def _sockaddr(host, port):
    return socket.getaddrinfo(host, port)[0][-1]


def _records(packet):
    """(name, type, start of data, end of data) of each record behind the questions."""
    _id, flags, questions, answers, authorities, more = struct.unpack_from("!HHHHHH", packet, 0)
    if not flags & 0x8000 or questions > RECORDS_MAX:
        return
    at = 12
    for _ in range(questions):
        at = _name(packet, at)[1] + 4
    for _ in range(min(answers + authorities + more, RECORDS_MAX)):
        name, at = _name(packet, at)
        kind, _class, _ttl, size = struct.unpack_from("!HHIH", packet, at)
        if at + 10 + size > len(packet):
            raise ValueError
        yield name, kind, at + 10, at + 10 + size
        at += 10 + size


def _name(packet, at):
    """(the name at `at` in lower case, where the next thing begins); follows compression."""
    labels, end = [], None
    for _ in range(NAME_STEPS_MAX):
        size = packet[at]
        if size >= 0xC0:
            end = end or at + 2
            at = (size & 0x3F) << 8 | packet[at + 1]
        elif size:
            labels.append(bytes(packet[at + 1 : at + 1 + size]).lower())
            at += 1 + size
        else:
            return b".".join(labels), end or at + 1
    raise ValueError
