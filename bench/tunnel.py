#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""bench/tunnel.py: Cygnet beside its peers, in one go on one machine (./dev bench tunnel).

    left (10.1.0.1) ---- veth ---- right (10.2.0.1)
    192.0.2.1                      192.0.2.2

Two network namespaces and one cable. Each tunnel (tunnel_kinds.py) in turn carries iperf3 TCP with 1
and 4 streams, UDP of 64 octets and in packets of 1400, and ping, idle and beside a TCP stream, between the
inner addresses; `veth` is the cable alone. Everything shares
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
import sys
import time

_ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(_ROOT / "tests"))
sys.path.insert(0, str(_ROOT / "bench"))

from lab import Lab, LabError, Ping  # noqa: E402
from page import PAGE, put  # noqa: E402
from tunnel_kinds import INNER, KINDS, OUTER, TITLES, TUNNELS  # noqa: E402

TICK = os.sysconf("SC_CLK_TCK")


def processes(hosts, programs):
    """(pid, what /proc/PID/stat says behind the name) of all processes of these names in these hosts."""
    spaces = {os.readlink(f"/proc/{h.pid}/ns/net") for h in hosts}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
            name = stat[stat.index("(") + 1:stat.rindex(")")]
            if not name.startswith(tuple(p[:15] for p in programs)):
                continue
            if os.readlink(f"/proc/{pid}/ns/net") in spaces:
                yield pid, stat[stat.rindex(")") + 2:].split()
        except OSError:
            continue


def process_seconds(hosts, programs):
    """CPU seconds so far."""
    return sum((int(f[11]) + int(f[12])) / TICK for _, f in processes(hosts, programs))


def peak_megabytes(host, programs):
    """The most memory that the processes ever held, each at its own worst time."""
    total = 0
    for pid, _ in processes([host], programs):
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            total += int(re.search(r"VmHWM:\s+(\d+)", status)[1])
        except (OSError, TypeError):
            continue
    return total / 1024


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
        total = result["end"]["sum"]
        octets = (total["packets"] - total["lost_packets"]) * int(words[words.index("-l") + 1])
    cpu = meter.stop(octets)
    server.wait(10)
    return result["end"], cpu


def tcp(streams):
    def run(tunnel, seconds):
        end, cpu = iperf(tunnel, ["-P", streams], seconds)
        return end["sum_received"]["bits_per_second"] / 1e9, cpu
    return run


def udp(octets, in_gigabits):
    """As fast as the sender can; what arrives counts."""
    def run(tunnel, seconds):
        end, cpu = iperf(tunnel, ["-u", "-b", "0", "-l", octets], seconds)
        total = end["sum"]
        rate = (total["packets"] - total["lost_packets"]) / total["seconds"]
        return (rate * octets * 8 / 1e9 if in_gigabits else rate / 1e3), cpu
    return run


def round_trips(tunnel, seconds):
    """Of some hundred pings, sorted, in microseconds."""
    account = Ping.timed(tunnel.left, tunnel.ping_address, int(seconds * 100), 0.01)
    found = sorted(float(ms) * 1e3 for ms in re.findall(r"time=([\d.]+) ms", account.text))
    if len(found) < account.sent * 0.9:
        raise LabError(f"ping lost {account.lost} of {account.sent}")
    return found


def percentile(values, share):
    return values[min(len(values) - 1, int(len(values) * share))]


def ping_idle(tunnel, seconds):
    found = round_trips(tunnel, seconds)
    return {"ping-50": percentile(found, 0.5), "ping-99": percentile(found, 0.99)}


def ping_loaded(tunnel, seconds):
    """While one TCP stream takes all it can get."""
    server = tunnel.right.spawn(["iperf3", "-s", "-1", "--forceflush"], name="iperf3-server")
    server.wait_log("Server listening")
    load = tunnel.left.spawn(["iperf3", "-c", tunnel.address, "-t", seconds + 2], name="iperf3-load")
    time.sleep(1)
    found = round_trips(tunnel, seconds)
    load.wait(seconds + 10)
    server.wait(10)
    return {"loaded-50": percentile(found, 0.5), "loaded-99": percentile(found, 0.99)}


