"""Reads the configuration from disk, for the two daemons.

The only part of the configuration that touches the world, and so none of the core's floors may
import it: it stands beside them, for `shell/` and `devices/`. Must not know what is allowed in the
file.
"""

import os
import re
from dataclasses import replace

from gateway.config import Config, ConfigError, Problem, TlsSection
from gateway.config_file import TlsFaults, parse
from gateway.config_reader import TEXT_CHARACTERS_MAX

DEFAULT_PATH = "/etc/gateway/gateway.toml"
_BYTES_MAX = 4 * TEXT_CHARACTERS_MAX  # UTF-8 has at most four bytes a character


def load_config(
    path: str | os.PathLike[str] = DEFAULT_PATH, tls_faults: TlsFaults = lambda tls: ()
) -> Config:
    """The checked configuration, its `gateway.name` filled in from the host name where empty.

    Relative paths of other files begin in the folder of the file. `tls_faults` says what is wrong with
    those of [tls], for a program that uses them. Raises ConfigError with every problem, also when the
    file itself cannot be read.
    """
    file_name = os.fspath(path)
    text = read_text(file_name, file_name, "name another file with --config")
    folder = os.path.dirname(file_name)
    config = parse(
        text,
        file_name,
        lambda name: _read(os.path.join(folder, name)),
        lambda tls: tls_faults(_whole_paths(tls, folder)),
    )
    config = replace(config, tls=_whole_paths(config.tls, folder))
    if config.gateway.name:
        return config
    return replace(config, gateway=replace(config.gateway, name=_host_name()))


def read_text(path: str, file_name: str, remedy: str) -> str:
    """The text of a file, at most a little more of it than a configuration may have.

    Raises ConfigError, which names the file `file_name`, and has `remedy` for a file that cannot be
    opened.
    """
    try:
        return _read(path)
    except OSError as error:
        reason = f"the file cannot be read: {error.strerror or error}"
        raise ConfigError(file_name, (Problem(1, "", reason, remedy),)) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problem = Problem(line, "", "this is not UTF-8", "save the file as plain text in UTF-8")
        raise ConfigError(file_name, (problem,)) from error


def _read(path: str) -> str:
    """Windows' editors begin a file with a byte order mark, which is no part of the text."""
    with open(path, "rb") as file:
        return file.read(_BYTES_MAX + 1).decode("utf-8-sig")


def _whole_paths(tls: TlsSection, folder: str) -> TlsSection:
    def whole(name: str) -> str:
        return os.path.abspath(os.path.join(folder, name)) if name else ""

    return replace(
        tls,
        certificate_file=whole(tls.certificate_file),
        key_file=whole(tls.key_file),
        client_ca_file=whole(tls.client_ca_file),
        client_crl_file=whole(tls.client_crl_file),
    )


def _host_name() -> str:
    """The first label of the host name, made to be a name as [gateway] wants one."""
    label = os.uname().nodename.split(".")[0]
    return re.sub(r"[^A-Za-z0-9-]", "-", label)[:63].strip("-") or "gateway"
