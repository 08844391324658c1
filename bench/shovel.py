"""The least that a broker can do, to find the generator's ceiling: `python -m bench.shovel PORT`.

It answers CONNECT and SUBSCRIBE, throws a publisher's PUBLISH packets to every subscriber as they
came, and makes up the acknowledgements, all of it in whole batches. It routes nothing, keeps
nothing and checks nothing. What the generator reaches against it, the generator can reach.
"""

import select
import socket
import sys

from bench import wire

BUFFER_BYTES = 1 << 18
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
        self._poll = select.epoll()
        self._peers: dict[int, Peer] = {}
        self._subscribers: list[Peer] = []
        self._load = bytearray()  # what this turn brought for the subscribers
        self._listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        self._poll.register(self._listener.fileno(), select.EPOLLIN)

    def serve(self) -> None:
        """Until the process is ended."""
        while True:
            for descriptor, _ in self._poll.poll():
                peer = self._peers.get(descriptor)
                if peer is None:
                    self._accept()
                else:
                    self._read(peer)
            self._deliver()

    def _deliver(self) -> None:
        if self._load:
            for subscriber in self._subscribers:
                subscriber.socket.sendall(self._load)
            self._load.clear()

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(SEND_TIMEOUT_S)
        self._peers[connection.fileno()] = Peer(connection)
        self._poll.register(connection.fileno(), select.EPOLLIN)

    def _read(self, peer: Peer) -> None:
        try:
            count = peer.socket.recv_into(peer.view[peer.held :])
        except OSError:
            count = 0
        if not count:
            self._remove(peer)
            return
        end = peer.held + count
        done = 0
        answer = bytearray()
        for run in wire.runs(peer.buffer, end):
            done = run.start + run.count * run.size
            if run.first >> 4 == wire.PUBLISH >> 4 and self._subscribers:
                self._load += peer.view[run.start : done]
            answer += self._answer(peer, run)
        if answer:
            peer.socket.sendall(answer)
        peer.held = end - done
        if peer.held:
            peer.buffer[: peer.held] = peer.buffer[done:end]

    def _remove(self, peer: Peer) -> None:
        del self._peers[peer.socket.fileno()]
        peer.socket.close()
        if peer in self._subscribers:
            self._subscribers.remove(peer)

    def _answer(self, peer: Peer, run: wire.Run) -> bytes | bytearray:
        match run.first:
            case 0x10:
                return bytes((wire.CONNACK, 2, 0, 0))
            case 0x82:
                self._subscribers.append(peer)
                qos = peer.buffer[run.start + run.size - 1]
                return bytes((wire.SUBACK, 3, 0, 1, qos))
            case wire.PINGREQ:
                self._deliver()  # the answer says that all that came before is on its way
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
