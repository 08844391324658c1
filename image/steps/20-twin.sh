#!/usr/bin/env bash
# The twin: the board's packages, installed for this machine, so that their scripts run without emulation. Its /etc
# and all that the scripts generate become the board's; and the boot test runs it in a container.
. image/common.sh

debs="$CACHE/debs-$TWIN_ARCH"
mapfile -t wanted < <(entries "$RECIPE/packages.list")
mapfile -t without < <(entries "$RECIPE/dpkg-excludes.list" | sed 's/^/--dpkgopt=/')
say "twin: installing for $TWIN_ARCH"
rm -rf "$TWIN"
# "essential" is the least there is: no apt in a system that is read-only.
sources | mmdebstrap --quiet --mode=root --architecture="$TWIN_ARCH" --variant=essential \
    --include="$(IFS=,; echo "${wanted[*]}")" "${without[@]}" \
    --aptopt='Apt::Install-Recommends "false"' \
    --skip=download/empty --skip=essential/unlink --skip=cleanup/reproducible \
    --setup-hook="image/deb-cache.sh in '$debs' \"\$1\"" \
    --customize-hook="image/deb-cache.sh out '$debs' \"\$1\"" \
    "$SUITE" "$TWIN" -
dpkg-query --admindir="$TWIN/var/lib/dpkg" -W -f '${Package} ${Version}\n' |
    sort >"$BUILD/packages-$TWIN_ARCH.txt"
say "twin: $(wc -l <"$BUILD/packages-$TWIN_ARCH.txt") packages, $(du -sm "$TWIN" | cut -f 1) MB"
