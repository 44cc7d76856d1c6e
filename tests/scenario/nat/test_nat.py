# SPDX-License-Identifier: Apache-2.0
from lab import Ping, transfer, wait_until
from common import check_once_everywhere, gateways


def test_behind_nat(nat_net):
    net = nat_net
    a, b = gateways(net, __file__)
    a.up()
    wire = check_once_everywhere(net, a)
    assert wire.count("udp port 4500 and greater 120") == 10
    assert wire.count("ip proto 50") == 0
    assert a.child()["udp_encapsulation"] and b.child()["udp_encapsulation"]
    assert (a.connection()["ike"]["nat"], b.connection()["ike"]["nat"]) == ("local", "remote")
    assert Ping.once(net.host_b, net.host_address("a"), count=3).lost == 0
    sent, received, _ = transfer(net.host_b, net.host_a, net.host_address("a"), 10)
    assert sent == received


def test_rebinding_with_traffic_from_inside(nat_net):
    net = nat_net
    a, b = gateways(net, __file__)
    a.up()
    assert Ping.once(net.host_a, net.host_address("b")).received == 1
    spis = a.spis()
    net.rebind_nat("40000-40999")
    Ping.until_answered(net.host_a, net.host_address("b"), 10)
    assert a.spis() == spis  # the same SAs, at another port
    port = b.connection()["ike"]["remote"].rsplit(":", 1)[-1]
    assert 40000 <= int(port) <= 40999


def test_rebinding_without_traffic(nat_net):
    """The far side alone talks: it can only wait for gw_a's keepalive or liveness check."""
    net = nat_net
    a, b = gateways(net, __file__)
    a.up()
    net.rebind_nat("40000-40999")
    wait_until(lambda: Ping.once(net.host_b, net.host_address("a"), wait_s=0.5).received, 30,
               "host_b reaches host_a through the new mapping")
