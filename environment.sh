#!/bin/sh
# Makes .venv from a lock file: environment.sh LOCKFILE. Installs python3-venv first where it is missing and may be.
set -eu
python="${PYTHON:-python3}"
as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "Python 3.11 or newer is needed; found $("$python" --version). Set PYTHON=python3.12 or the like." >&2
    exit 1
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "installing python3-venv"
    { as_root apt-get update -q && as_root apt-get install -y -q python3-venv; } >/dev/null || {
        echo "Python's venv module is missing and could not be installed: apt install python3-venv" >&2
        exit 1
    }
fi
[ -x .venv/bin/pip ] || "$python" -m venv .venv
.venv/bin/pip install -q --disable-pip-version-check --require-hashes -r "$1"
.venv/bin/pip install -q --disable-pip-version-check --no-deps --no-build-isolation \
    --config-settings editable_mode=compat -e .
