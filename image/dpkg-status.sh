#!/usr/bin/env bash
# Prints what dpkg would know, had it installed the packages of a folder: dpkg-status.sh FOLDER.
set -euo pipefail
for deb in "$1"/*.deb; do
    dpkg-deb --field "$deb" | sed '1a Status: install ok installed'
    echo
done
