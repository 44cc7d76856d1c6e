#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Leaves scapy 2.6 (Debian 13's python3-scapy, unpacked) in the cache and prints the
# PYTHONPATH under which /usr/bin/python3 finds it.
#
# Debian 12's own 2.5.0 computes ESN and NAT-T wrongly, so it is no witness for ESP.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/debian.sh"

kDir="$(cygnet_cache)/scapy"
kPath="$kDir/usr/lib/python3/dist-packages"

works() {
  [ -d "$kPath/scapy" ] && PYTHONPATH="$kPath" /usr/bin/python3 -c '
import scapy.layers.ipsec, scapy
assert tuple(map(int, scapy.VERSION.split(".")[:2])) >= (2, 6)' 2>/dev/null
}

fetch() {
  works && return 0
  local apt mirror
  mirror=$(debian_mirror)
  apt=$(mktemp -d)
  trap 'rm -rf "$apt"' RETURN
  mkdir -p "$apt"/{lists/partial,cache/archives/partial,etc}
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" \
    >"$apt/etc/sources.list"
  : >"$apt/status"
  local options=(-q -o "Dir::Etc::SourceList=$apt/etc/sources.list" -o Dir::Etc::SourceParts=/dev/null
    -o "Dir::State::Lists=$apt/lists" -o "Dir::State::status=$apt/status"
    -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update >&2
  (cd "$apt" && apt-get "${options[@]}" download python3-scapy >&2)
  rm -rf "$kDir"
  mkdir -p "$kDir"
  dpkg-deb -x "$apt"/python3-scapy_*.deb "$kDir"
  works || { echo "scapy 2.6 was unpacked into $kDir but does not import" >&2; return 1; }
}

with_lock scapy fetch
echo "$kPath"
