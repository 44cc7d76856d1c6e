#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bench/ike.py: how many tunnels, how fast, and what each costs (./dev bench ike).

    left (initiator) ---- veth ---- right (responder)
    192.0.2.1                       192.0.2.2

Two daemons of a kind in two network namespaces, whole: sockets, processes, packet engine, policies,
routes. Each client of the left has a connection, an identity and an inner address of its own; the
right knows them all by one connection. Both ends and this script share the machine's cores.

Cases
  psk        as many tunnels as --counts says, one IKE SA and one CHILD_SA each, pre-shared keys, X25519
  ecdsa, rsa2048
             as psk with --signed tunnels, both ends with certificates below one authority
  rekey      every CHILD_SA of the smallest psk run is rekeyed
  reload     Cygnet alone: --connections of them, each with a secret of its own, loaded, then read again: as they are,
             with one changed, with one more, with one less, and with one other secret
  storm      Cygnet alone: the longest wait for `cygnet status --summary` while --connections come up

CPU is user and system time of all processes of a side (/proc/PID/stat) divided by the tunnels;
memory is what their anonymous and shared memory grew by, divided by the tunnels, both sides' mean. The pages of program
files that the first tunnels touch are the page cache's: with them it is bytes_with_files (their whole PSS).
strongSwan does the same work with its own packet engine (kernel-libipsec), its tables tuned, its log
off, and less of it: its clients differ in ports, not in addresses, and share one route.
"""
import argparse
import json
import os
import pathlib
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time

_ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_ROOT / "tests"))
sys.path.insert(0, str(_ROOT / "bench"))

from ike_certificates import Certificates, key_pem  # noqa: E402
from lab import Lab, LabError, wait_until  # noqa: E402
from lab.cygnet import Cygnet  # noqa: E402
from lab.strongswan import CHARON, PLUGINS, PSK  # noqa: E402

OUTER = {"left": "192.0.2.1", "right": "192.0.2.2"}
TICK = os.sysconf("SC_CLK_TCK")
IKE, ESP = "aes128gcm16-prfsha256-x25519", "aes128gcm16"
PATIENCE_S = 900


def inner(number):
    """The inner address of a client: 10.64.0.0/10 holds four million."""
    return f"10.{64 + number // 65536}.{number // 256 % 256}.{number % 256}"


AUTHENTICATION = {False: "\tauthby=secret\n", True: "\tauthby=pubkey\n"}


class Usage:
    """CPU seconds and octets of memory of some processes."""

    def __init__(self, pids):
        self.cpu_s = self.memory = self.with_files = 0
        for pid in pids:
            try:
                stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
                fields = stat[stat.rindex(")") + 2:].split()
                self.cpu_s += (int(fields[11]) + int(fields[12])) / TICK
                rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
                octets = lambda name: int(rollup.split(f"\n{name}:")[1].split()[0]) * 1024
                self.memory += octets("Pss_Anon") + octets("Pss_Shmem")
                self.with_files += octets("Pss")
            except (OSError, IndexError):
                continue


def pids_in(host, name):
    """Processes of that name in a host."""
    space = os.readlink(f"/proc/{host.pid}/ns/net")
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
            if (stat[stat.index("(") + 1:].startswith(name[:15])
                    and os.readlink(f"/proc/{pid}/ns/net") == space):
                found.append(int(pid))
        except OSError:
            continue
    return found


class CygnetSide:
    program = "cygnetd"

    def __init__(self, host):
        self.host = host
        self.daemon = Cygnet(host)
        self.configure("")
        self.daemon.start()
        self.socket = str(self.daemon.run_dir / "control.sock")

    def ask(self, command, **fields):
        """One request over the control socket; returns its Done."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.connect(self.socket)
            text = json.dumps({"version": 1, "command": command, **fields}).encode()
            s.sendall(struct.pack(">I", len(text)) + text)
            data = b""
            while True:
                while len(data) >= 4 and len(data) >= 4 + struct.unpack(">I", data[:4])[0]:
                    size = struct.unpack(">I", data[:4])[0]
                    message = json.loads(data[4:4 + size])
                    data = data[4 + size:]
                    if message["type"] == "done":
                        if not message["ok"]:
                            raise LabError(f"{command}: {message['message']}")
                        return message
                piece = s.recv(1 << 20)
                if not piece:
                    raise LabError(f"cygnetd hung up on '{command}':\n"
                                   + self.daemon.read_log()[-2000:])
                data += piece

    def summary(self):
        return self.ask("status", summary=True)["data"]

    def established(self):
        s = self.summary()
        return min(s["ike_sas"], s["children"])

    def check(self, count):
        if self.established() < count:
            raise LabError(f"cygnetd in {self.host.name} lost tunnels: {self.established()} of {count}")

    def configure(self, text):
        self.daemon.configure(text, "log-level=error\ncookie-threshold=100000\nhalf-open-limit=100000")

    def load(self, text):
        self.configure(text)
        return self.ask("reload")

    def put(self, path, text):
        file = self.daemon.dir / path
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(0o600)

    def take(self, name, certificate, key):
        self.put(f"certs/{name}.pem", certificate)
        self.put(f"private/{name}.pem", key_pem(key))