def memory(tunnel, _):
    """After all that went before, the flood of small packets too. The larger of the two ends."""
    if not tunnel.programs:
        return {"memory": 0.0}
    return {"memory": max(peak_megabytes(h, tunnel.programs) for h in (tunnel.left, tunnel.right))}


def alone(name, run):
    """A run with CPU account that gives one value."""
    def named(tunnel, seconds):
        value, cpu = run(tunnel, seconds)
        return {name: value}, cpu
    return named


def without_cpu(run):
    return lambda tunnel, seconds: (run(tunnel, seconds), (None, None))


RUNS = (alone("tcp-1", tcp(1)), alone("tcp-4", tcp(4)), alone("udp-64", udp(64, False)),
        alone("udp-1400", udp(1372, True)), without_cpu(ping_idle), without_cpu(ping_loaded), without_cpu(memory))
# What is measured: unit, heading, whether more is better.
TESTS = {"tcp-1": ("Gbit/s", "TCP, 1 stream", True), "tcp-4": ("Gbit/s", "TCP, 4 streams", True),
         "udp-64": ("kpkt/s", "UDP, 64 octets, received", True),
         "udp-1400": ("Gbit/s", "UDP, packets of 1400 octets, received", True),
         "ping-50": ("µs", "ping idle, median", False), "ping-99": ("µs", "ping idle, 99 %", False),
         "loaded-50": ("µs", "ping under load, median", False), "loaded-99": ("µs", "ping under load, 99 %", False),
         "memory": ("MB", "most memory of one end", False)}


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
        Ping.until_answered(left, tunnel.ping_address, 10)
        for run in RUNS:
            busy = busy_elsewhere()
            values, cpu = run(tunnel, seconds)
            for test, value in values.items():
                yield test, value, cpu, busy


def middle(values):
    return round(statistics.median(values), 4) if all(v is not None for v in values) else None


