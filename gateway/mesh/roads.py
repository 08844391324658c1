"""Links over a third gateway, for two that live and do not reach each other: their ends.

Such a link is begun by the lower id, over a gateway that hears the other one, as soon as that one has
been missed for `suspect_s`. From then on it is a link like others, with hellos, heartbeats and streams;
only that its bytes travel as `Relayed` frames in the links of both to the relay (`relay.py`). It is over
when both are linked directly, or with one of those links, and is then begun anew. Each end says how much
it has taken, so that no more than a window is under way; the rest waits where it begins.

Must not know what is said on a link.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.errors import LinkError
from gateway.limits import ROAD_PIECE_BYTES, ROAD_WAITING_BYTES_MAX, ROAD_WINDOW_BYTES
from gateway.mesh.frames import Relayed
from gateway.mesh.life import Life
from gateway.mesh.link import Link, LinkState
from gateway.mesh.peer import ROADS, Peer
from gateway.mesh.relay import Relay
from gateway.mesh.state import MeshState

AGAIN_S = 1.0  # between two tries to reach one gateway
TOLD_BYTES = ROAD_WINDOW_BYTES // 4  # so much is taken before that is said by itself
NO_SUCH = "there is no such link"


@dataclass(slots=True, eq=False)
class Road:
    """This gateway's end of one. `link` is what it carries, `bearer` the link to the relay; bytes are
    counted from the first one on."""

    link: Link
    bearer: Link
    number: int
    first: bool = False  # it is begun here, and nothing has left yet
    waiting: deque[memoryview] = field(default_factory=deque)
    waiting_bytes: int = 0
    sent: int = 0
    taken: int = 0  # of what was sent, by the other end
    came: int = 0
    told: int = 0  # of what came, to the other end

    def room(self) -> int:
        """How many bytes may leave."""
        return ROAD_WINDOW_BYTES - (self.sent - self.taken)

    def piece(self, size: int) -> bytes:
        """Takes so many bytes of what waits, or all there are."""
        parts: list[memoryview] = []
        while size and self.waiting:
            part = self.waiting.popleft()
            if len(part) > size:
                self.waiting.appendleft(part[size:])
                part = part[:size]
            parts.append(part)
            size -= len(part)
        piece = b"".join(parts)
        self.waiting_bytes -= len(piece)
        return piece


class Roads:
    """By the gateway at the other end. `greet`, `receive` and `lost` are told of links as the shell
    tells of others."""

    def __init__(
        self,
        state: MeshState,
        greet: Callable[[Link], None],
        receive: Callable[[Link, bytes], None],
        lost: Callable[[Link], None],
    ) -> None:
        self.relay = Relay(state)
        self._state = state
        self._greet, self._receive, self._lost = greet, receive, lost
        self._roads: dict[str, Road] = {}
        self._missed: dict[str, float] = {}  # since when only others hear it
        self._tried: dict[str, tuple[float, str]] = {}  # when last, and over which relay

    def wake(self) -> None:
        """Begins what is due; to be called with every heartbeat."""
        state, now = self._state, self._state.now
        wanted = self._wanted()
        self._missed = {gateway: self._missed.get(gateway, now) for gateway in wanted}
        self._tried = {gateway: at for gateway, at in self._tried.items() if gateway in wanted}
        for gateway, relays in wanted.items():
            peer = state.peers.get(gateway)
            patient = now - self._missed[gateway] < state.identity.cluster.suspect_s
            linked = peer is not None and peer.link is not None
            if patient or linked or gateway in self._roads or gateway < state.identity.gateway:
                continue
            tried_at, over = self._tried.get(gateway, (now - AGAIN_S, ""))
            if now - tried_at >= AGAIN_S:
                relay = next((each for each in relays if each.gateway > over), relays[0])
                self._tried[gateway] = now, relay.gateway
                self._begin(gateway, relay)

    def on_relayed(self, bearer: Link, frame: Relayed) -> None:
        """A frame came that is another link's. Raises LinkError for one that was passed on before."""
        if bearer.via:
            raise LinkError("malformed", "a link over a third gateway inside of another one")
        if frame.target == self._state.identity.gateway:
            self._take(bearer, frame)
        elif frame.origin == bearer.gateway != frame.target:
            self.relay.pass_on(bearer, frame)
        else:
            raise LinkError("malformed", "what is relayed is passed on once")

    def turn(self) -> None:
        """A turn ends: what is over is ended on both sides."""
        for gateway, road in list(self._roads.items()):
            relay = self._state.peers.get(road.bearer.gateway)
            if relay is None or relay.link is not road.bearer or road.bearer.closed:
                self._drop(gateway)
            elif road.link.closed:
                self._send(road)
                self._say(road, over="the link is closed")
                self._drop(gateway)
        self.relay.turn()

    def carry(self) -> None:
        """What stands in the links goes on its way, as far as there is room."""
        for road in self._roads.values():
            self._send(road)

    def _wanted(self) -> dict[str, list[Peer]]:
        """Who is heard by others with a link of their own, and not here; and who those are."""
        state = self._state
        suspect_s, wanted = state.identity.cluster.suspect_s, dict[str, list[Peer]]()
        for relay in sorted(state.peers.values(), key=lambda peer: peer.gateway):
            link = relay.link
            if link is None or link.via or link.state is not LinkState.UP:
                continue
            if relay.life is not Life.ALIVE or not relay.speaks(ROADS):
                continue
            for gateway in sorted(relay.hears - {state.identity.gateway}):
                peer = state.peers.get(gateway)
                if peer is not None and (peer.refuses or peer.stopping):
                    continue
                linked = peer is not None and peer.link is not None and not peer.link.via
                if peer is None or not linked or state.now - peer.heard_at >= suspect_s:
                    wanted.setdefault(gateway, []).append(relay)
        return wanted

    def _begin(self, gateway: str, relay: Peer) -> None:
        assert relay.link is not None, "it is wanted as a relay"
        number = self._state.clock.stamp(self._state.now).time_ms
        self._add(gateway, relay.link, number, dialled=True)

    def _add(self, gateway: str, bearer: Link, number: int, dialled: bool) -> Road:
        state = self._state
        address = state.dialling.address_of(gateway)
        link = Link(address, gateway, dialled, state.now, via=bearer.gateway)
        road = self._roads[gateway] = Road(link, bearer, number, first=dialled)
        state.links[link] = None
        self._greet(link)
        return road

    def _take(self, bearer: Link, frame: Relayed) -> None:
        """A frame for this gateway."""
        road = self._roads.get(frame.origin)
        if road is not None and road.number < frame.number and frame.first:
            self._drop(frame.origin)  # the other end has given that one up
            road = None
        if road is None and frame.first and not frame.over:
            road = self._add(frame.origin, bearer, frame.number, dialled=False)
        if road is None or road.number != frame.number or road.bearer is not bearer:
            if not frame.over:
                me = self._state.identity.gateway
                bearer.say(Relayed(me, frame.origin, frame.number, over=NO_SUCH))
            return
        road.taken = max(road.taken, frame.taken)
        if frame.over or road.taken > road.sent:
            self._drop(frame.origin)
            return
        road.came += len(frame.payload)
        if frame.payload:
            self._receive(road.link, frame.payload)

    def _drop(self, gateway: str) -> None:
        self._lost(self._roads.pop(gateway).link)

    def _send(self, road: Road) -> None:
        """What stands in the link, and what is long as long as there is room."""
        self._push(road)
        while road.link.has_more():
            road.link.say_next()
            self._push(road)

    def _push(self, road: Road) -> None:
        out = road.link.out
        road.waiting.extend(map(memoryview, out))
        road.waiting_bytes += sum(map(len, out))
        out.clear()
        while road.waiting and road.room() >= min(ROAD_PIECE_BYTES, road.waiting_bytes):
            self._say(road, road.piece(ROAD_PIECE_BYTES))
        road.link.blocked = bool(road.waiting)
        if road.came - road.told >= TOLD_BYTES:
            self._say(road)
        if road.waiting_bytes > ROAD_WAITING_BYTES_MAX:
            road.link.close()

    def _say(self, road: Road, payload: bytes = b"", over: str = "") -> None:
        me, target = self._state.identity.gateway, road.link.certified
        frame = Relayed(me, target, road.number, payload, road.first, road.came, over)
        road.first, road.told = False, road.came
        road.sent += len(payload)
        road.bearer.say(frame)
