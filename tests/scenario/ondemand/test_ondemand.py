# SPDX-License-Identifier: Apache-2.0
from lab import Capture, Ping, transfer
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
