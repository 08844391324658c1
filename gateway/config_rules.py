"""The rules between keys of the configuration, each a function over values of the right kind.

A rule is not asked when one of its keys is already known to be wrong, so that one mistake is
reported once. Must not know how the values were read.
"""

from collections.abc import Callable
from itertools import combinations

from gateway.config_checks import cluster_key_fault, shown
from gateway.config_keys import DURABILITY, KEY, SERIAL
from gateway.config_reader import Values
from gateway.config_report import Report
from gateway.toml_lines import Path

MQTT_PORTS = {
    "port": "MQTT",
    "tls_port": "MQTT by TLS",
    "websocket_port": "MQTT by WebSocket",
    "websocket_tls_port": "MQTT by secure WebSocket",
}

# How many of the longest packets must fit, and the words if they do not.
PACKETS_HELD = {
    "retained_bytes_max": (1, "a message of {size} bytes could not be retained"),
    "queue_bytes_max": (1, "a packet of {size} bytes would not fit into an empty queue"),
    "waiting_bytes_max": (
        4,
        "four packets of {size} bytes would not fit into the room of all queues",
    ),
    "unfinished_bytes_max": (2, "two unfinished packets of {size} bytes would not fit"),
    "unsent_bytes_max": (2, "two packets of {size} bytes on their way would not fit"),
}


def check(mqtt: Values, cluster: Values | None, ports: list[Values], report: Report) -> None:
    """Asks every rule but that of the cluster's key, which `with_key` asks."""
    _check_mqtt(mqtt, report)
    _check_mqtt_ports(mqtt, report)
    if cluster is not None:
        _check_times(cluster, report)
        _check_link_port(mqtt, cluster, report)
    for index, port in enumerate(ports):
        _check_port(port, (SERIAL.name, index), report)
    _check_ports_differ(ports, report)


def _check_mqtt(mqtt: Values, report: Report) -> None:
    for key, (count, text) in PACKETS_HELD.items():
        keys = (key, "packet_bytes_max")
        least = count * mqtt["packet_bytes_max"] if report.fine(("mqtt",), *keys) else 0
        if least and mqtt[key] < least:
            text = text.format(size=mqtt["packet_bytes_max"])
            remedy = f"allowed: {key} at least {count} x packet_bytes_max, {least}"
            report.add_to_last_written(("mqtt",), keys, text, remedy)


def _check_times(cluster: Values, report: Report) -> None:
    pairs = (("heartbeat_s", "suspect_s"), ("suspect_s", "dead_s"))
    for pair in [pair for pair in pairs if report.fine(("cluster",), *pair)]:
        less, more = pair
        if cluster[less] >= cluster[more]:
            text = f"{less} is {cluster[less]:g} and {more} is {cluster[more]:g}"
            remedy = "allowed: heartbeat_s below suspect_s below dead_s"
            report.add_to_last_written(("cluster",), pair, text, remedy)


def _check_mqtt_ports(mqtt: Values, report: Report) -> None:
    for pair in combinations(MQTT_PORTS, 2):
        one, other = pair
        if report.fine(("mqtt",), *pair) and mqtt[one] and mqtt[one] == mqtt[other]:
            text = f"{mqtt[one]} is used for both {one} and {other}"
            what = MQTT_PORTS[other].removeprefix("MQTT by ")
            remedy = f"allowed: two different ports, or 0 for no {what}"
            report.add_to_last_written(("mqtt",), pair, text, remedy)


def _check_link_port(mqtt: Values, cluster: Values, report: Report) -> None:
    for key, meaning in MQTT_PORTS.items():
        fine = report.fine(("mqtt",), key) and report.fine(("cluster",), "link_port")
        if fine and mqtt[key] == cluster["link_port"]:
            text = f"{cluster['link_port']} is also the port of {meaning}"
            remedy = f"allowed: a port that mqtt.{key} does not use"
            table = "cluster" if ("cluster", "link_port") in report.lines else "mqtt"
            report.add((table, "link_port" if table == "cluster" else key), text, remedy)


def check_tls(tls: Values, report: Report) -> None:
    """What [tls] must hold together; the files themselves are looked at by others."""
    path = ("tls",)
    for key, needed in (("key_file", "certificate_file"), ("client_crl_file", "client_ca_file")):
        if tls[key] and not tls[needed] and report.fine(path, key, needed):
            remedy = f"allowed: {key} only beside {needed}"
            report.add((*path, key), f"is given without {needed}", remedy)
    unsigned = tls["client_certificates"] == "required" and not tls["client_ca_file"]
    if unsigned and report.fine(path, "client_ca_file", "client_certificates"):
        text = "they cannot be required: nobody is named who signs them"
        remedy = 'allowed: "required" only beside client_ca_file'
        report.add((*path, "client_certificates"), text, remedy)


