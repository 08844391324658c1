"""Who this gateway is to the others, as the shell found it out at the start.

`store` is a random id made with the state directory, `boot` grows at each start of it, `nonce` is new
each time the process starts. Must not know files or hardware.
"""

from dataclasses import dataclass

from gateway.config import ClusterSection


@dataclass(frozen=True, slots=True)
class Identity:
    """Constant while the process lives."""

    gateway: str
    name: str
    store: str
    boot: int
    nonce: str
    version: str
    address: str  # told to the others; empty: they take the one they see
    mqtt_port: int
    cluster: ClusterSection
