#!/usr/bin/env bash
# What is on each partition.
. image/common.sh

tree="$BUILD/tree" board="$BUILD/board"
rm -rf "$tree"
mkdir -p "$tree"/{bootcfg,boot_a,data}

# The first partition is the one that people see when they put the card into a computer.
cp "$RECIPE/boot/autoboot.txt" "$tree/bootcfg/"
sed 's/$/\r/' gateway/setup/template.toml >"$tree/bootcfg/gateway.toml" # an editor of any system shows lines
# Pi 3 and Zero 2 W read this from the first partition, and it reads autoboot.txt.
cp "$board/raspi-firmware/bootcode.bin" "$tree/bootcfg/"

cp "$board"/raspi-firmware/{bootcode.bin,start.elf,fixup.dat,start4.elf,fixup4.dat} "$tree/boot_a/"
cp -r "$board/raspi-firmware/overlays" "$tree/boot_a/"
cp "$board"/broadcom/bcm2711-*.dtb "$board"/broadcom/bcm2712-*.dtb "$board"/broadcom/bcm2837-*.dtb "$tree/boot_a/"
cp "$board"/vmlinuz-* "$tree/boot_a/kernel8.img"
cp "$BUILD/initramfs8" "$RECIPE/boot/config.txt" "$RECIPE/boot/cmdline.txt" "$tree/boot_a/"
find "$tree" -exec touch --date "@$SOURCE_DATE_EPOCH" {} +

say "system: compressing"
rm -f "$BUILD/system.squashfs"
mksquashfs "$ROOT" "$BUILD/system.squashfs" -quiet -no-progress -comp zstd -Xcompression-level 15 \
    -b 256K -wildcards -e 'proc/*' 'sys/*' 'dev/*' 'run/*'
say "system: $(du -sm "$BUILD/system.squashfs" | cut -f 1) MB of 512"
