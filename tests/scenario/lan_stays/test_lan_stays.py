# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

from lab import Ping
from common import cygnet

_HERE = pathlib.Path(__file__).resolve().parent


@pytest.mark.parametrize("wide", ["", "_ten"])
def test_lan_stays(net, wide):
    cygnet(net.gw_b, _HERE, f"gw_b{wide}.conf")
    a = cygnet(net.gw_a, _HERE, f"gw_a{wide}.conf")
    a.up()
    assert Ping.once(net.host_a, net.host_address("b"), count=3).lost == 0
    used = a.child()["out"]["packets"]
    assert used == 3
    # LAN: from the gateway to its host and back, and to the gateway's own addresses.
    assert Ping.once(net.gw_a, net.host_address("a")).received == 1
    assert Ping.once(net.host_a, "10.1.0.1").received == 1
    assert Ping.once(net.gw_a, "10.1.0.1").received == 1
    assert Ping.once(net.gw_a, "192.0.2.1").received == 1  # the next hop is no LAN of the tunnel
    assert a.child()["out"]["packets"] == used
    # 0.0.0.0/0 covers gw_b itself: reached through the tunnel, while IKE and ESP go around it.
    assert Ping.once(net.gw_a, net.wan("b")).received == 1
    assert a.child()["out"]["packets"] == used + (0 if wide else 1)
    assert Ping.once(net.gw_b, net.host_address("b")).received == 1
    # Explained the same way.
    assert a.json("explain", net.host_address("a"), net.host_address("b"))["verdict"] == "protect"