class CygnetPair:
    name = "cygnet"

    def __init__(self, left, right):
        self.left, self.right = CygnetSide(left), CygnetSide(right)

    @staticmethod
    def gateway(signed=False):
        return f"""conn gateway
\tleft={OUTER['right']}
\tleftid=@gateway
\tleftsubnet=10.2.0.0/16
\tright=%any
\trightid=%any
\trightsubnet=10.0.0.0/8
\tkeyexchange=ikev2
{AUTHENTICATION[signed]}\tike={IKE}
\tesp={ESP}
\tencapsulation=yes
\tauto=add
""" + ("\tleftcert=gateway.pem\n" if signed else "")

    @staticmethod
    def clients(count, auto="start", first_mtu=None, signed=False):
        text = [f"""conn %default
\tleft={OUTER['left']}
\tright={OUTER['right']}
\trightid=@gateway
\trightsubnet=10.2.0.0/16
\tkeyexchange=ikev2
{AUTHENTICATION[signed]}\tike={IKE}
\tesp={ESP}
\tencapsulation=yes
\tauto={auto}
"""]
        text += [f"conn c{i}\n\tleftid=@c{i}.test\n\tleftsubnet={inner(i)}/32\n"
                 + (f"\tleftcert=c{i}.pem\n" if signed else "") for i in range(count)]
        if first_mtu:
            text[1] += f"\tmtu={first_mtu}\n"
        return "".join(text)

    def prepare(self, count, certificates=None):
        """All is loaded but the initiations, which go() asks for."""
        signed = certificates is not None
        if signed:
            for side in (self.left, self.right):
                side.put("cacerts/root.pem", certificates.root)
            self.right.take("gateway", certificates.gateway, certificates.gateway_key)
            for i in range(count):
                self.left.take(f"c{i}", *certificates.client(i))
            # The keys are there before the connections that want it.
            self.left.load("")
        self.right.load(self.gateway(signed))
        self.count = count
        self.left.configure(self.clients(count, signed=signed))

    def go(self):
        # The tunnels are asked for by the configuration: `auto=start`. The answer comes when they are about to begin.
        self.left.ask("reload")
        return Usage(self.pids(self.left)), Usage(self.pids(self.right)), time.monotonic()

    def pids(self, side):
        return pids_in(side.host, side.program)

    def rekey_all(self, count):
        """Asks for every rekey, some at a time; returns when all are done."""
        names = iter(range(count))
        lock = threading.Lock()
        failed = []

        def work():
            while True:
                with lock:
                    number = next(names, None)
                if number is None:
                    return
                try:
                    self.left.ask("rekey", connection=f"c{number}")
                except (LabError, OSError) as error:
                    failed.append(str(error))
                    return
        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise LabError(f"rekey: {failed[0]}")
        return 0


