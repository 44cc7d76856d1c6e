# SPDX-License-Identifier: Apache-2.0
"""strongSwan on Cygnet's engine: its plugin for the kernel (kernel-netlink) speaks NETLINK_XFRM, and `cygnet wrap` gives
it the engine's. This kernel has no ESP.

     host_a ---- gw_a ------------- router ------------- gw_b ---- host_b
                 strongSwan, engine                      Cygnet, or strongSwan
"""
import re
import time

import pytest

from lab import Capture, Flow, Ping, wait_until
from lab.cygnet import Cygnet, conn, program, wait_route
from lab.strongswan import StrongSwan, site_config

IKE = "aes128gcm16-prfsha256-ecp256"


def wait_routes(net):
    for side, other in ("ab", "ba"):
        wait_route(net.gateway(side), net.host_address(other))


class OnEngine:
    """strongSwan on gw_a, wrapped; its engine is that of a cygnetd without connections."""

    def __init__(self, net, esp="aes128gcm16", local=None, child_extra="", extra="", local_ts=None, remote_ts=None):
        self.net = net
        self.engine = Cygnet(net.gw_a)
        self.engine.configure("", setup="ikeport=1500\nnat-ikeport=4600")
        self.engine.start()
        self.strongswan = StrongSwan(net.gw_a, engine=self.engine)
        self.strongswan.start()
        self.strongswan.load(site_config(
            local=local or net.wan("a"), remote=net.wan("b"), local_ts=local_ts or net.lan("a"),
            remote_ts=remote_ts or net.lan("b"), esp=esp, ike=IKE, local_id="gw-a", remote_id="gw-b",
            child_extra=child_extra, extra=extra))

    def setkey(self, *words):
        return self.net.gw_a.run([program("setkey"), "--run-dir", self.engine.run_dir, *words], check=False).stdout

    def ip_xfrm(self, *words, ip=()):
        return self.net.gw_a.run(self.engine.ctl_command("wrap", "ip", *ip, "xfrm", *words)).stdout

    def ping(self, count=5, up=True):
        if up:
            wait_routes(self.net)
        return Ping.once(self.net.host_a, self.net.host_address("b"), count=count, interval_s=0.05)

    def carried(self):
        child = self.strongswan.child("net")
        return child["in"]["packets"], child["out"]["packets"]


def cygnet_peer(net, **words):
    peer = Cygnet(net.gw_b)
    peer.configure(conn("lab", **{**dict(left=net.wan("b"), right=net.seen_as("a"), leftsubnet=net.lan("b"),
                                         rightsubnet=net.lan("a"), leftid="@gw-b", rightid="@gw-a",
                                         esp="aes128gcm16", ike=IKE), **words}))
    return peer.start()


def counted(peer):
    child = peer.child()
    return child["in"]["packets"], child["out"]["packets"]


def test_tunnel_to_cygnet(net):
    peer = cygnet_peer(net)
    site = OnEngine(net)
    site.strongswan.up("net")
    with Capture(net.gw_a, "wan") as wire:
        ping = site.ping()
    assert ping.lost == 0, ping.text + site.strongswan.read_log()[-3000:]
    assert wire.count("ip proto 50") == 10 and wire.count("net 10.0.0.0/8") == 0
    # Four parties count the same packets: the peer, strongSwan as it asks the engine, and the engine for PF_KEY.
    assert counted(peer) == (5, 5)
    assert site.carried() == (5, 5)
    assert site.setkey("-D").count("allocated: 5") == 2


@pytest.mark.parametrize("esp", ["aes256-sha256", "chacha20poly1305", "aes128-sha512", "null-sha256"])
def test_algorithms(net, esp):
    peer = cygnet_peer(net, esp=esp)
    site = OnEngine(net, esp=esp)
    site.strongswan.up("net")
    assert site.ping().lost == 0
    assert counted(peer) == site.carried() == (5, 5)


def test_the_tools_of_the_kernel_see_it(net):
    peer = cygnet_peer(net)
    site = OnEngine(net)
    site.strongswan.up("net")
    assert site.ping().lost == 0
    child = site.strongswan.child("net")
    states = site.ip_xfrm("state", ip=("-s",))
    assert f"src {net.wan('a')} dst {net.wan('b')}" in states, states
    assert states.count("proto esp spi") == 2 and states.count("rfc4106(gcm(aes))") == 2
    assert states.count("5(packets)") == 2, states
    assert "0x" + "0" * 40 in states  # whose keys these are not
    assert all(f"0x{child[way]['spi']:08x}" in states for way in ("in", "out")), states
    policies = site.ip_xfrm("policy")
    assert policies.count("tmpl src") == 3 and "dir out" in policies, policies
    assert site.ip_xfrm("state", "count").split()[-1] == "2"
    # What a tool removes, strongSwan is told of by nobody; the engine has it no more.
    site.ip_xfrm("state", "flush")
    assert site.setkey("-D") == "No SAD entries.\n"
    peer.stop()


