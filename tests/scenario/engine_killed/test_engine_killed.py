# SPDX-License-Identifier: Apache-2.0
from lab import Capture, Flow, Ping
from common import CLEAR, gateways


def test_engine_killed(net):
    a, b = gateways(net, __file__)
    a.wait_state("up")
    flow = Flow(net.host_a, net.host_address("b"))
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        old = a.kill("engine")
        a.wait_role("engine", old)
        a.wait_state("up", timeout_s=30)
        Ping.until_answered(net.host_a, net.host_address("b"), 30)
        flow.stop()
    assert clear.count() == 0, clear.lines()
    assert Ping.once(net.host_a, net.host_address("b"), count=5).lost == 0


def test_engine_of_the_responder_killed(net):
    a, b = gateways(net, __file__)
    a.wait_state("up")
    with Capture(net.gw_b, "wan", CLEAR) as clear:
        old = b.kill("engine")
        b.wait_role("engine", old)
        Ping.until_answered(net.host_a, net.host_address("b"), 60)
    assert clear.count() == 0, clear.lines()
