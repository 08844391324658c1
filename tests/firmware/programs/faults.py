"""umqtt's faults, one after the other, against a gateway: faults.py GATEWAY. Says "passed NAME" for
each.
"""

import sys

from gateway_mqtt import Client
from gateway_mqtt.line import PACKET_BYTES_MAX


def refused(call, *arguments):
    try:
        call(*arguments)
    except ValueError:
        return
    raise AssertionError("was accepted")


client = Client("faults", [sys.argv[1]], connect_s=2, answer_s=2)

client.publish("readings/größe", "21,5 °C")
print("passed characters")

client._session.pid = 65533
for number in range(5):
    client.publish("readings", f"id {number}")
assert client._session.pid == 3, client._session.pid
print("passed packet ids")

client.subscribe("t" * 122)
refused(client.subscribe, "t" * 123)
print("passed long filters")

payload = "x" * (PACKET_BYTES_MAX - len("readings") - 8)
client.publish("readings", payload)
refused(client.publish, "readings", payload + "x")
print("passed large readings")

assert client.last_error is None, client.last_error
