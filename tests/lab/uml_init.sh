#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Init of the User-Mode Linux guest: networks, kernel IPsec, then commands from the lab.
#
# Parameters come as environment (unknown words of the kernel's command line): LAB_ADDRESSES,
# LAB_GATEWAYS, LAB_INNER: addresses, gateways and inner addresses, separated by commas; LAB_MODULES: of the kernel.
# Commands come as files /lab/N.cmd of the hostfs; the answer is N.out and then N.rc.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
[ -z "$LAB_MAILBOX" ] || mount -t virtiofs "$LAB_MAILBOX" /lab
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /tmp
mount -t devtmpfs devtmpfs /dev 2>/dev/null || mount -t tmpfs tmpfs /dev
[ -c /dev/null ] || { mknod /dev/null c 1 3; mknod /dev/random c 1 8; mknod /dev/urandom c 1 9; mknod /dev/console c 5 1; }
mkdir -p /dev/net /run/lock
[ -c /dev/net/tun ] || mknod /dev/net/tun c 10 200
mount -t tmpfs tmpfs /usr/lib/modules
ln -s "/usr/lib/uml/modules/$(uname -r)" "/usr/lib/modules/$(uname -r)"
# A kernel that is not User-Mode Linux has its card's name for itself.
split() { echo "$1" | tr , ' '; }
[ -z "$LAB_MODULES" ] || modprobe -a $(split "$LAB_MODULES") 2>&1
[ -e /sys/class/net/vec0 ] || ip link set eth0 name vec0
modprobe -a dummy tun af_key esp4 esp6 ah4 ah6 xfrm_user xfrm4_tunnel xfrm6_tunnel authenc echainiv \
  seqiv gcm ctr cbc hmac sha256_generic sha512_generic chacha20poly1305 chacha_generic poly1305_generic \
  crypto_null aes_generic 2>&1

ip link set lo up
ip link set vec0 up
ip link add inner0 type dummy
ip link set inner0 up
for a in $(split "$LAB_ADDRESSES"); do
  case $a in *:*) ip addr add "$a" dev vec0 nodad ;; *) ip addr add "$a" dev vec0 ;; esac
done
for a in $(split "$LAB_INNER"); do
  case $a in *:*) ip addr add "$a" dev inner0 nodad ;; *) ip addr add "$a" dev inner0 ;; esac
done
for g in $(split "$LAB_GATEWAYS"); do
  case $g in *:*) ip -6 route add default via "$g" ;; *) ip route add default via "$g" ;; esac
done
echo 1 >/proc/sys/net/ipv4/ip_forward
echo "lab: guest ready, kernel $(uname -r)"

n=1
while :; do
  if [ -e /lab/$n.cmd ]; then
    sh /lab/$n.cmd >/lab/$n.out 2>&1 </dev/null
    echo $? >/lab/$n.part
    mv /lab/$n.part /lab/$n.rc
    n=$((n + 1))
  else
    sleep 0.05
  fi
  [ -e /lab/poweroff ] && break
done
echo "lab: guest ends"
sync
echo o >/proc/sysrq-trigger
sleep 1