def test_keys_by_ip_xfrm(net):
    """As a script of `ip xfrm` lines for the kernel, on both ends."""
    engines = {}
    for side, gw in (("a", net.gw_a), ("b", net.gw_b)):
        engines[side] = Cygnet(gw)
        engines[side].start()
    key = "0x" + "11" * 20
    for side, gw in (("a", net.gw_a), ("b", net.gw_b)):
        other = "b" if side == "a" else "a"
        wrap = engines[side].ctl_command("wrap", "ip", "xfrm")
        for source, target, spi in (("a", "b", "0x1001"), ("b", "a", "0x1002")):
            gw.run([*wrap, "state", "add", "src", net.wan(source), "dst", net.wan(target), "proto", "esp", "spi", spi,
                    "reqid", "7", "mode", "tunnel", "replay-window", "64", "aead", "rfc4106(gcm(aes))", key, "128"])
        for direction, source, target in (("out", side, other), ("in", other, side), ("fwd", other, side)):
            gw.run([*wrap, "policy", "add", "src", net.lan(source), "dst", net.lan(target), "dir", direction, "tmpl",
                    "src", net.wan(source), "dst", net.wan(target), "proto", "esp", "reqid", "7", "mode", "tunnel"])
    wait_routes(net)
    assert Ping.once(net.host_a, net.host_address("b"), count=4, interval_s=0.05).lost == 0
    shown = net.gw_a.run([*engines["a"].ctl_command("wrap", "ip", "-s", "xfrm"), "state"]).stdout
    assert shown.count("4(packets)") == 2, shown
    again = net.gw_a.run([*engines["a"].ctl_command("wrap", "ip", "xfrm"), "state", "add", "src", net.wan("a"), "dst",
                          net.wan("b"), "proto", "esp", "spi", "0x1001", "reqid", "7", "mode", "tunnel", "aead",
                          "rfc4106(gcm(aes))", key, "128"], check=False)
    assert again.returncode != 0 and "there is an SA with SPI 0x00001001" in again.stderr, again.stderr
    marked = net.gw_a.run([*engines["a"].ctl_command("wrap", "ip", "xfrm"), "state", "add", "src", net.wan("a"), "dst",
                           net.wan("b"), "proto", "esp", "spi", "0x1003", "mark", "5", "mode", "tunnel", "aead",
                           "rfc4106(gcm(aes))", key, "128"], check=False)
    assert marked.returncode != 0 and "marks" in marked.stderr, marked.stderr


def test_to_strongswan_in_udp(net):
    """kernel-libipsec always wants ESP in UDP: the engine shares strongSwan's port 4500."""
    peer = StrongSwan(net.gw_b)
    peer.start()
    peer.load(site_config(local=net.wan("b"), remote=net.wan("a"), local_ts=net.lan("b"), remote_ts=net.lan("a"),
                          ike=IKE, local_id="gw-b", remote_id="gw-a"))
    site = OnEngine(net)
    site.strongswan.up("net")
    with Capture(net.gw_a, "wan") as wire:
        ping = site.ping()
    assert ping.lost == 0, ping.text + site.strongswan.read_log()[-3000:]
    assert wire.count("udp port 4500") >= 10 and wire.count("net 10.0.0.0/8") == 0
    child = peer.child("net")
    assert (child["in"]["packets"], child["out"]["packets"]) == site.carried() == (5, 5)
    # IKE goes on over the same port.
    site.strongswan.rekey(child="net")
    wait_until(lambda: len(peer.installed().get("net", [])) == 1 and peer.child("net")["in"]["spi"] != child["in"]["spi"], 10,
               "the child is rekeyed")
    assert site.ping().lost == 0


def test_nat_in_between(nat_net):
    net = nat_net
    peer = cygnet_peer(net)
    site = OnEngine(net)
    site.strongswan.up("net")
    with Capture(net.gw_b, "wan") as wire:
        ping = site.ping()
    assert ping.lost == 0, ping.text + site.strongswan.read_log()[-3000:]
    assert wire.count("udp portrange 20000-20999 and udp port 4500") >= 10
    assert counted(peer) == site.carried() == (5, 5)


