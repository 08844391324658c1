#!/usr/bin/env bash
# The initrd: busybox, the modules of initrd-modules.list, and initrd/init.
. image/common.sh

tree="$BUILD/initrd"
kernel="$(ls "$ROOT/usr/lib/modules")"
modules="usr/lib/modules/$kernel"
rm -rf "$tree"
mkdir -p "$tree/bin" "$tree/$modules"
ln -s usr/lib "$tree/lib"
install -m 755 "$RECIPE/initrd/init" "$tree/init"
install -m 755 "$ROOT/usr/bin/busybox" "$tree/bin/busybox"

entries "$RECIPE/initrd-modules.list" | awk '$1 == "always" { print $2 }' >"$tree/usr/lib/modules/always"
entries "$RECIPE/initrd-modules.list" | awk '{ print $NF }' | while read -r name; do
    # "insmod PATH" for the module and what it needs, "builtin NAME" for what the kernel has inside.
    modprobe --dirname "$ROOT" --set-version "$kernel" --show-depends "$name" ||
        say "the kernel has no module $name"
done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r file; do
    place="$tree/$modules/${file##*"/$kernel/"}"
    mkdir -p "${place%/*}"
    xz --decompress --stdout "$file" >"${place%.xz}"
done
cp "$ROOT/$modules"/modules.{builtin,builtin.modinfo,order} "$tree/$modules/"
depmod -b "$tree" "$kernel"
find "$tree" -exec touch --no-dereference --date "@$SOURCE_DATE_EPOCH" {} +
(cd "$tree" && find . | sort | cpio --quiet --create --format newc --owner 0:0 --reproducible) |
    zstd -q -19 -T0 -f -o "$BUILD/initramfs8"
say "initrd: $(find "$tree" -name '*.ko' | wc -l) modules, $(du -k "$BUILD/initramfs8" | cut -f 1) kB"
