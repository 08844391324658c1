"""The way in: the text of a configuration file becomes a Config, or every problem at once.

What one key may be is the table in `config_keys.py`, how the text is held against it
`config_reader.py`, the rules between keys are `config_rules.py`. Must not open files: the caller
passes the text and the means to read `key_file`.
"""

from collections.abc import Callable, Iterable

from gateway.config import (
    ClusterSection,
    Config,
    ConfigError,
    DurabilityRule,
    GatewaySection,
    MetricsSection,
    MqttSection,
    ProxySection,
    SerialPort,
    StorageSection,
    TlsSection,
)
from gateway.config_keys import (
    CLUSTER,
    DURABILITY,
    GATEWAY,
    METRICS,
    MQTT,
    PROXY,
    SECTIONS,
    SERIAL,
    STORAGE,
    TLS,
)
from gateway.config_reader import Reader, read_toml
from gateway.config_report import Report
from gateway.config_rules import (
    check,
    check_durability,
    check_other_ports,
    check_tls,
    with_key,
)

FileFault = tuple[str, str, str]  # the key that names the file, what is wrong with it, the remedy
TlsFaults = Callable[[TlsSection], Iterable[FileFault]]


def _no_files(name: str) -> str:
    raise OSError(f"no file can be read here: {name}")


def parse(
    text: str,
    file_name: str,
    read_file: Callable[[str], str] = _no_files,
    tls_faults: TlsFaults = lambda tls: (),
) -> Config:
    """Reads the text of a configuration file; `file_name` is only for messages.

    `read_file` returns the text of the file that `cluster.key_file` names and raises OSError or
    ValueError when it cannot. `tls_faults` looks at the files that [tls] names; by default nobody does,
    for not every program may read the key. Raises ConfigError with everything that is wrong.
    """
    report = Report()
    document = read_toml(text, report)
    config = Config()
    if not report.problems:
        config = _config(Reader(document, SECTIONS, report), read_file, tls_faults, report)
    if report.problems:
        raise ConfigError(file_name, report.sorted())
    return config


def _config(
    reader: Reader, read_file: Callable[[str], str], tls_faults: TlsFaults, report: Report
) -> Config:
    gateway = reader.section(GATEWAY)
    mqtt = reader.section(MQTT)
    storage = reader.section(STORAGE)
    metrics = reader.section(METRICS)
    tls = reader.section(TLS)
    proxy = reader.section(PROXY)
    cluster = reader.section_if_written(CLUSTER)
    ports, rules = reader.each(SERIAL), reader.each(DURABILITY)
    check(mqtt, cluster, ports, report)
    check_durability(rules, report)
    check_tls(tls, report)
    check_other_ports(proxy, metrics, mqtt, cluster, report)
    if report.fine((TLS.name,), *tls):
        for key, fault, remedy in tls_faults(TlsSection(**tls)):
            report.add((TLS.name, key), fault, remedy)
    if cluster is not None:
        cluster = with_key(cluster, read_file, report)
    return Config(
        GatewaySection(**gateway),
        MqttSection(**mqtt),
        None if cluster is None else ClusterSection(**cluster),
        tuple(SerialPort(**port) for port in ports),
        StorageSection(**storage),
        MetricsSection(**metrics),
        TlsSection(**tls),
        ProxySection(**proxy),
        tuple(DurabilityRule(**rule) for rule in rules),
    )
