#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bench/tunnel.py: Cygnet beside its peers, in one go on one machine (./dev bench tunnel).

    left (10.1.0.1) ---- veth ---- right (10.2.0.1)
    192.0.2.1                      192.0.2.2

Two network namespaces and one cable. Each tunnel in turn carries iperf3 TCP with 1 and 4 streams,
64-octet UDP, and ping between the inner addresses; `veth` is the cable alone. Everything shares
the machine's cores: sender, receiver, both ends of the tunnel. The repetitions go around all
tunnels in turn, so that whatever else the machine does meets all of them alike; how busy it was
just before each run is measured and told.

CPU per gigabyte: user and system time of the tunnel's processes on both ends together; and, as
"machine", of everything, which counts what a kernel does for a tunnel elsewhere.
"""
import argparse
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess
import sys
import time

_ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_ROOT / "tests"))

from lab import Lab, LabError, Ping, wait_until  # noqa: E402
from lab.cygnet import Cygnet, conn  # noqa: E402
from lab.strongswan import StrongSwan, site_config  # noqa: E402

OUTER = {"left": "192.0.2.1", "right": "192.0.2.2"}
INNER = {"left": "10.1.0.1", "right": "10.2.0.1"}
TICK = os.sysconf("SC_CLK_TCK")
TUNNELS = ("veth", "cygnet-udp", "cygnet-esp", "strongswan-libipsec", "wireguard-go")
TITLES = {"veth": "plain veth (no tunnel)", "cygnet-udp": "Cygnet, ESP in UDP",
          "cygnet-esp": "Cygnet, plain ESP", "strongswan-libipsec": "strongSwan 5.9 kernel-libipsec",
          "wireguard-go": "wireguard-go"}
CIPHER = "aes128gcm16"


class Tunnel:
    """Brings one tunnel up between left and right; `programs` names the processes that are it."""

    programs: tuple = ()

    def __init__(self, left, right):
        self.left, self.right = left, right
        self.address = OUTER["right"]

    def up(self):
        pass


class CygnetTunnel(Tunnel):
    programs = ("cygnetd",)
    encapsulation = "yes"

    def up(self):
        self.address = INNER["right"]
        daemons = {}
        for me, peer in (("right", "left"), ("left", "right")):
            daemon = Cygnet(getattr(self, me))
            daemon.configure(conn(
                "lab", left=OUTER[me], right=OUTER[peer], leftsubnet=f"{INNER[me]}/32",
                rightsubnet=f"{INNER[peer]}/32", leftsourceip=INNER[me], esp=CIPHER,
                encapsulation=self.encapsulation))
            daemons[me] = daemon.start()
        daemons["left"].up("lab")


class CygnetPlain(CygnetTunnel):
    encapsulation = None


class StrongSwanTunnel(Tunnel):
    programs = ("charon-systemd",)

    def up(self):
        self.address = INNER["right"]
        peers = {}
        for me, peer in (("right", "left"), ("left", "right")):
            charon = StrongSwan(getattr(self, me)).start()
            charon.load(site_config(local=OUTER[me], remote=OUTER[peer], esp=CIPHER,
                                    local_ts=f"{INNER[me]}/32", remote_ts=f"{INNER[peer]}/32"))
            peers[me] = charon
        peers["left"].up("net")


class WireGuardTunnel(Tunnel):
    programs = ("wireguard-go",)

    def up(self):
        self.address = INNER["right"]
        ends = ("left", "right")
        private, public = {}, {}
        for me in ends:
            private[me] = subprocess.run(["wg", "genkey"], capture_output=True, text=True,
                                         check=True).stdout
            public[me] = subprocess.run(["wg", "pubkey"], input=private[me], capture_output=True,
                                        text=True, check=True).stdout.strip()
        for me, peer in (ends, ends[::-1]):
            host = getattr(self, me)
            key = host.dir / "wg.key"
            key.write_text(private[me])
            host.spawn(["wireguard-go", "--foreground", "wg0"], name="wireguard-go",
                       env={"WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD": "1"})
            wait_until(lambda h=host: h.run(["wg", "show", "wg0"], check=False).returncode == 0, 5,
                       "wireguard-go answers")
            host.run(["wg", "set", "wg0", "listen-port", 51820, "private-key", key, "peer",
                      public[peer], "allowed-ips", f"{INNER[peer]}/32", "endpoint",
                      f"{OUTER[peer]}:51820"])
            host.run(["ip", "link", "set", "wg0", "up"])
            host.run(["ip", "route", "add", INNER[peer], "dev", "wg0", "src", INNER[me]])


KINDS = {"veth": Tunnel, "cygnet-udp": CygnetTunnel, "cygnet-esp": CygnetPlain,
         "strongswan-libipsec": StrongSwanTunnel, "wireguard-go": WireGuardTunnel}


def process_seconds(hosts, programs):
    """CPU seconds so far of all processes of these names in these hosts."""
    spaces = {os.readlink(f"/proc/{h.pid}/ns/net") for h in hosts}
    total = 0
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
            name = stat[stat.index("(") + 1:stat.rindex(")")]
            if not name.startswith(tuple(p[:15] for p in programs)):
                continue
            if os.readlink(f"/proc/{pid}/ns/net") in spaces:
                fields = stat[stat.rindex(")") + 2:].split()
                total += (int(fields[11]) + int(fields[12])) / TICK
        except OSError:
            continue
    return total


def machine_seconds():
    """CPU seconds that all cores together were busy so far."""
    user, nice, system, idle, wait, irq, soft, steal = map(
        int, pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9])
    return (user + nice + system + irq + soft) / TICK


class Meter:
    """CPU used between start and stop, by the tunnel and by the machine."""

    def __init__(self, tunnel):
        self.hosts, self.programs = (tunnel.left, tunnel.right), tunnel.programs
        self.before = (self._tunnel(), machine_seconds())

    def _tunnel(self):
        return process_seconds(self.hosts, self.programs) if self.programs else 0.0

    def stop(self, octets):
        tunnel, machine = self._tunnel() - self.before[0], machine_seconds() - self.before[1]
        gigabytes = octets / 1e9
        if gigabytes <= 0:
            return None, None
        return (tunnel / gigabytes if self.programs else None), machine / gigabytes


def iperf(tunnel, words, seconds):
    """One iperf3 run; returns its JSON and the CPU per gigabyte (tunnel, machine)."""
    server = tunnel.right.spawn(["iperf3", "-s", "-1", "--forceflush"], name="iperf3-server")
    server.wait_log("Server listening")
    meter = Meter(tunnel)
    done = tunnel.left.run(["iperf3", "-c", tunnel.address, "-t", seconds, "-J", *words],
                           timeout_s=seconds + 30, check=False)
    result = json.loads(done.stdout or "{}")
    if "error" in result or done.returncode:
        raise LabError(f"iperf3: {result.get('error', done.stderr)}")
    received = result["end"]["sum_received" if "sum_received" in result["end"] else "sum"]
    octets = received["bytes"]
    if "-u" in words:
        octets = received["bytes"] * (1 - received["lost_percent"] / 100)
    cpu = meter.stop(octets)
    server.wait(10)
    return result["end"], cpu


def tcp(streams):
    def run(tunnel, seconds):
        end, cpu = iperf(tunnel, ["-P", streams], seconds)
        return end["sum_received"]["bits_per_second"] / 1e9, cpu
    return run


def udp_small(tunnel, seconds):
    end, cpu = iperf(tunnel, ["-u", "-b", "0", "-l", "64"], seconds)
    total = end["sum"]
    return (total["packets"] - total["lost_packets"]) / total["seconds"] / 1e3, cpu


def ping(tunnel, seconds):
    account = Ping.once(tunnel.left, tunnel.address, count=int(seconds * 100), interval_s=0.01)
    if account.lost:
        raise LabError(f"ping lost {account.lost} of {account.sent}")
    return account.rtt_ms * 1e3, (None, None)


TESTS = {"tcp-1": (tcp(1), "Gbit/s", "TCP, 1 stream"), "tcp-4": (tcp(4), "Gbit/s", "TCP, 4 streams"),
         "udp-64": (udp_small, "kpkt/s", "UDP, 64 octets, received"),
         "ping": (ping, "µs", "ping, mean round trip")}


def busy_elsewhere(seconds=0.3):
    """The share of the machine's CPU that is used while the lab is idle."""
    before = machine_seconds()
    time.sleep(seconds)
    return (machine_seconds() - before) / seconds / os.cpu_count()


