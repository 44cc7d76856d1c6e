# SPDX-License-Identifier: Apache-2.0
import signal
import time

import pytest

from lab import Capture, Ping, wait_until
from lab.cygnet import Cygnet, conn
from common import CLEAR, gateways


def test_no_clear_text_at_any_time(net):
    net.router.route("10.1.0.0/24", via=net.wan("a"))
    net.router.route("10.2.0.0/24", via=net.wan("b"))
    a, b = gateways(net, __file__, start=False)
    a.start()  # gw_b is not there yet
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        pings = net.host_a.spawn(["ping", "-n", "-i", "0.02", net.host_address("b")], name="pings")
        time.sleep(0.5)
        b.start()
        a.wait_state("up", timeout_s=60)
        Ping.until_answered(net.host_a, net.host_address("b"))
        b.kill_all()
        time.sleep(0.5)
        b.start()
        wait_until(lambda: Ping.once(net.host_a, net.host_address("b"), wait_s=0.5).received, 60,
                   "the tunnel is back by itself")
        a.reload()
        time.sleep(0.3)
        pings.stop()
    assert clear.count() == 0, clear.lines()[:5]


def roadwarrior(net, auto):
    """A client on gw_a, which gets its address from gw_b; both started."""
    ends = dict(right=net.wan("b"), rightsubnet=net.lan("b"), leftid="@road", rightid="@gw-b")
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    a.configure(conn("road", **ends, left=net.wan("a"), leftsourceip="%config", auto=auto, dpddelay="1s",
                     **{"retransmit-timeout": "2s"}))
    b.configure(conn("road", **ends, left="%any", leftaddresspool="10.9.0.7", auto="add"))
    b.start()
    a.start()
    return a, b


@pytest.mark.parametrize("auto", ["ondemand", "start"])
def test_a_client_whose_tunnel_is_down_sends_nothing_in_the_clear(net, auto):
    """Its address, the device's only one, comes and goes with the tunnel; the routes stay."""
    a, b = roadwarrior(net, auto)
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        Ping.until_answered(net.gw_a, net.host_address("b"))
        assert "10.9.0.7" in net.gw_a.out(["ip", "addr", "show", "dev", "ipsec0"])
        a.down("road")
        wait_until(lambda: "10.9.0.7" not in net.gw_a.out(["ip", "addr", "show", "dev", "ipsec0"]), 5, "the address is gone")
        Ping.until_answered(net.gw_a, net.host_address("b"))  # which brings it up again
        assert a.connection("road")["ike"]["assigned_local"] == ["10.9.0.7"]
        # The gateway dies, and nobody tells.
        b.kill_all()
        a.wait_log("no answer from", 20)
        assert Ping.once(net.gw_a, net.host_address("b"), count=3, wait_s=1).received == 0
        # So does the engine.
        a.wait_role("engine", a.kill("engine"))
        time.sleep(1)
        assert Ping.once(net.gw_a, net.host_address("b"), count=3, wait_s=1).received == 0
        b.start()
        Ping.until_answered(net.gw_a, net.host_address("b"), 60)
    assert clear.count() == 0, clear.lines()[:5]


_SENDER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try:
        s.sendto(b"x" * 64, (sys.argv[1], 7777))
    except OSError:
        pass
    time.sleep(0.0001)
"""
_HELD = ["ip link set ipsec0 down", "ip addr flush dev ipsec0", "ip link del ipsec0"]
_PUT_BACK = ["ip route flush table 4359", "ip rule del pref 210"]


@pytest.mark.parametrize("fault", _HELD + _PUT_BACK)
def test_what_is_taken_away_under_traffic(net, fault):
    net.router.route("10.1.0.0/24", via=net.wan("a"))
    net.router.route("10.2.0.0/24", via=net.wan("b"))
    a, _ = gateways(net, __file__)
    Ping.until_answered(net.host_a, net.host_address("b"))
    sender = net.host_a.spawn(["/usr/bin/python3", "-c", _SENDER, net.host_address("b")], name="sender")
    with Capture(net.gw_a, "lan", "udp port 7777") as came, Capture(net.gw_a, "wan", CLEAR) as clear:
        wait_until(lambda: came.count() > 100, 10, "packets come")
        for _ in range(2):
            net.gw_a.run(fault)
            wait_until(lambda: " dev ipsec0" in net.gw_a.run(["ip", "route", "get", net.host_address("b")],
                                                             check=False).stdout, 5, "the route is back")
        wait_until(lambda: Ping.once(net.host_a, net.host_address("b"), wait_s=0.5).received, 30, "the tunnel is back")
        opened, before = clear.count(), came.count()
        wait_until(lambda: came.count() > before + 100, 10, "packets come")
        sender.stop()
    if fault in _HELD:
        assert opened == 0, clear.lines()[:5]
    assert clear.count() == opened, clear.lines()[-5:]


def test_a_stop_gives_the_network_back(net):
    net.router.route("10.2.0.0/24", via=net.wan("b"))
    a, _ = gateways(net, __file__)
    Ping.until_answered(net.host_a, net.host_address("b"))
    a.stop()
    assert not net.gw_a.routes(4, "4359").strip()
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        Ping.once(net.host_a, net.host_address("b"), count=2, wait_s=1)
    assert clear.count() >= 2


def test_a_restart_that_hands_over_leaves_nothing_open(net):
    net.router.route("10.1.0.0/24", via=net.wan("a"))
    net.router.route("10.2.0.0/24", via=net.wan("b"))
    a, _ = gateways(net, __file__)
    Ping.until_answered(net.host_a, net.host_address("b"))
    sender = net.host_a.spawn(["/usr/bin/python3", "-c", _SENDER, net.host_address("b")], name="sender")
    with Capture(net.gw_a, "lan", "udp port 7777") as came, Capture(net.gw_a, "wan", CLEAR) as clear:
        wait_until(lambda: came.count() > 100, 10, "packets come")
        a.kill("monitor", signal.SIGUSR1)
        assert a.process.wait(10) == 75
        assert not a.alive("engine")
        a.start()
        wait_until(lambda: Ping.once(net.host_a, net.host_address("b"), wait_s=0.5).received, 30, "the tunnel is back")
        sender.stop()
    assert "taking over" in a.read_log()
    assert clear.count() == 0, clear.lines()[:5]
    a.stop()
    assert not net.gw_a.routes(4, "4359").strip()
