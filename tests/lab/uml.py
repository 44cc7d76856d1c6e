# SPDX-License-Identifier: Apache-2.0
"""A guest with the Linux kernel's own ESP: User-Mode Linux 6.12 with a Debian 13 userland.

    host ---- tap0 ---- guest (vec0)     inner0: the guest's inner addresses

The roots come from scripts/fetch_root.sh; both are only lower layers of an overlay, so a guest
changes nothing that another one sees. Commands go through files of the hostfs, not through the
network, so that no policy under test touches them.
"""
import hashlib
import os
import pathlib
import re
import subprocess
import tempfile

from .net import LabError, wait_until
from .strongswan import PSK, fetch_root, parse_list_sas, site_config  # noqa: F401

PLUGINS = "random nonce openssl kdf vici kernel-netlink socket-default"

_HERE = pathlib.Path(__file__).resolve().parent


def preloaded():
    """The library of uml_preload.c, compiled once and kept beside the roots."""
    source = _HERE / "uml_preload.c"
    key = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    library = pathlib.Path(fetch_root("uml")).parent / f"uml-preload-{key}.so"
    if not library.exists():
        with tempfile.TemporaryDirectory(dir=library.parent) as folder:
            made = pathlib.Path(folder) / "made.so"
            done = subprocess.run(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", made, source],
                                  capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise LabError(f"gcc {source}: {done.stderr}")
            made.rename(library)
    return library


class Guest:
    """A running guest, known by the folder through which it takes commands."""

    def __init__(self, mailbox):
        self.mailbox = pathlib.Path(mailbox)

    def alive(self):
        return not (self.mailbox / "poweroff").exists()

    def read_console(self):
        return ""

    def _post(self, command):
        """Leaves the command under the next free number; several senders never share one."""
        part = self.mailbox / f"{os.getpid()}.part"
        part.write_text(command + "\n")
        number = max((int(f.stem) for f in self.mailbox.glob("*.cmd")), default=0) + 1
        while True:
            try:
                os.link(part, self.mailbox / f"{number}.cmd")
                break
            except FileExistsError:
                number += 1
        part.unlink()
        return number

    def ask(self, command, timeout_s=30):
        """Runs shell text in the guest; returns (exit status, output)."""
        number = self._post(command)
        rc = self.mailbox / f"{number}.rc"
        wait_until(lambda: rc.exists() or not self.alive(), timeout_s,
                   f"the guest ends: {command}", interval_s=0.02)
        if not rc.exists():
            raise LabError(f"the guest died during: {command}\n" + self.read_console()[-2000:])
        return int(rc.read_text()), (self.mailbox / f"{number}.out").read_text(errors="replace")

    def run(self, command, check=True, timeout_s=30):
        """Runs shell text in the guest; returns its output."""
        status, output = self.ask(command, timeout_s)
        if check and status != 0:
            raise LabError(f"guest: exit {status}: {command}\n{output}")
        return output

    def answered(self, target, count=3, words="", prefix=""):
        """How many of so many pings are answered. One by one: for the last of several, ping waits no longer than the
        others took. words, prefix: of the command, behind and before."""
        ping = f"{prefix} ping -n -q -c 1 -W 10 {words} {target}"
        return int(self.run(f"n=0; for i in $(seq {count}); do {ping} >/dev/null 2>&1 && n=$((n + 1)); done; echo $n",
                            timeout_s=30 + 10 * count))

    def write(self, path, text):
        """A file in the guest."""
        name = f"file{len(list(self.mailbox.glob('file*')))}"
        (self.mailbox / name).write_text(text)
        self.run(f"mkdir -p $(dirname {path}) && cp /lab/{name} {path}")


class Uml(Guest):
    """The guest. run() gives a command's output; poweroff() ends it; so does the host's end."""

    def __init__(self, host, addresses, gateways, inner, tap="tap0", memory="256M", root="guest",
                 prepare=None):
        """prepare(host, root): lays more into the guest's tree before it starts."""
        self.make_mailbox(host, "uml")
        uml, guest = fetch_root("uml"), fetch_root(root)
        root = self.dir / "root"
        host.run(f"""set -e
            mkdir -p {root} {self.dir}/layer
            mount -t tmpfs tmpfs {self.dir}/layer
            mkdir -p {self.dir}/layer/uml {self.dir}/layer/w1 {self.dir}/layer/guest {self.dir}/layer/w2
            mount -t overlay overlay -o lowerdir={uml},upperdir={self.dir}/layer/uml,workdir={self.dir}/layer/w1 {root}
            mount --rbind /dev {root}/dev
            mount --rbind /proc {root}/proc
            mount -t tmpfs -o exec tmpfs {root}/tmp
            mount -t overlay overlay -o lowerdir={guest},upperdir={self.dir}/layer/guest,workdir={self.dir}/layer/w2 {root}/guest
            mkdir -p {root}/guest/usr/lib/uml {root}/guest/lab
            mount --bind {uml}/usr/lib/uml {root}/guest/usr/lib/uml
            mount --bind {self.mailbox} {root}/guest/lab
            ip tuntap add {tap} mode tap
            ip link set {tap} up gso_max_size 1500 gso_max_segs 1""")
        host.run(f"""set -e
            cp {preloaded()} {root}/tmp/preload.so
            mkdir -p {root}/etc
            echo /tmp/preload.so > {root}/etc/ld.so.preload""")
        if prepare:
            prepare(host, root)
        self.process = host.spawn(
            ["chroot", root, "/usr/bin/linux.uml", f"mem={memory}", "rootfstype=hostfs",
             "rootflags=/guest", "rw", "init=/lab/init", "con=null", "con0=null,fd:1", "ssl=null",
             "lpj=50000000", "initcall_blacklist=raid6_select_algo,calibrate_xor_blocks",
             f"vec0:transport=tap,ifname={tap}", f"LAB_ADDRESSES={','.join(addresses)}",
             f"LAB_GATEWAYS={','.join(gateways)}", f"LAB_INNER={','.join(inner)}"],
            name="uml", env={"TMPDIR": "/tmp", "HOME": "/root"})
        self.process.wait_log("lab: guest ready", 20)

    def make_mailbox(self, host, name):
        """The folder through which the guest takes commands, with the program that it starts."""
        self.host = host
        self.dir = host.dir / name
        Guest.__init__(self, self.dir / "lab")
        self.mailbox.mkdir(parents=True)
        init = self.mailbox / "init"
        init.write_text((_HERE / "uml_init.sh").read_text())
        init.chmod(0o755)

    def alive(self):
        return self.process.alive()

    def read_console(self):
        return self.process.read_log()

    def poweroff(self):
        (self.mailbox / "poweroff").touch()
        self.process.wait(10)

    def xfrm_packets(self):
        """{SPI: packets} of the guest kernel's SAs."""
        return {state["spi"]: state["packets"] for state in self.xfrm_states()}

    def xfrm_states(self):
        """[{spi, src, dst, protocol, mode, packets, bytes, text}] of the guest kernel's SAs."""
        states = []
        for block in re.split(r"(?m)^(?=src )", self.run("ip -s xfrm state")):
            m = re.match(r"src (\S+) dst (\S+)", block)
            if not m:
                continue
            state = {"src": m[1], "dst": m[2], "text": block,
                     "spi": int(re.search(r"spi 0x([0-9a-f]+)", block)[1], 16),
                     "protocol": re.search(r"proto (\w+)", block)[1],
                     "mode": re.search(r"mode (\w+)", block)[1], "encap": "encap" in block,
                     "esn": bool(re.search(r"flag [^\n]*\besn\b", block))}
            m = re.search(r"lifetime current:\s+(\d+)\(bytes\), (\d+)\(packets\)", block)
            state["bytes"], state["packets"] = (int(m[1]), int(m[2])) if m else (0, 0)
            states.append(state)
        return states


class GuestStrongSwan:
    """strongSwan 6 in the guest, over the kernel's own ESP."""

    def __init__(self, guest):
        self.guest = guest
        # Only what is needed: each plugin is a slow dlopen over hostfs.
        guest.write("/etc/strongswan.conf", f"""
charon-systemd {{
  load = {PLUGINS}
  retransmit_tries = 4
  retransmit_timeout = 1.0
  filelog {{ lab {{ path = /lab/charon.log
      flush_line = yes
      default = 1
      ike = 2
      chd = 2
      knl = 2 }} }}
}}
swanctl {{ load = random openssl }}
""")
        guest.run("(setsid /usr/sbin/charon-systemd >/lab/charon.out 2>&1 &) ; "
                  "for i in $(seq 1200); do [ -S /run/charon.vici ] && exit 0; sleep 0.05; done; exit 1", timeout_s=90)

    def load(self, connections, secrets=None):
        secrets = secrets or f'ike-lab {{ secret = "{PSK}" }}'
        self.guest.write("/etc/swanctl/swanctl.conf",
                         f"connections {{\n{connections}\n}}\nsecrets {{\n{secrets}\n}}\n")
        return self.guest.run("swanctl --load-all --noprompt")

    def up(self, child, timeout_s=20, check=True):
        return self.guest.run(f"swanctl --initiate --child {child} --timeout {timeout_s}",
                              check=check, timeout_s=timeout_s + 10)

    def down(self, ike):
        return self.guest.run(f"swanctl --terminate --ike {ike} --timeout 10", check=False)

    def rekey(self, ike=None, child=None):
        self.guest.run(f"swanctl --rekey " + (f"--ike {ike}" if ike else f"--child {child}"))

    def status(self):
        return parse_list_sas(self.guest.run("swanctl --list-sas", check=False))

    def child(self, name):
        found = [c for ike in self.status() for c in ike["children"]
                 if c["name"] == name and c["state"] == "INSTALLED"]
        if not found:
            raise LabError(f"the guest's strongSwan has no child {name}")
        return found[-1]

    def read_log(self):
        log = self.guest.mailbox / "charon.log"
        return log.read_text(errors="replace") if log.exists() else ""


# It answers before another program, which it starts, has it listen and read its secrets.
PLUTO_READY = "\nloading secrets from "
_NSS = "sql:/var/lib/ipsec/nss"


class GuestLibreswan:
    """Libreswan's pluto in a guest made with root="libreswan", over the kernel's own ESP.

    load() takes ipsec.conf text: Cygnet reads the same dialect, so tests give both ends one file.
    """

    def __init__(self, guest, authority=None, own=None, crl=None):
        """authority: PEM of the one whose word counts, crl: DER of its; own: {nickname: (PKCS#12, passphrase)}."""
        self.guest = guest
        self.loaded = []
        if authority:
            (guest.mailbox / "root.pem").write_text(authority)
            # Over the root's own database, which other guests share.
            commands = ["mount -t tmpfs none /var/lib/ipsec/nss", f"certutil -N --empty-password -d {_NSS}",
                        f"certutil -A -d {_NSS} -n root -t CT,, -a -i /lab/root.pem"]
            for name, (octets, passphrase) in (own or {}).items():
                (guest.mailbox / f"{name}.p12").write_bytes(octets)
                commands.append(f"pk12util -d {_NSS} -i /lab/{name}.p12 -W '{passphrase}'")
            if crl:
                (guest.mailbox / "root.crl").write_bytes(crl)
                commands.append(f"crlutil -I -d {_NSS} -i /lab/root.crl")
            guest.run(" && ".join(commands), timeout_s=60)
        guest.write("/etc/ipsec.conf", "config setup\n\tlogfile=/lab/pluto.log\n\tlogtime=no\n")
        guest.write("/etc/ipsec.secrets", f': PSK "{PSK}"\n')
        self.start()

    def start(self):
        ready = self.read_log().count(PLUTO_READY)
        self.guest.run("mkdir -p /run/pluto && chmod 600 /etc/ipsec.secrets && "
                       "/usr/libexec/ipsec/pluto --config /etc/ipsec.conf --secretsfile /etc/ipsec.secrets"
                       " >/lab/pluto.out 2>&1; "
                       "for i in $(seq 400); do ipsec whack --status >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1",
                       timeout_s=90)
        wait_until(lambda: self.read_log().count(PLUTO_READY) > ready, 20, "pluto listens")

    def kill(self):
        """pluto dies at once, and what its kernel had for it is gone too, as after a power cut."""
        self.guest.run("kill -9 $(cat /run/pluto/pluto.pid); rm -f /run/pluto/*; ip xfrm state flush; ip xfrm policy flush")
        self.loaded = []

    def rekey(self, name, what="child"):
        return self.guest.run(f"ipsec whack --rekey-{what} --name {name} --asynchronous")

    def load(self, conns):
        names = re.findall(r"(?m)^conn (\S+)", conns)
        for name in self.loaded:
            self.guest.run(f"ipsec whack --delete --name {name}", check=False)
        self.loaded = names
        self.guest.write("/etc/ipsec.conf",
                         "config setup\n\tlogfile=/lab/pluto.log\n\tlogtime=no\n" + conns)
        for name in names:
            self.guest.run(f"ipsec add {name}")

    def up(self, name, check=True):
        return self.guest.run(f"ipsec up {name}", check=check)

    def down(self, name):
        return self.guest.run(f"ipsec down {name}", check=False)

    def read_log(self):
        log = self.guest.mailbox / "pluto.log"
        return log.read_text(errors="replace") if log.exists() else ""
