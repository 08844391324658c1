"""Feeds mdns.parse a good answer, all its beginnings, and 3,000 damaged ones; none may raise.
Sorts. Says "passed".
"""

import random
import struct

from gateway_mqtt import mdns

SERVICE = b"\x05_mqtt\x04_tcp\x05local\0"
INSTANCE = b"\x03gw1" + SERVICE
HOST = b"\x03Gw1\x05local\0"


def record(name, kind, data):
    return name + struct.pack("!HHIH", kind, 0x8001, 120, len(data)) + data


good = (
    struct.pack("!HHHHHH", 0, 0x8400, 0, 3, 0, 0)
    + record(SERVICE, mdns.PTR, INSTANCE)
    + record(INSTANCE, mdns.SRV, struct.pack("!HHH", 5, 0, 1884) + HOST)
    + record(HOST.lower(), mdns.A, bytes((10, 0, 0, 7)))
)
assert mdns.parse(good, "_mqtt._tcp", "10.0.0.9") == [(5, "10.0.0.7:1884")]
assert mdns.parse(good, "_http._tcp", "10.0.0.9") == []
question = mdns.question("_mqtt._tcp")
assert mdns.parse(question, "_mqtt._tcp", "10.0.0.9") == []

for size in range(len(good)):
    mdns.parse(good[:size], "_mqtt._tcp", "10.0.0.9")
loop = struct.pack("!HHHHHH", 0, 0x8400, 0, 1, 0, 0) + b"\xc0\x0c"
assert mdns.parse(loop, "_mqtt._tcp", "10.0.0.9") == []

found = [(2, "c"), (1, "b"), (3, "d"), (0, "a"), (2, "c")]
assert mdns.best_first(found) == ["a", "b", "c", "d"]

random.seed(1)
for _ in range(3000):
    bad = bytearray(good)
    for _ in range(random.getrandbits(3) + 1):
        bad[random.getrandbits(16) % len(bad)] = random.getrandbits(8)
    mdns.parse(bytes(bad), "_mqtt._tcp", "10.0.0.9")
print("passed")
