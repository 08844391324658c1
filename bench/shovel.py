"""The least that a broker can do, to find the generator's ceiling: `python -m bench.shovel PORT`.

It answers CONNECT and SUBSCRIBE, throws a publisher's PUBLISH packets to every subscriber as they came,
and makes up the acknowledgements, all of it in whole batches. It routes nothing, keeps nothing and checks
nothing. What the generator reaches against it, the generator can reach.
"""

import selectors
import socket
import sys

from bench import wire

BUFFER_BYTES = 1 << 20
SEND_TIMEOUT_S = 5.0


class Peer:
    """One connection with what was read of it and not yet cut into packets."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.buffer = bytearray(BUFFER_BYTES)
        self.view = memoryview(self.buffer)
        self.held = 0


class Shovel:
    """All peers. A publisher is whoever publishes, a subscriber whoever subscribed."""

    def __init__(self, port: int) -> None:
        self._selector = selectors.EpollSelector()
        self._subscribers: list[Peer] = []
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._selector.register(self._listener, selectors.EVENT_READ)

    def serve(self) -> None:
        """Until the process is ended."""
        while True:
            for key, _ in self._selector.select():
                if key.data is None:
                    self._accept()
                else:
                    self._read(key.data)

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(SEND_TIMEOUT_S)
        self._selector.register(connection, selectors.EVENT_READ, Peer(connection))

    def _read(self, peer: Peer) -> None:
        try:
            count = peer.socket.recv_into(peer.view[peer.held :])
        except OSError:
            count = 0
        if not count:
            self._selector.unregister(peer.socket)
            peer.socket.close()
            if peer in self._subscribers:
                self._subscribers.remove(peer)
            return
        end = peer.held + count
        done = 0
        answer = bytearray()
        load = bytearray()
        for run in wire.runs(peer.buffer, end):
            done = run.start + run.count * run.size
            if run.first >> 4 == wire.PUBLISH >> 4:
                load += peer.view[run.start : done]
            answer += self._answer(peer, run)
        for subscriber in self._subscribers if load else ():
            subscriber.socket.sendall(load)
        if answer:
            peer.socket.sendall(answer)
        peer.held = end - done
        peer.buffer[: peer.held] = peer.buffer[done:end]

    def _answer(self, peer: Peer, run: wire.Run) -> bytes | bytearray:
        match run.first:
            case 0x10:
                return bytes((wire.CONNACK, 2, 0, 0))
            case 0x82:
                self._subscribers.append(peer)
                qos = peer.buffer[run.start + run.size - 1]
                return bytes((wire.SUBACK, 3, 0, 1, qos))
            case wire.PINGREQ:
                return bytes((wire.PINGRESP, 0))
            case wire.PUBREC:
                return wire.answers(wire.PUBREL, peer.buffer, run, wire.HEADER_BYTES)
            case wire.PUBREL:
                return wire.answers(wire.PUBCOMP, peer.buffer, run, wire.HEADER_BYTES)
            case 0x32 | 0x34:
                topic = int.from_bytes(peer.buffer[run.start + 2 : run.start + 4], "big")
                kind = wire.PUBACK if run.first == 0x32 else wire.PUBREC
                return wire.answers(kind, peer.buffer, run, 4 + topic)
        return b""


if __name__ == "__main__":
    Shovel(int(sys.argv[1])).serve()
