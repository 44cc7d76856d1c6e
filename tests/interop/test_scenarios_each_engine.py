# SPDX-License-Identifier: Apache-2.0
"""What happens to a tunnel, with each engine: Cygnet in the guest carries the packets itself or has the kernel do it, and
the same is to be seen from outside (hosts: kernel_site.py; the other Cygnet is on gw, or behind a NAT that gw makes).
"""
import functools

import pytest

from lab import Flow, Ping, wait_until
from lab.cygnet import conn

import guest_pair
import kernel_site
from kernel_site import OUR_LAN, OURS, THEIR_HOST, THEIR_LAN, THEIRS

IKE = dict(ike="aes_gcm128-sha2_256;dh19", esp="aes_gcm128")


@pytest.fixture(scope="module")
def guest_lab():
    with guest_pair.running("each") as lab:
        yield lab


@pytest.fixture(params=["user", "xfrm"])
def engine(request):
    return request.param


class Ends(guest_pair.GuestPair):
    def __init__(self, lab, name, ours, theirs, host=None, engine="user"):
        super().__init__(lab, name, host)
        self.engine = engine
        self.ours.configure(conn("lab", leftid="@ours", rightid="@theirs", **{**IKE, **ours}))
        self.theirs.configure(conn("lab", leftid="@theirs", rightid="@ours", **{**IKE, **theirs}), f"engine={engine}")
        self.start()

    def up(self, initiator):
        initiator.up("lab")
        self.ours.wait_state("up")
        self.theirs.wait_state("up")

    def has_sas(self, count):
        return len(self.lab.guest.xfrm_states()) == (count if self.engine == "xfrm" else 0)

    def check(self, ping, count=3):
        """What goes through is counted at both ends, and by the kernel where it is the engine."""
        assert self.has_sas(2)
        before = [self.packets(end) for end in (self.ours, self.theirs)]
        kernel = self.kernel()
        ping(count)
        assert [[a - b for a, b in zip(self.packets(end), was)] for end, was in zip((self.ours, self.theirs), before)] == [
            [count, count]] * 2
        assert kernel_site.grown(kernel, self.kernel()) == (2 * count if self.engine == "xfrm" else 0)

    @staticmethod
    def packets(end):
        return [end.child()[way]["packets"] for way in ("in", "out")]


@pytest.fixture
def ends(guest_lab, engine, request):
    with guest_pair.pairs_of(request, guest_lab, functools.partial(Ends, engine=engine)) as make:
        yield make


def from_guest(lab, target, source=None):
    def ping(count):
        assert lab.guest.answered(target, count, f"-I {source}" if source else "") == count
    return ping


def from_host(host, target):
    def ping(count):
        assert Ping.once(host, target, count=count, interval_s=0.05).lost == 0
    return ping


def test_roadwarrior(guest_lab, ends):
    """The guest gets its inner address from us."""
    pair = ends(dict(left=OURS[4], leftsubnet=OUR_LAN[4], right="%any", rightsourceip="10.9.0.0/24"),
                dict(left=THEIRS[4], leftsourceip="%config", right=OURS[4], rightsubnet=OUR_LAN[4]))
    pair.up(pair.theirs)
    address = pair.theirs.connection()["ike"]["assigned_local"][0]
    assert address.startswith("10.9.0.")
    assert f"inet {address}/32" in guest_lab.guest.run("ip -4 addr show")
    # The kernel's own choice of the source.
    pair.check(from_guest(guest_lab, "10.1.0.10"))
    pair.check(from_host(guest_lab.site, address))
    pair.theirs.down("lab")
    wait_until(lambda: pair.has_sas(0), 5, "the kernel has no SA left")
    assert address not in guest_lab.guest.run("ip -4 addr show")


