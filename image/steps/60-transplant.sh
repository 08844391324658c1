#!/usr/bin/env bash
# What the packages' scripts made in the twin goes into the board's system: /etc, and every file that is in no package.
# Programs stay behind; the last step looks for any that slipped in.
. image/common.sh

foreign='x86_64|x86-64|amd64' # how paths of the twin's architecture are named

# Each path of a system, without what is not part of it.
paths() {
    (cd "$1" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./run -o -path ./tmp \
        -o -path ./etc -o -path ./usr/lib/gateway -o -path ./var/cache -o -path ./var/log -o -path ./var/lib/dpkg \) -prune -o "${@:2}") |
        sed 's|^\./||' | sort
}
# Mode, owner and group of files and folders: scripts change these, too.
rights() { paths "$1" \( -type f -o -type d \) -printf '%p\t%m\t%U\t%G\n'; }
packaged() { cat "$TWIN"/var/lib/dpkg/info/*.list | sed 's|^/||' | sort -u; }
cleaned() { grep -v -E "$foreign" || true; }

say "root: transplanting"
tar -C "$TWIN" -c etc | tar -C "$ROOT" -x --preserve-permissions --numeric-owner
find "$ROOT/etc" | { grep -E "$foreign" || true; } | xargs -r rm -r
rm -f "$ROOT/etc/ld.so.cache" # a list of the twin's libraries; the board finds its own without one

comm -23 <(paths "$TWIN" -print) <(paths "$ROOT" -print) | comm -23 - <(packaged) | cleaned >"$BUILD/generated.txt"
tar -C "$TWIN" -c --no-recursion -T "$BUILD/generated.txt" | tar -C "$ROOT" -x --preserve-permissions --numeric-owner

comm -23 <(rights "$TWIN") <(rights "$ROOT") | cleaned | while IFS=$'\t' read -r path mode user group; do
    [ -e "$ROOT/$path" ] || continue
    chown "$user:$group" "$ROOT/$path"
    chmod "$mode" "$ROOT/$path"
done

cp "$BUILD/dpkg-status" "$ROOT/var/lib/dpkg/status"
cp "$TWIN/var/lib/dpkg/diversions" "$TWIN/var/lib/dpkg/statoverride" "$ROOT/var/lib/dpkg/"
echo "$ROOT_ARCH" >"$ROOT/var/lib/dpkg/arch"
image/lay.sh "$ROOT" "$ROOT_ARCH"
depmod -b "$ROOT" "$(ls "$ROOT/usr/lib/modules")"
rm -rf "$ROOT"/var/cache/* "$ROOT"/var/log/* "$ROOT"/tmp/*
image/elf-scan.py "$ROOT" aarch64
say "root: $(wc -l <"$BUILD/generated.txt") generated paths, $(du -sm "$ROOT" | cut -f 1) MB"
