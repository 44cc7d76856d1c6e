#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs inside the throw-away root that package.sh --check makes, with /cygnet.deb in it.
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
step() { echo "check: $*"; }
fail() {
  echo "check FAILED: $*" >&2
  exit 1
}
kDaemon=$(dpkg-deb --fsys-tarfile /cygnet.deb | tar -xO ./usr/lib/systemd/system/cygnet.service |
  sed -n 's/^ExecStart=//p')

# What is there before must be all that is there after: files of the package's folders, users.
footprint() {
  find /etc /usr/sbin /usr/lib/systemd /var/lib/systemd /run -xdev \
    \( -name '*cygnet*' -o -path '*/cygnet/*' \) 2>/dev/null | sort
  getent passwd cygnet || true
}
before=$(footprint)

step install
dpkg -i /cygnet.deb >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; fail "dpkg -i"; }
getent passwd cygnet >/dev/null || fail "no user cygnet"
[ "$(stat -c %a /etc/cygnet/ipsec.secrets)" = 600 ] || fail "ipsec.secrets is readable by others"
if command -v systemd-analyze >/dev/null; then
  complaints=$(systemd-analyze --man=no verify /usr/lib/systemd/system/cygnet.service 2>&1 |
    grep -i 'cygnet\.service' || true)
  [ -z "$complaints" ] || fail "systemd-analyze verify: $complaints"
fi

step "start, as the unit does: $kDaemon"
mkdir -p /run/cygnet
$kDaemon >/tmp/cygnetd.log 2>&1 &
daemon=$!
for _ in $(seq 100); do
  cygnet --run-dir /run/cygnet status --json >/tmp/status.json 2>/dev/null && break
  kill -0 "$daemon" 2>/dev/null || { cat /tmp/cygnetd.log; fail "cygnetd ended"; }
  sleep 0.1
done
grep -q '"connections"' /tmp/status.json || { cat /tmp/cygnetd.log; fail "no status"; }
[ -e /sys/class/net/ipsec0 ] || fail "no ipsec0"
cygnet status >/dev/null || fail "cygnet does not find the daemon by itself"
cygnet reload >/dev/null || fail "reload"

step stop
kill "$daemon"
wait "$daemon" || fail "cygnetd ended with $? at SIGTERM"
[ ! -e /sys/class/net/ipsec0 ] || fail "ipsec0 is left"
! pgrep -x 'cygnetd.*' >/dev/null || fail "processes are left"

step "remove (configuration stays) and purge"
dpkg -r cygnet >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; fail "dpkg -r"; }
[ -e /etc/cygnet/ipsec.conf ] || fail "remove took the configuration"
dpkg -P cygnet >/tmp/dpkg.log 2>&1 || { cat /tmp/dpkg.log; fail "dpkg -P"; }
after=$(footprint)
[ "$before" = "$after" ] || { diff <(echo "$before") <(echo "$after") || true; fail "something is left"; }
step "nothing is left"
