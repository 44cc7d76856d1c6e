# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

from lab import Capture, Flow, Ping, wait_until
from lab.cygnet import Cygnet, conn
from common import cygnet

_HERE = pathlib.Path(__file__).resolve().parent


@pytest.mark.parametrize("conf,source", [("gw_a.conf", "10.1.0.1"), ("gw_a_own.conf", "10.1.0.77")])
def test_source_address(net, conf, source):
    cygnet(net.gw_b, _HERE, "gw_b.conf")
    a = cygnet(net.gw_a, _HERE, conf)
    a.up()
    assert f"src {source}" in net.gw_a.out(["ip", "route", "get", net.host_address("b")])
    with Capture(net.host_b, "eth0", "icmp") as seen:
        assert Ping.once(net.gw_a, net.host_address("b"), count=2).lost == 0
    assert seen.count(f"src host {source}") == 2
    a.stop()
    addresses = net.gw_a.out(["ip", "addr"])
    assert "10.1.0.77" not in addresses and "10.1.0.1/24" in addresses


def test_an_address_that_goes_takes_no_routes_along(net):
    """The device's only IPv4 address comes and goes with one connection; the other one's packets never notice."""
    road = dict(left=net.wan("a"), right=net.wan("b"), leftid="@road", rightid="@gw-b")
    site = dict(left=net.wan("a"), leftsubnet=net.lan("a"), right=net.wan("b"), rightsubnet=net.lan("b"), leftid="@gw-a",
                rightid="@gw-b")
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    a.configure(conn("site", **site) + conn("road", **road, leftsourceip="%config", rightsubnet="10.7.0.0/24"))
    b.configure(conn("site", **site) + conn("road", **{**road, "left": "%any"}, leftsourceip="10.9.0.0/24",
                                            rightsubnet="10.7.0.0/24"))
    a.start()
    b.start()
    a.up("site")
    flow = Flow(net.host_a, net.host_address("b"))
    with Capture(net.gw_a, "wan", "icmp or net 10.1.0.0/24") as clear:
        for _ in range(5):
            a.up("road")
            assert "10.9.0." in net.gw_a.out(["ip", "-4", "addr", "show", "dev", "ipsec0"])
            a.down("road")
            assert "10.9.0." not in net.gw_a.out(["ip", "-4", "addr", "show", "dev", "ipsec0"])
        assert flow.stop().lost == 0
    assert clear.count("icmp or net 10.1.0.0/24") == 0
    assert "routes were gone" not in a.read_log()


def test_the_source_follows_the_address_of_the_local_network(net):
    """Another address by DHCP: packets of the gateway's own have it; and without any, routes that are taken away come back."""
    pair = dict(left=net.wan("a"), leftsubnet=net.lan("a"), right=net.wan("b"), rightsubnet=net.lan("b"), leftid="@gw-a",
                rightid="@gw-b")
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    for daemon in (a, b):
        daemon.configure(conn("lab", **pair))
        daemon.start()
    a.up()
    routes = lambda: net.gw_a.out(["ip", "route", "show", "table", "4359"], check=False)
    assert "src 10.1.0.1 " in routes()
    net.gw_a.run(["ip", "addr", "del", "10.1.0.1/24", "dev", "lan"])
    net.gw_a.run(["ip", "addr", "add", "10.1.0.2/24", "dev", "lan"])
    wait_until(lambda: "src 10.1.0.2 " in routes(), 5, "the route has the new source")
    assert Ping.once(net.gw_a, net.host_address("b"), count=2).lost == 0
    net.gw_a.run(["ip", "addr", "del", "10.1.0.2/24", "dev", "lan"])
    net.gw_a.run(["ip", "route", "flush", "table", "4359"])
    wait_until(lambda: "10.2.0.0/24 dev ipsec0" in routes(), 5, "the route is there again")
    assert "dev ipsec0" in net.gw_a.out(["ip", "route", "get", net.host_address("b")])


def test_a_reload_changes_source_and_mtu(net):
    b = cygnet(net.gw_b, _HERE, "gw_b.conf")
    a = cygnet(net.gw_a, _HERE, "gw_a_own.conf", start=False)
    a.conf.write_text(a.conf.read_text().replace("auto=add", "auto=ondemand"))
    a.start()
    a.up()
    a.conf.write_text(a.conf.read_text().replace("10.1.0.77", "10.1.0.78") + "\tmtu=1300\n")
    assert a.json("reload")["changed"] == ["lab"]
    addresses = lambda: net.gw_a.out(["ip", "-4", "addr", "show", "dev", "ipsec0"])
    wait_until(lambda: "10.1.0.78/32" in addresses() and "10.1.0.77" not in addresses(), 5, "the address is the new one")
    route = lambda: net.gw_a.out(["ip", "route", "show", "table", "4359"], check=False)
    wait_until(lambda: "src 10.1.0.78" in route() and "mtu 1300" in route(), 5, "so is the route")
    a.up()
    assert Ping.once(net.gw_a, net.host_address("b"), count=2).lost == 0
