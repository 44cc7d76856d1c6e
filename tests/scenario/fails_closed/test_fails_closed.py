# SPDX-License-Identifier: Apache-2.0
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
