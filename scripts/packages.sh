#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The Debian packages (12 and 13 alike) that ./dev needs, by what needs them.
# Sourced by ./dev; `install_packages` brings in only what is missing.

kPackagesBuild=(
  g++ cmake ninja-build ccache pkg-config
  libssl-dev libsodium-dev libipsec-mb-dev libmnl-dev libnftables-dev libseccomp-dev libcap-ng-dev libasio-dev
  libsqlite3-dev zlib1g-dev nlohmann-json3-dev libcli11-dev libp11-kit-dev softhsm2
  libgtest-dev libgmock-dev libbenchmark-dev
)

# clang 19 exists under this name in both releases; GCC builds the product.
kPackagesClang=(clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev)

# llvm-cov and llvm-profdata, for ./dev fuzz --coverage alone.
kPackagesCoverage=(llvm-19)

# Network namespaces, the peers that run in them, and the witnesses.
kPackagesLab=(
  python3 python3-pytest iproute2 iputils-ping nftables conntrack tcpdump tshark procps
  util-linux mount openssl git ca-certificates
  charon-systemd strongswan-swanctl strongswan-pki libcharon-extra-plugins
  libstrongswan-extra-plugins libstrongswan-standard-plugins
  iperf3 wireguard-tools openvpn opensc libxdp1
  mmdebstrap debian-archive-keyring dpkg-dev python3-cryptography
)

kPackagesPackaging=(dpkg-dev fakeroot)

missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      echo "$package"
  done
}

# install_packages NAME...: nothing to do is no call to apt at all.
install_packages() {
  local missing sudo=()
  mapfile -t missing < <(missing_packages "$@" | sort -u)
  [ "${#missing[@]}" -eq 0 ] && return 0
  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || {
      echo "missing packages: ${missing[*]}" >&2
      echo "run as root, or: apt-get install ${missing[*]}" >&2
      return 1
    }
    sudo=(sudo)
  fi
  echo "installing ${#missing[@]} Debian packages: ${missing[*]}"
  local install=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q
    --no-install-recommends "${missing[@]}")
  # A daemon that a package brings must not start here: the lab starts its own.
  local policy=/usr/sbin/policy-rc.d made_policy=0
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
    "${sudo[@]}" chmod 755 "$policy"
    made_policy=1
  fi
  local status=0
  if ! "${install[@]}" >/tmp/cygnet-apt.$$ 2>&1; then
    # The usual cause is an old package list: refresh it once and try again.
    "${sudo[@]}" apt-get update -q >>/tmp/cygnet-apt.$$ 2>&1
    "${install[@]}" >>/tmp/cygnet-apt.$$ 2>&1 || {
      status=1
      tail -20 /tmp/cygnet-apt.$$ >&2
    }
  fi
  rm -f /tmp/cygnet-apt.$$
  [ "$made_policy" -eq 0 ] || "${sudo[@]}" rm -f "$policy"
  return "$status"
}
