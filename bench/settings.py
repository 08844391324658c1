"""The files with which brokers are started: one plain, and variants that a row may ask for.

Knows configuration files; must not know processes or loads.
"""

from dataclasses import dataclass
from pathlib import Path

# No limit that makes it wait or drop, nothing on disk. set_tcp_nodelay stays off, as it comes:
# with it, the same loads ran at two thirds of the speed.
MOSQUITTO_SETTINGS = """\
allow_anonymous true
persistence false
log_type error
max_inflight_messages 0
max_queued_messages 0
"""
# Started as root it would become another user, who may not write there.
MOSQUITTO_KEEPING = """\
persistence true
persistence_location {folder}/
user root
"""
MOSQUITTO_BRIDGE = """\
connection bench
address {peer}
topic bench/# both 2
bridge_protocol_version mqttv311
cleansession true
notifications false
restart_timeout 1
"""
# What its makers offer against a lost server: three copies of every stream. This version syncs them
# every two minutes, not before it answers.
NATS_SETTINGS = """\
server_name: bench{index}
listen: "{address}:-1"
logtime: false
jetstream {{ store_dir: "{folder}/jetstream{index}" }}
cluster {{ name: bench, listen: "{address}:{link_port}", routes: [ {routes} ] }}
mqtt {{ listen: "{address}:{port}", stream_replicas: {replicas}, max_ack_pending: 1000 }}
"""
GATEWAY_SETTINGS = """\
[gateway]
name = "bench{index}"
address = "{address}"
state_dir = "{folder}/state{index}"
control_socket = "{control}"
serial_number = "bench-{index}"
log_level = "warning"

[mqtt]
port = {port}
tls_port = {tls_port}
queue_messages_max = 10_000_000
queue_bytes_max = 4_000_000_000
waiting_bytes_max = 4_000_000_000
connections_max = 11_000
"""
GATEWAY_CLUSTER = """
[cluster]
name = "bench"
key = "a key for the bench alone, on loopback"
discovery = {discovery}
link_port = {link_port}
peers = [{peers}]
"""


@dataclass(frozen=True, slots=True)
class Site:
    """What one broker's files need to know."""

    index: int
    folder: Path
    address: str
    port: int
    link_port: int
    tls_port: int
    peers: tuple["Site", ...] = ()

    @property
    def control(self) -> Path:
        """Where a gateway answers questions."""
        return self.folder / f"control{self.index}.sock"


def gateway_files(site: Site) -> dict[str, Path]:
    """By place holder: with those it knows and nothing else, alone with TLS, in a mesh by mDNS."""
    peers = ", ".join(f'"{peer.address}:{peer.link_port}"' for peer in site.peers)
    plain = _gateway(site, tls_port=0)
    by_name = GATEWAY_CLUSTER.format(link_port=site.link_port, peers=peers, discovery="false")
    by_mdns = GATEWAY_CLUSTER.format(link_port=site.link_port, peers="", discovery="true")
    return {
        "config": _written(site, "gateway", plain + by_name if site.peers else plain),
        "tls_config": _written(site, "tls", _gateway(site, site.tls_port)),
        "mesh_config": _written(site, "mesh", plain + by_mdns),
    }


def mosquitto_files(site: Site) -> dict[str, Path]:
    """By place holder: in memory only, and with sessions and messages kept over a restart."""
    text = f"listener {site.port} {site.address}\n" + MOSQUITTO_SETTINGS
    if site.peers and site.index == 0:  # a pair: rows with three are not for bridges
        other = site.peers[0]
        text += MOSQUITTO_BRIDGE.format(peer=f"{other.address}:{other.port}")
    keeping = text.replace("persistence false\n", MOSQUITTO_KEEPING.format(folder=site.folder))
    return {
        "mosquitto_config": _written(site, "mosquitto", text),
        "mosquitto_kept_config": _written(site, "mosquitto-kept", keeping),
    }


def nats_files(site: Site) -> dict[str, Path]:
    """By place holder: one server of a cluster, which keeps as many copies as there are servers."""
    text = NATS_SETTINGS.format(
        index=site.index,
        folder=site.folder,
        address=site.address,
        port=site.port,
        link_port=site.link_port,
        routes=", ".join(f'"nats://{peer.address}:{peer.link_port}"' for peer in site.peers),
        replicas=1 + len(site.peers),
    )
    return {"nats_config": _written(site, "nats", text)}


def _gateway(site: Site, tls_port: int) -> str:
    return GATEWAY_SETTINGS.format(
        index=site.index,
        address=site.address,
        folder=site.folder,
        port=site.port,
        tls_port=tls_port,
        control=site.control,
    )


def _written(site: Site, name: str, text: str) -> Path:
    file = site.folder / f"{name}{site.index}.conf"
    file.write_text(text)
    return file
