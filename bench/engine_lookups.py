# SPDX-License-Identifier: Apache-2.0
"""The section of bench/RESULTS.md about policies, SAs and the flow cache (see engine_page.py)."""

HEADING = "Finding the policy and the SA"

KINDS = ("hosts", "hosts6", "prefixes", "prefixes6", "ranges", "ports", "mixed")
POLICIES = (1_000, 10_000, 100_000, 1_000_000)
SAS = (100, 10_000, 100_000, 1_000_000)
USED = (0, 1, 100, 200, 300, 400)


def rate(row):
    """M/s (ns)."""
    return "–" if row is None else f"{row['pps'] / 1e6:.1f} ({row['ns']:.0f})"


def mega(row):
    return "–" if row is None else f"{row['pps'] / 1e6:.1f}"


def counter(row, key, digits):
    return "–" if row is None or key not in row else f"{row[key]:.{digits}f}"


def microseconds(row):
    return "–" if row is None else f"{row['ns'] / 1e3:.1f} µs"


def policy_table(rows):
    lines = ["| policies | 1,000: M/s (ns) | 10,000 | 100,000 | 1,000,000 | random addresses, at a million | "
             "one in or out, at a million | a million loaded in | octets a policy |",
             "| --- |" + " ---: |" * 8]
    for kind in KINDS:
        found = [rate(rows.get(f"spd/{kind}/policies:{n}")) for n in POLICIES]
        load = rows.get(f"spd/load/{kind}/policies:{POLICIES[-1]}/iterations:1")
        lines.append(f"| {kind} | " + " | ".join(found) +
                     f" | {rate(rows.get(f'spd/anywhere/{kind}/policies:{POLICIES[-1]}'))}"
                     f" | {microseconds(rows.get(f'spd/change/{kind}/policies:{POLICIES[-1]}'))}"
                     f" | {counter(load, 'seconds', 1)} s | {counter(load, 'octets', 0)} |")
    return lines


def sa_table(rows):
    lines = ["| SAs | found, M/s (ns) | unknown SPIs, M/s | insert or erase, ns | both SAs of a child, ns | loaded in, s |",
             "| --- |" + " ---: |" * 5]
    for n in SAS:
        load = rows.get(f"sad/load/sas:{n}/iterations:1")
        loaded = "–" if load is None else f"{n / load['pps']:.2f}"
        lines.append(f"| {n:,} | {rate(rows.get(f'sad/sas:{n}'))} | {mega(rows.get(f'sad/unknown/sas:{n}'))} | "
                     f"{counter(rows.get(f'sad/change/sas:{n}'), 'ns', 0)} | "
                     f"{counter(rows.get(f'sad/child/sas:{n}'), 'ns', 0)} | {loaded} |")
    return lines


def cache_table(rows):
    lines = ["| tunnels used | without the cache, M/s | with it, M/s | |", "| ---: | ---: | ---: | ---: |"]
    for used in USED:
        without, cached = (rows.get(f"flowcache/talk/used:{used}/cache:{c}") for c in (0, 1))
        if without is None or cached is None:
            continue
        lines.append(f"| {used}{' (no policy)' if used == 0 else ''} | {mega(without)} | {mega(cached)} | "
                     f"{cached['pps'] / without['pps']:.1f} × |")
    return lines


KINDS_TEXT = """Policies by kind. `hosts`: exact pairs of addresses (`hosts6`: IPv6). `prefixes`: pairs of random prefixes of 8 to 32 bits
(IPv6: 24 to 128), so that some twenty prefixes take each packet. `ranges`: pairs of arbitrary ranges. `ports`: 10,000 policies
differ in the port alone on each of a hundred pairs of addresses. `mixed`: all of them, with random orders. Random packets into
random policies, bursts of 64, without the flow cache; "random addresses": packets that most policies do not take. Octets: of
the index, without the policy's specification."""

KERNEL_TEXT = """The Linux kernel does 0.19 M packets/s at a million prefix policies, and 0.0077 M at 10,000 that differ in the port alone."""

SAD_TEXT = """Inbound SAs by SPI, random order, bursts of 32, the two lines of each SA asked for. The longest insertion at a million takes 9 ms of
CPU time: the kernel clears a huge page; the table itself moves four lines."""

CACHE_TEXT = """The case of the ipsec-tools talk about SPDcache: 1,000 tunnels, 2,000 policies, some of them used at random; policy and SA of
each packet in bursts of 32."""

CHURN_TEXT = """A million packets a second to 4,000 tunnels while 6,500 others a second are taken down and set up anew: the cache knows 98.1 % of
the packets (98.9 % without set-ups). When every change made all of it stale, it was empty again every 154 packets."""


def section(rows, plot, when):
    """plot(file, title, x_label, {label: [(x, case)]}) draws what was measured and returns a line for the page, or none.
    when: a sentence about date and machine."""
    drawn = [plot("spd", "One core: policies found, without the flow cache", "policies",
                  {k: [(n, f"spd/{k}/policies:{n}") for n in POLICIES] for k in KINDS}),
             plot("sad", "One core: SAs found in bursts of 32, random order", "SAs",
                  {"known": [(n, f"sad/sas:{n}") for n in SAS], "unknown": [(n, f"sad/unknown/sas:{n}") for n in SAS]}),
             plot("flow-cache", "1,000 tunnels, 2,000 policies: policy and SA of a packet", "tunnels in use",
                  {label: [(u, f"flowcache/talk/used:{u}/cache:{c}") for u in USED if u]
                   for label, c in (("without the flow cache", 0), ("with it", 1))})]
    churn = [rows.get(f"flowcache/tunnels:4000/setups:6500/cache:{c}") for c in (0, 1)]
    return "\n".join([
        "Measured by `./dev bench engine --filter '^(spd|sad|flowcache)/' --json FILE`, written by",
        f"`python3 bench/engine_page.py FILE`. {when}", "", KINDS_TEXT, "", *policy_table(rows), "", KERNEL_TEXT, "",
        SAD_TEXT, "", *sa_table(rows), "", CACHE_TEXT, "", *cache_table(rows), "",
        f"{CHURN_TEXT} Policy and SA are found at {mega(churn[1])} M/s then, {mega(churn[0])} M/s without it.", "",
        *[line for line in drawn if line], ""])
