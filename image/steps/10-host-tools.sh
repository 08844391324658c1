#!/usr/bin/env bash
# Installs what the recipe cooks with, where something is missing.
. image/common.sh

# A command, and the package that brings it.
needed='mmdebstrap:mmdebstrap genimage:genimage mcopy:mtools mksquashfs:squashfs-tools mkfs.vfat:dosfstools
mkfs.ext4:e2fsprogs zstd:zstd faketime:faketime cpio:cpio depmod:kmod xz:xz-utils git:git
systemd-nspawn:systemd-container qemu-system-aarch64:qemu-system-arm ssh:openssh-client ip:iproute2
shellcheck:shellcheck'

missing=()
for pair in $needed; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
done
[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
if [ ${#missing[@]} -gt 0 ]; then
    say "installing ${missing[*]}"
    apt-get update -q >"$BUILD/host-tools.log" 2>&1
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" \
        >>"$BUILD/host-tools.log" 2>&1 || { tail -n 5 "$BUILD/host-tools.log" >&2; exit 1; }
fi
