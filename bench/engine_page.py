#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the engine's parts of bench/RESULTS.md and their plots (bench/plots/*.svg) from what
`./dev bench engine --json FILE --benchmark_repetitions=N` measured: python3 bench/engine_page.py FILE...
Of the two parts (packets; tables) those of which something was measured are written, each between two marks of its own;
what stands before and behind the marks was written by people and stays.

Of the repetitions, and of several files, the fastest counts: other work on a shared machine makes runs slower, never faster."""

import datetime
import json
import os
import pathlib
import platform
import re
import sys

import engine_lookups
from page import PAGE, put

_ROOT = pathlib.Path(__file__).resolve().parent.parent
HEADING = "The packet engine in memory"
GCM = "aes128gcm16"
STAGES = ("parse", "lookup", "prepare", "cipher", "finish")


def load(paths):
    """The context of the first file, and for each case the row of the fastest repetition."""
    best = {}
    reports = [json.loads(pathlib.Path(path).read_text()) for path in paths]
    for row in (row for report in reports for row in report["benchmarks"]):
        if row.get("run_type") == "aggregate" or "pps" not in row:
            continue
        case = row.get("run_name", row["name"])
        if case not in best or row["pps"] > best[case]["pps"]:
            best[case] = row
    return reports[0]["context"], best


def name(direction, size=64, sas=1, policies=1, cores=1, algorithm=GCM):
    return f"{direction}/{algorithm}/size:{size}/sas:{sas}/policies:{policies}/cores:{cores}"


def mega(row):
    return "–" if row is None else f"{row['pps'] / 1e6:.2f}"


def percent(row):
    return "–" if row is None else f"{100 * row['share']:.0f} %"


def rate_table(rows):
    lines = ["| | SAs | Mpps out | cycles | of the cipher | Mpps in | cycles | of the cipher |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"]
    for size in (64, 512, 1400, 9000):
        for sas in (1, 100, 10_000, 100_000, 1_000_000):
            out, into = rows.get(name("outbound", size, sas)), rows.get(name("inbound", size, sas))
            if out is None and into is None:
                continue
            cycles = ["–" if r is None else f"{r['cycles']:.0f}" for r in (out, into)]
            lines.append(f"| {size} B | {sas:,} | {mega(out)} | {cycles[0]} | {percent(out)} | "
                         f"{mega(into)} | {cycles[1]} | {percent(into)} |")
    return lines


def cipher_table(rows):
    lines = ["| | out 64 B | of the cipher | out 1400 B | of the cipher | in 64 B | in 1400 B |",
             "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]
    found = sorted({m[1] for n in rows if (m := re.match(r"outbound/([^/]+)/size:64/sas:1/policies:1/cores:1$", n))})
    for algorithm in [GCM] + [a for a in found if a != GCM]:
        r = {(d, s): rows.get(name(d, s, algorithm=algorithm)) for d in ("outbound", "inbound") for s in (64, 1400)}
        lines.append(f"| {algorithm} | {mega(r['outbound', 64])} | {percent(r['outbound', 64])} | "
                     f"{mega(r['outbound', 1400])} | {percent(r['outbound', 1400])} | "
                     f"{mega(r['inbound', 64])} | {mega(r['inbound', 1400])} |")
    return lines


def stage_table(rows):
    lines = ["| | SAs | " + " | ".join(STAGES) + " | sum |", "| --- | ---: |" + " ---: |" * (len(STAGES) + 1)]
    for direction, label in (("stages-outbound", "out"), ("stages-inbound", "in")):
        for size in (64, 1400):
            for sas in (1, 10_000, 100_000):
                row = rows.get(name(direction, size, sas))
                if row is not None:
                    cells = " | ".join(f"{row[s]:.0f}" for s in STAGES)
                    lines.append(f"| {label} {size} B | {sas:,} | {cells} | {row['cycles']:.0f} |")
    return lines


def other_table(rows):
    lines = ["| case | M/s | cycles |", "| --- | ---: | ---: |"]
    known = re.compile(r"(outbound|inbound|stages-outbound|stages-inbound|cipher|decipher|spd|sad|flowcache)/")
    for n in sorted(rows):
        scaled = re.match(rf"(outbound|inbound)/{GCM}/.*(policies:(?!1/)|cores:2|burst:)", n)
        if scaled or not known.match(n):
            lines.append(f"| {n} | {mega(rows[n])} | {rows[n].get('cycles', 0):.0f} |")
    return lines


def gateway(rows):
    """What a 64-core gateway with a 400 Gbit/s port would need, from the measured cycles."""
    out, into = rows.get(name("outbound", 1400, 100_000)), rows.get(name("inbound", 1400, 100_000))
    small = rows.get(name("outbound", 64, 100_000))
    if None in (out, into, small):
        return ["(not measured in this run)"]
    wire = 400e9 / ((1400 + 14 + 20 + 8 + 36 + 24) * 8)
    cores = wire / out["pps"]
    both = cores + wire / into["pps"]
    return [
        f"400 Gbit/s are {wire / 1e6:.1f} M packets/s of 1400 octets (ESP in UDP and Ethernet's own octets counted). One core",
        f"here seals {out['pps'] / 1e6:.2f} M/s and opens {into['pps'] / 1e6:.2f} M/s of them with 100,000 SAs: the engine's part of a",
        f"full port is {cores:.1f} cores one way, {both:.1f} both ways, of 64. What remains is for reading and writing the",
        "packets: without a system call a packet (a driver in user space, AF_XDP in zero-copy mode) 100 to 150 cycles each",
        "way are usual. Two things bound it before the cores do: memory, for at 10,000 SAs and",
        "more the steps `cipher` and `finish` wait for keys and windows (their rise over one SA in the table above), so SAs",
        "have to be divided among cores by receive queue, each core keeping its own in its second-level cache; and the",
        f"packet rate of small packets: {small['pps'] * 64 / 1e6:.0f} M/s of 64 octets on 64 cores, of 301 M/s that the port carries (142-octet frames).",
        "Figures for two cores are one engine that two threads use in turns (`workers=2`), by the clock on the wall: what is",
        "done in turns bounds small packets, so many cores want several engines, each with the SAs of its queues.",
    ]


def svg(title, x_label, series, path):
    """Curves of Mpps over a logarithmic axis: series is label -> [(x, y)]."""
    import math
    width, height, left, bottom = 560, 320, 60, 50
    xs = sorted({x for points in series.values() for x, _ in points})
    if len(xs) < 2:
        return False
    top = max(y for points in series.values() for _, y in points) * 1.1
    low, high = math.log10(xs[0]), math.log10(xs[-1])

    def place(x, y):
        return (left + (math.log10(x) - low) / (high - low) * (width - left - 20),
                height - bottom - y / top * (height - bottom - 40))

    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" '
             f'font-size="12"><rect width="100%" height="100%" fill="white"/>'
             f'<text x="{width / 2}" y="20" text-anchor="middle" font-size="14">{title}</text>']
    for i in range(6):
        y = top * i / 5
        _, at = place(xs[0], y)
        parts.append(f'<line x1="{left}" x2="{width - 20}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>'
                     f'<text x="{left - 8}" y="{at + 4:.1f}" text-anchor="end">{y:.1f}</text>')
    for x in xs:
        at, _ = place(x, 0)
        parts.append(f'<text x="{at:.1f}" y="{height - bottom + 18}" text-anchor="middle">{x:,}</text>')
    parts.append(f'<text x="{width / 2}" y="{height - 10}" text-anchor="middle">{x_label}</text>'
                 f'<text x="14" y="{height / 2}" text-anchor="middle" '
                 f'transform="rotate(-90 14 {height / 2})">M packets/s</text>')
    colours = ("#0b5394", "#cc4125", "#38761d", "#674ea7", "#b45f06", "#45818e", "#444444")
    for i, (label, points) in enumerate(series.items()):
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in (place(*p) for p in sorted(points)))
        colour = colours[i % len(colours)]
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for p in points:
            a, b = place(*p)
            parts.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="3" fill="{colour}"/>')
        parts.append(f'<text x="{width - 30}" y="{44 + 16 * i}" text-anchor="end" fill="{colour}">{label}</text>')
    path.write_text("\n".join(parts) + "\n</svg>\n")
    return True


def plotter(rows):
    """plot(file, title, x_label, {label: [(x, case)]}): draws what was measured, returns the line for the page or none."""
    folder = _ROOT / "bench" / "plots"
    folder.mkdir(exist_ok=True)

    def plot(file, title, x_label, wanted):
        series = {}
        for label, points in wanted.items():
            known = [(x, rows[n]["pps"] / 1e6) for x, n in points if n in rows]
            if known:
                series[label] = known
        if not series or not svg(title, x_label, series, folder / f"{file}.svg"):
            return None
        return f"![{title}](plots/{file}.svg)"
    return plot


def plots(plot):
    sizes, many = (64, 512, 1400, 9000), (1, 100, 10_000, 100_000, 1_000_000)
    ways = ("outbound", "inbound")
    drawn = [
        plot("engine-size", "One core, AES-128-GCM: packet size", "octets of the inner packet",
             {f"{w}, {s:,} SAs": [(z, name(w, z, s)) for z in sizes] for w in ways for s in (1, 10_000)}),
        plot("engine-sas", "One core, AES-128-GCM: SAs in random order", "SAs",
             {f"{w}, {z} B": [(s, name(w, z, s)) for s in many] for w in ways for z in (64, 1400)}),
        plot("engine-policies", "One core, 64 B, 10,000 SAs: policies", "policies",
             {w: [(p, name(w, 64, 10_000, p)) for p in (1, 1_000, 10_000, 1_000_000)] for w in ways}),
        plot("engine-cores", "AES-128-GCM, 10,000 SAs: cores", "cores",
             {f"{w}, {z} B": [(c, name(w, z, 10_000, cores=c)) for c in (1, 2)] for w in ways for z in (64, 1400)})]
    return [line for line in drawn if line]


def section(context, rows, plot):
    date = datetime.date.today().isoformat()
    cipher = {s: rows.get(f"cipher/{GCM}/size:{s}") for s in (64, 1400)}
    opened = {s: rows.get(f"decipher/{GCM}/size:{s}") for s in (64, 1400)}
    load_now = context.get("load_avg", [0])[0]
    return "\n".join([
        f"Measured by `./dev bench engine --json FILE --benchmark_repetitions=N` on {date}, written by",
        f"`python3 bench/engine_page.py FILE`: {os.cpu_count()} cores, Linux {platform.release()}, {context.get('cipher', '')}.",
        "CPU time of the thread that works, and time-stamp counter cycles in that time; of the repetitions the fastest",
        f"counts. Load of the machine at the beginning: {load_now:.1f} (other work shares caches and memory, so figures for many",
        "SAs are lower bounds). Inner IPv4/UDP packets, ESP in UDP, tunnel mode, bursts of 64 given to the engine; every SA",
        "carries one flow, SAs in random order; one policy, each SA narrowed to its host. The packets lie in a buffer of",
        "512 KiB, as a network card would leave them in the cache. Share: the cipher's own time (one key, 32 packets in the",
        "nearest cache, same run) over the whole time. Cases run in the order of their number of SAs: memory that a million",
        "SAs leave behind is scattered, and 10,000 SAs made of it are slower by half.", "",
        f"The cipher alone: {mega(cipher[64])} Mpps sealed and {mega(opened[64])} opened at 64 B, {mega(cipher[1400])} and "
        f"{mega(opened[1400])} at 1400 B.", "",
        "## AES-128-GCM, one core", "", *rate_table(rows), "", *plots(plot), "",
        "## Where the cycles go", "",
        "Cycles a packet in each step of a burst (`stages-…`; median of the rounds): parse, flow cache or SPD and SAD,",
        "header and verdict (in: replay window), cipher, and what follows it (window, trailer, selectors, verdict).", "",
        *stage_table(rows), "",
        "## Every algorithm, one SA", "", *cipher_table(rows), "",
        "## Policies, cores, bursts, tables", "", *other_table(rows), "",
        "## A gateway with 64 cores and a 400 Gbit/s port", "", *gateway(rows), ""])


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    text = PAGE.read_text()
    context, rows = load(sys.argv[1:])
    plot = plotter(rows)
    if any(n.startswith(("spd/", "sad/", "flowcache/")) for n in rows):
        when = (f"{datetime.date.today().isoformat()}, {os.cpu_count()} cores, CPU time of one thread; load of the machine at the "
                f"beginning: {context.get('load_avg', [0])[0]:.1f}.")
        text = put(text, "engine_page.py", engine_lookups.HEADING, engine_lookups.section(rows, plot, when))
    if any(n.startswith(("outbound/", "inbound/")) for n in rows):
        text = put(text, "engine_page.py", HEADING, section(context, rows, plot))
    PAGE.write_text(text)
    print("written: bench/RESULTS.md, bench/plots/")


if __name__ == "__main__":
    main()