def check_durability(rules: list[Values], report: Report) -> None:
    """No topic filter has two levels."""
    first_lines: dict[str, int] = {}
    for index, rule in enumerate(rules):
        path: Path = (DURABILITY.name, index, "filter")
        if rule["filter"] in first_lines:
            line = first_lines[rule["filter"]]
            text = f"{shown(rule['filter'])} has its level in line {line}"
            report.add(path, text, "allowed: each filter once")
        elif rule["filter"]:
            first_lines[rule["filter"]] = report.lines[path]


def check_other_ports(
    proxy: Values, metrics: Values, mqtt: Values, cluster: Values | None, report: Report
) -> None:
    """The ports for proxies and Prometheus are their own, and some proxy may connect."""
    path, ports = ("proxy",), {key: proxy[key] for key in MQTT_PORTS if proxy[key]}
    if ports and not proxy["addresses"] and report.fine(path, "addresses", *ports):
        text = "nobody may connect to these ports: no proxy is named"
        report.add((*path, "addresses"), text, "allowed: at least one address beside a port")
    taken = {f"mqtt.{key}": mqtt[key] for key in MQTT_PORTS if report.fine(("mqtt",), key)}
    if cluster is not None and report.fine(("cluster",), "link_port"):
        taken["cluster.link_port"] = cluster["link_port"]
    others = [("proxy", key, port) for key, port in ports.items()]
    others += [("metrics", "port", metrics["port"])] if metrics["port"] else []
    for table, key, port in others:
        same = next((name for name, one in taken.items() if one == port), "")
        if same and report.fine((table,), key):
            remedy = "allowed: a port of its own, or 0 for none"
            report.add((table, key), f"{port} is also {same}", remedy)
        taken[f"{table}.{key}"] = port


def with_key(cluster: Values, read_file: Callable[[str], str], report: Report) -> Values:
    """The values of [cluster] with the key in place, from whichever of the two keys is written."""
    name = cluster.pop("key_file", "")
    path: Path = ("cluster", "key_file")
    if not report.fine(("cluster",), "key", "key_file"):
        return cluster
    if bool(name) == bool(cluster["key"]):
        text = "is given besides key" if name else "is missing"
        remedy = f"allowed: exactly one of key ({KEY}) and key_file"
        report.add(path if name else ("cluster", "key"), text, remedy)
        return cluster
    if name:
        try:
            cluster["key"] = read_file(name).strip()
        except (OSError, ValueError) as error:
            remedy = "allowed: a file that this user may read"
            report.add(path, f"{shown(name)} cannot be read: {_reason(error)}", remedy)
        else:
            if fault := cluster_key_fault(cluster["key"]):
                report.add(path, f"the key in {shown(name)} {fault}", f"allowed: {KEY}")
    return cluster


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return "it is not text"  # the error itself may quote the key


def _check_port(port: Values, path: Path, report: Report) -> None:
    if report.fine(path, "path", "usb") and bool(port["path"]) == bool(port["usb"]):
        text = "is given besides path" if port["usb"] else "neither path nor usb is given"
        key = "usb" if port["usb"] else "path"
        report.add((*path, key), text, "allowed: exactly one of path and usb")
    if report.fine(path, "format", "columns"):
        _check_columns(port, (*path, "columns"), report)
    topics = ("topic", "command_topic")
    if report.fine(path, *topics) and port["topic"] == port["command_topic"]:
        text = "topic and command_topic are the same, so that readings would be written back"
        report.add_to_last_written(path, topics, text, "allowed: two different topics")


def _check_columns(port: Values, path: Path, report: Report) -> None:
    columns = port["columns"]
    if port["format"] == "csv" and not columns:
        report.add(path, 'is missing for format = "csv"', "allowed: one name for each column")
    elif port["format"] != "csv" and columns:
        text = f'is given for format = "{port["format"]}"'
        report.add(path, text, 'allowed: columns only with format = "csv"')
    for index, column in enumerate(columns):
        if column in columns[:index]:
            text = f"{shown(column)} is already the name of a column"
            report.add((*path, index), text, "allowed: a different name for each column")


def _check_ports_differ(ports: list[Values], report: Report) -> None:
    for key in ("name", "path", "usb"):
        first_lines: dict[str, int] = {}
        for index, port in enumerate(ports):
            path: Path = (SERIAL.name, index, key)
            value = port[key].lower() if key == "usb" else port[key]
            if not value:
                continue
            if value in first_lines:
                text = f"{shown(port[key])} is taken by the port of line {first_lines[value]}"
                report.add(path, text, f"allowed: a {key} of its own for each port")
            else:
                first_lines[value] = report.lines[path]
