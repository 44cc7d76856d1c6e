# SPDX-License-Identifier: Apache-2.0
"""IP-TFS (RFC 9347) in the kernel, engine=xfrm, with IP-TFS of Cygnet's own engine at the other end (machine_site.py).

Debian builds its kernels without it; scripts/build_iptfs.sh makes the module from their source.
"""
import json
import os
import pathlib
import re
import shutil

import pytest

import machine_site
from lab import Capture, Ping, wait_until
from machine_site import OUR_HOST, OURS, THEIR_HOST, THEIRS

SIZE = 600
_LAB = pathlib.Path(__file__).resolve().parent.parent / "lab"
BOTH = dict(leftsubnet="10.1.0.0/24,fd01::/64", rightsubnet="10.2.0.0/24,fd02::/64")


@pytest.fixture(scope="module")
def machine():
    machine_site.need(iptfs="source of its newest kernel")
    with machine_site.running("iptfs", modules="xfrm_iptfs") as lab:
        yield lab


@pytest.fixture
def make(machine, request):
    with machine_site.pairs_of(request, machine) as make:
        yield make


def modes(machine):
    """{direction: mode} of the kernel's policies that protect."""
    found = {}
    for block in re.split(r"(?m)^(?=src )", machine.guest.run("ip xfrm policy")):
        mode = re.search(r"mode (\w+)", block)
        if mode:
            found.setdefault(re.search(r"dir (\w+)", block)[1], set()).add(mode[1])
    return found


IPTFS = "5"  # as iproute2 prints a mode that it does not know
ALL_IPTFS, ALL_TUNNEL = ({way: {mode} for way in ("out", "in", "fwd")} for mode in (IPTFS, "tunnel"))


def errors(machine):
    return int(re.search(r"XfrmInIptfsError\s+(\d+)", machine.guest.run("cat /proc/net/xfrm_stat"))[1])


def ping_both_ways(machine, families=(4, 6), **words):
    for family in families:
        there = Ping.once(machine.site, THEIR_HOST[family], interval_s=0.1, **{"count": 3, **words})
        assert there.lost == 0, there.text
        words_back = f"-s {words.get('size', 56)} -I {THEIR_HOST[family]}"
        assert machine.guest.answered(OUR_HOST[family], 3, words_back) == 3


def send_file(machine, octets):
    """From the site to the guest over TCP."""
    host, port = machine.kernel_host, 9000
    for script in ("tcp_receive.py", "tcp_send.py"):
        shutil.copy(_LAB / script, host.dir)
    data = host.dir / "sent"
    data.write_bytes(os.urandom(octets))
    host.run(f"/bin/sh -c '/usr/bin/python3 {host.dir}/tcp_receive.py {port} {host.dir}/got >{host.dir}/listens "
             "2>&1 </dev/null &'")
    wait_until(lambda: "listening" in (host.dir / "listens").read_text(), 20, "the guest listens")
    machine.site.run(["/usr/bin/python3", host.dir / "tcp_send.py", THEIR_HOST[4], port, data], timeout_s=90)
    assert (host.dir / "got").read_bytes() == data.read_bytes()
    (host.dir / "listens").unlink()


def lengths(capture, source):
    return [int(m) for line in capture.lines(f"src host {source} and ip proto 50", "-v")
            for m in re.findall(r"proto ESP \(50\), length (\d+)", line)]


@pytest.mark.parametrize("first", ["ours", "theirs"])
@pytest.mark.parametrize("wanted", ["yes", "require"])
def test_traffic_cut_and_put_together(machine, make, wanted, first):
    pair = make()
    ours, theirs = pair.start(iptfs=wanted, **BOTH, **{"iptfs-packet-size": SIZE, "iptfs-init-delay": "20ms"})
    {"ours": ours, "theirs": theirs}[first].up("lab")
    for daemon in (ours, theirs):
        daemon.wait_state("up")
    assert modes(machine) == ALL_IPTFS
    assert {s["mode"] for s in machine.guest.xfrm_states()} == {IPTFS}
    before = errors(machine)
    with Capture(machine.gw, "tap0", "ip proto 50") as wire:
        ping_both_ways(machine)
        ping_both_ways(machine, size=1300)  # cut into three and put together again, both ways
        # As one packet, with others: the guest has them all before its delay is over.
        machine.guest.run(f"ping -n -q -c 20 -i 0.002 -W 5 -I {THEIR_HOST[4]} {OUR_HOST[4]}")

        def both_have_counted():
            """The same outer packets, at both ends and in the kernel; nothing is under way any more."""
            states = {s["src"]: s["packets"] for s in machine.guest.xfrm_states()}
            child, other = ours.child(), theirs.child()
            counted = child["out"]["packets"], child["in"]["packets"]
            payloads = tuple(child["iptfs"][way]["payloads"] for way in ("out", "in"))
            return (counted == payloads == (states[OURS], states[THEIRS]) == (other["in"]["packets"], other["out"]["packets"])
                    and child["iptfs"]["in"]["packets"] >= 12 + 12 + 20)

        wait_until(both_have_counted, 10, "both ends have counted the same")
    tfs = ours.child()["iptfs"]
    for way in ("in", "out"):
        assert tfs[way]["fragments"] >= 24, tfs
    assert tfs["in"]["payloads"] < tfs["in"]["packets"] + tfs["in"]["fragments"], "some came together"
    # Whole packets only of ours: the kernel pads nothing.
    assert set(lengths(wire, OURS)) == {SIZE}
    assert max(lengths(wire, THEIRS)) == SIZE
    assert "IP-TFS" in theirs.ctl("status").stdout
    assert errors(machine) == before
    drops = ours.drops()
    assert not drops.get("bad-aggregation") and not drops.get("aggregation-lost"), drops


