# SPDX-License-Identifier: Apache-2.0
from common import ESP, gateways
from lab import Capture, Ping
from lab.net import wait_until

_NEIGHBOURS = "icmp6 and (ip6[40] == 135 or ip6[40] == 136)"
_ADVERTISE = """
import socket, struct
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, 58)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
index = socket.if_nametoindex("lan")
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
prefix = struct.pack(">BBBBIII", 3, 4, 64, 0xc0, 3600, 3600, 0) + socket.inet_pton(socket.AF_INET6, "fd01:0:0:0::")
s.sendto(struct.pack(">BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0) + prefix, ("ff02::1", 0, 0, index))
"""


def _addresses(host, device):
    return host.out(["ip", "-6", "address", "show", "dev", device])


def test_neighbours_go_on_in_the_clear(net):
    a, _ = gateways(net, __file__)
    a.up()
    target = net.host_address("b", 6)
    with Capture(net.gw_a, "ipsec0") as device, Capture(net.gw_a, "lan") as lan, Capture(net.gw_a, "wan") as wan:
        for side in ("lan", "wan"):
            net.gw_a.run(["ip", "-6", "neigh", "flush", "dev", side])
        net.host_a.run(["ip", "-6", "neigh", "flush", "dev", "eth0"])
        ping = Ping.once(net.host_a, target, count=5, interval_s=0.2)
        assert ping.lost == 0, ping.text
        assert Ping.once(net.gw_a, "fd01::10", count=2).lost == 0
    assert lan.count(_NEIGHBOURS) >= 2 and wan.count(_NEIGHBOURS) >= 2
    assert device.count(_NEIGHBOURS) == 0, device.lines(_NEIGHBOURS)
    assert wan.count(ESP) >= 10
    assert wan.count("net fd00::/8") == 0, wan.lines("net fd00::/8")


def test_duplicate_addresses_are_found(net):
    a, _ = gateways(net, __file__)
    a.up()
    net.gw_a.sysctl(net__ipv6__conf__lan__accept_dad=1, net__ipv6__conf__all__accept_dad=1)
    net.gw_a.run(["ip", "address", "add", "fd01::77/64", "dev", "lan"])
    wait_until(lambda: "tentative" not in _addresses(net.gw_a, "lan"), 5, "fd01::77 is usable")
    assert "fd01::77/64" in _addresses(net.gw_a, "lan") and "dadfailed" not in _addresses(net.gw_a, "lan")
    assert Ping.once(net.host_a, "fd01::77", count=2).lost == 0
    net.gw_a.run(["ip", "address", "add", "fd01::10/64", "dev", "lan"])
    wait_until(lambda: "dadfailed" in _addresses(net.gw_a, "lan"), 5, "host_a defends its address")


def test_router_advertisements_arrive(net):
    a, _ = gateways(net, __file__)
    a.up()
    net.host_a.sysctl(net__ipv6__conf__eth0__accept_ra=2, net__ipv6__conf__eth0__autoconf=1)
    made = lambda: [line.split()[1].split("/")[0] for line in _addresses(net.host_a, "eth0").splitlines()
                    if "inet6 fd01:" in line and "mngtmpaddr" in line]
    net.gw_a.run(["/usr/bin/python3", "-c", _ADVERTISE])
    wait_until(lambda: bool(made()), 5, "an address made of the advertised prefix")
    assert Ping.once(net.host_a, net.host_address("b", 6), count=3, source=made()[0]).lost == 0
