# SPDX-License-Identifier: Apache-2.0
import pathlib
import re

import pytest

from common import ESP, cygnet
from lab import Capture, Ping, transfer

_HERE = pathlib.Path(__file__).resolve().parent
PING = 20 + 8 + 56  # the packet inside
IV, ICV = 8, 16


def gateways(net, bits=("16", "16"), diet=("yes", "yes")):
    made = []
    for host, conf, each in ((net.gw_b, "gw_b.conf", 1), (net.gw_a, "gw_a.conf", 0)):
        one = cygnet(host, _HERE, conf, start=False)
        one.conf.write_text(one.conf.read_text().replace("DIET", diet[each]).replace("BITS", bits[each]))
        made.append(one.start())
    return made[1], made[0]


def sizes(capture, source):
    """Octets of the ESP packets from there."""
    return {int(m) - 20 for line in capture.lines(f"ip proto 50 and src host {source}", "-v")
            for m in re.findall(r"proto ESP \(50\), length (\d+)", line)}


@pytest.mark.parametrize("bits", [("16", "16"), ("8", "32")])
def test_packets_have_no_octet_too_many(net, bits):
    a, b = gateways(net, bits)
    a.up()
    with Capture(net.gw_a, "wan", ESP) as wire:
        ping = Ping.once(net.host_a, net.host_address("b"), count=3)
    assert ping.lost == 0, ping.text
    # Who brings it up says how much of the sequence number is sent, either way.
    octets = int(bits[0]) // 8
    for source in ("192.0.2.2", "198.51.100.2"):
        assert sizes(wire, source) == {4 + octets + IV + PING + ICV}
    for gateway in (a, b):
        assert gateway.child()["diet_esp"] == octets
        assert f"Diet-ESP, {octets} octet" in gateway.ctl("status").stdout
    sent, received, _ = transfer(net.host_a, net.host_b, net.host_address("b"), 20)
    assert sent == received
    for gateway in (a, b):
        assert not gateway.drops().get("integrity-failed"), gateway.drops()


def test_after_a_loss_it_goes_on(net):
    a, b = gateways(net, ("8", "8"))
    a.up()
    assert Ping.once(net.host_a, net.host_address("b"), count=2).lost == 0
    # More packets than eight bits tell apart.
    net.router.run(["nft", "-f", "-"], input="""
        table ip lossy {
          chain through {
            type filter hook forward priority 0;
            ip protocol esp drop
          }
        }""")
    Ping.once(net.host_a, net.host_address("b"), count=300, interval_s=0.005, wait_s=1)
    net.router.run(["nft", "delete", "table", "ip", "lossy"])
    assert Ping.once(net.host_a, net.host_address("b"), count=20, interval_s=0.05, wait_s=2).received >= 12
    assert Ping.once(net.host_a, net.host_address("b"), count=5).lost == 0
    assert b.drops().get("integrity-failed", 0) <= 7


def test_a_peer_without_it(net):
    a, _ = gateways(net, diet=("yes", "no"))
    a.up()
    with Capture(net.gw_a, "wan", ESP) as wire:
        assert Ping.once(net.host_a, net.host_address("b"), count=3).lost == 0
    padded = (PING + 2 + 3) // 4 * 4
    assert sizes(wire, "192.0.2.2") == {8 + IV + padded + ICV}
    assert a.child()["diet_esp"] is None