def measure(name, seconds):
    """All tests over one tunnel, once; yields (test, value, (cpu, machine cpu), busy elsewhere)."""
    with Lab(f"bench-{name}") as lab:
        left, right = lab.host("left"), lab.host("right")
        lab.link(left, "eth0", right, "eth0")
        for host in (left, right):
            host.add_address("eth0", OUTER[host.name] + "/24")
            host.add_address("lo", INNER[host.name] + "/32")
        tunnel = KINDS[name](left, right)
        tunnel.up()
        Ping.until_answered(left, tunnel.address, 10)
        for test, (run, _, _) in TESTS.items():
            busy = busy_elsewhere()
            value, cpu = run(tunnel, seconds)
            yield test, value, cpu, busy


def middle(values):
    return round(statistics.median(values), 4) if all(v is not None for v in values) else None


def median_rows(runs):
    """{(tunnel, test): [(value, cpu, busy), ...]} as rows of medians."""
    return [{"tunnel": name, "test": test, "value": middle([r[0] for r in found]),
             "unit": TESTS[test][1], "cpu_s_per_gb": middle([r[1][0] for r in found]),
             "machine_cpu_s_per_gb": middle([r[1][1] for r in found])}
            for (name, test), found in runs.items()]


def machine():
    info = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*: (.+)", info)
    return (f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, "
            f"Linux {platform.release().split('-')[0]}")


