#!/usr/bin/env bash
# Lays what is ours over a system: lay.sh SYSTEM ARCHITECTURE. The same for the twin and for the board.
. image/common.sh
system="$1" site="$BUILD/site-$2"
python=/usr/lib/gateway/site-packages

cp -a --no-preserve=ownership "$RECIPE/files/." "$system"
find "$system" -xdev -name .keep -delete # holds a folder that is empty in the repository
install -D -m 644 -t "$system/usr/lib/systemd/system" systemd/*.service systemd/*.path
install -D -m 644 systemd/gateway-sysusers.conf "$system/usr/lib/sysusers.d/gateway.conf"
install -D -m 644 systemd/gateway-tmpfiles.conf "$system/usr/lib/tmpfiles.d/gateway.conf"
install -D -m 644 systemd/gateway-sshd.conf "$system/etc/ssh/sshd_config.d/10-gateway.conf"
install -D -m 644 "$RECIPE/persist.list" "$system/usr/lib/gateway/persist.list"

rm -rf "${system:?}$python"
cp -a --no-preserve=ownership "$site" "$system$python"
cp -a --no-preserve=ownership "$system$python/share/." "$system/usr/share" # the manual page, completion
rm -r "${system:?}$python/share"
while IFS=' =:' read -r command module function; do
    printf '#!/usr/bin/python3 -I\nimport sys\nsys.path.insert(0, "%s")\nfrom %s import %s\nsys.exit(%s())\n' \
        "$python" "$module" "$function" "$function" >"$system/usr/bin/$command"
    chmod 755 "$system/usr/bin/$command"
done < <(sed -n '/^\[console_scripts\]/,/^$/{/=/p;}' "$site"/edge_gateway-*.dist-info/entry_points.txt)