class Vici:
    """What this bench says to charon: commands with arguments, over its Unix socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)

    def _read(self, size):
        data = b""
        while len(data) < size:
            piece = self.socket.recv(size - len(data))
            if not piece:
                raise LabError("charon hung up")
            data += piece
        return data

    @staticmethod
    def _value(text):
        return struct.pack(">H", len(text)) + text.encode()

    @classmethod
    def _encode(cls, fields):
        out = b""
        for key, value in fields.items():
            name = bytes([len(key)]) + key.encode()
            if isinstance(value, dict):
                out += b"\x01" + name + cls._encode(value) + b"\x02"
            elif isinstance(value, list):
                out += (b"\x04" + name + b"".join(b"\x05" + cls._value(v) for v in value) + b"\x06")
            else:
                out += b"\x03" + name + cls._value(str(value))
        return out

    def ask(self, command, **fields):
        """The answer's plain key-value pairs, of all sections together."""
        body = b"\x00" + bytes([len(command)]) + command.encode() + self._encode(fields)
        self.socket.sendall(struct.pack(">I", len(body)) + body)
        answer = self._read(struct.unpack(">I", self._read(4))[0])
        if answer[0] != 1:
            raise LabError(f"charon does not know '{command}'")
        found, at = {}, 1
        while at < len(answer):
            kind = answer[at]
            at += 1
            if kind in (1, 3, 4):
                size = answer[at]
                key = answer[at + 1:at + 1 + size].decode()
                at += 1 + size
            if kind in (3, 5):
                size = struct.unpack(">H", answer[at:at + 2])[0]
                value = answer[at + 2:at + 2 + size].decode()
                at += 2 + size
                if kind == 3:
                    found[key] = value
        return found


class CharonSide:
    program = "charon-systemd"

    def __init__(self, host):
        self.host = host
        folder = host.dir / "strongswan"
        folder.mkdir(exist_ok=True)
        conf = folder / "strongswan.conf"
        self.socket = folder / "charon.vici"
        conf.write_text(f"""
charon-systemd {{
  load = {PLUGINS}
  threads = 16
  ikesa_table_size = 65536
  ikesa_table_segments = 256
  dos_protection = no
  init_limit_half_open = 0
  reuse_ikesa = no
  journal {{ default = -1 }}
  syslog {{ daemon {{ default = -1 }} auth {{ default = -1 }} }}
  plugins {{
    vici {{ socket = unix://{self.socket} }}
    socket-default {{ fwmark = 0x2a }}
    kernel-netlink {{ fwmark = !0x2a }}
    kernel-libipsec {{ allow_peer_ts = yes }}
  }}
}}
""")
        host.spawn([CHARON], name="charon", env={"STRONGSWAN_CONF": str(conf)})
        wait_until(self.socket.exists, 10, f"charon answers in {host.name}")
        self.vici = Vici(str(self.socket))
        self.vici.ask("load-shared", id="psk", type="IKE", data=PSK)

    def established(self):
        stats = self.vici.ask("stats")
        return int(stats["total"]) - int(stats["half-open"])

    def check(self, count):
        """An IKE SA without its child is no tunnel."""
        text = self.host.run(["swanctl", "--list-sas", "--uri", f"unix://{self.socket}"],
                             timeout_s=120).stdout
        children = text.count(", INSTALLED, ")
        if children < count:
            raise LabError(f"charon in {self.host.name}: {children} of {count} CHILD_SAs")


