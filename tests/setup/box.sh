#!/bin/sh
# A gateway as an operator reaches it: sshd with our settings, the user gw with our shell, gatewayd. To be run as root in
# mounts and processes of its own (unshare --mount --pid), so that nothing of it touches the machine or outlives it:
#   box.sh ROOT PYTHON ADDRESS SSH_PORT
# ROOT/etc is what gateway-setup wrote, PYTHON the one that runs the tests.
set -eu
root=$1 python=$2 address=$3 port=$4
here="$(cd "$(dirname "$0")/../.." && pwd)"
prefix="$("$python" -c 'import sys; print(sys.base_prefix)')"
version="$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')"

# The users: the machine's and ours, whose shell stands where gw may run it.
for table in passwd group shadow; do cp "/etc/$table" "$root/etc/$table"; done
systemd-sysusers --root="$root" "$here/systemd/gateway-sysusers.conf" >&2
sed -i 's:/usr/bin/gw-shell:/mnt/bin/gw-shell:' "$root/etc/passwd"
for table in passwd group shadow; do mount --bind "$root/etc/$table" "/etc/$table"; done

# The program: this checkout and this Python with its libraries, at places that everybody may read.
# A Python that is not the system's may look for its own library where only its owner may.
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir -p /mnt/bin /mnt/python /mnt/libraries /mnt/packages/gateway
mount --bind "$prefix" /mnt/python
mount --bind "$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" /mnt/libraries
mount --bind "$here/gateway" /mnt/packages/gateway
cat >/mnt/bin/gw-shell <<END
#!/usr/bin/env -S LD_LIBRARY_PATH=/mnt/python/lib /mnt/python/bin/$version -IB
import sys
sys.path[:0] = ["/mnt/packages", "/mnt/libraries"]
from gateway.ctl.shell import main
sys.exit(main())
END
chmod 755 /mnt/bin/gw-shell

# sshd's folder: Debian's file, ours, and what gateway-setup wrote.
cp /etc/ssh/sshd_config "$root/etc/ssh/sshd_config"
mkdir -p "$root/etc/ssh/sshd_config.d"
cp "$here/systemd/gateway-sshd.conf" "$root/etc/ssh/sshd_config.d/10-gateway.conf"
mkdir -p /mnt/ssh
cp -a "$root/etc/ssh/." /mnt/ssh/
mount --bind /mnt/ssh /etc/ssh

mount -t tmpfs -o mode=755 tmpfs /run
mkdir -m 755 /run/sshd
install -d -m 750 -g gateway-operator /run/gatewayd
printf '[gateway]\nname = "gw-ssh"\naddress = "%s"\nstate_dir = "%s/state"\n' "$address" "$root" >"$root/gatewayd.toml"
printf '[mqtt]\nport = 18864\ntls_port = 18865\n' >>"$root/gatewayd.toml"
setpriv --regid gateway-operator --clear-groups "$python" -m gateway.shell.daemon --config "$root/gatewayd.toml" &

/usr/sbin/sshd -t
/usr/sbin/sshd -T >"$root/effective"
exec /usr/sbin/sshd -D -e -p "$port" -o "ListenAddress=$address"
