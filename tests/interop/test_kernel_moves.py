# SPDX-License-Identifier: Apache-2.0
"""MOBIKE with engine=xfrm: an SA of the kernel's that gets other ends goes on counting, whoever moves. On the kernel of
User-Mode Linux, which cannot move an SA in one step, and on Debian's newest, which can (hosts: kernel_site.py).
"""
import collections
import re
import time

import pytest

from lab import Capture, Ping, wait_until
from lab.cygnet import conn

import guest_pair
import machine_site
from kernel_site import OUR_LAN, OURS, THEIR_HOST, THEIR_LAN, THEIRS

OTHER = {"ours": "192.0.2.12", "theirs": "192.0.2.19"}
MOVES = 4


@pytest.fixture(scope="module", params=["in two steps", "in one step"])
def guest_lab(request):
    with {"in two steps": guest_pair, "in one step": machine_site}[request.param].running("moves") as lab:
        lab.one_step = request.param == "in one step"
        # What still goes to an address that the guest has left is not sent back, to be seen a second time.
        lab.guest.run("echo 0 >/proc/sys/net/ipv4/ip_forward")
        yield lab


class Pair(guest_pair.GuestPair):
    def __init__(self, lab, name, mover, only_theirs=None, **words):
        super().__init__(lab, name)
        words = dict(ike="aes_gcm128-sha2_256;dh19", esp="aes_gcm128", mobike="yes", **words)
        ends = dict(left=OURS[4], leftsubnet=OUR_LAN[4], leftid="@ours"), dict(left=THEIRS[4], leftsubnet=THEIR_LAN[4],
                                                                               leftid="@theirs")
        for daemon, mine, other, text in ((self.ours, *ends, ""), (self.theirs, *ends[::-1], "engine=xfrm")):
            moves = daemon is (self.ours if mover == "ours" else self.theirs)
            right = {f"right{key[4:]}": value for key, value in other.items()}
            mine, right = ({**mine, "left": "%any"}, right) if moves else (mine, {**right, "right": "%any"})
            daemon.configure(conn("lab", **mine, **right, **words, **(only_theirs or {} if text else {})), text)
        self.start()
        self.mover, self.other = (self.ours, self.theirs) if mover == "ours" else (self.theirs, self.ours)
        self.mover.up("lab")
        self.other.wait_state("up")
        self.address = {"ours": OURS, "theirs": THEIRS}[mover][4]

    def move(self, new):
        # The new one is there first: else it would go on over IPv6.
        words = (f"sysctl -q -w net.ipv4.conf.{{0}}.promote_secondaries=1; ip addr add {new}/24 dev {{0}}; "
                 f"ip addr del {self.address}/24 dev {{0}}")
        if self.mover is self.ours:
            self.lab.gw.run(words.format("tap0"))
        else:
            self.lab.guest.run(f"{words.format('vec0')}; ip route replace default via {OURS[4]}")
        self.address = new
        wait_until(lambda: self.other.connection()["ike"]["remote"].startswith(f"{new}:"), 20, "the other end sees it move")
        wait_until(lambda: Ping.once(self.lab.site, THEIR_HOST[4], wait_s=2).received, 10, "packets follow")


@pytest.fixture
def pairs(guest_lab, request):
    with guest_pair.pairs_of(request, guest_lab, Pair) as make:
        yield make


def kernel_sas(lab, pair):
    """(inbound, outbound), each with its sequence number and when it was added."""
    spis = [int(spi, 16) for spi in pair.theirs.spis()]
    states = {state["spi"]: state for state in lab.guest.xfrm_states()}
    for spi in spis:
        text = states[spi]["text"]
        word = "seq" if spi == spis[0] else "oseq"
        states[spi]["sequence"] = int(re.search(rf", {word} 0x([0-9a-f]+)", text)[1], 16)
        states[spi]["added"] = re.search(r"add (\S+ \S+)", text)[1]
    return [states[spi] for spi in spis]


