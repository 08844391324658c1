#!/usr/bin/env bash
# The image of the card, and what people download.
. image/common.sh

image="build/gateway-$(version).img"
rm -rf "$BUILD/genimage" "$image"*
# File systems write down the time, so they are told one.
faketime -f "$(date --utc --date "@$SOURCE_DATE_EPOCH" '+@%Y-%m-%d %H:%M:%S')" \
    genimage --config "$RECIPE/genimage.cfg" --rootpath "$BUILD/tree" --tmppath "$BUILD/genimage" \
    --inputpath "$BUILD" --outputpath "$BUILD" --loglevel 0
mv "$BUILD/gateway.img" "$image"
say "compressing"
zstd -q -10 -T0 --force "$image" -o "$image.zst"
(cd build && sha256sum "${image##*/}.zst" >"${image##*/}.zst.sha256")
say "$image.zst: $(du -m "$image.zst" | cut -f 1) MB, for a card of $(($(stat -c %s "$image") / 1000000)) MB or more"
