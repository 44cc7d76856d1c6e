# SPDX-License-Identifier: Apache-2.0
import time

import pytest

from lab import Capture, Flow, wait_until
from common import CLEAR, gateways


@pytest.mark.parametrize("victim", ["a", "b"])
def test_ike_killed_under_traffic(net, victim):
    a, b = gateways(net, __file__)
    a.up()
    b.wait_state("up")
    spis, ike = a.spis(), a.connection()["ike"]["spi_i"]
    flow = Flow(net.host_a, net.host_address("b"))
    one = a if victim == "a" else b
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        for _ in range(3):
            old = one.kill("ike")
            one.wait_role("ike", old)
            time.sleep(0.3)
        assert a.state() == b.state() == "up"
        assert a.spis() == spis and a.connection()["ike"]["spi_i"] == ike
        assert (b.child()["spi_in"], b.child()["spi_out"]) == spis[::-1]
        # What was adopted is whole: it can be rekeyed from both ends, and deleted.
        one.rekey("lab")
        wait_until(lambda: a.spis() != spis, 10, "the adopted child is rekeyed")
        other = b if one is a else a
        second = a.spis()
        other.rekey("lab")
        wait_until(lambda: a.spis() != second, 10, "and rekeyed by the other end")
        time.sleep(0.2)
        account = flow.stop()
    assert account.sent > 100 and account.lost == 0, account.text[-300:]
    assert clear.count() == 0
    a.down()
    wait_until(lambda: b.children() == [], 5, "the delete reached gw_b")


def test_ike_killed_while_negotiating(net):
    """No half-made state is left behind: the next attempt works."""
    a, b = gateways(net, __file__)
    net.block("udp dport { 500, 4500 }")
    net.gw_a.spawn(a.ctl_command("up", "lab"))
    a.wait_state("connecting")
    old = a.kill("ike")
    net.unblock()
    a.wait_role("ike", old)
    a.up()
    assert len(a.children()) == 1
    assert len(b.children()) == 1
