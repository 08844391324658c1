"""Looks for gateways: find.py SERVICE ADDRESS [publish]. Says "found GATEWAY" for each, "taken
GATEWAY" for a reading.
"""

import sys

from gateway_mqtt import Client, mdns

service, address = sys.argv[1:3]
if sys.argv[3:]:
    client = Client(
        "find", discover=True, service=service, address=address, connect_s=2, answer_s=2
    )
    client.publish("readings", "found you")
    print("taken", client.gateway)
else:
    for gateway in mdns.find(service, 1000, address):
        print("found", gateway)