def test_gateway_with_a_pool(guest_lab, ends):
    """The guest gives us one."""
    pair = ends(dict(left=OURS[4], leftsourceip="%config", right=THEIRS[4], rightsubnet=THEIR_LAN[4]),
                dict(left=THEIRS[4], leftsubnet=THEIR_LAN[4], right="%any", rightsourceip="10.9.0.0/24"))
    pair.up(pair.ours)
    address = pair.theirs.connection()["ike"]["assigned_remote"][0]
    pair.check(from_host(guest_lab.gw, THEIR_HOST[4]))
    pair.check(from_guest(guest_lab, address, THEIR_HOST[4]))


def test_the_guest_moves(guest_lab, ends):
    """MOBIKE: another address, the same SAs."""
    guest = guest_lab.guest
    pair = ends(dict(left=OURS[4], leftsubnet=OUR_LAN[4], right="%any", rightsubnet=THEIR_LAN[4], mobike="yes"),
                dict(left="%any", leftsubnet=THEIR_LAN[4], right=OURS[4], rightsubnet=OUR_LAN[4], mobike="yes"))
    pair.up(pair.theirs)
    pair.check(from_host(guest_lab.site, THEIR_HOST[4]))
    spis = pair.theirs.spis()
    # With the first address of a network Linux takes the others.
    move = lambda old, new: guest.run(f"ip addr del {old}/24 dev vec0; ip addr add {new}/24 dev vec0; "
                                      f"ip route replace default via {OURS[4]}")
    move(THEIRS[4], "192.0.2.19")
    try:
        wait_until(lambda: pair.ours.connection()["ike"]["remote"].startswith("192.0.2.19:"), 15, "we see it move")
        wait_until(lambda: Ping.once(guest_lab.site, THEIR_HOST[4], wait_s=0.5).received, 10, "packets follow")
        assert pair.theirs.spis() == spis
        pair.check(from_host(guest_lab.site, THEIR_HOST[4]))
        if pair.engine == "xfrm":
            assert {s["src"] for s in guest.xfrm_states()} == {"192.0.2.19", OURS[4]}
    finally:
        move("192.0.2.19", THEIRS[4])


def masquerade(lab, ports):
    lab.gw.run(["nft", "-f", "-"], input=f"""
        table ip nat
        delete table ip nat
        table ip nat {{
          chain post {{
            type nat hook postrouting priority srcnat;
            ip saddr 10.1.0.10 oifname "tap0" meta l4proto udp masquerade to :{ports}
          }}
        }}""")
    lab.gw.run(["conntrack", "-F"], check=False)


def test_behind_nat(guest_lab, ends):
    """Our Cygnet is behind a NAT, which forgets its mapping: the guest follows the port from which packets come."""
    lab = guest_lab
    masquerade(lab, "20000-20999")
    lab.site.run("ip addr add 10.8.0.1/32 dev lo")
    try:
        pair = ends(dict(left="10.1.0.10", leftsubnet="10.8.0.1/32", leftsourceip="10.8.0.1", right=THEIRS[4],
                         rightsubnet=THEIR_LAN[4]),
                    dict(left=THEIRS[4], leftsubnet=THEIR_LAN[4], right="%any", rightsubnet="10.8.0.1/32"),
                    host=lab.site)
        pair.up(pair.ours)
        remote = lambda: pair.theirs.connection()["ike"]["remote"]
        assert remote().startswith("192.0.2.2:2")
        pair.check(from_host(lab.site, THEIR_HOST[4]))
        masquerade(lab, "40000-40999")
        wait_until(lambda: Ping.once(lab.site, THEIR_HOST[4], wait_s=0.5).received, 15, "answers find the way")
        pair.check(from_host(lab.site, THEIR_HOST[4]))
        pair.check(from_guest(lab, "10.8.0.1", THEIR_HOST[4]))
        before = pair.theirs.spis()
        pair.ours.rekey("lab")
        wait_until(lambda: pair.theirs.spis() != before and len(pair.ours.children()) == 1, 15, "it is rekeyed")
        wait_until(lambda: pair.has_sas(2), 10, "with nothing left over")
        pair.check(from_host(lab.site, THEIR_HOST[4]))
    finally:
        lab.gw.run("nft delete table ip nat", check=False)
        lab.site.run("ip addr del 10.8.0.1/32 dev lo", check=False)


