# SPDX-License-Identifier: Apache-2.0
import pytest

from lab import Ping, SlowTransfer, transfer, wait_until
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


@pytest.mark.parametrize("mobike", ["yes", "no"])
def test_rebinding_under_a_file(nat_net, mobike):
    net = nat_net
    a, b = gateways(net, __file__, start=False)
    for daemon in (b, a):
        daemon.conf.write_text(daemon.conf.read_text() + f"\tmobike={mobike}\n")
        daemon.start()
    a.up()
    spis, file = a.spis(), SlowTransfer(net)
    assert b.connection()["ike"]["remote"].startswith("198.51.100.1:20")
    net.rebind_nat("40000-40999")
    file.check()
    assert a.spis() == spis  # the same SAs, at another port
    wait_until(lambda: b.connection()["ike"]["remote"].startswith("198.51.100.1:40"), 10, "gw_b knows the other port")


def test_rebinding_without_traffic(nat_net):
    """The far side alone talks: it can only wait for gw_a's keepalive or liveness check."""
    net = nat_net
    a, b = gateways(net, __file__)
    a.up()
    net.rebind_nat("40000-40999")
    wait_until(lambda: Ping.once(net.host_b, net.host_address("a"), wait_s=0.5).received, 30,
               "host_b reaches host_a through the new mapping")
