# SPDX-License-Identifier: Apache-2.0
"""strongSwan on Cygnet's engine: its plugin for the kernel (kernel-netlink) speaks NETLINK_XFRM, and `cygnet wrap` gives
it the engine's. This kernel has no ESP.

     host_a ---- gw_a ------------- router ------------- gw_b ---- host_b
                 strongSwan, engine                      Cygnet, or strongSwan
"""
import pytest

from lab import Capture, Ping, wait_until
from lab.cygnet import Cygnet, conn, program
from lab.strongswan import StrongSwan, site_config

ESP = "aes128gcm16"
IKE = "aes128gcm16-prfsha256-ecp256"


class OnEngine:
    """strongSwan on gw_a, wrapped; its engine is that of a cygnetd without connections."""

    def __init__(self, net, esp=ESP, child_extra="", extra="", settings=""):
        self.net = net
        self.engine = Cygnet(net.gw_a)
        self.engine.configure("", setup="ikeport=1500\nnat-ikeport=4600\nrule-priority=210")
        self.engine.start()
        self.strongswan = StrongSwan(net.gw_a, engine=self.engine, settings=settings)
        self.strongswan.start()
        self.strongswan.load(site_config(
            local=net.wan("a"), remote=net.wan("b"), local_ts=net.lan("a"), remote_ts=net.lan("b"), esp=esp,
            ike=IKE, local_id="gw-a", remote_id="gw-b", child_extra=child_extra, extra=extra))

    def setkey(self, *words):
        return self.net.gw_a.run([program("setkey"), "--run-dir", self.engine.run_dir, *words]).stdout

    def ping(self, count=5):
        return Ping.once(self.net.host_a, self.net.host_address("b"), count=count, interval_s=0.05)


def cygnet_peer(net, **words):
    peer = Cygnet(net.gw_b)
    peer.configure(conn("lab", **{**dict(left=net.wan("b"), right=net.wan("a"), leftsubnet=net.lan("b"),
                                         rightsubnet=net.lan("a"), leftid="@gw-b", rightid="@gw-a", esp=ESP,
                                         ike=IKE), **words}))
    return peer.start()


def test_tunnel_to_cygnet(net):
    peer = cygnet_peer(net)
    site = OnEngine(net)
    site.strongswan.up("net")
    with Capture(net.gw_a, "wan") as wire:
        ping = site.ping()
    assert ping.lost == 0, ping.text + site.strongswan.read_log()[-3000:]
    assert wire.count("ip proto 50") == 10 and wire.count("net 10.0.0.0/8") == 0
    # Four parties count the same packets: the peer, strongSwan as it asks the engine, and the engine for PF_KEY.
    child = peer.child()
    assert (child["in"]["packets"], child["out"]["packets"]) == (5, 5)
    child = site.strongswan.child("net")
    assert (child["in"]["packets"], child["out"]["packets"]) == (5, 5)
    assert site.setkey("-D").count("allocated: 5") == 2
