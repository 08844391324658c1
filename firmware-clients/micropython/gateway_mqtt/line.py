"""One TCP connection that never blocks longer than its deadline.

MicroPython's own socket timeout restarts with every byte that arrives, and umqtt.simple switches it
off after the first byte (wait_msg calls setblocking(True)). A Line looks like a socket to umqtt and
keeps one deadline over any number of reads and writes, so that a server that sends a byte now and
then cannot hold the device.

Rules: set the deadline before each use; after any OSError the line is of no use: close it. TLS,
when it comes, goes into connect(), around the socket. Knows nothing of MQTT but the largest packet.
"""

import errno
import select
import time

PACKET_BYTES_MAX = 4096  # taken or sent: an ESP8266 has some 30 kB for everything


class Line:
    def __init__(self, raw):
        """`raw` is a fresh stream socket."""
        self._socket = raw
        self._deadline = time.ticks_ms()
        self._unsent = bytearray()
        self._poller = None

    def limit(self, milliseconds):
        """Reads and writes together may take so long from now on; then OSError(ETIMEDOUT)."""
        self._deadline = time.ticks_add(time.ticks_ms(), milliseconds)

    def connect(self, address):
        self._socket.settimeout(max(1, self._left()) / 1000)
        self._socket.connect(address)
        self._socket.setblocking(False)
        self._poller = select.poll()
        self._poller.register(self._socket, select.POLLIN)

    def write(self, data, size=None):
        """Keeps `data` until the next read or flush: umqtt writes a packet in up to six pieces."""
        if len(self._unsent) + len(data) > PACKET_BYTES_MAX:
            raise OSError(errno.ENOBUFS)
        self._unsent.extend(data if size is None else memoryview(data)[:size])

    def flush(self):
        """Sends what was written. Raises OSError when the connection or the time is gone."""
        if not self._unsent:
            return
        rest = memoryview(self._unsent)
        while rest:
            self._wait(select.POLLOUT)
            rest = rest[self._socket.write(rest) or 0 :]
        self._unsent = bytearray()

    def read(self, size):
        """Exactly `size` bytes. Raises OSError at the connection's end, too."""
        if not 0 <= size <= PACKET_BYTES_MAX:
            raise OSError(errno.EINVAL)
        self.flush()
        data = b""
        while len(data) < size:
            self._wait(select.POLLIN)
            piece = self._socket.read(size - len(data))
            if piece == b"":
                raise OSError(errno.ECONNRESET)
            data += piece or b""
        return data

    def readable(self):
        """Whether something has arrived, the connection's end included."""
        self._poller.modify(self._socket, select.POLLIN)
        return bool(self._poller.poll(0))

    def setblocking(self, blocking):
        """umqtt's own idea of waiting; the deadline replaces it."""

    def settimeout(self, timeout_s):
        """As above."""

    def close(self):
        self._socket.close()

    def _left(self):
        return time.ticks_diff(self._deadline, time.ticks_ms())

    def _wait(self, event):
        self._poller.modify(self._socket, event)
        left = self._left()
        if left <= 0 or not self._poller.poll(left):
            raise OSError(errno.ETIMEDOUT)