class CharonPair:
    name = "strongswan"

    def __init__(self, left, right):
        self.left, self.right = CharonSide(left), CharonSide(right)

    @staticmethod
    def connection(me, peer, local_id, remote_id, local_ts, remote_ts, certificate=None):
        local = {"auth": "pubkey" if certificate else "psk", "id": local_id}
        remote = {"auth": local["auth"]}
        if certificate:
            local["certs"] = [certificate]
        if remote_id:
            remote["id"] = remote_id
        return {"version": "2", "local_addrs": [OUTER[me]],
                "remote_addrs": [OUTER[peer] if me == "left" else "%any"], "proposals": [IKE],
                "encap": "yes", "unique": "no",
                "local": local, "remote": remote,
                "children": {"net": {"local_ts": [local_ts], "remote_ts": [remote_ts],
                                     "esp_proposals": [ESP], "mode": "tunnel"}}}

    @staticmethod
    def selector(i):
        """Its packet engine takes only what holds an address of the machine: clients differ in ports."""
        return f"10.1.0.{1 + i // 60000}/32[udp/{1024 + i % 60000}]"

    def prepare(self, count, certificates=None):
        self.count = count
        if certificates:
            for side in (self.left, self.right):
                side.vici.ask("load-cert", type="X509", flag="CA", data=certificates.root)
            self.right.vici.ask("load-key", type="any", data=key_pem(certificates.gateway_key))
        for i in range(1 + (count - 1) // 60000):
            self.left.host.add_address("lo", f"10.1.0.{1 + i}/32")
        self.right.vici.ask("load-conn", gateway=self.connection(
            "right", "left", "gateway", None, "10.2.0.0/16", "10.0.0.0/8",
            certificates and certificates.gateway))
        for i in range(count):
            own, key = certificates.client(i) if certificates else (None, None)
            if key:
                self.left.vici.ask("load-key", type="any", data=key_pem(key))
            self.left.vici.ask("load-conn", **{f"c{i}": self.connection(
                "left", "right", f"c{i}.test", "gateway", self.selector(i), "10.2.0.0/16", own)})

    def go(self):
        start = Usage(self.pids(self.left)), Usage(self.pids(self.right)), time.monotonic()
        vici, done = self.left.vici, 0
        while done < self.count:
            # As many under way as Cygnet has.
            stats = vici.ask("stats")
            under_way = done - (int(stats["total"]) - int(stats["half-open"]))
            for _ in range(min(self.count - done, max(128 - under_way, 0))):
                # timeout -1: do not wait for the end
                vici.ask("initiate", ike=f"c{done}", child="net", timeout=-1)
                done += 1
            if under_way >= 128:
                time.sleep(0.002)
        return start

    def pids(self, side):
        return pids_in(side.host, side.program)

    def rekey_all(self, count):
        for i in range(count):
            if self.left.vici.ask("rekey", ike=f"c{i}", child="net").get("success") != "yes":
                raise LabError(f"charon does not rekey c{i}")
        # The work is done when the CPU rests: charon has no counter of rekeys. The rest is not counted.
        rest = 0
        while rest < 3:
            one = Usage(self.pids(self.left)).cpu_s + Usage(self.pids(self.right)).cpu_s
            time.sleep(0.2)
            two = Usage(self.pids(self.left)).cpu_s + Usage(self.pids(self.right)).cpu_s
            rest = rest + 1 if two - one < 0.02 else 0
        return rest * 0.2


PAIRS = {"cygnet": CygnetPair, "strongswan": CharonPair}


def row(peer, case, count, seconds, left, right, memory):
    return {"peer": peer, "case": case, "setups_per_s": round(count / seconds, 1),
            "cpu_us_initiator": round(left / count * 1e6, 1),
            "cpu_us_responder": round(right / count * 1e6, 1), "bytes_per_tunnel": memory}


def lab_pair(kind):
    lab = Lab(f"bench-ike-{kind}")
    left, right = lab.host("left"), lab.host("right")
    lab.link(left, "eth0", right, "eth0")
    for host in (left, right):
        host.add_address("eth0", OUTER[host.name] + "/24")
    right.add_address("lo", "10.2.0.1/16")
    return lab, left, right


def wait_established(pair, count):
    """Waits until both ends have all tunnels; returns when that was, and complains about no progress."""
    last, since, start = -1, time.monotonic(), time.monotonic()
    while True:
        have = min(pair.left.established(), pair.right.established())
        now = time.monotonic()
        if have >= count:
            return now
        if have != last:
            last, since = have, now
        elif now - since > 60:
            raise LabError(f"{pair.name}: {have} of {count} tunnels, and no more for a minute")
        # A question costs the daemons time as well: few, and the last ones when the end should be near, so that what
        # is measured is the end and not the rhythm of the questions.
        left_s = (now - start) * min(1, (count - have) / max(have, 1))
        time.sleep(min(0.2, max(0.002, left_s / 2, count / 2e6)))


def bench_set_up(kind, case, count, rekey=False):
    """Sets count tunnels up; with `rekey`, then rekeys all their children. Yields rows."""
    lab, left, right = lab_pair(kind)
    with lab:
        pair = PAIRS[kind](left, right)
        pair.prepare(count, None if case == "psk" else Certificates(case))
        l0, r0, t0 = pair.go()
        idle_s = machine_idle_s()
        t1 = wait_established(pair, count)
        idle_s = machine_idle_s() - idle_s
        l1, r1 = Usage(pair.pids(pair.left)), Usage(pair.pids(pair.right))
        time.sleep(1)
        for side in (pair.left, pair.right):
            side.check(count)
        settled = [Usage(pair.pids(side)) for side in (pair.left, pair.right)]
        grown = lambda what: round(sum(getattr(now, what) - getattr(before, what)
                                       for now, before in zip(settled, (l0, r0))) / 2 / count)
        memory = grown("memory")
        one = row(kind, f"{case}-{count}", count, t1 - t0, l1.cpu_s - l0.cpu_s, r1.cpu_s - r0.cpu_s, memory)
        one["bytes_with_files"] = grown("with_files")
        # What is lost although the CPU time would allow it: cores that stand still.
        one["cores_idle"] = round(idle_s / (t1 - t0) / os.cpu_count(), 3)
        yield one
        if rekey:
            l0, r0, t0 = Usage(pair.pids(pair.left)), Usage(pair.pids(pair.right)), time.monotonic()
            rest = pair.rekey_all(count)
            t1 = time.monotonic() - rest
            l1, r1 = Usage(pair.pids(pair.left)), Usage(pair.pids(pair.right))
            yield row(kind, f"rekey-{count}", count, t1 - t0, l1.cpu_s - l0.cpu_s, r1.cpu_s - r0.cpu_s,
                      memory)


def bench_reload(count):
    """Seconds to load count connections, and to read them again with little or nothing changed."""
    def secrets(first):
        return "".join(f"@c{i}.test @gateway : PSK \"{first if i == 0 else 'the secret of'} client {i}\"\n"
                       for i in range(count))
    lab, left, _ = lab_pair("reload")
    with lab:
        side = CygnetSide(left)
        plain = CygnetPair.clients(count, auto="add")
        more = plain + "conn more\n\tleftid=@more.test\n\tleftsubnet=10.1.0.1/32\n"
        other, same = CygnetPair.clients(count, auto="add", first_mtu=1380), "the secret of"
        for case, text, first in (("load", plain, same), ("reload-none", plain, same), ("reload-one", other, same),
                                  ("reload-back", plain, same), ("reload-added", more, same),
                                  ("reload-removed", plain, same), ("reload-secret", plain, "another for")):
            side.configure(text)
            side.daemon.set_secrets(secrets(first))
            before = Usage(pids_in(left, "cygnetd"))
            start = time.monotonic()
            side.ask("reload")
            seconds = time.monotonic() - start
            after = Usage(pids_in(left, "cygnetd"))
            yield {"peer": "cygnet", "case": f"{case}-{count}", "seconds": round(seconds, 4),
                   "cpu_s": round(after.cpu_s - before.cpu_s, 3)}


def bench_storm(count):
    """How long `cygnet status --summary` takes at either end while count connections come up."""
    lab, left, right = lab_pair("storm")
    with lab:
        pair = CygnetPair(left, right)
        pair.prepare(count)
        waits = {"left": [], "right": []}
        over = threading.Event()

        def watch(side):
            while not over.is_set():
                start = time.monotonic()
                side.summary()
                waits[side.host.name].append(time.monotonic() - start)
                time.sleep(0.02)
        pair.go()
        threads = [threading.Thread(target=watch, args=(side,)) for side in (pair.left, pair.right)]
        for thread in threads:
            thread.start()
        try:
            wait_established(pair, count)
        finally:
            over.set()
            for thread in threads:
                thread.join()
        every = sorted(waits["left"] + waits["right"])
        yield {"peer": "cygnet", "case": f"storm-{count}",
               "status_ms_median": round(statistics.median(every) * 1e3, 2),
               "status_ms_longest": round(every[-1] * 1e3, 2)}


SET_UP = ("peer", "case", "setups_per_s", "cpu_us_initiator", "cpu_us_responder", "bytes_per_tunnel")


def as_json(one):
    """Every row has the same six keys; a reload, or a storm, says what it has to say beside them."""
    out = {key: one.get(key) for key in SET_UP}
    if "setups_per_s" not in one:
        out |= {key: value for key, value in one.items() if key != "busy_elsewhere"}
    return out


def number(value):
    return f"{value:,.0f}" if isinstance(value, (int, float)) else "–"


def write_page(rows, words):
    """The part of bench/RESULTS.md that is ours: a table of set-ups, a table of the rest."""
    page = _ROOT / "bench" / "RESULTS.md"
    before, heading, after = page.read_text().partition("\n# Setting tunnels up\n")
    # What other benchmarks wrote below stays.
    _, next_heading, others_below = after.partition("\n# ")
    busy = max(r["busy_elsewhere"] for r in rows)
    tunnels = "".join(
        f"| {r['peer']} | {r['case']} | {number(r['setups_per_s'])} | {number(r['cpu_us_initiator'])} | "
        f"{number(r['cpu_us_responder'])} | {number(r['bytes_per_tunnel'])} |\n"
        for r in rows if "setups_per_s" in r)
    others = "".join(
        f"| {r['case']} | " + ", ".join(f"{k} {v}" for k, v in r.items()
                                        if k not in ("peer", "case", "busy_elsewhere")) + " |\n"
        for r in rows if "setups_per_s" not in r)
    text = f"""
# Setting tunnels up

Measured by `./dev bench ike {words}` on {time.strftime('%Y-%m-%d')}: {os.cpu_count()} cores, both ends and
the script share them; other work used up to {busy:.0%} of the CPU just before a run, which makes
set-ups a second fewer and CPU times somewhat larger: caches are shared. Cygnet in full: four processes a side,
packet engine, a policy for each tunnel and, at the responder, a kernel route. bench/ike.py says what is counted.

| | case | a second | CPU initiator (µs) | CPU responder (µs) | octets a tunnel and side |
| --- | --- | ---: | ---: | ---: | ---: |
{tunnels}
| Cygnet alone | |
| --- | --- |
{others}"""
    page.write_text((before.rstrip("\n") + "\n" if heading or before else "") + text + next_heading + others_below)
    print("written: bench/RESULTS.md")


def machine_idle_s():
    """Core seconds in which nothing ran, since the machine began."""
    fields = pathlib.Path("/proc/stat").read_text().splitlines()[0].split()
    return (int(fields[4]) + int(fields[5])) / TICK


def machine_busy(seconds=0.3):
    def used():
        user, nice, system, _, _, irq, soft, _ = map(
            int, pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
        return (user + nice + system + irq + soft) / TICK
    before = used()
    time.sleep(seconds)
    return (used() - before) / seconds / os.cpu_count()


def runs(arguments):
    """(what is measured, generator of its rows), in order."""
    for count in arguments.counts:
        for kind in arguments.peers:
            if kind == "strongswan" and count > arguments.most_strongswan:
                continue
            if "psk" in arguments.cases or "rekey" in arguments.cases:
                rekey = "rekey" in arguments.cases and count == min(arguments.counts)
                yield f"{kind} psk-{count}", bench_set_up(kind, "psk", count, rekey)
    for case in ("ecdsa", "rsa2048"):
        for kind in arguments.peers if case in arguments.cases else ():
            yield f"{kind} {case}-{arguments.signed}", bench_set_up(kind, case, arguments.signed)
    if "cygnet" in arguments.peers:
        if "reload" in arguments.cases:
            yield "cygnet reload", bench_reload(arguments.connections)
        if "storm" in arguments.cases:
            yield "cygnet storm", bench_storm(arguments.connections)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench ike")
    parser.add_argument("--json", metavar="FILE", help="the same figures as JSON rows")
    parser.add_argument("--counts", default="1000", help="tunnels, separated by commas (1000); for "
                        "all of the table: 1000,10000,100000")
    parser.add_argument("--connections", type=int, default=10000, help="of reload and storm (10000)")
    parser.add_argument("--most-strongswan", type=int, default=10000, help="counts beyond are run with Cygnet alone "
                        "(10000): strongSwan takes a quarter of an hour for 100000")
    parser.add_argument("--signed", type=int, default=200, help="tunnels of ecdsa and rsa2048 (200)")
    parser.add_argument("--cases", default="psk,ecdsa,rsa2048,rekey,reload,storm", help="a subset")
    parser.add_argument("--peers", default=",".join(PAIRS), help="a subset")
    parser.add_argument("--page", action="store_true", help="write the figures into bench/RESULTS.md")
    arguments = parser.parse_args()
    arguments.counts = [int(c) for c in arguments.counts.split(",")]
    arguments.cases = arguments.cases.split(",")
    arguments.peers = arguments.peers.split(",")
    for name in arguments.peers:
        if name not in PAIRS:
            parser.error(f"no peer '{name}'; there are: {', '.join(PAIRS)}")
    rows, failed = [], False
    for name, generator in runs(arguments):
        busy = machine_busy()
        try:
            for one in generator:
                one["busy_elsewhere"] = round(busy, 2)
                rows.append(one)
                print("  ".join(f"{k} {v}" for k, v in one.items()), flush=True)
        except LabError as error:
            failed = True
            print(f"{name}: {error}", file=sys.stderr)
    if arguments.page and not failed:
        write_page(rows, " ".join(w for w in sys.argv[1:] if w != "--page"))
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps([as_json(r) for r in rows], indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
