#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# scripts/build_iptfs.sh ROOT: IP-TFS (RFC 9347) for the kernel in ROOT, which Debian builds without it, as a module of
# its own from Debian's source of that very release. Compiled in a root with that release's compiler, which is thrown
# away; takes a minute and a half. Fails where the mirror has no source of the kernel in ROOT any more.
set -euo pipefail
source "$(dirname "$(readlink -f "$0")")/debian.sh"

kRoot=$(readlink -f "$1")
kRelease=$(basename "$kRoot"/usr/lib/modules/*)
kMirror=$(debian_mirror)
kWork="$kRoot.iptfs"
kSeries=$(grep -oE '^[0-9]+\.[0-9]+' <<<"$kRelease")
kPackages="linux-headers-$kRelease,linux-source-$kSeries/trixie-backports,gcc-14,make,xz-utils,kmod,mawk"

rm -rf "$kWork"
trap 'rm -rf "$kWork"' EXIT
mmdebstrap --mode=root --variant=minbase --include="$kPackages" \
  --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  trixie "$kWork" "deb $kMirror trixie main" "deb $kMirror trixie-backports main"

# Its trace header is asked for where it lies in the kernel's own tree, seen from the headers of all kinds of kernels.
kHeaders="/usr/src/linux-headers-$kRelease"
kCommon="/usr/src/linux-headers-${kRelease%-cloud-amd64}-common"
mkdir -p "$kWork/build"
xz -dc "$kWork/usr/src/linux-source-$kSeries.tar.xz" |
  tar -xf - --wildcards --strip-components=3 -C "$kWork/build" '*/net/xfrm/*.h' '*/net/xfrm/xfrm_iptfs.c'
mkdir -p "$kWork$kCommon/net/xfrm"
cp "$kWork"/build/*.h "$kWork$kCommon/net/xfrm/"
echo 'obj-m := xfrm_iptfs.o' >"$kWork/build/Makefile"
unshare --mount --pid --fork bash -euc "
  mount -t proc proc '$kWork/proc'
  chroot '$kWork' make -C '$kHeaders' M=/build modules"

mkdir -p "$kRoot/usr/lib/modules/$kRelease/extra"
cp "$kWork/build/xfrm_iptfs.ko" "$kRoot/usr/lib/modules/$kRelease/extra/"
chroot "$kRoot" depmod "$kRelease"
