"""The commands for the cluster key, on one real gateway: what is typed, shown, refused and kept."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.shell.tls import stretch
from tests.gateways import ClusterOptions, Gateway, free_port

pytestmark = pytest.mark.slow

TYPED = "a key that somebody typed, and nobody guesses"
GWCTL = Path(sys.executable).parent / "gwctl"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    cluster = ClusterOptions(link_port=free_port(), discovery=False)
    with Gateway("gw1", "127.0.0.1", tmp_path, cluster, port=free_port()) as running:
        yield running


def ask(gateway: Gateway, command: str, **arguments: object) -> dict[str, Any]:
    return gateway.ask({"command": f"cluster key {command}", "arguments": arguments})


def shown(gateway: Gateway) -> dict[str, Any]:
    found: dict[str, Any] = ask(gateway, "show")["result"]
    return found


def fingerprint(gateway: Gateway, key: str) -> str:
    assert gateway.cluster is not None
    return stretch(gateway.cluster.name, key).fingerprint()


def test_a_typed_key_comes_by_standard_input_and_is_not_shown(gateway: Gateway) -> None:
    assert gateway.cluster is not None
    first = fingerprint(gateway, gateway.cluster.key)
    assert shown(gateway)["fingerprint"] == shown(gateway)["configured"] == first
    words = [GWCTL, "cluster", "key", "rotate", "--key", "--socket", gateway.control_socket]
    ran = subprocess.run(
        words, input=f"{TYPED}\n", capture_output=True, text=True, timeout=20, check=False
    )
    assert ran.returncode == 0, ran.stderr
    second = fingerprint(gateway, TYPED)
    assert second in ran.stdout and TYPED not in ran.stdout + ran.stderr + gateway.log()
    assert (shown(gateway)["fingerprint"], shown(gateway)["older"]) == (second, [first])
    assert "gwctl cluster key finish" in gateway.problems()
    assert ask(gateway, "finish")["ok"]
    gateway.stop()
    gateway.start()  # with the old key in its configuration
    found = shown(gateway)
    assert (found["fingerprint"], found["older"], found["configured"]) == (second, [], first)
    assert TYPED.encode() not in (gateway.state_dir / "cluster-keys").read_bytes()


def test_what_may_not_be_is_refused_with_what_to_do(gateway: Gateway) -> None:
    assert gateway.cluster is not None
    short = ask(gateway, "rotate", key="short")
    assert not short["ok"] and "is 5 characters long" in short["error"]
    same = ask(gateway, "rotate", key=gateway.cluster.key)
    assert not same["ok"] and "this key holds" in same["error"]
    nothing = ask(gateway, "finish")
    assert not nothing["ok"] and "gwctl cluster key rotate" in nothing["remedy"]
    assert ask(gateway, "rotate")["ok"]
    twice = ask(gateway, "rotate")
    assert not twice["ok"] and "gwctl cluster key finish" in twice["remedy"]
    assert ask(gateway, "finish")["ok"]
    back = ask(gateway, "rotate", key=gateway.cluster.key)
    assert not back["ok"] and "held once" in back["error"]


def test_another_key_in_the_configuration_counts_and_is_told(gateway: Gateway) -> None:
    assert ask(gateway, "rotate")["ok"] and ask(gateway, "finish")["ok"]
    gateway.stop()
    assert gateway.cluster is not None
    gateway.cluster = replace(gateway.cluster, key=TYPED)
    gateway.start()
    assert shown(gateway)["fingerprint"] == fingerprint(gateway, TYPED)
    assert "set aside as cluster-keys.aside-1" in gateway.problems()
