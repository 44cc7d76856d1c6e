# SPDX-License-Identifier: Apache-2.0
"""Cygnet's own engine with strongSwan 6.1 of Debian's testing release on Debian's newest kernel (machine_site.py): SAs for
single CPUs (RFC 9611) and IP-TFS (RFC 9347), which strongSwan has had since 6.0.2 and this kernel carries.
"""
import pytest

import kernel_site
import machine_site
from lab import Capture, Ping, wait_until
from lab.cygnet import Cygnet, conn
from lab.strongswan import site_config
from lab.uml import GuestStrongSwan
from machine_site import OUR_HOST, OURS, THEIR_HOST, THEIRS


@pytest.fixture(scope="module")
def machine():
    machine_site.need(newest="testing release", iptfs="source of its newest kernel")
    with machine_site.running("strongswan-newest", root="newest", modules="xfrm_iptfs") as lab:
        lab.peer = GuestStrongSwan(lab.guest)
        yield lab


@pytest.fixture
def pair(machine, request):
    """start(mode, words of strongSwan's child, **words of Cygnet's connection)"""
    show = lambda cygnet: [cygnet.read_log()[-4000:], machine.peer.read_log()[-8000:],
                           machine.guest.run("swanctl --list-sas; ip -s xfrm state; ip xfrm policy; cat /proc/net/xfrm_stat")]

    def end(cygnet):
        machine.peer.load("")
        machine.peer.down("lab")
        cygnet.stop()

    with kernel_site.ended(request, show, end) as made:
        def start(extra, setup="", **words):
            cygnet = Cygnet(machine.gw, kernel_site.name_of(request))
            made.append(cygnet)
            cygnet.configure(conn("lab", left=OURS, leftsubnet="10.1.0.0/24", right=THEIRS, rightsubnet="10.2.0.0/24",
                                  leftid="@ours", rightid="@theirs", ike="aes128gcm16-prfsha256-ecp256",
                                  esp="aes128gcm16", **words), setup=setup)
            cygnet.start()
            machine.peer.load(site_config(local=THEIRS, remote=OURS, esp="aes128gcm16", local_id="theirs", remote_id="ours",
                                          local_ts="10.2.0.0/24", remote_ts="10.1.0.0/24", child_extra=extra))
            return cygnet

        yield start


def ping_from_guest(machine, cpu, count=3):
    assert machine.guest.answered(OUR_HOST[4], count, f"-I {THEIR_HOST[4]}", f"taskset -c {cpu}") == count


def kernel_counts(machine):
    """{SPI: packets} of the kernel's SAs."""
    return {s["spi"]: s["packets"] for s in machine.guest.xfrm_states()}


def check_counters(machine, cygnet):
    """Both ends of each SA have counted the same."""
    kernel = kernel_counts(machine)
    for child in cygnet.children():
        for way in ("in", "out"):
            assert kernel[int(child[f"spi_{way}"], 16)] == child[way]["packets"], (way, child, kernel)


@pytest.mark.parametrize("first", ["cygnet", "strongswan"])
def test_sas_for_single_cpus(machine, pair, first):
    cygnet = pair("start_action = trap\n per_cpu_sas = yes\n replay_window = 64", clones=2)
    if first == "cygnet":
        cygnet.up("lab")
    # What its CPUs send makes it ask for an SA for each.
    for cpu in (0, 1, 0, 1):
        machine.guest.run(f"taskset -c {cpu} ping -n -c 2 -i 0.2 -W 1 -I {THEIR_HOST[4]} {OUR_HOST[4]}", check=False)
    cygnet.wait_state("up")
    clones = lambda: [c for c in cygnet.children() if c.get("resource") is not None]
    wait_until(lambda: len(clones()) >= 2, 20, "each CPU has its SA")
    wait_until(lambda: len([c for c in machine.peer.status()[0]["children"] if c["state"] == "INSTALLED"])
               == len(cygnet.children()), 20, "both have as many")
    for cpu in (0, 1):
        before = {c["spi_in"]: c["in"]["packets"] for c in cygnet.children()}
        ping_from_guest(machine, cpu)
        grown = [c["in"]["packets"] - before[c["spi_in"]] for c in cygnet.children()]
        assert sorted(grown)[-1] == 3 and sum(grown) == 3, "on one SA, that of the CPU"
    there = Ping.once(machine.site, THEIR_HOST[4], count=3, interval_s=0.1)
    assert there.lost == 0, there.text
    assert {c["cpu"] for c in machine.peer.status()[0]["children"]} == {"-", "0", "1"}
    check_counters(machine, cygnet)
    used = [c for c in cygnet.children() if c["in"]["packets"] >= 3]
    assert len(used) >= 2, "several SAs carry traffic"


@pytest.mark.parametrize("first", ["cygnet", "strongswan"])
def test_iptfs(machine, pair, first):
    cygnet = pair("mode = iptfs\n replay_window = 64", iptfs="require", **{"iptfs-packet-size": 700})
    if first == "cygnet":
        cygnet.up("lab")
    else:
        machine.peer.up("net")
    cygnet.wait_state("up")
    with Capture(machine.gw, "tap0", "ip proto 50") as wire:
        for size in (56, 1300):
            there = Ping.once(machine.site, THEIR_HOST[4], count=5, interval_s=0.1, size=size)
            assert there.lost == 0, there.text
    assert wire.count("ip proto 50") >= 20
    tfs = cygnet.child()["iptfs"]
    assert tfs["out"]["fragments"] >= 10 and tfs["in"]["packets"] == 10 and tfs["out"]["packets"] == 10
    check_counters(machine, cygnet)
    assert not cygnet.drops().get("bad-aggregation")
    for rekey in (lambda: cygnet.ctl("rekey", "lab"), lambda: machine.peer.rekey(child="net")):
        before = cygnet.spis()
        rekey()
        wait_until(lambda: cygnet.spis() != before and len(cygnet.children()) == 1, 20, "the child is rekeyed")
        # The guest, a machine without hardware help, changes its policies a moment later.
        Ping.until_answered(machine.site, THEIR_HOST[4], 10)
        there = Ping.once(machine.site, THEIR_HOST[4], count=5, interval_s=0.1, size=1300)
        assert there.lost == 0, there.text
        assert cygnet.child()["iptfs"]["in"]["packets"] >= 5


def test_iptfs_with_a_plain_tunnel_of_ours(machine, pair):
    """strongSwan asks for it, and takes the answer without it."""
    cygnet = pair("mode = iptfs\n replay_window = 64", iptfs="no")
    machine.peer.up("net", check=False)
    there = Ping.once(machine.site, THEIR_HOST[4], count=3, interval_s=0.1)
    assert there.lost == 0, there.text
    assert cygnet.child().get("iptfs") is None
    check_counters(machine, cygnet)