def median_rows(runs):
    """{(tunnel, test): [(value, cpu, busy), ...]} as rows of medians."""
    return [{"tunnel": name, "test": test, "value": middle([r[0] for r in found]),
             "unit": TESTS[test][0], "cpu_s_per_gb": middle([r[1][0] for r in found]),
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


# Measured once, by `perf record -a -g` beside `./dev bench tunnel --tunnels cygnet-esp`.
PLAIN_ESP = """## Why plain ESP costs more than ESP in UDP

Linux takes and gives trains of UDP datagrams (`UDP_SEGMENT`, `UDP_GRO`), which cross its stack and the veth as one packet; for
protocol 50 user space has nothing like it, neither on a raw socket nor on a packet socket (`virtio_net_hdr` knows TCP and
UDP alone). So each packet of plain ESP makes the whole way by itself, although `sendmmsg` and `recvmmsg` take 32 and more of them a
call. Of the two engines' CPU time (samples of `perf`, 2026-11-21): 57 % `sendmmsg`, 24 of these being the receiving host's IP
stack, which a veth runs at the sender's expense; 5 the look-up of the route with our rule, 7 making the packet; 13 %
`recvmmsg`; 11 % writing to the TUN device, 4 % reading from it; 4 % the ciphers. `encapsulation=yes` is the fast
way between hosts that run Cygnet.

What other sockets would save was measured with programs that do nothing else (2026-11-22, 1,400 octets in bursts of 32 over a veth,
beside compilers, medians of three, the last row two runs; CPU time a packet at the sender, who runs the receiver's stack up to its socket, and at the
receiver):

| from | to | sender (µs) | receiver (µs) |
| --- | --- | ---: | ---: |
| raw socket, `sendmmsg` (what Cygnet does) | raw socket, `recvmmsg` | 3.96 | 2.24 |
| packet socket past the queueing discipline | raw socket | 2.72 | 1.55 |
| AF_XDP, copy mode | raw socket | 1.67 | 1.18 |
| AF_XDP | AF_XDP, generic mode | 1.05–1.33 | 0.73 |

Of the 9.5 µs that both engines together take for a packet of plain ESP, AF_XDP at both ends would save some four, and plain ESP
would come to 3 to 3.5 Gbit/s here. `esp-path=xdp` does that. Raw sockets and AF_XDP in turn, four runs each, by
`./dev bench tunnel --no-page --seconds 2 --repeat 2 --tunnels cygnet-esp,cygnet-esp-xdp`, 2026-11-22, beside compilers that took half
of the machine and more (so the rates say how the two compare, not what they are on a quiet machine):

| | raw sockets | `esp-path=xdp` |
| --- | ---: | ---: |
| CPU seconds a GB of the tunnel's processes: TCP, 1 stream | 5.5–7.1 | 2.6–2.8 |
| TCP, 4 streams | 6.2–7.3 | 2.7–2.9 |
| UDP, 64 octets | 162–195 | 95–121 |
| UDP, packets of 1400 octets | 10.1–17.9 | 6.7–10.9 |
| TCP, 1 stream (Gbit/s) | 0.49–0.76 | 1.15–1.79 |
| most memory of one end (MB) | 59–61 | 73–79 |

Idle round trips, medians of 600 pings each, four runs in turn, the two engines and ping at real-time priority (`chrt -f 20`) so that the
compilers beside them get what is left over: 135 to 157 µs with AF_XDP, 157 to 202 by raw sockets, 162 to 206 for ESP in UDP; the
fastest tenth 118 to 137, 139 to 180 and 142 to 175. It is not the default: packet filters, traffic shaping and tcpdump on the
interface do not see what goes this way, and another IPsec of the same machine gets no ESP there.

"""


# Measured once, by perf: samples beside iperf3; a trace of system calls and of the scheduler beside ping.
SINGLE_PACKETS = """## Where small packets spend their time

Of the two engines' CPU time with 64-octet datagrams (`perf`, 2026-11-22, after received ones came to be written to the device as one
super-packet): 36 % read() from the device, one packet a call and 3 µs each, which nothing but vhost (not on this machine) spares a user
of TUN; 15 % `sendmmsg` in trains of 32; 32 % writing trains to the device, which is the receiving kernel cutting and queueing them.
The sender takes as much CPU as both engines together, and of what it sends two thirds find the device's queue full: what a tunnel
delivers here is a matter of shares of two cores. A queue of 200 packets instead of the 500 that TUN devices have takes a third less
CPU a gigabyte and delivers a quarter less; one of 4,000 delivers no more and takes three quarters more CPU (the packets have left the
caches when they are read); a higher priority of the engine changes nothing above the noise (beside compilers, four and five runs in
turn).

## Where the idle round trip goes

Four times a process has to be woken: the sender's engine, the receiver's, the sender's again, ping. A program of forty lines that
does nothing but carry packets between a TUN device and a UDP socket takes 105 to 125 µs at best in the same place, Cygnet 150 to
200 (medians of runs in turn beside compilers, ours before theirs, 2026-11-22; the plain veth 45). Stamps in the engines (medians of
400 round trips, beside compilers): at the sender reading takes 9.8 µs, asking whether there is more 1.6, the engine 10.7; at the
receiver 7.4, engine 9.9, to the device and through the kernel that answers 22; the answer out there 2.1, 1.1, 3.4 and 16; in again
3.4, 3.5 and 10. The rest is waking. (Not to ask whether there is more after a sleep made it 210 µs of 212 and a flood of small packets
some 15 % more expensive, so it is asked.) In memory the engine takes 0.13 µs for such a packet, and 9.8 when 96 MB have gone through the
caches since the last one: out it touches 148 cache lines of code in 18 pages and 69 of data in 25, in 172 and 87 (counted with
valgrind's lackey), 45 ns each; with all code pages looked at before it is 7.3 µs. So a cold round trip has some 25 µs of the engine's
own memory in it. Looking again for a while before sleeping (`busy-poll=`, and a variant
that looks only while an answer is due, with and without giving the core away in between) made it longer wherever both ends and
ping share two cores: 346 µs instead of 233 on the quiet machine, 200 instead of 120 with the small program. It keeps others from the core
that they would be woken on. It is for gateways with cores to spare.

"""


def results_page(rows, options, busy):
    """bench/RESULTS.md: one table of values, one of ratios, one of CPU."""
    cell = {(r["tunnel"], r["test"]): r for r in rows}
    names = [n for n in TUNNELS if any(r["tunnel"] == n for r in rows)]
    tests = list(TESTS)
    head = "| | " + " | ".join(f"{TESTS[t][1]} ({TESTS[t][0]})" for t in tests) + " |\n"
    head += "| --- |" + " ---: |" * len(tests) + "\n"

    def table(value):
        return head + "".join(
            f"| {TITLES[n]} | " + " | ".join(value(n, t) for t in tests) + " |\n" for n in names)

    def ratio(n, t):
        base, own = cell.get(("strongswan-libipsec", t)), cell.get((n, t))
        if not base or not own or not base["value"]:
            return "–"
        return f"{own['value'] / base['value']:.2f}"

    loads = [t for t in tests if t.startswith(("tcp", "udp"))]
    cpu = "| | " + " | ".join(TESTS[t][1] for t in loads) + " |\n| --- |" + " ---: |" * len(loads)
    cpu += "\n" + "".join(
        f"| {TITLES[n]} | " + " | ".join(
            f"{number(cell[n, t]['cpu_s_per_gb'])} / {number(cell[n, t]['machine_cpu_s_per_gb'])}"
            for t in loads) + " |\n" for n in names)
    return f"""Measured by `./dev bench tunnel{' ' + options if options else ''}` on {time.strftime('%Y-%m-%d')}: {machine()}.
Medians of the repetitions. Two network namespaces joined by veth; sender, receiver and both ends of
the tunnel share the cores. IPsec tunnels use AES-128-GCM-16, wireguard-go ChaCha20-Poly1305.
Other work used {busy:.0%} of the CPU just before a run (median over all runs). Ping under load: beside one TCP stream.
Memory: the most that the processes of one end held, after a flood of small packets. "Without its cipher": a build of
cygnetd whose packets look the same and are not encrypted (bench/null_cipher), so that the difference is the cipher's.

{table(lambda n, t: number(cell[n, t]['value']))}
## Relative to strongSwan's user-space ESP

Above 1 is more than strongSwan's; for ping and memory, below 1 is better.

{table(ratio)}
## CPU seconds per gigabyte delivered: tunnel's processes / whole machine

{cpu}
{PLAIN_ESP}{SINGLE_PACKETS}"""


def main():
    parser = argparse.ArgumentParser(prog="./dev bench tunnel")
    parser.add_argument("--json", metavar="FILE", help="the same figures as JSON rows")
    parser.add_argument("--seconds", type=int, default=4, help="length of each run (4)")
    parser.add_argument("--repeat", type=int, default=3, help="runs of which the median counts (3)")
    parser.add_argument("--tunnels", default=",".join(TUNNELS), help=f"separated by commas, of {', '.join(KINDS)}")
    parser.add_argument("--no-page", action="store_true", help="leave bench/RESULTS.md alone")
    arguments = parser.parse_args()
    names = arguments.tunnels.split(",")
    for name in names:
        if name not in KINDS:
            parser.error(f"no tunnel '{name}'; there are: {', '.join(KINDS)}")
    runs, failed = {}, set()
    for turn in range(1, arguments.repeat + 1):
        for name in [n for n in names if n not in failed]:
            try:
                for test, value, cpu, busy in measure(name, arguments.seconds):
                    runs.setdefault((name, test), []).append((value, cpu, busy))
                    print(f"{turn} {name:20} {test:8} {number(value):>8} {TESTS[test][0]:8} cpu "
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
        PAGE.write_text(put(PAGE.read_text(), "tunnel.py", "Tunnels side by side",
                            results_page(rows, "" if default else options, busy)))
        print("written: bench/RESULTS.md")
    elif not complete:
        print("bench/RESULTS.md is left as it was: not every tunnel was measured")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
