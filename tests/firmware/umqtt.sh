#!/bin/sh
# Puts umqtt.simple, the library that a device installs with mip, into .cache/umqtt and prints that folder.
# pip finds and downloads it by its own index configuration and checks it against umqtt.lock. The archive carries no
# build instructions, so pip stops after unpacking it; --no-clean keeps what it unpacked.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
root="$(cd "$here/../.." && pwd)"
cache="$root/.cache/umqtt"
python="${PYTHON:-$root/.venv/bin/python}"

mkdir -p "$root/.cache"
exec 9>"$root/.cache/umqtt.lock"
flock 9
if ! cmp -s "$here/umqtt.lock" "$cache/made-from"; then
    work="$(mktemp -d "$root/.cache/umqtt-XXXXXX")"
    trap 'rm -rf "$work"' EXIT
    mkdir "$work/tmp"
    TMPDIR="$work/tmp" "$python" -m pip download --disable-pip-version-check --no-cache-dir --no-clean --no-deps \
        --require-hashes --dest "$work" -r "$here/umqtt.lock" >"$work/log" 2>&1 || true
    found="$(find "$work/tmp" -path '*/umqtt/simple.py' | head -n 1)"
    if [ -z "$found" ]; then
        echo "umqtt.simple could not be prepared: $(grep -m 1 ERROR "$work/log" || tail -n 1 "$work/log")" >&2
        exit 1
    fi
    rm -rf "$cache"
    mkdir -p "$work/new/umqtt"
    cp "$found" "$work/new/umqtt/simple.py"
    cp "$here/umqtt.lock" "$work/new/made-from"
    mv "$work/new" "$cache"
fi
echo "$cache"
