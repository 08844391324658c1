#!/bin/sh
# Carries .deb files between the cache and a system that is being made: deb-cache.sh in|out CACHE ROOT, as mmdebstrap's
# hook. On the way out, what this build did not use leaves the cache.
set -eu
cache="$2" archives="$3/var/cache/apt/archives"
mkdir -p "$cache" "$archives"
case "$1" in
in) find "$cache" -name '*.deb' -exec cp -t "$archives" {} + ;;
out)
    find "$cache" -name '*.deb' -delete
    find "$archives" -name '*.deb' -exec mv -t "$cache" {} +
    ;;
esac
