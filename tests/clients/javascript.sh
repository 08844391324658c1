#!/bin/sh
# Installs the JavaScript client of package-lock.json into tests/clients/js/node_modules, once for each lock file, and
# prints that folder.
set -eu
cd "$(dirname "$0")/js"
command -v npm >/dev/null || {
    echo "npm is not installed (apt install npm)" >&2
    exit 1
}
exec 9>.installing
flock 9
stamp=node_modules/.installed
if [ ! -e $stamp ] || [ package-lock.json -nt $stamp ]; then
    # Nothing of a package runs while it is installed.
    npm ci --no-audit --no-fund --ignore-scripts --loglevel=error >&2 || {
        echo "MQTT.js could not be installed by npm ci" >&2
        exit 1
    }
    touch $stamp
fi
echo "$PWD/node_modules"
