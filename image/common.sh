# What every step needs: where things are, and a few words for what they do. Sourced, with the repository as the
# working folder.
# shellcheck shell=bash
set -euo pipefail
umask 022
export LC_ALL=C.UTF-8 PATH="$PATH:/usr/sbin:/sbin"

export SUITE=trixie
export RECIPE="$PWD/image"
export CACHE="${CACHE:-$PWD/.cache/image}"
export BUILD="$PWD/build/image"
export TWIN="$BUILD/twin" # the system for this machine, to run in a container
export ROOT="$BUILD/root" # the system for the board
# What is made has the time of what it is made from: of the commit, or of the file that holds the version.
SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y pyproject.toml)}"
export SOURCE_DATE_EPOCH

# The architectures as Debian, the kernel's multi-arch folders, and Python's wheels name them.
export TWIN_ARCH=amd64 ROOT_ARCH=arm64

mkdir -p "$CACHE" "$BUILD"

say() { printf '%s  %s\n' "$(date +%T)" "$*" >&2; }
die() {
    say "$*"
    exit 1
}
entries() { sed -e 's/#.*//' -e 's/[[:space:]]*$//' -e '/^$/d' "$@"; } # a list file without its comments
version() { sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml; }
in_twin() { chroot "$TWIN" /usr/bin/env -i PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 "$@"; }

# The mirror: MIRROR, else the one that this machine's own packages come from. MIRROR_SECURITY likewise; empty for none.
mirrors() {
    # shellcheck disable=SC2016 # apt fills these in
    apt-get indextargets --format '$(IDENTIFIER) $(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)' |
        awk -v label="$1" '$1 == "Packages" && $2 == "Debian" && $3 == label && $4 == "main" { print $5 }'
}
sources() {
    local mirror security
    mirror="${MIRROR:-$(mirrors Debian | head -n 1)}"
    security="${MIRROR_SECURITY-$(mirrors Debian-Security | head -n 1)}"
    [ -n "$mirror" ] || die "this machine has no Debian mirror configured: set MIRROR=http://..."
    local components="main non-free-firmware"
    echo "deb $mirror $SUITE $components"
    echo "deb $mirror $SUITE-updates $components"
    [ -z "$security" ] || echo "deb $security $SUITE-security $components"
}
