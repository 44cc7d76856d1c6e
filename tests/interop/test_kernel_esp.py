# SPDX-License-Identifier: Apache-2.0
"""Cygnet with the Linux kernel's own ESP: plain protocol 50, in User-Mode Linux.

    site ---- gw (Cygnet) ---- tap0 ---- guest (strongSwan 6, kernel ESP) : inner0
  10.1.0.10   10.1.0.1|192.0.2.2       192.0.2.9             10.2.0.10
  fd01::10    fd01::1|2001:db8:a::2    2001:db8:a::9         fd02::10

One guest serves the whole file; each test loads a connection of its own. SA counters on both
sides must agree: a ping alone can pass in the clear.
"""
import pytest

from lab import Capture, Flow, Lab, Ping, wait_until
from lab.cygnet import Cygnet, conn
from lab.strongswan import site_config
from lab.uml import GuestStrongSwan, Uml

OURS = {4: "192.0.2.2", 6: "2001:db8:a::2"}
THEIRS = {4: "192.0.2.9", 6: "2001:db8:a::9"}
OUR_LAN = {4: "10.1.0.0/24", 6: "fd01::/64"}
THEIR_LAN = {4: "10.2.0.0/24", 6: "fd02::/64"}
THEIR_HOST = {4: "10.2.0.10", 6: "fd02::10"}
INITIATORS = ("cygnet", "kernel")


@pytest.fixture(scope="module")
def guest_lab():
    with Lab("kernel-esp") as lab:
        gw, site = lab.host("gw"), lab.host("site")
        guest = Uml(gw, [f"{THEIRS[4]}/24", f"{THEIRS[6]}/64"], [OURS[4], OURS[6]],
                    ["10.2.0.10/24", "fd02::10/64"])
        gw.add_address("tap0", f"{OURS[4]}/24")
        gw.add_address("tap0", f"{OURS[6]}/64")
        lab.link(gw, "lan", site, "eth0")
        gw.add_address("lan", "10.1.0.1/24")
        gw.add_address("lan", "fd01::1/64")
        site.add_address("eth0", "10.1.0.10/24")
        site.add_address("eth0", "fd01::10/64")
        site.route("default", via="10.1.0.1")
        site.route("::/0", via="fd01::1")
        gw.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        lab.gw, lab.site, lab.guest = gw, site, guest
        lab.peer = GuestStrongSwan(guest)
        yield lab
        guest.poweroff()


class Tunnel:
    """Cygnet on gw and the guest's strongSwan, loaded with one matching connection."""

    count = 0

    def __init__(self, lab, outer=4, inner=4, esp="aes128gcm16", mode="tunnel", **words):
        Tunnel.count += 1
        self.lab, self.outer, self.inner = lab, outer, inner
        self.cygnet = Cygnet(lab.gw, f"cygnet{Tunnel.count}")
        transport = mode == "transport"
        subnets = dict(leftsubnet=None if transport else OUR_LAN[inner],
                       rightsubnet=None if transport else THEIR_LAN[inner])
        self.cygnet.configure(conn(
            "lab", left=OURS[outer], right=THEIRS[outer], leftid="@ours", rightid="@theirs",
            esp=esp, ike="aes128gcm16-prfsha256-ecp256", type=mode, **{**subnets, **words}))
        lab.peer.load(site_config(
            local=THEIRS[outer], remote=OURS[outer], esp=esp, local_id="theirs", remote_id="ours",
            local_ts="dynamic" if transport else THEIR_LAN[inner],
            remote_ts="dynamic" if transport else OUR_LAN[inner],
            child_extra=f"mode = {mode}\n replay_window = 64"))
        self.cygnet.start()

    def up(self, initiator):
        if initiator == "cygnet":
            self.cygnet.up("lab")
        else:
            self.lab.peer.up("net")
            self.cygnet.wait_state("up")

    def counters(self):
        """Packets (to the guest, from the guest) by the kernel's SAs and by Cygnet's."""
        out, back = self.cygnet.child()["out"]["packets"], self.cygnet.child()["in"]["packets"]
        states = self.lab.guest.xfrm_states()
        ours, theirs = OURS[self.outer], THEIRS[self.outer]
        return {"cygnet": (out, back),
                "kernel": (sum(s["packets"] for s in states if s["src"] == ours),
                           sum(s["packets"] for s in states if s["src"] == theirs))}

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


def check(tunnel, count=3, target=None):
    source = tunnel.lab.gw if target else tunnel.lab.site
    before = tunnel.counters()
    with Capture(tunnel.lab.gw, "tap0", "not arp and not icmp6") as wire:
        ping = Ping.once(source, target or THEIR_HOST[tunnel.inner], count=count, interval_s=0.05)
    assert ping.lost == 0, ping.text
    after = tunnel.counters()
    for side in ("cygnet", "kernel"):
        assert [after[side][i] - before[side][i] for i in (0, 1)] == [count, count], side
    protocol = "ip proto 50" if tunnel.outer == 4 else "ip6 proto 50"
    assert wire.count(protocol) == 2 * count
    assert wire.count("icmp") == 0


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("esp", ["aes128gcm16", "aes256gcm16-esn", "chacha20poly1305",
                                 "aes128-sha256", "aes256-sha512", "aes192-sha384-esn",
                                 "null-sha256"])
def test_algorithm(tunnel, esp, initiator):
    t = tunnel(esp=esp)
    t.up(initiator)
    states = t.lab.guest.xfrm_states()
    assert len(states) == 2 and not any(s["encap"] for s in states)
    assert all(("esn" in s["text"]) == esp.endswith("esn") for s in states)
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


@pytest.mark.parametrize("who", INITIATORS)
def test_rekey_under_traffic(tunnel, who):
    t = tunnel()
    t.up("cygnet")
    before = t.cygnet.spis()
    flow = Flow(t.lab.site, THEIR_HOST[4])
    if who == "cygnet":
        t.cygnet.rekey("lab")
    else:
        t.lab.peer.rekey(child="net")
    wait_until(lambda: t.cygnet.spis() != before, 10, "the child is rekeyed")
    wait_until(lambda: len(t.cygnet.children()) == 1, 15, "the old child is gone")
    assert flow.stop().lost == 0
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