@pytest.mark.parametrize("encapsulation", ["no", "yes"])
@pytest.mark.parametrize("mover", ["ours", "theirs"])
def test_a_move_goes_on_counting(guest_lab, pairs, mover, encapsulation):
    lab = guest_lab
    pair = pairs(mover, **({"encapsulation": "yes"} if encapsulation == "yes" else {}))
    assert Ping.once(lab.site, THEIR_HOST[4], count=20, interval_s=0.02).lost == 0
    before = kernel_sas(lab, pair)
    assert [sa["packets"] for sa in before] == [sa["sequence"] for sa in before] == [20, 20]
    lab.guest.run("ping -i 0.005 -I 10.2.0.10 10.1.0.10 >/dev/null 2>&1 </dev/null & echo $! >/tmp/ping.pid; "
                  "ip xfrm monitor SA >/tmp/notices 2>&1 </dev/null & echo $! >/tmp/monitor.pid")
    first = pair.address
    try:
        with Capture(lab.gw, "tap0", "esp or udp port 4500", snap=96, steady=True) as wire:
            for turn in range(MOVES):
                pair.move(OTHER[mover] if turn % 2 == 0 else first)
                time.sleep(0.3)
            lab.guest.run("kill $(cat /tmp/ping.pid)")
            wait_until(lambda: kernel_sas(lab, pair)[0]["sequence"] == pair.ours.child()["out"]["packets"] and
                       pair.theirs.child()["out"]["packets"] == kernel_sas(lab, pair)[1]["packets"], 10, "all has arrived")
        removed = int(lab.guest.run("grep -c ^Deleted /tmp/notices", check=False))
        assert removed == 0 if lab.one_step else removed >= 2 * MOVES
        inbound, outbound = kernel_sas(lab, pair)
        # No number was left out, and none came twice; nor does the lifetime begin anew.
        assert outbound["sequence"] == outbound["packets"] > 20 + MOVES
        assert inbound["packets"] > 20 + MOVES
        assert inbound["sequence"] == pair.ours.child()["out"]["packets"]
        assert [sa["added"] for sa in (inbound, outbound)] == [sa["added"] for sa in before]
        seen = collections.Counter(tuple(int(x, 16) for x in found) for line in wire.lines()
                                   for found in re.findall(r"ESP\(spi=0x([0-9a-f]+),seq=0x([0-9a-f]+)\)", line))
        sent = [number for spi, number in seen if spi == outbound["spi"]]
        assert {number: count for number, count in seen.items() if count > 1} == {}
        assert min(sent) > 20 and max(sent) == outbound["sequence"] and len(sent) > MOVES
        assert pair.theirs.child()["out"]["packets"] == outbound["packets"]
        print(f"{len(sent)} of {max(sent) - 20} numbers seen on the wire")
    finally:
        lab.guest.run("kill $(cat /tmp/ping.pid /tmp/monitor.pid)", check=False)
        if pair.address != first:
            pair.move(first)


def test_a_move_brings_no_limit_nearer_or_further(guest_lab, pairs):
    """What an SA has carried before it moved counts."""
    pair = pairs("theirs", only_theirs={"ipsec-max-packets": "200"})
    before = pair.theirs.spis()
    # When each of the two is to be rekeyed.
    soft = min(int(re.search(r"soft (\d+)\(packets\)", sa["text"])[1]) for sa in kernel_sas(guest_lab, pair))
    assert Ping.once(guest_lab.site, THEIR_HOST[4], count=soft - 15, interval_s=0.02).lost == 0
    first = pair.address
    pair.move(OTHER["theirs"])
    try:
        assert pair.theirs.spis() == before
        assert Ping.once(guest_lab.site, THEIR_HOST[4], count=16, interval_s=0.02).lost == 0
        wait_until(lambda: pair.theirs.spis() != before, 15, "the child is rekeyed")
    finally:
        pair.move(first)
