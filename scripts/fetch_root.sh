#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scripts/fetch_root.sh NAME: leaves a Debian root in the cache, of release 13 where nothing else is said, and prints
# its path.
#   uml      user-mode-linux with its glibc and modules (only extracted: never entered as a system)
#   guest    what runs inside that kernel: strongSwan 6 over the kernel's own IPsec
#   libreswan  the same with Libreswan 5, which cannot be installed beside strongSwan
#   openiked   the same with OpenIKED 7, which sets its SAs over PF_KEY
#   machine  QEMU, and Debian's newest kernel for it: with XFRM interfaces and SAs for single CPUs, which the other lacks
#   newest   what runs on that kernel: strongSwan and iproute2 of Debian's testing release, which know its new features
#   wireguard  today's wireguard-go, for ./dev bench tunnel (only extracted)
#   iptfs    the machine's root, with IP-TFS for its kernel (scripts/build_iptfs.sh)
# The key of a cached root is the hash of its package list, so that a new list makes a new root.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/debian.sh"
kSuite=trixie
kStrongSwan=charon-systemd,strongswan-swanctl,libcharon-extra-plugins,libstrongswan-standard-plugins,libstrongswan-extra-plugins
kTools=iproute2,iputils-ping,kmod,tcpdump,procps

case ${1:-} in
uml)
  kVariant=extract
  kPackages=user-mode-linux,kmod
  ;;
guest)
  kVariant=minbase
  kPackages=$kStrongSwan,$kTools,netcat-openbsd
  ;;
newest)
  kVariant=minbase
  kPackages=$kStrongSwan,$kTools,util-linux
  kSuite=forky
  ;;
libreswan)
  kVariant=minbase
  kPackages=libreswan,$kTools,libnss3-tools
  ;;
openiked)
  kVariant=minbase
  kPackages=openiked,$kTools
  ;;
wireguard)
  kVariant=extract
  kPackages=wireguard-go
  kSuite=forky
  ;;
machine | iptfs)
  kVariant=extract
  kPackages=qemu-system-x86,seabios,virtiofsd,kmod,liblzma5,linux-image-cloud-amd64/trixie-backports
  kAlso=trixie-backports
  ;;
*)
  echo "usage: fetch_root.sh uml|guest|libreswan|openiked|newest|wireguard|machine|iptfs" >&2
  exit 2
  ;;
esac

kName=${1/iptfs/machine}
kKey=$(printf '%s %s' "$kVariant" "$kPackages" | sha256sum | cut -c 1-12)
kDir="$(cygnet_cache)/root-$kName-$kKey"

fetch() {
  [ -e "$kDir/.complete" ] && return 0
  local mirror part="$kDir.part"
  mirror=$(debian_mirror)
  rm -rf "$part" "$kDir"
  mkdir -p "$(cygnet_cache)"
  # A mirror that is behind, of a release that changes every day, is good enough for peers in tests.
  # A daemon's postinst must not start anything: the root is entered only as a guest.
  local started=$SECONDS log
  log="$(cygnet_cache)/root-$kName.log"
  mmdebstrap --mode=root --variant="$kVariant" --include="$kPackages" \
    --aptopt='Acquire::Languages "none"' \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --aptopt='APT::Install-Recommends "false"' --aptopt='Acquire::Check-Valid-Until "false"' \
    "$kSuite" "$part" "deb $mirror $kSuite main" ${kAlso:+"deb $mirror $kAlso main"} >"$log" 2>&1 ||
    { tail -20 "$log" >&2; rm -rf "$part"; return 1; }
  rm -rf "$part"/var/cache/apt/archives/*.deb "$part"/var/lib/apt/lists/*
  # Only extracted packages have no base-files, and so none of its links into /usr.
  local link
  for link in lib lib64 bin sbin; do
    [ -e "$part/$link" ] || ln -s "usr/$link" "$part/$link"
  done
  # What only installing it would have made.
  local kernel
  for kernel in "$part"/usr/lib/modules/*/kernel; do
    if [ -d "$kernel" ]; then chroot "$part" depmod "$(basename "$(dirname "$kernel")")" >>"$log" 2>&1; fi
  done
  # Made once, so that pluto starts in half the time.
  if [ -x "$part/usr/sbin/ipsec" ] && [ -d "$part/usr/libexec/ipsec" ]; then
    mkdir -p "$part/var/lib/ipsec/nss"
    chroot "$part" certutil -N --empty-password -d sql:/var/lib/ipsec/nss >>"$log" 2>&1
  fi
  # linux.uml panics without /root in its root; the rest is what the lab mounts over.
  mkdir -p "$part"/{root,proc,sys,dev,run,tmp,lab,guest,usr/lib/modules}
  touch "$part/.complete"
  mv "$part" "$kDir"
  echo "made $kName root in $((SECONDS - started)) s" >&2
}

add_iptfs() {
  compgen -G "$kDir/usr/lib/modules/*/extra/xfrm_iptfs.ko" >/dev/null && return 0
  local started=$SECONDS log
  log="$(cygnet_cache)/iptfs.log"
  "$(dirname "$(readlink -f "$0")")/build_iptfs.sh" "$kDir" >"$log" 2>&1 || { tail -20 "$log" >&2; return 1; }
  echo "made IP-TFS for its kernel in $((SECONDS - started)) s" >&2
}

with_lock "root-$kName" fetch
if [ "$1" = iptfs ]; then with_lock "root-$kName" add_iptfs; fi
echo "$kDir"
