# SPDX-License-Identifier: Apache-2.0
"""Cygnet with the Linux kernel's own ESP: plain protocol 50, in User-Mode Linux.

The IKE peer is strongSwan 6 (see kernel_site.py for the hosts). One guest serves the whole file;
each test loads a connection of its own. SA counters on both sides must agree: a ping alone can
pass in the clear.
"""
import pytest

from lab import Capture, Flow, Ping, wait_until
from lab.cygnet import Cygnet, conn
from lab.strongswan import site_config
from lab.uml import GuestStrongSwan

import kernel_site
from kernel_site import OUR_LAN, OURS, THEIR_HOST, THEIR_LAN, THEIRS

INITIATORS = ("cygnet", "kernel")


@pytest.fixture(scope="module")
def guest_lab():
    with kernel_site.running("kernel-esp") as lab:
        lab.peer = GuestStrongSwan(lab.guest)
        yield lab


class Tunnel:
    """Cygnet on gw and the guest's strongSwan, loaded with one matching connection."""

    count = 0

    def __init__(self, lab, outer=4, inner=4, esp="aes128gcm16", mode="tunnel", ipcomp=False, ah=None, setup="", **words):
        Tunnel.count += 1
        self.lab, self.outer, self.inner = lab, outer, inner
        self.cygnet = Cygnet(lab.gw, f"cygnet{Tunnel.count}")
        transport = mode == "transport"
        subnets = dict(leftsubnet=None if transport else OUR_LAN[inner],
                       rightsubnet=None if transport else THEIR_LAN[inner])
        self.cygnet.configure(conn(
            "lab", left=OURS[outer], right=THEIRS[outer], leftid="@ours", rightid="@theirs",
            ike="aes128gcm16-prfsha256-ecp256", type=mode, **({"ah": ah} if ah else {"esp": esp}),
            **{**subnets, **words}), setup=setup)
        lab.peer.load(site_config(
            local=THEIRS[outer], remote=OURS[outer], esp=esp, local_id="theirs", remote_id="ours",
            local_ts="dynamic" if transport else THEIR_LAN[inner],
            remote_ts="dynamic" if transport else OUR_LAN[inner],
            child_extra=f"mode = {mode}\n replay_window = 64\n ipcomp = {'yes' if ipcomp else 'no'}").replace(
                f"esp_proposals = {esp}", f"ah_proposals = {ah}" if ah else f"esp_proposals = {esp}"))
        self.cygnet.start()

    def up(self, initiator):
        if initiator == "cygnet":
            self.cygnet.up("lab")
        else:
            self.lab.peer.up("net")
            self.cygnet.wait_state("up")

    def counters(self):
        return kernel_site.counters(self.lab, self.cygnet)

    def close(self):
        self.lab.peer.down("lab")
        self.cygnet.stop()


@pytest.fixture
def tunnel(guest_lab, request):
    made = []

    def make(**words):
        made.append(Tunnel(guest_lab, **words))
        return made[-1]

    yield make
    for t in made:
        if getattr(request.node, "call_failed", True):
            print(t.cygnet.read_log()[-4000:])
        t.close()


def check(t, target=None):
    kernel_site.check(t.lab, t.cygnet, t.outer, t.inner, target=target)


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("esp", ["aes128gcm16", "aes256gcm16-esn", "chacha20poly1305",
                                 "aes128-sha256", "aes256-sha512", "aes192-sha384-esn",
                                 "null-sha256"])
def test_algorithm(tunnel, esp, initiator):
    t = tunnel(esp=esp)
    t.up(initiator)
    states = t.lab.guest.xfrm_states()
    assert len(states) == 2 and not any(s["encap"] for s in states)
    assert all(s["esn"] == esp.endswith("esn") for s in states)
    check(t)


@pytest.mark.parametrize("esp", ["aes128ctr-sha256", "aes256ctr-aescmac-esn", "aes128ccm16", "aes256ccm12-esn", "aes128ccm8",
                                 "aes128gcm8", "aes256gcm12-esn", "aes128gmac", "aes256gmac-esn",
                                 "aes128-aesxcbc", "camellia256-sha256", "3des-md5", "aes128-sha1"])
def test_seldom_algorithm(tunnel, esp):
    t = tunnel(esp=esp, weak_algorithms="yes")
    t.up("cygnet")
    states = t.lab.guest.xfrm_states()
    assert len(states) == 2 and all(s["esn"] == esp.endswith("esn") for s in states)
    check(t)


@pytest.mark.parametrize("outer,inner", [(6, 6), (4, 6), (6, 4)])
def test_families(tunnel, outer, inner):
    t = tunnel(outer=outer, inner=inner)
    t.up("cygnet")
    check(t)


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("family", [4, 6])
def test_transport_mode(tunnel, family, initiator):
    t = tunnel(mode="transport", outer=family)
    t.up(initiator)
    assert {s["mode"] for s in t.lab.guest.xfrm_states()} == {"transport"}
    check(t, target=THEIRS[family])


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "ipcomp"])
@pytest.mark.parametrize("who", INITIATORS)
def test_rekey_under_traffic(tunnel, who, compressed):
    """With IPComp the kernel's SAs are two, which it gets one after the other: what leaves between has the CPI of one child
    inside the SPI of the other."""
    t = tunnel(ipcomp=True, compress="yes") if compressed else tunnel()
    t.up("cygnet")
    flow = Flow(t.lab.site, THEIR_HOST[4], size=500)
    for _ in range(3 if compressed else 1):
        before = t.cygnet.spis()
        if who == "cygnet":
            t.cygnet.rekey("lab")
        else:
            t.lab.peer.rekey(child="net")
        wait_until(lambda: t.cygnet.spis() != before, 10, "the child is rekeyed")
        wait_until(lambda: len(t.cygnet.children()) == 1, 15, "the old child is gone")
    account = flow.stop()
    assert account.lost == 0, (account.text, t.cygnet.drops())
    check(t)


