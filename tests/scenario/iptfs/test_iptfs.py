# SPDX-License-Identifier: Apache-2.0
import pathlib
import re
import time

import pytest

from common import ESP, cygnet
from lab import Capture, Ping, transfer, wait_until

_HERE = pathlib.Path(__file__).resolve().parent
# ESP in a packet of 1200 octets: 8 and 8 in front, 16 behind, and blocks of four.
SIZE = 1200


def gateways(net, rate="0", a="yes", b="yes"):
    made = []
    for host, conf, iptfs in ((net.gw_b, "gw_b.conf", b), (net.gw_a, "gw_a.conf", a)):
        one = cygnet(host, _HERE, conf, start=False)
        one.conf.write_text(one.conf.read_text().replace("IPTFS", iptfs).replace("RATE", rate))
        made.append(one.start())
    return made[1], made[0]


def sizes(capture):
    return {int(m) for line in capture.lines("ip proto 50", "-v") for m in re.findall(r"proto ESP \(50\), length (\d+)", line)}


def test_every_outer_packet_has_one_size(net):
    a, b = gateways(net)
    a.up()
    with Capture(net.gw_a, "wan", ESP) as wire:
        for family, size in ((4, 8), (4, 500), (4, 1372), (6, 8), (6, 1300)):
            ping = Ping.once(net.host_a, net.host_address("b", family), count=3, size=size)
            assert ping.lost == 0, ping.text
        # What the device takes is not too big for packets of this size: it is cut.
        ping = Ping.once(net.host_a, net.host_address("b"), count=2, size=1372, fragments="do")
        assert ping.lost == 0, ping.text
    assert sizes(wire) == {SIZE}
    sent, received, _ = transfer(net.host_a, net.host_b, net.host_address("b"), 20)
    assert sent == received
    tfs = a.child()["iptfs"]
    assert tfs["rate_bits_s"] == 0 and tfs["packet_bytes"] == SIZE
    assert tfs["out"]["packets"] >= 17 and tfs["out"]["fragments"] >= 2 and tfs["out"]["padding_bytes"] > 0
    wait_until(lambda: a.child()["iptfs"]["in"]["payloads"] == b.child()["iptfs"]["out"]["payloads"], 5, "each has arrived")
    for gateway in (a, b):
        drops = gateway.drops()
        assert not drops.get("bad-aggregation") and not drops.get("aggregation-lost"), drops


def test_the_rate_is_the_same_with_and_without_traffic(net):
    a, _ = gateways(net, rate="960k")  # 100 packets of 1200 octets a second
    a.up()
    counts = []
    for busy in (False, True):
        with Capture(net.gw_a, "wan", ESP, steady=True) as wire:
            if busy:
                ping = Ping.once(net.host_a, net.host_address("b"), count=20, interval_s=0.1, size=700)
                assert ping.lost == 0, ping.text
            else:
                time.sleep(2)
        assert sizes(wire) == {SIZE}
        sent = [float(line.split()[0]) for line in wire.lines("ip proto 50 and src host 192.0.2.2", "-tt")]
        counts.append((len(sent) - 1) / (sent[-1] - sent[0]))
    assert all(80 < count < 120 for count in counts), counts
    tfs = a.child()["iptfs"]
    assert tfs["rate_bits_s"] == 960_000
    assert tfs["out"]["payloads"] > 300 and tfs["out"]["empty"] > 150
    assert "IP-TFS, 960,000 bit/s, outer packets of 1.2 KB" in a.ctl("status").stdout


@pytest.mark.parametrize("wanted", ["yes", "require"])
def test_a_peer_without_it(net, wanted):
    a, _ = gateways(net, a=wanted, b="no")
    a.up(check=False)
    ping = Ping.once(net.host_a, net.host_address("b"), count=2, wait_s=10 if wanted == "yes" else 1)
    if wanted == "yes":
        a.wait_log("wants IP-TFS, but")
        assert ping.lost == 0
    else:
        a.wait_log("takes IP-TFS only (iptfs=require)")
        assert ping.received == 0
