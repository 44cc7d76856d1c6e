# SPDX-License-Identifier: Apache-2.0
import time

import pytest

from lab import Capture, Ping, transfer
from lab.cygnet import Cygnet, conn
from common import CLEAR, gateways


def test_first_packet_arrives(net):
    a, b = gateways(net, __file__)
    assert a.state() == "waiting" and b.children() == []
    with Capture(net.host_b, "eth0", "icmp") as arrived:
        ping = Ping.once(net.host_a, net.host_address("b"), count=3)
    assert (ping.sent, ping.received) == (3, 3), ping.text
    assert arrived.count("icmp[0] == 8") == 3
    assert a.state() == "up"


def test_first_syn_arrives(net):
    gateways(net, __file__)
    with Capture(net.host_a, "eth0", "tcp[13] == 2") as syns, Capture(net.host_b, "eth0", "tcp[13] == 2") as arrived:
        sent, received, _ = transfer(net.host_a, net.host_b, net.host_address("b"), 1)
    assert sent == received
    # One, unless the machine is so busy that host_a sends another a second later; whichever, none of them is lost.
    assert arrived.count() == syns.count() >= 1


def test_again_after_down_by_the_peer(net):
    a, b = gateways(net, __file__)
    assert Ping.once(net.host_a, net.host_address("b")).received == 1
    b.down()
    a.wait_state("waiting")
    assert Ping.once(net.host_a, net.host_address("b")).received == 1


def test_peer_absent(net):
    a, b = gateways(net, __file__)
    b.stop()
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        flood = net.host_a.run(["ping", "-q", "-l", 3000, "-c", 3000, "-W", 1, net.host_address("b")],
                               check=False)
    assert " 0 received" in flood.stdout
    assert clear.count() == 0
    drops = a.drops()
    # The device's queue has 500 places: what a busy machine does not take out of it in time never comes to the engine.
    assert drops.get("acquire-queue-full", 0) > 400, drops


@pytest.mark.parametrize("auto", ["start", "ondemand"])
def test_what_the_peer_refuses_keeps_nothing_else_waiting(net, auto):
    """Of three networks the peer has SAs for two, one each. A host that asks for the third, again and again, does not keep
    the others from coming up."""
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    net.host_b.run("ip address add 10.4.0.10/32 dev lo")
    net.gw_b.run(f"ip route add 10.4.0.0/24 via {net.host_address('b')}")
    ends = {"left": net.wan("a"), "right": net.wan("b"), "leftsubnet": net.lan("a")}
    a.configure(conn("site", **ends, rightsubnet=f"{net.lan('b')},10.3.0.0/24,10.4.0.0/24", auto=auto))
    b.configure(conn("n2", **ends, rightsubnet=net.lan("b"), auto="add") + conn("n4", **ends, rightsubnet="10.4.0.0/24", auto="add"))
    b.start()
    a.start()
    Ping.until_answered(net.host_a, net.host_address("b"), 20)
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        with_it = net.host_a.spawn(["ping", "-q", "-i", "0.2", "10.3.0.10"])
        warned = a.wait_log("does not protect packets to 10.3.0.10 with child site", timeout_s=20)
        Ping.until_answered(net.host_a, "10.4.0.10", 20)
        time.sleep(5)
        with_it.stop()
    assert clear.count() == 0
    assert Ping.once(net.host_a, net.host_address("b"), count=3, interval_s=0.1).lost == 0
    assert Ping.once(net.host_a, "10.4.0.10", count=3, interval_s=0.1).lost == 0
    assert {tuple(c["remote"]) for c in a.children("site")} == {(net.lan("b"),), ("10.4.0.0/24",)}
    assert warned and a.read_log().count("does not protect packets to 10.3.0.10") == 1
