#!/bin/sh
# Installs the Debian packages that the tests need, where that is allowed (root, or sudo without a password) and
# something is missing; else says in one line what will be skipped. In CI (CI=true) a missing package is a failure.
set -eu

# What is needed, a command or a file, and the package that brings it: the tests ask for the same (tests/requires.py).
needed='mosquitto:mosquitto mosquitto_pub:mosquitto-clients ip:iproute2 tc:iproute2 iptables:iptables systemd-analyze:systemd
shellcheck:shellcheck avahi-daemon:avahi-daemon openssl:openssl node:nodejs npm:npm ssh:openssh-client sshd:openssh-server dpkg:dpkg flock:util-linux
zsh:zsh haproxy:haproxy nats-server:nats-server groff:groff-base /lib/x86_64-linux-gnu/libnss_mdns4_minimal.so.2:libnss-mdns
/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1:libfaketime'

PATH="$PATH:/usr/sbin:/sbin"

missing() {
    for pair in $needed; do
        command -v "${pair%%:*}" >/dev/null || [ -e "${pair%%:*}" ] || echo "${pair##*:}"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

# Debian starts a service as soon as its package is unpacked, and Mosquitto's would take port 1883, which the tests
# use. A policy that forbids starting anything stands in for the time of the installation; where systemd runs, the
# services that it would bring up at the next boot are switched off again.
install() {
    policy=/usr/sbin/policy-rc.d
    ours=
    if [ ! -e $policy ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
        as_root chmod 755 $policy
    fi
    status=0
    { as_root apt-get update -q &&
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"; } \
        >"$log" 2>&1 || status=$?
    if [ -n "$ours" ]; then as_root rm -f $policy; fi
    case " $* " in *" mosquitto "*) if [ -d /run/systemd/system ]; then
        as_root systemctl disable -q --now mosquitto.service 2>>"$log" || true
    fi ;; esac
    return $status
}

packages="$(missing | sort -u | paste -s -d ' ')"
if [ -n "$packages" ] && command -v apt-get >/dev/null && as_root true 2>/dev/null; then
    log="$(mktemp)"
    trap 'rm -f "$log"' EXIT
    echo "installing $packages"
    # The list is split into words on purpose.
    # shellcheck disable=SC2086
    install $packages || tail -n 3 "$log" >&2
    packages="$(missing | sort -u | paste -s -d ' ')"
fi
if [ -n "$packages" ]; then
    echo "skipped, because a Debian package is missing: the tests that need $packages (apt install $packages)" >&2
    if [ "${CI:-}" = true ]; then exit 1; fi
fi
