# SPDX-License-Identifier: Apache-2.0
import pathlib

import pytest

from lab import Capture, Ping
from common import cygnet

_HERE = pathlib.Path(__file__).resolve().parent


@pytest.mark.parametrize("conf,source", [("gw_a.conf", "10.1.0.1"), ("gw_a_own.conf", "10.1.0.77")])
def test_source_address(net, conf, source):
    cygnet(net.gw_b, _HERE, "gw_b.conf")
    a = cygnet(net.gw_a, _HERE, conf)
    a.up()
    assert f"src {source}" in net.gw_a.out(["ip", "route", "get", net.host_address("b")])
    with Capture(net.host_b, "eth0", "icmp") as seen:
        assert Ping.once(net.gw_a, net.host_address("b"), count=2).lost == 0
    assert seen.count(f"src host {source}") == 2
    a.stop()
    addresses = net.gw_a.out(["ip", "addr"])
    assert "10.1.0.77" not in addresses and "10.1.0.1/24" in addresses
