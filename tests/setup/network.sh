#!/bin/sh
# systemd-networkd itself on a .network file: network.sh FILE LOG WAITED_FOR
# To be run as root in mounts, processes and a network of its own (unshare). The box's wire is eth0; at its other end
# stands a DHCP server. Prints the addresses and routes of eth0 as soon as WAITED_FOR is among them, or after 10 s.
set -eu
file=$1 log=$2 waited_for=$3
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/netif/links /run/systemd/netif/leases
chown -R systemd-network: /run/systemd/netif
mount -t tmpfs tmpfs /usr/lib/systemd/network
mount -t tmpfs tmpfs /etc/systemd/network
mount -t sysfs -o ro sysfs /sys # read-only: networkd then does not wait for udev, which is not here
cp "$file" /etc/systemd/network/
cat >/etc/systemd/network/90-peer.network <<END
[Match]
Name=peer0
[Network]
Address=10.61.0.1/24
DHCPServer=yes
END
ip link set lo up
ip link add eth0 type veth peer name peer0
SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=info /usr/lib/systemd/systemd-networkd >"$log" 2>&1 &
tries=100
until { ip -4 address show dev eth0 && ip -4 route show dev eth0; } | grep -q "$waited_for"; do
    tries=$((tries - 1))
    [ $tries -gt 0 ] || break
    sleep 0.1
done
ip -4 -oneline address show dev eth0
ip -4 route show dev eth0
