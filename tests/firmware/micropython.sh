#!/bin/sh
# Puts MicroPython's Unix port into .cache/micropython and prints the path of its launcher.
# On Debian it is trixie's package, whatever the release of this machine; elsewhere the machine's own. Downloaded with
# its libraries from the mirror that the machine's apt already uses, checked by apt against the installed archive
# keyring, and only unpacked: nothing is installed and the system's sources stay as they are.
set -eu
root="$(cd "$(dirname "$0")/../.." && pwd)"
cache="$root/.cache/micropython"
launcher="$cache/micropython"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

fail() {
    echo "MicroPython could not be prepared: $*" >&2
    exit 1
}

# The first Debian archive (not its security one) among the machine's own sources; MIRROR overrides.
mirror() {
    if [ -n "${MIRROR:-}" ]; then echo "$MIRROR"; return; fi
    apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m 1 '/debian/$' || true
}

# One line per setting of a private apt: the machine's way to the network (proxies, certificates), none of its hooks.
settings() {
    apt-config dump Acquire
    cat <<END
Acquire::Languages "none";
Acquire::Retries "3";
APT::Sandbox::User "root";
APT::Get::List-Cleanup "false";
Dir::Etc::parts "$apt/none";
Dir::Etc::preferencesparts "$apt/none";
Dir::Etc::sourceparts "$sourceparts";
Dir::Etc::sourcelist "$sourcelist";
Dir::State "$apt/state";
Dir::State::status "$apt/status";
Dir::Cache "$apt/cache";
END
}

# debs: downloads micropython and everything it depends on, as for an empty machine, into $apt/cache/archives.
debs() {
    sourcelist=/etc/apt/sources.list sourceparts=/etc/apt/sources.list.d
    if [ "$(. /etc/os-release && echo "$ID")" = debian ]; then
        [ -r $keyring ] || fail "$keyring is missing (apt install debian-archive-keyring)"
        url="$(mirror)"
        [ -n "$url" ] || fail "apt knows no Debian mirror; name one with MIRROR=URL"
        sourcelist="$apt/sources.list" sourceparts="$apt/none"
        echo "deb [signed-by=$keyring] $url trixie main" >"$sourcelist"
    fi
    mkdir -p "$apt/state/lists/partial" "$apt/cache/archives/partial" "$apt/none"
    : >"$apt/status"
    settings >"$apt/apt.conf"
    {
        APT_CONFIG="$apt/apt.conf" apt-get update -q &&
            APT_CONFIG="$apt/apt.conf" apt-get install -q -y --no-install-recommends --download-only micropython
    } >"$apt/log" 2>&1 || fail "$(grep -m 1 '^[EW]:' "$apt/log" || tail -n 1 "$apt/log")"
}

# unpack: all packages into one tree, and a launcher that uses that tree's loader and libraries.
unpack() {
    for deb in "$apt"/cache/archives/*.deb; do dpkg -x "$deb" "$cache/root"; done
    loader="$(cd "$cache" && find root -name 'ld-linux*.so.*' -path '*/lib/*' | head -n 1)"
    [ -n "$loader" ] || fail "no program loader among the unpacked packages"
    cat >"$launcher.new" <<END
#!/bin/sh
here="\$(dirname "\$0")"
exec "\$here/$loader" --library-path "\$here/$(dirname "$loader")" "\$here/root/usr/bin/micropython" "\$@"
END
    chmod +x "$launcher.new"
    [ "$("$launcher.new" -c 'print(6 * 7)')" = 42 ] || fail "the unpacked program does not run"
    mv "$launcher.new" "$launcher"
}

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
if [ ! -x "$launcher" ]; then
    apt="$cache/apt"
    rm -rf "$apt" "$cache/root"
    mkdir -p "$apt"
    debs
    unpack
    rm -rf "$apt"
fi
echo "$launcher"
