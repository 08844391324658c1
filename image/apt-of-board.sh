#!/usr/bin/env bash
# Makes a folder in which apt works for the board, apart from this machine's own: apt-of-board.sh FOLDER DEBS.
. image/common.sh
folder="$1" debs="$2"
mkdir -p "$folder/lists/partial" "$debs/partial"
sources >"$folder/sources.list"
: >"$folder/status"
cat >"$folder/apt.conf" <<END
APT::Architecture "$ROOT_ARCH";
APT::Architectures { "$ROOT_ARCH"; };
APT::Install-Recommends "false";
APT::Keep-Downloaded-Packages "true";
APT::Sandbox::User "root";
Dir::State "$folder";
Dir::State::status "$folder/status";
Dir::Cache "$folder";
Dir::Cache::archives "$debs";
Dir::Etc::sourcelist "$folder/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
END
