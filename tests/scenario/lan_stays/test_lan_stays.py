# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

from lab import Capture, Ping, wait_until
from lab.cygnet import Cygnet, conn
from common import CLEAR, cygnet

_HERE = pathlib.Path(__file__).resolve().parent


@pytest.mark.parametrize("wide", ["", "_ten"])
def test_lan_stays(net, wide):
    cygnet(net.gw_b, _HERE, f"gw_b{wide}.conf")
    a = cygnet(net.gw_a, _HERE, f"gw_a{wide}.conf")
    a.up()
    assert Ping.once(net.host_a, net.host_address("b"), count=3).lost == 0
    used = a.child()["out"]["packets"]
    assert used == 3
    # LAN: from the gateway to its host and back, and to the gateway's own addresses.
    assert Ping.once(net.gw_a, net.host_address("a")).received == 1
    assert Ping.once(net.host_a, "10.1.0.1").received == 1
    assert Ping.once(net.gw_a, "10.1.0.1").received == 1
    assert Ping.once(net.gw_a, "192.0.2.1").received == 1  # the next hop is no LAN of the tunnel
    assert a.child()["out"]["packets"] == used
    # 0.0.0.0/0 covers gw_b itself: reached through the tunnel, while IKE and ESP go around it.
    assert Ping.once(net.gw_a, net.wan("b")).received == 1
    assert a.child()["out"]["packets"] == used + (0 if wide else 1)
    assert Ping.once(net.gw_b, net.host_address("b")).received == 1
    # Explained the same way.
    assert a.json("explain", net.host_address("a"), net.host_address("b"))["verdict"] == "protect"


def _client(net, **words):
    """gw_a as a client of gw_b, for everything."""
    ends = dict(right=net.wan("b"), rightsubnet="0.0.0.0/0", leftid="@road", rightid="@gw-b")
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    a.configure(conn("road", **ends, left=net.wan("a"), leftsourceip="%config", auto="start", **words))
    b.configure(conn("road", **ends, left="%any", leftaddresspool="10.9.0.7", auto="add"))
    b.start()
    a.start()
    Ping.until_answered(net.gw_a, net.host_address("b"))
    return a


def test_a_route_that_the_lan_hands_out_leads_nothing_out_of_the_tunnel(net):
    """As DHCP does it with option 121 and a router of 0.0.0.0, and a router advertisement with the L flag."""
    _client(net)
    with Capture(net.gw_a, "wan", f"arp or {CLEAR}") as clear:
        for wide in ("0.0.0.0/1", net.lan("b"), f"{net.host_address('b')}/32"):
            net.gw_a.run(["ip", "route", "add", wide, "dev", "wan"])
        for _ in range(3):
            assert Ping.once(net.gw_a, net.host_address("b"), count=2, interval_s=0.1).lost == 0
    assert not [line for line in clear.lines() if net.host_address("b") in line], clear.lines()


def test_an_address_makes_no_network_of_the_internet_a_local_one(net):
    """A lease with a mask as wide as the LAN likes: hosts that lie in it are not looked for on the LAN."""
    a = _client(net)
    with Capture(net.gw_a, "wan", "arp or net 203.0.113.0/24") as clear:
        net.gw_a.run(["ip", "addr", "add", "203.0.113.77/24", "dev", "wan"])
        a.wait_log("203.0.113.0/24 (wan) is attached to this machine and is no private network")
        before = a.child("road")["out"]["packets"]
        Ping.once(net.gw_a, "203.0.113.5", count=3, interval_s=0.1, wait_s=1)
        assert a.child("road")["out"]["packets"] >= before + 3
        assert Ping.once(net.gw_a, net.host_address("b"), count=2).lost == 0
        # Its own LAN is private.
        assert Ping.once(net.gw_a, net.host_address("a"), count=2).lost == 0
    assert not [line for line in clear.lines() if "203.0.113.5" in line], clear.lines()


def test_private_networks_stay_outside_as_the_configuration_says(net):
    a = _client(net, **{"local-networks": "no"})
    with Capture(net.gw_a, "wan", f"arp or {CLEAR}") as clear:
        net.gw_a.run(["ip", "addr", "add", "10.2.0.77/16", "dev", "wan"])
        a.wait_log("10.2.0.0/16 (wan) is attached to this machine: with local-networks=no")
        assert Ping.once(net.gw_a, net.host_address("b"), count=3, interval_s=0.1).lost == 0
        assert Ping.once(net.gw_a, net.host_address("a"), wait_s=1).received == 0
    assert not [line for line in clear.lines() if net.host_address("b") in line], clear.lines()
    a.conf.write_text(a.conf.read_text().replace("\tlocal-networks=no\n", ""))
    assert a.json("reload")["changed"] == ["road"]
    a.wait_log("10.2.0.0/16 (wan) is a private network that this machine is attached to: it stays outside")
    wait_until(lambda: Ping.once(net.gw_a, net.host_address("a"), wait_s=0.5).received, 10, "the LAN is back")


@pytest.mark.parametrize("route", ["blackhole 10.1.0.2/32", "10.1.0.2/32 dev shim"])
def test_a_single_hosts_route_takes_no_lan_into_the_tunnel(net, route):
    """A ban, or containers: of the address right after this machine's own."""
    net.gw_a.run("ip link add shim type veth peer name shim2; ip link set shim up; ip link set shim2 up; ip route add " + route)
    _client(net)
    assert Ping.once(net.gw_a, net.host_address("a"), count=2).received == 2


def test_a_network_on_a_link_without_an_address_in_it_is_told(net):
    """Routed containers and other tunnels: whether they stay outside, the administrator says."""
    host = net.host_address("a")
    net.gw_a.run("ip addr del 10.1.0.1/24 dev lan; ip addr add 10.1.0.1/32 dev lan; ip route add 10.1.0.0/24 dev lan")
    a = _client(net)
    assert Ping.once(net.gw_a, host, wait_s=1).received == 0
    told = a.wait_log("10.1.0.0/24 (lan) is on a link, and no address of this machine lies in it")
    way_out = "ip rule add to 10.1.0.0/24 lookup main priority 105"
    assert way_out in told
    assert way_out in a.ctl("doctor", check=False).stdout
    net.gw_a.run(way_out)
    wait_until(lambda: Ping.once(net.gw_a, host, wait_s=0.5).received, 5, "it is outside")