def number(value):
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def results_page(rows, options, busy):
    """bench/RESULTS.md: one table of values, one of ratios, one of CPU."""
    cell = {(r["tunnel"], r["test"]): r for r in rows}
    names = [n for n in TUNNELS if any(r["tunnel"] == n for r in rows)]
    tests = list(TESTS)
    head = "| | " + " | ".join(f"{TESTS[t][2]} ({TESTS[t][1]})" for t in tests) + " |\n"
    head += "| --- |" + " ---: |" * len(tests) + "\n"

    def table(value):
        return head + "".join(
            f"| {TITLES[n]} | " + " | ".join(value(n, t) for t in tests) + " |\n" for n in names)

    def ratio(n, t):
        base, own = cell.get(("strongswan-libipsec", t)), cell.get((n, t))
        if not base or not own or not base["value"]:
            return "–"
        return f"{own['value'] / base['value']:.2f}"

    loads = [t for t in tests if t != "ping"]
    cpu = "| | " + " | ".join(TESTS[t][2] for t in loads) + " |\n| --- |" + " ---: |" * len(loads)
    cpu += "\n" + "".join(
        f"| {TITLES[n]} | " + " | ".join(
            f"{number(cell[n, t]['cpu_s_per_gb'])} / {number(cell[n, t]['machine_cpu_s_per_gb'])}"
            for t in loads) + " |\n" for n in names)
    return f"""# Tunnels side by side

Measured by `./dev bench tunnel{' ' + options if options else ''}` on {time.strftime('%Y-%m-%d')}: {machine()}.
Medians of the repetitions. Two network namespaces joined by veth; sender, receiver and both ends of
the tunnel share the cores. IPsec tunnels use AES-128-GCM-16, wireguard-go ChaCha20-Poly1305.
Other work used {busy:.0%} of the CPU just before a run (median over all runs).

{table(lambda n, t: number(cell[n, t]['value']))}
## Relative to strongSwan's user-space ESP

Above 1 is more than strongSwan's; for ping, below 1 is faster.

{table(ratio)}
## CPU seconds per gigabyte delivered: tunnel's processes / whole machine

{cpu}
"""


def main():
    parser = argparse.ArgumentParser(prog="./dev bench tunnel")
    parser.add_argument("--json", metavar="FILE", help="the same figures as JSON rows")
    parser.add_argument("--seconds", type=int, default=4, help="length of each run (4)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of which the median counts (3)")
    parser.add_argument("--tunnels", default=",".join(TUNNELS), help="a subset, separated by commas")
    parser.add_argument("--no-page", action="store_true", help="leave bench/RESULTS.md alone")
    arguments = parser.parse_args()
    names = arguments.tunnels.split(",")
    for name in names:
        if name not in KINDS:
            parser.error(f"no tunnel '{name}'; there are: {', '.join(TUNNELS)}")
    runs, failed = {}, set()
    for turn in range(1, arguments.repeat + 1):
        for name in [n for n in names if n not in failed]:
            try:
                for test, value, cpu, busy in measure(name, arguments.seconds):
                    runs.setdefault((name, test), []).append((value, cpu, busy))
                    print(f"{turn} {name:20} {test:8} {number(value):>8} {TESTS[test][1]:8} cpu "
                          f"{number(cpu[0])} s/GB, machine {number(cpu[1])} s/GB, elsewhere "
                          f"{busy:.0%}", flush=True)
            except LabError as error:
                failed.add(name)
                print(f"{name}: {error}", file=sys.stderr)
    rows = median_rows({key: found for key, found in runs.items() if key[0] not in failed})
    busy = statistics.median(r[2] for found in runs.values() for r in found) if runs else 0.0
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(rows, indent=1) + "\n")
    complete = not failed and set(arguments.tunnels.split(",")) == set(TUNNELS)
    if complete and not arguments.no_page:
        options = f"--seconds {arguments.seconds} --repeat {arguments.repeat}"
        default = (arguments.seconds, arguments.repeat) == (4, 3)
        page = _ROOT / "bench" / "RESULTS.md"
        # What other benchmarks wrote below stays.
        _, heading, others = page.read_text().partition("\n# Setting tunnels up\n")
        page.write_text(results_page(rows, "" if default else options, busy) + heading + others)
        print("written: bench/RESULTS.md")
    elif not complete:
        print("bench/RESULTS.md is left as it was: not every tunnel was measured")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