def test_rekey_under_traffic(guest_lab, ends):
    pair = ends(dict(left=OURS[4], leftsubnet=OUR_LAN[4], right=THEIRS[4], rightsubnet=THEIR_LAN[4]),
                dict(left=THEIRS[4], leftsubnet=THEIR_LAN[4], right=OURS[4], rightsubnet=OUR_LAN[4]))
    pair.up(pair.ours)
    flow = Flow(guest_lab.site, THEIR_HOST[4])
    for end in (pair.ours, pair.theirs):
        before = pair.ours.spis()
        end.rekey("lab")
        wait_until(lambda: pair.ours.spis() != before and len(pair.ours.children()) == 1, 15, "it is rekeyed")
    wait_until(lambda: pair.has_sas(2), 10, "with nothing left over")
    assert flow.stop().lost == 0
    pair.check(from_host(guest_lab.site, THEIR_HOST[4]))


def test_time_is_over(guest_lab, ends):
    """Without rekeying the SAs end by their hard lifetime, at both ends."""
    words = dict(rekey="no", lifetime="20s", rekeymargin="2s")
    pair = ends(dict(left=OURS[4], leftsubnet=OUR_LAN[4], right=THEIRS[4], rightsubnet=THEIR_LAN[4], **words),
                dict(left=THEIRS[4], leftsubnet=THEIR_LAN[4], right=OURS[4], rightsubnet=OUR_LAN[4], **words))
    pair.up(pair.ours)
    pair.check(from_host(guest_lab.site, THEIR_HOST[4]))
    wait_until(lambda: pair.theirs.children() == [] and pair.has_sas(0), 25, "the SAs are over")
    assert Ping.once(guest_lab.site, THEIR_HOST[4], wait_s=0.5).received == 0
    pair.up(pair.ours)
    pair.check(from_host(guest_lab.site, THEIR_HOST[4]))


def test_the_other_connection_takes_over(guest_lab, engine, request):
    """Two connections for the same networks: packets go where there is an SA, and stay there."""
    lab, peers = guest_lab, {"one": OURS[4], "two": "192.0.2.3"}
    subnets = dict(leftsubnet=OUR_LAN[4], rightsubnet=THEIR_LAN[4], **IKE)

    def ours(*names):
        return "".join(conn(name, left=peers[name], leftid="@" + name, right=THEIRS[4], rightid="@guest", **subnets)
                       for name in names)

    lab.gw.add_address("tap0", peers["two"] + "/24")
    with guest_pair.pairs_of(request, lab, guest_pair.GuestPair) as make:
        pair = make()
        a, b = pair.theirs, pair.ours
        a.configure("".join(conn(name, left=peer, leftid="@" + name, right=THEIRS[4], rightid="@guest", auto="start",
                                 **subnets) for name, peer in peers.items()), f"engine={engine}")
        b.configure(ours(*peers))
        pair.start()
        try:
            for name in peers:
                a.wait_state("up", name)
            works = lambda: Ping.once(lab.site, THEIR_HOST[4], wait_s=0.5).received == 1
            sent = lambda name: sum(child["out"]["packets"] for child in a.children(name))
            for gone, stays in (("one", "two"), ("two", "one")):
                b.configure(ours(stays))
                b.reload()
                wait_until(lambda: a.state(gone) != "up", 10, f"{gone} is deleted by its peer")
                wait_until(works, 10, f"{stays} carries the packets")
                b.configure(ours(*peers))
                b.reload()
                wait_until(lambda: a.state(gone) == "up", 60, f"{gone} comes back")
                before = sent(stays)
                from_guest(lab, "10.1.0.10", THEIR_HOST[4])(3)
                assert sent(stays) - before == 3
        finally:
            lab.gw.run(["ip", "address", "del", peers["two"] + "/24", "dev", "tap0"], check=False)
