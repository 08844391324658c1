#!/usr/bin/env bash
# Fetches the board's packages: every package of the twin, the essential ones too, and those for the board alone.
. image/common.sh

debs="$CACHE/debs-$ROOT_ARCH"
mapfile -t same < <(cut -d ' ' -f 1 "$BUILD/packages-$TWIN_ARCH.txt")
mapfile -t board < <(entries "$RECIPE/packages-board.list")

say "root: fetching for $ROOT_ARCH"
image/apt-of-board.sh "$BUILD/apt" "$debs"
export APT_CONFIG="$BUILD/apt/apt.conf"
apt-get update -qq
# By name and not by way of linux-image-arm64: its dependencies make an initial RAM disk, as this recipe does itself.
kernel="$(apt-cache depends linux-image-arm64 | awk '$1 == "Depends:" { print $2 }')"
apt-get install -qq --yes --download-only "${same[@]}" "${board[@]}"
apt-get autoclean -qq
# What an earlier list wanted is no part of this one.
printf '/%s_\n' "${same[@]}" "${board[@]}" "$kernel" >"$BUILD/wanted.txt"
find "$debs" -name '*.deb' | { grep -v -F -f "$BUILD/wanted.txt" || true; } | xargs -r rm
(cd "$debs" && { compgen -G "${kernel}_*.deb" >/dev/null || apt-get download -qq "$kernel"; })

image/dpkg-status.sh "$debs" >"$BUILD/dpkg-status"
awk '$1 == "Package:" { package = $2 } $1 == "Version:" { print package, $2 }' "$BUILD/dpkg-status" |
    sort >"$BUILD/packages-$ROOT_ARCH.txt"
# The same versions on both sides; a rebuild for one architecture ("+b1") changes nothing that matters here.
printf '^%s \n' "$kernel" "${board[@]}" >"$BUILD/only-board.txt"
compared() { sed 's/+b[0-9]*$//' "$1" | grep -v -f "$BUILD/only-board.txt"; }
diff <(compared "$BUILD/packages-$TWIN_ARCH.txt") <(compared "$BUILD/packages-$ROOT_ARCH.txt") >&2 ||
    die "root and twin differ: see the lines above"
