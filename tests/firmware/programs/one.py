"""Publishes one reading: one.py GATEWAYS LIMIT_S [FILTER].

Says "taken GATEWAY MS" or "refused MS REASON". Subscribes to FILTER first, and says "error ERROR"
for what became of it.
"""

import sys
import time

from gateway_mqtt import Client

client = Client("one", sys.argv[1].split(","), connect_s=0.5, answer_s=0.5)
if sys.argv[3:]:
    client.subscribe(sys.argv[3])
started = time.ticks_ms()
try:
    client.publish("readings", "only", limit_s=int(sys.argv[2]))
    print("error", client.last_error)
    print("taken", client.gateway, time.ticks_diff(time.ticks_ms(), started))
except OSError as error:
    print("refused", time.ticks_diff(time.ticks_ms(), started), error)
