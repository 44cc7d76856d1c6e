# SPDX-License-Identifier: Apache-2.0
"""Cygnet with strongSwan: messages in fragments, addresses that move under a tunnel (MOBIKE), strongSwan behind NAT."""
import time

import pytest

from lab import Flow, Ping, wait_until
from lab.cygnet import Cygnet, conn
from lab.strongswan import StrongSwan, site_config

from pair import KINDS, Pair


@pytest.mark.parametrize("initiator", KINDS)
def test_messages_in_fragments(net, initiator):
    """The key exchange of MODP-4096 has 512 octets: a rekey of the IKE SA takes two pieces, each way."""
    ike = "aes128gcm16-prfsha256-modp4096"
    pair = Pair(net, ike=ike, ss_ike=ike, **{"fragment-size": "400"}, ss_settings="fragment_size = 400",
                ss_extra="fragmentation = yes")
    pair.up(initiator)
    before = pair.cygnet.connection()["ike"]["spi_i"]
    if initiator == "cygnet":
        pair.cygnet.rekey("lab", "--ike")
    else:
        pair.strongswan.rekey(ike="lab")
    wait_until(lambda: pair.cygnet.connection()["ike"]["spi_i"] != before, 15, "the IKE SA is rekeyed")
    wait_until(lambda: len(pair.strongswan.status()) == 1, 15, "one IKE SA is left")
    for said in ("splitting IKE message", "received fragment #1 of 2", "reassembled fragmented IKE message"):
        pair.strongswan.wait_log(said)
    pair.check_traffic()


def test_fragments_that_strongswan_forces(net):
    """Even the message that fits comes in fragments: accepted all the same."""
    pair = Pair(net, ss_extra="fragmentation = force")
    pair.up("strongswan")
    pair.check_traffic()


def readdress(host, address, router):
    """As a DHCP client does it: the old address goes, then the new one and its route come."""
    host.run("ip -4 addr flush dev wan")
    host.run(f"ip addr add {address}/24 dev wan && ip route add default via {router}")


def settle(pair, before):
    """kernel-libipsec cannot move an SA: strongSwan replaces the child once it has followed."""
    wait_until(lambda: pair.cygnet.spis() != before, 15, "strongSwan replaces the child")
    wait_until(lambda: len(pair.cygnet.children()) == 1, 15, "the old child is gone at Cygnet")
    wait_until(lambda: len(pair.strongswan.installed().get("net", [])) == 1, 15, "the old child is gone at strongSwan")


def test_cygnet_moves(net):
    pair = Pair(net, mobike="yes", dpddelay="2s")
    pair.up("cygnet")
    before, ike = pair.cygnet.spis(), pair.cygnet.connection()["ike"]["spi_i"]
    readdress(net.gw_a, "192.0.2.77", "192.0.2.1")
    wait_until(lambda: "'gw-a' @ 192.0.2.77[" in pair.strongswan.status()[0]["text"], 20, "strongSwan follows")
    settle(pair, before)
    pair.check_traffic()
    assert pair.cygnet.connection()["ike"]["spi_i"] == ike
    assert pair.cygnet.connection()["ike"]["local"].startswith("192.0.2.77")


def test_strongswan_moves(net):
    net.gw_b.run("ip -6 addr flush dev wan")  # or strongSwan prefers that path
    pair = Pair(net, mobike="yes", right="%any", ss_extra="mobike = yes")
    pair.up("strongswan")
    before, ike = pair.cygnet.spis(), pair.cygnet.connection()["ike"]["spi_i"]
    readdress(net.gw_b, "198.51.100.77", "198.51.100.1")
    wait_until(lambda: pair.cygnet.connection()["ike"]["remote"].startswith("198.51.100.77"), 20, "Cygnet follows")
    settle(pair, before)
    pair.check_traffic()
    assert pair.cygnet.connection()["ike"]["spi_i"] == ike


def test_nat_appears(net):
    """Liveness carries NAT detection: Cygnet learns from the answer that it is seen elsewhere, and says so."""
    pair = Pair(net, mobike="yes", dpddelay="2s")
    pair.up("cygnet")
    before, ike = pair.cygnet.spis(), pair.cygnet.connection()["ike"]["spi_i"]
    net.set_nat("20000-20999")
    net.router.run(["conntrack", "-F"])
    wait_until(lambda: f"'gw-a' @ {net.seen_as('a')}[20" in pair.strongswan.status()[0]["text"], 20,
               "strongSwan sees the NAT")
    settle(pair, before)
    pair.check_traffic()
    assert pair.cygnet.connection()["ike"]["spi_i"] == ike


def test_strongswan_behind_nat(nat_net):
    """The places are changed: strongSwan is the one behind the router. Rekeys by us find it, and so do packets once the
    router has forgotten its mapping. Without MOBIKE: with it strongSwan speaks of a new mapping only where it has
    looked for one before, whenever that is."""
    net = nat_net
    ike, esp = "aes128gcm16-prfsha256-ecp256", "aes128gcm16"
    ours, theirs = Cygnet(net.gw_b), StrongSwan(net.gw_a)
    ours.configure(conn(left=net.wan("b"), leftid="@gw-b", leftsubnet=net.lan("b"), right="%any", rightid="@gw-a",
                        rightsubnet=net.lan("a"), ike=ike, esp=esp))
    ours.start()
    theirs.start()
    theirs.load(site_config(local=net.wan("a"), remote=net.wan("b"), local_ts=net.lan("a"), remote_ts=net.lan("b"),
                            local_id="gw-a", remote_id="gw-b", ike=ike, esp=esp,
                            extra="mobike = no\ndpd_delay = 1s"))
    theirs.up("net")
    ours.wait_state("up")
    assert ours.connection()["ike"]["nat"] == "remote" and ours.child()["udp_encapsulation"]
    assert ours.connection()["ike"]["remote"].startswith("198.51.100.1:20")
    before = ours.spis()
    flow = Flow(net.host_a, net.host_address("b"))
    ours.rekey("lab")
    wait_until(lambda: ours.spis() != before, 10, "the child is rekeyed")
    time.sleep(0.3)
    account = flow.stop()
    assert account.sent > 20 and account.lost == 0, account.text
    before = ours.spis()
    net.rebind_nat("40000-40999")
    Ping.until_answered(net.host_a, net.host_address("b"), 10)
    assert ours.spis() == before
    # IKE follows its next exchange; then ours go there.
    wait_until(lambda: ours.connection()["ike"]["remote"].startswith("198.51.100.1:40"), 10, "we see the new mapping")
    ours.rekey("lab")
    wait_until(lambda: ours.spis() != before and len(ours.children()) == 1, 10, "the child is rekeyed again")
    assert Ping.once(net.host_b, net.host_address("a"), count=3, interval_s=0.05).lost == 0
