# SPDX-License-Identifier: Apache-2.0
import re

import pytest

from lab import Capture, Ping, transfer, two_sites, wait_until
from common import gateways


def told_mtu(host, address, size):
    text = Ping.once(host, address, size=size, fragments="do").text
    m = re.search(r"mtu ?= ?(\d+)", text)
    return int(m[1]) if m else None


def test_too_big_is_answered_with_the_size_that_fits(net):
    a, _ = gateways(net, __file__)
    a.up()
    mtu = told_mtu(net.host_a, net.host_address("b"), 1472)
    assert 1400 <= mtu <= 1450  # 1500 less the overhead of ESP in tunnel mode
    for size, received in ((mtu - 28, 1), (mtu - 27, 0)):
        net.host_a.run(["ip", "route", "flush", "cache"])
        ping = Ping.once(net.host_a, net.host_address("b"), size=size, fragments="do")
        assert ping.received == received, (size, ping.text)


def test_mss_is_clamped(net):
    a, _ = gateways(net, __file__)
    a.up()
    mtu = told_mtu(net.host_a, net.host_address("b"), 1472)
    with Capture(net.host_b, "eth0", "tcp[13] & 2 != 0") as syns:
        sent, received, _ = transfer(net.host_a, net.host_b, net.host_address("b"), 5)
    assert sent == received
    mss = [int(m) for l in syns.lines("src host 10.1.0.10", "-v") for m in re.findall(r"mss (\d+)", l)]
    assert mss and max(mss) <= mtu - 40


def test_large_packets_without_df_arrive(net):
    a, b = gateways(net, __file__)
    a.up()
    ping = Ping.once(net.host_a, net.host_address("b"), count=3, size=4000, fragments="dont")
    assert ping.lost == 0, ping.text


@pytest.mark.parametrize("mtu", [1300, 1000])
def test_small_path_in_the_middle(lab, mtu):
    net = two_sites(lab)
    net.router.run(["ip", "link", "set", "to_b", "mtu", mtu])
    net.gw_b.run(["ip", "link", "set", "wan", "mtu", mtu])
    a, _ = gateways(net, __file__)
    a.up()
    sent, received, _ = transfer(net.host_a, net.host_b, net.host_address("b"), 5, timeout_s=20)
    assert sent == received
    # By now gw_a has believed the router's answer to its own ESP, and tells host_a.
    wait_until(lambda: (told_mtu(net.host_a, net.host_address("b"), 1400) or mtu) < mtu, 5, "host_a is told a size")
