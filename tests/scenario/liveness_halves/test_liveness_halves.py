# SPDX-License-Identifier: Apache-2.0
import time

from lab import Capture, Flow, Ping, wait_until
from common import CLEAR, gateways


def test_ike_dead_and_esp_not(net):
    a, b = gateways(net, __file__)
    a.up()
    b.wait_state("up")
    spis = a.spis()
    flow = Flow(net.host_a, net.host_address("b"))
    net.block("udp dport { 500, 4500 }")
    net.gw_a.spawn(a.ctl_command("rekey", "lab"))
    wait_until(lambda: "IKE gets no answer" in a.read_log(), 20, "gw_a notices that IKE is dead")
    time.sleep(8)
    assert a.spis() == spis
    net.unblock()
    wait_until(lambda: a.spis() != spis, 40, "IKE works again")
    time.sleep(4)
    account = flow.stop()
    assert account.sent > 1000 and account.lost == 0, account.text[-300:]
    wait_until(lambda: len(a.children()) == len(b.children()) == 1, 10, "one child is left")


def test_esp_dead_and_ike_not(net):
    a, b = gateways(net, __file__)
    a.up()
    b.wait_state("up")
    assert Ping.once(net.host_a, net.host_address("b")).received == 1
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        net.block("ip protocol esp")
        wait_until(lambda: Ping.once(net.host_a, net.host_address("b"), wait_s=2).received == 1, 30, "ESP found a way")
    assert clear.count() == 0
    a.wait_log("replacing it")
    with Capture(net.gw_a, "wan", "udp port 4500") as udp:
        assert Ping.once(net.host_a, net.host_address("b"), count=5, interval_s=0.05).lost == 0
    assert udp.count() >= 10
    wait_until(lambda: len(a.children()) == 1 and len(b.children()) == 1, 10, "one child is left")
