"""How long a gateway takes from its exec until it and the one that is there already are a mesh.

Both must show the other as alive. By `peers` they find each other on loopback. For mDNS this program
runs once more in a network namespace of its own, where nobody else announces anything: `unshare`, as
root, or where the kernel lets anybody do that. Must not know rows.
"""

import subprocess
import sys
import time
from pathlib import Path

from bench import account
from bench.brokers import Cores, Product, Running, gateway
from bench.measure import Round
from bench.wire import BrokerError

JOINED_S_MAX = 20.0
LOOK_S = 0.01
CHILD_S_MAX = 60.0
GATEWAY = Path(sys.executable).parent / "gatewayd"
# Loopback carries multicast when it is told to.
NAMESPACE = "ip link set lo up multicast on && ip route add 224.0.0.0/4 dev lo && exec"


def joined_s(running: Running) -> Round:
    """Seconds since the exec of the one that was started last."""
    until = time.monotonic() + JOINED_S_MAX
    for control in running.controls:
        while not _sees_others(control, len(running.doors) - 1):
            if time.monotonic() > until:
                raise BrokerError(f"they did not find each other in {JOINED_S_MAX:.0f} s")
            time.sleep(LOOK_S)
    return Round(time.monotonic() - running.last_begun_at)


def by_mdns(product: Product, cores: Cores) -> Round:
    """The same in a namespace; the gateway is the installed one."""
    assert product.name == "gateway"
    program = f"{sys.executable} -m bench.joining"
    command = ["unshare", "--net", "--map-root-user", "sh", "-c", f"{NAMESPACE} {program}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_S_MAX)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BrokerError(f"nobody joined in a namespace: {error}") from error
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise BrokerError(f"nobody joined in a namespace: {why}")
    return Round(float(done.stdout))


def _sees_others(control: Path, count: int) -> bool:
    """The control socket comes a moment after the port."""
    if not control.exists():
        return False
    gateways = account.ask(control, "status")["gateways"]
    others = sum(each["state"] == "alive" and not each["self"] for each in gateways)
    return bool(others == count)


if __name__ == "__main__":
    ours = gateway(f"{GATEWAY} --config {{mesh_config}}")
    with ours.start(2, Cores.of_this_machine()) as both:
        print(joined_s(both).value)
