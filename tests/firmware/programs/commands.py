"""Obeys commands, and only polls: commands.py GATEWAYS.

Says "at GATEWAY" and "good GATEWAY" on each change, "error ERROR" last, "command TOPIC PAYLOAD" and
"done PAYLOAD", and "poll MS" for each poll that took above 300 ms. Answers every command from
inside the callback. Ends at the command "end".
"""

import sys
import time

from gateway_mqtt import Client

over = []


def on_message(topic, payload):
    print("command", topic.decode(), payload.decode())
    client.publish("answers", b"did " + payload)
    print("done", payload.decode())
    if payload == b"end":
        over.append(True)


client = Client(
    "commands",
    sys.argv[1].split(","),
    on_message=on_message,
    keep_alive_s=1,
    connect_s=1,
    answer_s=1,
)
client.subscribe("commands/#")
at = good = None
while not over:
    started = time.ticks_ms()
    client.poll()
    took = time.ticks_diff(time.ticks_ms(), started)
    if took > 300:
        print("poll", took)
    if client.gateway != at:
        at = client.gateway
        print("at", at)
    if client.last_good != good:
        good = client.last_good
        print("good", good)
    time.sleep_ms(5)
print("error", client.last_error)