def test_settings_reach_the_kernel(machine, make):
    pair = make()
    _, theirs = pair.start(iptfs="require", **{"iptfs-packet-size": 1000, "iptfs-max-queue-size": "128k",
                                               "iptfs-init-delay": "3ms", "iptfs-drop-time": "700ms",
                                               "iptfs-reorder-window": 7, "iptfs-fragmentation": "no"})
    pair.up()
    host = machine.kernel_host
    shutil.copy(_LAB / "xfrm_attributes.py", host.dir)
    sas = json.loads(host.run(["/usr/bin/python3", host.dir / "xfrm_attributes.py"]).stdout)
    little = lambda octets: int.from_bytes(bytes.fromhex(octets), "little")
    said = lambda spi: {int(number): little(value) for number, value in sas[spi.removeprefix("0x")].items()
                        if int(number) in range(36, 42) or int(number) == 33}
    child = theirs.child()
    # XFRMA_SA_DIR, and of IP-TFS: drop time, reorder window; flag against fragments, delay, queue, size.
    assert said(child["spi_in"]) == {33: 1, 36: 700_000, 37: 7}
    assert said(child["spi_out"]) == {33: 2, 38: 0, 39: 3000, 40: 128 << 10, 41: 1000 - 18}
    ping_both_ways(machine, (4,), size=600)
    assert theirs.children()[0]["iptfs"]["packet_bytes"] == 1000


def test_tcp_and_rekeys(machine, make):
    pair = make()
    ours, theirs = pair.start(iptfs="yes")
    pair.up()
    for rekeyed in (None, ours, theirs):
        if rekeyed:
            before = ours.spis()
            rekeyed.ctl("rekey", "lab")
            wait_until(lambda: ours.spis() != before and len(theirs.children()) == 1, 20, "the child is rekeyed")
        send_file(machine, 500_000)
    assert modes(machine) == ALL_IPTFS
    assert errors(machine) == 0


def test_a_peer_without_it(machine, make):
    pair = make()
    ours, theirs = pair.start(iptfs="yes", ours=dict(iptfs="no"))
    pair.up()
    theirs.wait_log("wants IP-TFS, but")
    assert modes(machine) == ALL_TUNNEL
    ping_both_ways(machine, (4,))
    # It does now: the next ones have it, and the policies with them.
    ours.configure(ours.conf.read_text().replace("iptfs=no", "iptfs=yes"))
    ours.ctl("reload")
    pair.up()
    wait_until(lambda: modes(machine) == ALL_IPTFS, 10, "policies have the other mode")
    ping_both_ways(machine, (4,))


def test_a_peer_that_wants_reports(machine, make):
    pair = make()
    ours, theirs = pair.start(iptfs="yes", ours={"iptfs": "yes", "iptfs-rate": "2M", "iptfs-congestion-control": "yes"})
    pair.up()
    theirs.wait_log("requires reports of loss")
    assert modes(machine) == ALL_TUNNEL
    ping_both_ways(machine, (4,))


def test_killed_and_adopted(machine, make):
    pair = make()
    ours, theirs = pair.start(iptfs="require")
    pair.up()
    ping_both_ways(machine, (4,))
    theirs.kill("monitor")
    theirs.wait_dead()
    ping_both_ways(machine, (4,))
    theirs.start()
    assert modes(machine) == ALL_IPTFS, "as its SAs, which go on"
    ping_both_ways(machine, (4,))
    ours.down("lab")
    pair.up()
    ping_both_ways(machine, (4,))


def test_a_rate_is_refused(machine, make):
    pair = make()
    _, theirs = pair.start(wait=False, iptfs="require", **{"iptfs-rate": "2M"})
    wait_until(lambda: "has iptfs-rate= (its IP-TFS sends as there is traffic)" in theirs.read_log(), 30, "it says why")
    theirs.process = None


@pytest.fixture
def no_module(machine):
    machine.guest.run("modprobe -r xfrm_iptfs; cp /proc/sys/kernel/modprobe /tmp/modprobe; "
                      "echo /bin/false >/proc/sys/kernel/modprobe")
    yield
    machine.guest.run("cat /tmp/modprobe >/proc/sys/kernel/modprobe; modprobe xfrm_iptfs")


def test_a_kernel_without_the_module(machine, make, no_module):
    pair = make()
    _, theirs = pair.start(wait=False, iptfs="require")
    what = "has iptfs=, and the kernel refused an SA of these algorithms: it has no IP-TFS"
    wait_until(lambda: what in theirs.read_log(), 30, "it says what is missing")
    wait_until(lambda: not theirs.alive("monitor"), 10, "it does not start")
    theirs.process = None
    assert machine.guest.xfrm_states() == []


def test_the_engine_where_the_kernel_has_none(machine, make, no_module):
    pair = make()
    _, theirs = pair.start(iptfs="require", engine="auto")
    theirs.wait_log("Cygnet's own engine carries the packets, since")
    pair.up()
    ping_both_ways(machine, (4,))
    assert theirs.child()["iptfs"]["out"]["payloads"] >= 6
