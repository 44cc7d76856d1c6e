# SPDX-License-Identifier: Apache-2.0
"""Libreswan's pluto on Cygnet's engine: it speaks NETLINK_XFRM, and `cygnet wrap` gives it the engine's. This kernel has
no ESP.

     host_a ---- gw_a ------------- router ------------- gw_b ---- host_b
                 Libreswan, engine                       Cygnet
"""
import time

from lab import Capture, Flow, Ping, wait_until
from lab.cygnet import Cygnet, conn, program
from lab.wrapped import WrappedPluto

WORDS = {"ikev2": "insist", "keyexchange": None, "pfs": "no", "esn": "no", "ike": "aes_gcm256-sha2_256;dh19"}


class Site:
    """Both ends read one conn; `left` is Cygnet's side."""

    def __init__(self, net, **words):
        self.net = net
        ends = dict(left=net.wan("b"), leftsubnet=net.lan("b"), rightsubnet=net.lan("a"), leftid="@cygnet",
                    rightid="@libreswan", esp="aes_gcm256", **{**WORDS, **words})
        self.peer = Cygnet(net.gw_b)
        self.peer.configure(conn("lab", right=net.seen_as("a"), **ends))
        self.peer.start()
        self.engine = Cygnet(net.gw_a)
        self.engine.configure("", setup="ikeport=1500\nnat-ikeport=4600")
        self.engine.start()
        self.pluto = WrappedPluto(net.gw_a, self.engine, conn("lab", right=net.wan("a"), **ends))

    def setkey(self, *words):
        return self.net.gw_a.run([program("setkey"), "--run-dir", self.engine.run_dir, *words], check=False).stdout

    def check(self, count=5):
        self.engine.wait_route(self.net.host_address("b"))
        self.peer.wait_route(self.net.host_address("a"))
        before = self.peer.child()
        ping = Ping.once(self.net.host_a, self.net.host_address("b"), count=count, interval_s=0.05)
        assert ping.lost == 0, ping.text + self.pluto.read_log()[-3000:]
        after = self.peer.child()
        for way in ("in", "out"):
            assert after[way]["packets"] - before[way]["packets"] == count, way


def test_tunnel(net):
    site = Site(net)
    site.pluto.up()
    with Capture(net.gw_a, "wan") as wire:
        site.check()
    assert wire.count("ip proto 50") == 10 and wire.count("net 10.0.0.0/8") == 0
    traffic = site.pluto.whack("--trafficstatus")
    assert "inBytes=420" in traffic and "outBytes=420" in traffic, traffic
    site.pluto.down()
    wait_until(lambda: site.peer.state("lab") != "up", 10, "the peer knows")
    wait_until(lambda: "esp mode" not in site.setkey("-D"), 10, "the engine has its SAs no more")


def test_nat_in_between(nat_net):
    site = Site(nat_net)
    site.pluto.up()
    with Capture(nat_net.gw_b, "wan") as wire:
        site.check()
    assert wire.count("udp portrange 20000-20999 and udp port 4500") >= 10


def test_rekey_under_traffic(net):
    site = Site(net)
    site.pluto.up()
    before = site.peer.child()["spi_in"]
    site.engine.wait_route(net.host_address("b"))
    site.peer.wait_route(net.host_address("a"))
    flow = Flow(net.host_a, net.host_address("b"))
    time.sleep(0.3)
    site.pluto.whack("--name", "lab", "--rekey-child")
    wait_until(lambda: site.peer.child()["spi_in"] != before, 10, "the child is rekeyed")
    time.sleep(0.5)
    account = flow.stop()
    assert account.sent > 30 and account.lost == 0, account.text[-300:] + site.pluto.read_log()[-3000:]