@pytest.mark.parametrize("who", ["strongswan", "cygnet"])
def test_rekey_under_traffic(net, who):
    peer = cygnet_peer(net)
    site = OnEngine(net)
    site.strongswan.up("net")
    spis = lambda: {child["in"]["spi"] for child in site.strongswan.installed().get("net", [])}
    wait_routes(net)
    flow = Flow(net.host_a, net.host_address("b"))
    for _ in range(2):
        time.sleep(0.3)
        before = spis()
        if who == "cygnet":
            peer.rekey("lab")
        else:
            site.strongswan.rekey(child="net")
        wait_until(lambda: spis() - before, 10, "strongSwan has a new child")
    time.sleep(0.5)
    account = flow.stop()
    assert account.sent > 50 and account.lost == 0, account.text[-300:] + site.strongswan.read_log()[-3000:]
    # What was replaced is gone from the engine, once nothing can be under way any more.
    wait_until(lambda: site.setkey("-D").count("E: aes-gcm-16") == 2, 15, "two SAs are left")


def test_delete(net):
    peer = cygnet_peer(net)
    site = OnEngine(net)
    site.strongswan.up("net")
    site.strongswan.down(ike="lab")
    wait_until(lambda: peer.state("lab") != "up", 10, "the peer knows")
    assert site.setkey("-D") == "No SAD entries.\n"
    assert site.setkey("-DP") == "No SPD entries.\n"
    wait_route(net.gw_a, net.host_address("b"), there=False)
    routes = net.gw_a.run("ip route show table 4359; true").stdout
    assert net.lan("b") not in routes, routes


def test_trap_and_acquire(net):
    """A policy alone; the first packet makes the engine ask, and strongSwan set up the tunnel."""
    peer = cygnet_peer(net)
    site = OnEngine(net, child_extra="start_action = trap")
    wait_route(net.gw_a, net.host_address("b"))
    with Capture(net.gw_a, "wan") as wire:
        ping = site.ping(8, up=False)
    assert ping.received >= 6, ping.text + site.strongswan.read_log()[-3000:]
    assert wire.count("net 10.0.0.0/8") == 0
    assert peer.state("lab") == "up"


def test_dead_peer(net):
    peer = cygnet_peer(net)
    site = OnEngine(net, extra="dpd_delay = 1", child_extra="dpd_action = clear")
    site.strongswan.up("net")
    peer.kill_all()
    wait_until(lambda: site.setkey("-D") == "No SAD entries.\n", 30, "strongSwan gives the dead peer's SAs back")
    wait_until(lambda: site.setkey("-DP") == "No SPD entries.\n", 10, "and its policies")


def test_lifetime_expires(net):
    """The engine counts; strongSwan is told by EXPIRE and rekeys."""
    cygnet_peer(net)
    site = OnEngine(net, child_extra="rekey_packets = 20\n life_packets = 1000\n rand_packets = 0")
    site.strongswan.up("net")
    before = site.strongswan.child("net")["in"]["spi"]
    assert site.ping(30).lost == 0
    wait_until(lambda: any(child["in"]["spi"] != before for child in site.strongswan.installed().get("net", [])), 10,
               "the child is rekeyed")
    assert site.ping().lost == 0


def test_transport_mode(net):
    peer = cygnet_peer(net, leftsubnet=None, rightsubnet=None, type="transport")
    site = OnEngine(net, local_ts="dynamic", remote_ts="dynamic", child_extra="mode = transport")
    site.strongswan.up("net")
    wait_route(net.gw_a, net.wan("b"))
    wait_route(net.gw_b, net.wan("a"))
    assert Ping.once(net.gw_a, net.wan("b"), count=5, interval_s=0.05).lost == 0
    assert counted(peer) == site.carried() == (5, 5)


def test_sas_move(net):
    """MOBIKE: strongSwan asks for keys and sequence numbers, takes its SAs away and brings them for the new address."""
    net.gw_a.run("ip -6 addr flush dev wan")  # or strongSwan prefers that path
    peer = cygnet_peer(net, right="%any", mobike="yes")
    site = OnEngine(net, local="%any", extra="mobike = yes")
    site.strongswan.up("net")
    assert site.ping().lost == 0
    before = site.strongswan.child("net")
    net.gw_a.run("ip -4 addr flush dev wan")
    net.gw_a.run("ip addr add 192.0.2.77/24 dev wan && ip route add default via 192.0.2.1")
    wait_until(lambda: peer.connection()["ike"]["remote"].startswith("192.0.2.77"), 20, "Cygnet follows")
    ends = lambda: re.findall(r"(?m)^(\S+) (\S+) ?$", site.setkey("-D"))
    wait_until(lambda: [sorted(pair) for pair in ends()] == [["192.0.2.77", net.wan("b")]] * 2, 10,
               "strongSwan's SAs have the new address")
    ping = site.ping()
    assert ping.lost == 0, ping.text + site.strongswan.read_log()[-3000:]
    after = site.strongswan.child("net")
    assert [after[way]["spi"] for way in ("in", "out")] == [before[way]["spi"] for way in ("in", "out")]
    # No number was sent twice: the peer's replay window took all ten.
    assert counted(peer) == (10, 10)
