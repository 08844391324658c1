"""A temperature sensor for ESP32 or Pico W: put it on the board as main.py, and fill in the top.

It measures every ten seconds. What no gateway took stays in `waiting`, up to a bound, and goes
first when one is there again.
"""

import time

from gateway_mqtt import Client

NAME = "sensor-1"  # unique among all devices
WIFI = ("name of the network", "password")
GATEWAYS = ()  # such as ("192.168.1.10", "192.168.1.11"); without any, mDNS must find them
EVERY_MS = 10000
WAITING_MAX = 100  # readings kept while no gateway answers; then the oldest is lost


def join_wifi():
    try:
        import network
    except ImportError:
        return  # the Unix port: the system does the network
    station = network.WLAN(network.STA_IF)
    station.active(True)
    if not station.isconnected():
        station.connect(*WIFI)


def measure():
    """Degrees Celsius; replace it by what your sensor says."""
    try:
        import esp32

        return esp32.mcu_temperature()
    except (ImportError, AttributeError):
        return 20.0


def on_message(topic, payload):
    print("command", topic, payload)


def main():
    join_wifi()
    client = Client(NAME, GATEWAYS, discover=not GATEWAYS, on_message=on_message)
    client.subscribe(f"devices/{NAME}/command")
    waiting = []
    due = time.ticks_ms()
    while True:
        if time.ticks_diff(time.ticks_ms(), due) >= 0:
            due = time.ticks_add(due, EVERY_MS)
            waiting.append(f"{measure():.1f}")
            if len(waiting) > WAITING_MAX:
                waiting.pop(0)
        if client.poll() and waiting:
            send(client, waiting)
        time.sleep_ms(200)


def send(client, waiting):
    try:
        while waiting:
            client.publish(f"devices/{NAME}/temperature", waiting[0])
            waiting.pop(0)
    except OSError as error:
        print(len(waiting), "waiting:", error)


if __name__ == "__main__":
    main()
