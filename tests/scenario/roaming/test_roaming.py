# SPDX-License-Identifier: Apache-2.0
from lab import SlowTransfer, wait_until
from common import gateways

def begin(net):
    a, b = gateways(net, __file__)
    a.up()
    assert a.connection()["ike"]["remote"].endswith(":4500")
    return a, b, a.spis(), SlowTransfer(net)


def seen_by(b, start):
    wait_until(lambda: b.connection()["ike"]["remote"].startswith(start), 10, f"gw_b sees gw_a at {start}")


def answers_arrive(a):
    before = a.child()["in"]["packets"]
    wait_until(lambda: a.child()["in"]["packets"] > before + 5, 10, "the other end's packets reach gw_a")


def readdress(net, address):
    """As a DHCP client does it: the old address goes, then the new one and its route come."""
    net.gw_a.run("ip -4 addr flush dev wan")
    if address:
        net.gw_a.run(f"ip addr add {address}/24 dev wan && ip route add default via 192.0.2.1")


def test_new_address(net):
    a, b, spis, transfer = begin(net)
    readdress(net, "192.0.2.77")
    seen_by(b, "192.0.2.77")
    transfer.check()
    assert a.spis() == spis and a.connection()["ike"]["local"].startswith("192.0.2.77")


def test_nat_appears_forgets_and_goes(net):
    a, b, spis, transfer = begin(net)
    net.block("meta l4proto esp")  # as NATs do; else who sends first after the flush decides whether ESP passes
    net.set_nat("20000-20999")
    net.router.run(["conntrack", "-F"])
    seen_by(b, "198.51.100.1:20")
    wait_until(lambda: a.child()["udp_encapsulation"] and b.child()["udp_encapsulation"], 10, "ESP is in UDP")
    # ESP follows at once, by its packets; IKE when it has something to say.
    net.rebind_nat("40000-40999")
    answers_arrive(a)
    net.unblock()
    net.no_nat()
    answers_arrive(a)
    transfer.check()
    seen_by(b, "192.0.2.2")
    wait_until(lambda: not (a.child()["udp_encapsulation"] or b.child()["udp_encapsulation"]), 10, "ESP is bare again")
    assert a.spis() == spis and a.connection()["ike"]["nat"] == b.connection()["ike"]["nat"] == "none"


def test_to_ipv6_and_back(net):
    a, b, spis, transfer = begin(net)
    readdress(net, None)
    seen_by(b, "[2001:db8:a::2]")
    readdress(net, "192.0.2.2")
    net.gw_a.run("ip -6 addr flush dev wan scope global")
    seen_by(b, "192.0.2.2")
    transfer.check()
    assert a.spis() == spis
