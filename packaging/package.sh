#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# packaging/package.sh [--check]: build/package/cygnet_VERSION_ARCH.deb from the built binaries.
# --check also installs it into an overlay of this machine's root, starts the daemon as the unit
# would, asks it, purges it, and looks for what is left.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
kBuild=${CYGNET_BUILD:-build}
kOut=$kBuild/package
kStage=$kOut/stage
kArch=$(dpkg --print-architecture)
kVersion=$(sed -nE 's/^project\(cygnet VERSION ([0-9.]+).*/\1/p' CMakeLists.txt)
kDeb=$kOut/cygnet_${kVersion}_$kArch.deb

stage_files() {
  rm -rf "$kStage"
  mkdir -p "$kStage"/{DEBIAN,usr/sbin,usr/lib/systemd/system,usr/share/doc/cygnet,etc/cygnet}
  install -m 755 -s "$kBuild/bin/cygnetd" "$kBuild/bin/cygnet" "$kBuild/bin/setkey" "$kStage/usr/sbin/"
  install -D -m 644 -s "$kBuild/bin/libcygnet-wrap.so" "$kStage/usr/lib/cygnet/libcygnet-wrap.so"
  install -m 644 packaging/cygnet.service "$kStage/usr/lib/systemd/system/"
  install -m 644 packaging/etc/ipsec.conf "$kStage/etc/cygnet/"
  install -m 600 packaging/etc/ipsec.secrets "$kStage/etc/cygnet/"
  install -d -m 755 "$kStage"/etc/cygnet/{certs,cacerts,crls}
  install -d -m 700 "$kStage/etc/cygnet/private"
  local page section name
  for page in man/*.[1-8]; do
    [ -e "$page" ] || continue
    section=${page##*.}
    # strongSwan and Libreswan own the pages ipsec.*(5): ours stand beside theirs.
    name=$(basename "$page")
    case $name in ipsec.*) name=cygnet-$name ;; esac
    mkdir -p "$kStage/usr/share/man/man$section"
    gzip -9nc "$page" >"$kStage/usr/share/man/man$section/$name.gz"
  done
  {
    echo "Cygnet is licensed under the Apache License, Version 2.0."
    echo "On Debian systems its text is in /usr/share/common-licenses/Apache-2.0."
  } >"$kStage/usr/share/doc/cygnet/copyright"
  local text
  for text in README.md CHANGELOG.md; do
    [ ! -e "$text" ] || gzip -9nc "$text" >"$kStage/usr/share/doc/cygnet/$text.gz"
  done
}

# What the binaries are linked with, as package names and versions.
shared_libraries() {
  local work
  work=$(mktemp -d)
  mkdir "$work/debian"
  printf 'Source: cygnet\n\nPackage: cygnet\nArchitecture: any\n' >"$work/debian/control"
  (cd "$work" && dpkg-shlibdeps -O "$1/usr/sbin/cygnetd" "$1/usr/sbin/cygnet" "$1/usr/sbin/setkey" 2>/dev/null) |
    sed 's/^shlibs:Depends=//'
  rm -rf "$work"
}

build_deb() {
  stage_files
  local depends size
  depends=$(shared_libraries "$(realpath "$kStage")")
  size=$(du -sk --exclude=DEBIAN "$kStage" | cut -f1)
  cat >"$kStage/DEBIAN/control" <<CONTROL
Package: cygnet
Version: $kVersion
Architecture: $kArch
Maintainer: The Cygnet authors <cygnet@localhost>
Installed-Size: $size
Depends: ${depends:+$depends, }adduser, init-system-helpers (>= 1.52)
Recommends: iproute2, libp11-kit0
Section: net
Priority: optional
Description: IPsec with its own packet engine in user space
 Cygnet negotiates tunnels with IKEv2 and carries their packets itself, behind
 a device (ipsec0) on which tcpdump shows the clear text. It runs wherever there
 is /dev/net/tun: containers, micro-VMs, hosts whose kernel lacks ESP.
CONTROL
  printf '/etc/cygnet/ipsec.conf\n/etc/cygnet/ipsec.secrets\n' >"$kStage/DEBIAN/conffiles"
  install -m 755 packaging/debian/{postinst,prerm,postrm} "$kStage/DEBIAN/"
  (cd "$kStage" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$kStage/DEBIAN/md5sums"
  dpkg-deb --root-owner-group -Zxz --build "$kStage" "$kDeb" >/dev/null
  echo "$kDeb ($(du -k "$kDeb" | cut -f1) kB)"
}

# Runs in namespaces of its own, with a layer over this machine's root that nobody else sees.
check_in_overlay() {
  local deb=$1 layer=/run/cygnet-check
  mount --make-rprivate /
  mount -t tmpfs tmpfs /run
  mkdir -p "$layer"/{upper,work,root}
  mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
  cp "$deb" "$layer/root/cygnet.deb"
  mount -t proc proc "$layer/root/proc"
  mount -t sysfs sysfs "$layer/root/sys"
  mount --rbind /dev "$layer/root/dev"
  mount -t tmpfs tmpfs "$layer/root/run"
  ip link set lo up
  install -m 755 packaging/check_installed.sh "$layer/root/check.sh"
  chroot "$layer/root" /check.sh
}

case ${1:-} in
"") build_deb ;;
--check)
  build_deb
  [ "$(id -u)" -eq 0 ] || { echo "--check needs root" >&2; exit 1; }
  export -f check_in_overlay
  unshare --mount --net --pid --fork --kill-child --mount-proc bash -euc \
    "check_in_overlay '$(realpath "$kDeb")'"
  ;;
*)
  echo "usage: ./dev package [--check]" >&2
  exit 2
  ;;
esac
