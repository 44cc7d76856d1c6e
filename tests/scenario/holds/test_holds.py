# SPDX-License-Identifier: Apache-2.0
import pytest

from lab import Capture, Flow, Ping, wait_until
from lab.cygnet import Cygnet, conn
from common import CLEAR

LATE = "192.0.2.77"
IDS = dict(leftid="@gw-a", rightid="@gw-b")


def nothing_leaves(net, count=3):
    """The router knows the way, so what leaves in the clear would be answered."""
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        assert Ping.once(net.host_a, net.host_address("b"), count=count, wait_s=1).received == 0
    assert clear.count() == 0, clear.lines()[:5]


@pytest.fixture
def way(net):
    net.router.route(net.lan("b"), via=net.wan("b"))
    return net


@pytest.mark.parametrize("auto", ["start", "ondemand"])
@pytest.mark.parametrize("ours", ["left", "right"])
def test_an_address_that_comes_later(way, auto, ours):
    """DHCP has not answered yet. The text serves both gateways: the networks tell which of them this is."""
    net = way
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    other = {"left": "right", "right": "left"}[ours]
    ends = {ours: LATE, ours + "subnet": net.lan("a"), ours + "id": "@gw-a",
            other: net.wan("b"), other + "subnet": net.lan("b"), other + "id": "@gw-b"}
    a.configure(conn("site", **ends, auto=auto))
    b.configure(conn("site", **{**ends, ours: "%any"}))
    b.start()
    a.start()
    nothing_leaves(net)
    shown = a.connection("site")
    assert shown["state"] == "waiting"
    assert f"waiting for the address {LATE}" in shown["last_error"]
    assert f"{net.lan('a')} === {net.lan('b')}" in a.ctl("status").stdout
    doctor = a.ctl("doctor", check=False).stdout
    assert f"waiting for the address {LATE}" in doctor
    refused = a.up("site", check=False)
    assert f"waiting for the address {LATE}" in refused
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        net.gw_a.run(["ip", "addr", "add", LATE + "/24", "dev", "wan"])
        Ping.until_answered(net.host_a, net.host_address("b"))
    assert clear.count() == 0, clear.lines()[:5]
    a.wait_state("up", "site")
    assert not a.connection("site")["last_error"]


def test_a_reload_while_the_address_is_away(way):
    """The connection is another one then, and still protects what it says."""
    net = way
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    site = dict(left=net.wan("a"), leftsubnet=net.lan("a"), right=net.wan("b"), rightsubnet=net.lan("b"), **IDS)
    a.configure(conn("site", **site, auto="start"))
    b.configure(conn("site", **site))
    b.start()
    a.start()
    Ping.until_answered(net.host_a, net.host_address("b"))
    wan = net.wan("a") + "/24"
    default = net.gw_a.out(["ip", "route", "show", "default"]).split()
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        net.gw_a.run(["ip", "addr", "add", LATE + "/25", "dev", "wan"])
        net.gw_a.run(["ip", "addr", "del", wan, "dev", "wan"])
        net.gw_a.run(["ip", "route", "replace", *default])
        a.configure(conn("site", **site, auto="start", dpddelay="7s"))
        a.reload()
        Ping.once(net.host_a, net.host_address("b"), count=3, wait_s=1)
        assert f"waiting for the address {net.wan('a')}" in a.connection("site")["last_error"]
        net.gw_a.run(["ip", "addr", "add", wan, "dev", "wan"])
        net.gw_a.run(["ip", "route", "replace", *default])
        Ping.until_answered(net.host_a, net.host_address("b"))
    assert clear.count() == 0, clear.lines()[:5]


def test_two_that_cannot_be_told_apart(way):
    """Only with the addresses of the moment is it seen: the second is not used, and goes on protecting."""
    net = way
    net.router.route("10.7.0.0/24", via=net.wan("b"))
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    one = dict(left="%defaultroute", right=net.wan("b"), leftsubnet=net.lan("a"), rightsubnet="10.7.0.0/24")
    two = dict(left=net.wan("a"), right=net.wan("b"), leftsubnet=net.lan("a"), rightsubnet=net.lan("b"))
    a.configure(conn("one", **one, auto="start") + conn("two", **two, auto="start", authby="null"))
    a.start()
    wait_until(lambda: "different proofs" in (a.connection("two")["last_error"] or ""), 5, "it says why")
    assert a.state("two") == "waiting"
    nothing_leaves(net)
    # A reload that changes neither, and one that ends it.
    a.reload()
    nothing_leaves(net)
    a.configure(conn("two", **two, auto="start", authby="null"))
    a.reload()
    assert "proofs" not in (a.connection("two")["last_error"] or "")
    nothing_leaves(net)


