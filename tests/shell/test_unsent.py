"""Who may write when all clients together have too much unsent (gateway/shell/unsent.py)."""

from collections.abc import Callable

from gateway.shell.unsent import BEHIND_BYTES, SHORT_BYTES, STUCK_S, TICK_S, Unsent

MIB = 1_048_576


class Clients:
    """A loop's clock, turned by hand, and the sockets on it."""

    def __init__(self, bytes_max: int = 4 * MIB) -> None:
        self.now = 100.0
        self.due: list[tuple[float, Callable[[], None]]] = []
        self.unsent = Unsent(bytes_max, lambda: self.now, self._later)

    def _later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.due.append((self.now + delay_s, call))

    def turn(self) -> None:
        self.unsent.turn()

    def pass_s(self, seconds: float) -> None:
        until = self.now + seconds
        while self.due and self.due[0][0] <= until:
            self.now, call = self.due.pop(0)
            self.turn()
            call()
        self.now = until


class Client:
    """A socket that keeps what it is given until `take`; `outbox` is what waits to be written."""

    def __init__(self, clients: Clients, outbox: int = 0) -> None:
        self.unsent_pool = clients.unsent
        self.line = clients.unsent.joined(self)
        self.outbox = 0
        self.buffer = 0
        self.held = False
        self.open = True
        if outbox:
            self.say(outbox)

    def say(self, size: int) -> None:
        self.outbox += size
        self.flush()

    def take(self, size: int = 1 << 40) -> None:
        self.buffer -= min(size, self.buffer)

    def unsent(self) -> int:
        return self.buffer

    def flush(self) -> None:
        if self.outbox and self.unsent_pool.takes(self.line, self.outbox):
            self.unsent_pool.wrote(self.line, self.outbox)
            self.buffer += self.outbox
            self.outbox = 0

    def hold(self, held: bool) -> None:
        self.held = held

    def cut_off(self) -> None:
        self.open = False


def test_a_broadcast_to_many_is_written_as_they_take_it_and_nobody_is_cut_off() -> None:
    here = Clients()
    clients = [Client(here, MIB) for _ in range(20)]
    assert sum(client.buffer for client in clients) <= 4 * MIB
    assert [client.held for client in clients] == [False] * 4 + [True] * 16  # these wait
    for _ in range(20):
        for client in clients:
            client.take()
        here.pass_s(TICK_S)
    assert all(client.outbox == client.buffer == 0 and client.open for client in clients)
    assert not any(client.held for client in clients) and here.due == []


def test_while_there_is_room_nobody_is_asked_or_held() -> None:
    here = Clients()
    client = Client(here)
    for _ in range(2):
        client.say(MIB)
    assert not client.held and here.due == []


def test_what_seemed_unsent_and_is_gone_makes_room_at_once() -> None:
    here = Clients()
    client = Client(here)
    for _ in range(100):
        client.say(MIB)
        assert client.outbox == 0
        client.take()
        here.turn()


def test_who_is_far_behind_counts_as_deaf_while_half_is_used_and_not_after() -> None:
    here = Clients()
    behind, little = Client(here, MIB), Client(here, BEHIND_BYTES)
    full = Client(here, MIB - 100)
    here.turn()
    Client(here, 1_000)
    assert not behind.held  # perhaps it takes it in this turn
    here.pass_s(2 * TICK_S)
    assert behind.held and not little.held
    full.take()
    here.pass_s(TICK_S)
    assert not behind.held and here.due == []


def test_who_takes_nothing_while_others_wait_is_cut_off_and_they_go_on() -> None:
    here = Clients()
    stuck = [Client(here, MIB) for _ in range(4)]
    slow = Client(here)
    waiting = Client(here, MIB)
    slow.buffer = slow.line.size = 100_000
    here.unsent.used += 100_000
    for _ in range(int(STUCK_S) + 1):
        here.pass_s(1.0)
        slow.take(20_000)
        slow.buffer += 20_000
        here.unsent.wrote(slow.line, 20_000)
    assert [client.open for client in stuck] == [False, False, False, True]  # no more than needed
    assert waiting.outbox == 0 and waiting.open and slow.open


def test_nobody_is_cut_off_while_nobody_waits() -> None:
    here = Clients()
    stuck = [Client(here, MIB) for _ in range(3)]
    Client(here, 1)
    here.pass_s(10 * STUCK_S)
    assert all(client.open and client.held for client in stuck)


def test_short_answers_to_who_is_not_behind_never_wait() -> None:
    here = Clients()
    for _ in range(5):
        Client(here, MIB)
    quiet = Client(here, SHORT_BYTES)
    assert quiet.outbox == 0 and not quiet.held
    quiet.say(1)
    assert quiet.outbox == 1


def test_who_goes_leaves_no_trace() -> None:
    here = Clients()
    clients = [Client(here, MIB) for _ in range(6)]
    for client in clients:
        here.unsent.left(client.line)
    here.pass_s(1.0)
    assert here.unsent.used == 0 and here.due == []
    assert clients[5].outbox == MIB  # nobody asked it again
