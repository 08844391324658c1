#!/usr/bin/env bash
# Our files and programs in the twin, and what follows from them: users, services, compiled modules.
. image/common.sh

# The twin's Python compiles for both: what it compiles is the same on every processor. Nothing is checked against the
# sources' times, because nothing changes in a system that is read-only.
for arch in "$TWIN_ARCH" "$ROOT_ARCH"; do
    mv "$BUILD/site-$arch" "$TWIN/tmp/site"
    in_twin python3 -m compileall -q --invalidation-mode unchecked-hash -s /tmp/site \
        -p /usr/lib/gateway/site-packages /tmp/site
    mv "$TWIN/tmp/site" "$BUILD/site-$arch"
done

image/lay.sh "$TWIN" "$TWIN_ARCH"
# Made at the first boot of each box, not here for all of them.
rm -f "$TWIN"/etc/ssh/ssh_host_* "$TWIN"/etc/machine-id "$TWIN"/var/lib/dbus/machine-id "$TWIN"/etc/resolv.conf
: >"$TWIN/etc/machine-id"
ln -s /run/systemd/resolve/resolv.conf "$TWIN/etc/resolv.conf"
in_twin systemd-sysusers
in_twin usermod --lock --expiredate 1 root
systemctl --root="$TWIN" preset-all --quiet
