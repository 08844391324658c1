"""Which addresses to open links to, and when to try again.

Addresses come from mDNS, from the configuration, from the members kept on disk and from other
gateways; where they come from makes no difference. A stale one costs an attempt every few seconds
and harms nothing. Must not know links or frames.
"""

from dataclasses import dataclass
from random import Random

from gateway.limits import DIAL_BACKOFF_MAX_S, DIAL_BACKOFF_MIN_S, TARGETS_MAX
from gateway.timers import FOREVER

Address = tuple[str, int]


@dataclass(slots=True)
class Target:
    """`gateway` is who answers there, empty until known; `dialling` while an attempt is under way."""

    gateway: str = ""
    retry_at: float = 0.0
    backoff_s: float = DIAL_BACKOFF_MIN_S
    dialling: bool = False


class Dialling:
    """The addresses of other gateways."""

    def __init__(self, own_gateway: str, random: Random) -> None:
        self._own_gateway = own_gateway
        self._random = random
        self._targets: dict[Address, Target] = {}

    def add(self, address: Address, gateway: str, now: float) -> None:
        """This address is one to try, at once if it is new; `gateway` may be empty."""
        if not address[0] or not address[1]:
            return
        target = self._targets.get(address)
        if target is None:
            if len(self._targets) < TARGETS_MAX:
                self._targets[address] = Target(gateway, now)
        elif gateway and target.gateway != gateway:
            self._targets[address] = Target(gateway, now, dialling=target.dialling)
        elif target.retry_at - now > DIAL_BACKOFF_MIN_S:
            target.retry_at = now + DIAL_BACKOFF_MIN_S  # news of it: do not wait the back-off out
            target.backoff_s = DIAL_BACKOFF_MIN_S

    def forget(self, gateway: str) -> None:
        """No address is tried for this gateway, until one is added anew."""
        self._targets = {
            address: target
            for address, target in self._targets.items()
            if target.gateway != gateway
        }

    def address_of(self, gateway: str) -> Address:
        """Where this gateway is said to be; an empty address: nobody knows."""
        found = (address for address, target in self._targets.items() if target.gateway == gateway)
        return next(found, ("", 0))

    def answered(self, address: Address, gateway: str) -> None:
        """This gateway answers at the address."""
        target = self._targets.get(address)
        if target is not None:
            target.gateway, target.dialling = gateway, False
            target.backoff_s = DIAL_BACKOFF_MIN_S

    def failed(self, address: Address, now: float) -> None:
        """No link came of the attempt, or the link is over: try again, later each time."""
        target = self._targets.get(address)
        if target is None:
            return
        target.dialling = False
        target.retry_at = now + target.backoff_s * self._random.uniform(0.75, 1.25)
        target.backoff_s = min(target.backoff_s * 2, DIAL_BACKOFF_MAX_S)

    def due(self, linked: set[str], now: float) -> list[Address]:
        """The addresses to dial now: due, and not of a gateway that is linked, or of this one."""
        addresses = []
        for address, target in self._targets.items():
            wanted = target.gateway not in linked and target.gateway != self._own_gateway
            if wanted and not target.dialling and target.retry_at <= now:
                target.dialling = True
                addresses.append(address)
        return addresses

    def deadline(self, linked: set[str]) -> float:
        """When `due` has something next."""
        waiting = (
            target.retry_at
            for target in self._targets.values()
            if not target.dialling
            and target.gateway not in linked
            and target.gateway != self._own_gateway
        )
        return min(waiting, default=FOREVER)
