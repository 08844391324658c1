"""commands.py under what newer versions of umqtt.simple do differently: newer.py GATEWAYS.

Their wait_msg returns the first byte of a PUBLISH, and their connect sets a time limit of its own.
"""

import umqtt.simple

Older = umqtt.simple.MQTTClient


class Newer(Older):
    def connect(self, clean_session=True, timeout=None):
        result = super().connect(clean_session)
        self.sock.settimeout(timeout)
        return result

    def wait_msg(self):
        callback, heard = self.cb, []
        self.cb = lambda topic, payload: heard.append((topic, payload))
        op = super().wait_msg()
        self.cb = callback
        for topic, payload in heard:
            callback(topic, payload)
        return 0x30 if heard else op


umqtt.simple.MQTTClient = Newer
import commands  # noqa: E402, F401