def test_forced_encapsulation(tunnel):
    t = tunnel(encapsulation="yes")
    t.up("cygnet")
    states = t.lab.guest.xfrm_states()
    assert len(states) == 2 and all(s["encap"] for s in states)
    before = t.counters()
    assert Ping.once(t.lab.site, THEIR_HOST[4], count=3).lost == 0
    after = t.counters()
    assert all(after[s][i] - before[s][i] == 3 for s in after for i in (0, 1))


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("mode,family", [("tunnel", 4), ("tunnel", 6), ("transport", 4), ("transport", 6)])
@pytest.mark.parametrize("udp", (False, True), ids=("plain", "udp"))
def test_ipcomp(tunnel, mode, family, udp, initiator):
    """Large pings of one repeated octet shrink, in each direction, and the kernel's IPComp agrees; small ones go as they
    are. Both ends' SAs count all of them."""
    t = tunnel(mode=mode, outer=family, inner=family, ipcomp=True, compress="yes", **({"encapsulation": "yes"} if udp else {}))
    t.up(initiator)
    transport = mode == "transport"
    host, target = (t.lab.gw, THEIRS[family]) if transport else (t.lab.site, THEIR_HOST[family])
    compressed = lambda: {s["src"]: s["packets"] for s in t.lab.guest.xfrm_states() if s["protocol"] == "comp"}
    esp = ("ip" if family == 4 else "ip6") + (" and udp port 4500" if udp else " proto 50")
    for size, expanded in ((1000, 3), (20, 0)):
        t.cygnet.wait_route(target)
        before, comp_before = t.counters(), compressed()
        with Capture(t.lab.gw, "tap0", "not arp") as wire:
            ping = Ping.once(host, target, count=3, interval_s=0.05, size=size)
        assert ping.lost == 0, ping.text
        # IKE on this port does not come near to it.
        assert (wire.count(f"{esp} and greater 500"), wire.count("icmp or icmp6 and ip6[40] >= 128 and ip6[40] <= 129")) == (0, 0)
        after, comp_after = t.counters(), compressed()
        assert all(after[s][i] - before[s][i] == 3 for s in after for i in (0, 1)), (before, after)
        assert comp_after[OURS[family]] - comp_before[OURS[family]] == expanded
        assert comp_after[THEIRS[family]] - comp_before[THEIRS[family]] == 3  # what does not shrink passes through it


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("ah,mode,family", [("sha256", "tunnel", 4), ("sha512-esn", "tunnel", 6),
                                            ("sha384", "transport", 4), ("sha256", "transport", 6)])
def test_ah(tunnel, ah, mode, family, initiator):
    """AH negotiated by IKEv2; strongSwan has the kernel pad it as RFC 4302 says."""
    t = tunnel(mode=mode, outer=family, inner=family, ah=ah)
    t.up(initiator)
    assert "proto ah" in t.lab.guest.run("ip xfrm state")
    before = t.counters()
    transport = mode == "transport"
    with Capture(t.lab.gw, "tap0", "not arp") as wire:
        ping = Ping.once(t.lab.gw if transport else t.lab.site, THEIRS[family] if transport else THEIR_HOST[family],
                         count=3, interval_s=0.05)
    assert ping.lost == 0, ping.text
    assert wire.count(("ip" if family == 4 else "ip6") + " proto 51") == 6
    after = t.counters()
    assert all(after[s][i] - before[s][i] == 3 for s in after for i in (0, 1))


@pytest.mark.parametrize("outer", [4, 6])
def test_past_our_stack(tunnel, outer):
    """esp-path=xdp: what AF_XDP writes the kernel's ESP takes, and the other way round; both count the same."""
    t = tunnel(outer=outer, setup="esp-path=xdp")
    t.up("cygnet")

    def by_xdp():
        return next(((i["packets_in"], i["packets_out"]) for i in t.cygnet.json("status")["esp_interfaces"]
                     if i["name"] == "tap0"), None)

    Ping.until_answered(t.lab.site, THEIR_HOST[4])
    wait_until(by_xdp, 5, "XDP has tap0")
    before, xdp_before = t.counters(), by_xdp()
    for size in (0, 1000, 1350, 4000):
        ping = Ping.once(t.lab.site, THEIR_HOST[4], count=10, interval_s=0.02, size=size)
        assert ping.received == 10, ping.text
    after, xdp_after = t.counters(), by_xdp()
    ways = [after["cygnet"][i] - before["cygnet"][i] for i in (0, 1)]
    assert ways == [80, 40]
    assert [after["kernel"][i] - before["kernel"][i] for i in (0, 1)] == ways
    # The kernel cuts its ten large ESP packets: fragments come by the socket, put together.
    assert xdp_after[0] - xdp_before[0] == 30
    # A packet every two seconds goes by the socket.
    assert ways[0] - 8 <= xdp_after[1] - xdp_before[1] <= ways[0]
