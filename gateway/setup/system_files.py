"""The texts of the system's own files: network, host names, who may log in.

Each function takes checked values and returns a whole file. Must not know where the files are.
"""

from gateway.setup.installer import EVERY_INTERFACE, NetworkSection, SshSection

_HEADER = "# Written by gateway-setup from the installer's file; what is changed here is lost.\n"
_HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
_OWN_ADDRESS = "127.0.1.1"  # Debian's, for the host's own name


def network_file(network: NetworkSection) -> str:
    """A .network file of systemd.network(5).

    mDNS is not resolved's here: gatewayd announces the host's name beside its services, and two
    responders on one port would each get only some of the questions that are sent to the box alone.
    """
    text = _HEADER + f"[Match]\nName={network.interface or EVERY_INTERFACE}\n\n[Network]\n"
    if network.address:
        text += f"DHCP=no\nAddress={network.address}\n"
        text += f"Gateway={network.gateway}\n" if network.gateway else ""
    else:
        text += "DHCP=yes\n"
    text += "".join(f"DNS={address}\n" for address in network.dns)
    text += "MulticastDNS=no\nLLMNR=no\n"
    if not network.address:
        # By the MAC address: the same box keeps its address when its card is written anew.
        text += "\n[DHCPv4]\nClientIdentifier=mac\n"
    return text


def hostname_file(name: str) -> str:
    return f"{name}\n"


def hosts_file(before: str, name: str) -> str:
    """hosts(5) as it was, with one line for the host's own name."""
    kept = [line for line in before.splitlines() if line.split()[:1] != [_OWN_ADDRESS]]
    text = "".join(f"{line}\n" for line in kept) or _HOSTS
    return text + f"{_OWN_ADDRESS}\t{name}.local {name}\n"


def authorized_keys_file(ssh: SshSection) -> str:
    """sshd(8): each key may log in with a terminal and forward nothing."""
    return _HEADER + "".join(f"restrict,pty {key}\n" for key in ssh.keys)
