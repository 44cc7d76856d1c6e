# SPDX-License-Identifier: Apache-2.0
import pytest

from lab import Capture, Ping, wait_until
from lab.cygnet import Cygnet, conn
from common import CLEAR

TABLE = "table 4359"


def ends(net, family=4):
    """The words of a connection between the two LANs, which the router would carry in the clear as well."""
    for site in ("a", "b"):
        net.router.route(net.lan(site, family), via=net.wan(site, family))
    return dict(left=net.wan("a"), leftsubnet=net.lan("a", family), right=net.wan("b"),
                rightsubnet=net.lan("b", family), leftid="@a", rightid="@b")


def test_devices_born_without_ipv6_carry_ipv6(net):
    words = ends(net, 6)
    net.gw_a.run("sysctl -w net.ipv6.conf.default.disable_ipv6=1")
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    a.configure(conn("lab", **words, auto="start"))
    b.configure(conn("lab", **words))
    b.start()
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        a.start()
        Ping.until_answered(net.host_a, net.host_address("b", 6))
        assert f"{net.lan('b', 6)} dev ipsec0" in net.gw_a.out(f"ip -6 route show {TABLE}")
        assert "net.ipv6.conf.default.disable_ipv6" in a.wait_log("ipsec0 had no IPv6")
        # A script that switches it off everywhere, later.
        net.gw_a.run("sysctl -w net.ipv6.conf.ipsec0.disable_ipv6=1")
        wait_until(lambda: Ping.once(net.host_a, net.host_address("b", 6), wait_s=0.5).received, 10, "it is on again")
    assert clear.count() == 0, clear.lines()[:5]


def test_a_child_whose_route_is_refused_is_taken_down(net):
    words = ends(net, 6)
    # The device gets no IPv6, and nobody can change that.
    net.gw_a.run("sysctl -w net.ipv6.conf.default.disable_ipv6=1; mount --bind /proc/sys /proc/sys; "
                 "mount -o remount,bind,ro /proc/sys")
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    a.configure(conn("lab", **words, auto="add"))
    b.configure(conn("lab", **words))
    b.start()
    a.start()
    up = a.ctl("up", "lab", check=False)
    assert up.returncode != 0 and net.lan("b", 6) in up.stdout + up.stderr, up.stdout + up.stderr
    refusal = a.wait_log("its tunnel is taken down")
    assert "lab" in refusal.split(net.lan("b", 6))[0] and "Permission denied" in refusal, refusal
    wait_until(lambda: not a.children() and not b.children(), 10, "the child is gone at both ends")
    # What waits for packets has no route either: that is told, and not a single one leaves in the clear.
    a.configure(conn("lab", **words, auto="ondemand"))
    a.reload()
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        assert Ping.once(net.host_a, net.host_address("b", 6), count=3, wait_s=1).received == 0
        net.gw_a.run("mount -o remount,bind,rw /proc/sys")
        Ping.until_answered(net.host_a, net.host_address("b", 6), timeout_s=60)
    assert clear.count() == 0, clear.lines()[:5]
    assert a.state() == "up"


def test_a_network_in_many_pieces_is_one_route(net):
    """The peer agrees to 255 ranges, each of which is 94 prefixes."""
    words = ends(net)
    pieces = lambda site: ",".join(f"fd0{site}:{i:x}::1-fd0{site}:{i:x}::ffff:ffff:fffe" for i in range(255))
    site = words | dict(leftsubnet="fd01::/16", rightsubnet="fd02::/16")
    bank = words | dict(rightid="@bank")
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    a.configure(conn("site", **site, auto="start") + conn("bank", **bank))
    b.configure(conn("site", **site | dict(leftsubnet=pieces(1), rightsubnet=pieces(2))) + conn("bank", **bank))
    b.start()
    a.start()
    a.wait_state("up", "site")
    a.wait_route("fd02:0:0:1::1")
    told = a.wait_log("come in more than 256 pieces")
    listed = [line for line in net.gw_a.out(f"ip -6 route show {TABLE}").splitlines() if "dev ipsec0" in line]
    assert len(listed) == 1 and listed[0].startswith("fd02::/16 "), listed[:5]
    assert "site" in told and "fd02::/16" in told, told
    # What is in no SA is dropped.
    net.router.route("fd02::/16", via=net.wan("b", 6))
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        assert Ping.once(net.host_a, "fd02:0:0:1::1", count=3, wait_s=1).received == 0
        a.up("bank")
        Ping.until_answered(net.host_a, net.host_address("b"))
    assert clear.count() == 0, clear.lines()[:5]
    # A network that was not routed before is not taken from where it is reached for a peer that chose parts of it.
    a.configure(conn("site", **site) + conn("bank", **bank))
    a.reload()
    a.down("site")
    wait_until(lambda: "fd02::" not in net.gw_a.out(f"ip -6 route show {TABLE}"), 5, "its route is gone")
    up = a.ctl("up", "site", check=False)
    assert up.returncode != 0 and "more than 256 pieces" in up.stdout + up.stderr, up.stdout + up.stderr
    assert "fd02::" not in net.gw_a.out(f"ip -6 route show {TABLE}")
    wait_until(lambda: not b.children("site"), 10, "it is gone at the peer, too")


@pytest.mark.parametrize("number, ours_first", [("", True), ("pref 100", False)])
def test_a_rule_before_ours(net, number, ours_first):
    words = ends(net)
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    a.configure(conn("lab", **words, auto="start"))
    b.configure(conn("lab", **words))
    b.start()
    a.start()
    Ping.until_answered(net.host_a, net.host_address("b"))
    gateway = net.gw_a.out("ip route show default").split()[2]
    net.gw_a.run(f"ip route add default via {gateway} dev wan table 100")
    for narrower in ("", f"to {net.lan('b')} "):
        net.gw_a.run(f"ip rule add from {net.lan('a')} {narrower}table 100 {number}")
        told = a.wait_log(f"from {net.lan('a')} {narrower}lookup 100")
        if not ours_first:
            assert "is asked before ours" in told
            assert f"from {net.lan('a')} lookup 100" in a.ctl("doctor", check=False).stdout
            break
        # The number before the first of ours is its own; it is put back before the next one as well.
        def first_is_ours():
            rules = [line for line in net.gw_a.out("ip rule").splitlines() if not line.startswith("0:")]
            return "lookup 4359" in rules[0]
        wait_until(first_is_ours, 5, "our rule is the first one again")
        assert f"from {net.lan('a')} lookup 100" not in a.ctl("doctor", check=False).stdout
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        received = Ping.once(net.host_a, net.host_address("b"), count=3, wait_s=10 if ours_first else 1).received
    assert (clear.count() == 0) == ours_first
    if ours_first:
        assert received == 3
    a.stop()
    assert "4359" not in net.gw_a.out("ip rule")