def test_no_route_to_the_peer_yet(way):
    """Which address of ours is meant only the route tells: until then it is all of them."""
    net = way
    default = net.gw_a.out(["ip", "route", "show", "default"]).strip().split()
    net.gw_a.run(["ip", "route", "del", "default"])
    net.gw_a.run(["ip", "route", "add", net.lan("b"), *default[1:]])
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    host = dict(left="%defaultroute", right=net.wan("b"), rightsubnet=net.lan("b"), **IDS)
    a.configure(conn("host", **host, auto="start"))
    b.configure(conn("host", **{**host, "left": "%any"}))
    b.start()
    a.start()
    with Capture(net.gw_a, "wan", f"net {net.lan('b')}") as clear:
        assert Ping.once(net.gw_a, net.host_address("b"), count=3, wait_s=1).received == 0
        assert a.state("host") == "waiting"
        net.gw_a.run(["ip", "route", "add", *default])
        Ping.until_answered(net.gw_a, net.host_address("b"))
    assert clear.count() == 0, clear.lines()[:5]


@pytest.mark.parametrize("left", ["%any", "%defaultroute"])
def test_a_name_that_is_said_to_be_ours(way, left):
    """Whoever answers for the peer's name cannot make this machine the peer, and so take the protection away."""
    net = way
    hosts = net.gw_a.dir / "hosts"
    hosts.write_text(f"{net.wan('a')} hub.test\n")
    net.gw_a.run(["mount", "--bind", hosts, "/etc/hosts"])
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    site = conn("site", left=left, leftsubnet=net.lan("a"), right="hub.test", rightsubnet=net.lan("b"), auto="start", **IDS)
    a.configure(site)
    b.configure(conn("site", left="%any", leftsubnet=net.lan("a"), right=net.wan("b"), rightsubnet=net.lan("b"), **IDS))
    b.start()
    a.start()
    nothing_leaves(net)
    assert a.state("site") == "waiting"
    assert "of this machine" in a.connection("site")["last_error"]
    hosts.write_text(f"{net.wan('b')} hub.test\n")
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        a.reload()
        Ping.until_answered(net.host_a, net.host_address("b"))
        # Once the address is known, such an answer changes nothing.
        hosts.write_text("10.1.0.1 hub.test\n")
        a.configure(site + "\n# another line\n")
        a.reload()
        assert Ping.once(net.host_a, net.host_address("b"), count=3).received == 3
    assert clear.count() == 0, clear.lines()[:5]


@pytest.mark.parametrize("action,right", [("hold", None), ("restart", None), ("hold", "%any")])
def test_a_peer_that_dies(way, action, right):
    """auto=add: what was protected does not leave in the clear because the peer has died, even if nobody can call it."""
    net = way
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    ends = dict(left=net.wan("a"), leftsubnet=net.lan("a"), rightsubnet=net.lan("b"), **IDS)
    a.configure(conn("site", **ends, right=right or net.wan("b"), dpddelay="1s", dpdaction=action,
                     **{"retransmit-timeout": "3s"}))
    b.configure(conn("site", **ends, right=net.wan("b"), auto="start" if right else "add"))
    b.start()
    a.start()
    if right:
        a.wait_state("up", "site")
    else:
        a.up("site")
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        flow = Flow(net.host_a, net.host_address("b"))
        b.kill_all()
        wait_until(lambda: not a.children("site"), 40, "the peer is given up")
        flow.stop()
    assert clear.count() == 0, clear.lines()[:5]
    # Nor after a crash of ike, or a reload.
    a.wait_role("ike", a.kill("ike"))
    a.reload()
    nothing_leaves(net, count=1)
    if action == "hold":
        b.start()
        if right:
            a.wait_state("up", "site", timeout_s=30)
        Ping.until_answered(net.host_a, net.host_address("b"), timeout_s=30)
        assert a.state("site") == "up"
        return
    # Whoever takes it down wants it down.
    a.down("site")
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        Ping.once(net.host_a, net.host_address("b"), wait_s=2)
    assert clear.count() > 0
