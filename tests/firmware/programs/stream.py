"""Publishes numbered readings until the last gateway of the list has taken fifty: stream.py
GATEWAY,GATEWAY.

Says "taken NUMBER GATEWAY MILLISECONDS" for each.
"""

import sys
import time

from gateway_mqtt import Client

gateways = sys.argv[1].split(",")
client = Client("stream", gateways, connect_s=1, answer_s=1)
number = at_last = 0
while at_last < 50:
    started = time.ticks_ms()
    client.publish("readings", str(number))
    print("taken", number, client.gateway, time.ticks_diff(time.ticks_ms(), started))
    at_last += client.gateway == gateways[-1]
    number += 1
    time.sleep_ms(2)
print("last", number - 1)
