"""Where clients come in, and by which way: the configuration's ports and paths as places to listen at.

Must not know how they are opened.
"""

import asyncio
import ipaddress
import ssl
from collections.abc import Callable

from gateway.config import Config
from gateway.shell.clients import ClientProtocol
from gateway.shell.doors import Place, UnixPlace
from gateway.shell.entrance import Entrance, Way
from gateway.shell.runtime import Runtime


def tls_ports(config: Config) -> list[int]:
    """The ports for which a certificate is needed."""
    mqtt, proxy = config.mqtt, config.proxy
    ports = (mqtt.tls_port, mqtt.websocket_tls_port, proxy.tls_port, proxy.websocket_tls_port)
    return [port for port in ports if port]


def places(
    config: Config, runtime: Runtime, secure: Callable[[], ssl.SSLContext]
) -> list[Place | UnixPlace]:
    """All of them; `secure` gives the TLS settings of now, where there is a port for TLS."""
    mqtt, proxy = config.mqtt, config.proxy
    proxies = tuple(ipaddress.ip_network(address) for address in proxy.addresses)

    def directly() -> asyncio.Protocol:
        return ClientProtocol(runtime)

    def by(way: Way) -> Callable[[], asyncio.Protocol]:
        return lambda: Entrance(runtime, way)

    ways = (
        ("mqtt.port", mqtt.port, directly),
        ("mqtt.tls_port", mqtt.tls_port, by(Way(secure))),
        ("mqtt.websocket_port", mqtt.websocket_port, by(Way(None, True))),
        ("mqtt.websocket_tls_port", mqtt.websocket_tls_port, by(Way(secure, True))),
        ("proxy.port", proxy.port, by(Way(None, False, proxies))),
        ("proxy.tls_port", proxy.tls_port, by(Way(secure, False, proxies))),
        ("proxy.websocket_port", proxy.websocket_port, by(Way(None, True, proxies))),
        ("proxy.websocket_tls_port", proxy.websocket_tls_port, by(Way(secure, True, proxies))),
    )
    address = config.gateway.address
    found: list[Place | UnixPlace] = []
    found += [Place(key, address, port, protocol) for key, port, protocol in ways if port]
    if mqtt.unix_socket:
        mode, group = int(mqtt.unix_socket_mode, 8), mqtt.unix_socket_group
        found.append(UnixPlace("mqtt.unix_socket", mqtt.unix_socket, mode, group, directly))
    return found
