#!/usr/bin/env bash
# Makes the image of the SD card: image/build.sh. Each step is a file of its own; read them in their order.
. image/common.sh
[ "$(id -u)" = 0 ] || exec sudo --preserve-env=MIRROR,MIRROR_SECURITY,CACHE "$0"
begun=$SECONDS
for step in "$RECIPE"/steps/*.sh; do "$step"; done
say "done in $(((SECONDS - begun) / 60)) min $(((SECONDS - begun) % 60)) s"
