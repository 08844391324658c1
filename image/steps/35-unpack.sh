#!/usr/bin/env bash
# The board's packages, unpacked and no more: no program of theirs runs here.
. image/common.sh

debs="$CACHE/debs-$ROOT_ARCH"
mapfile -t without < <(entries "$RECIPE/dpkg-excludes.list" | sed 's/^/--/')

list_name() { # what dpkg calls the list of a package's files
    local name architecture
    name="$(dpkg-deb --field "$1" Package)" architecture="$(dpkg-deb --field "$1" Architecture)"
    [ "$(dpkg-deb --field "$1" Multi-Arch)" != same ] || name="$name:$architecture"
    echo "$name"
}

say "root: unpacking"
rm -rf "$ROOT"
mkdir -p "$ROOT/var/lib/dpkg/info"
# base-files first: it has the links /bin, /lib and /sbin. What dpkg would remember of each package is its list of files.
for deb in "$debs"/base-files_*.deb "$debs"/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | mmtarfilter "${without[@]}" |
        tar --extract --directory "$ROOT" --keep-directory-symlink --preserve-permissions --numeric-owner \
            --verbose | sed 's|^\.||; s|/$||; s|^$|/.|' >"$ROOT/var/lib/dpkg/info/$(list_name "$deb").list"
done
# What the firmware starts is no part of the system: it goes on a boot partition.
rm -rf "$BUILD/board"
mkdir "$BUILD/board"
mv "$ROOT"/usr/lib/raspi-firmware "$ROOT"/usr/lib/linux-image-*/broadcom "$ROOT"/boot/vmlinuz-* "$BUILD/board"
rm -rf "$ROOT"/usr/lib/linux-image-* "$ROOT"/boot/{System.map,config}-*
say "root: $(du -sm "$ROOT" | cut -f 1) MB, kernel $(ls "$ROOT/usr/lib/modules")"
