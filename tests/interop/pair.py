# SPDX-License-Identifier: Apache-2.0
"""Cygnet on gw_a, strongSwan with kernel-libipsec on gw_b."""
from lab import Ping
from lab.cygnet import Cygnet, conn
from lab.strongswan import StrongSwan, site_config

KINDS = ("cygnet", "strongswan")  # who initiates


class Pair:
    """Both daemons with one connection `lab`; nothing is up yet.

    outer and inner are address families; words go into Cygnet's conn, and strongSwan's
    connection is made to match them unless ss_... arguments say otherwise.
    """

    def __init__(self, net, outer=4, inner=4, esp="aes128gcm16", ss_esp=None, ss_ike=None,
                 ss_extra="", ss_child_extra="", ss_children=None, ss_secret=None, auto="add",
                 ss_local_ts=None, ss_remote_ts=None, ss_settings="", start=True, **words):
        self.net, self.outer, self.inner = net, outer, inner
        self.cygnet = Cygnet(net.gw_a)
        self.strongswan = StrongSwan(net.gw_b, settings=ss_settings)
        self.words = dict(left=net.wan("a", outer), right=net.wan("b", outer),
                          leftsubnet=net.lan("a", inner), rightsubnet=net.lan("b", inner),
                          leftid="@gw-a", rightid="@gw-b", esp=esp,
                          ike="aes128gcm16-prfsha256-ecp256", auto=auto)
        self.words.update(words)
        self.cygnet.configure(conn("lab", **self.words))
        self.ss_config = site_config(
            local=net.wan("b", outer), remote=net.seen_as("a", outer),
            local_ts=ss_local_ts or net.lan("b", inner), remote_ts=ss_remote_ts or net.lan("a", inner),
            esp=ss_esp or esp, ike=ss_ike or "aes128gcm16-prfsha256-ecp256", local_id="gw-b",
            remote_id="gw-a", extra=ss_extra, child_extra=ss_child_extra, children=ss_children)
        self.ss_secret = f'ike-lab {{ secret = "{ss_secret}" }}' if ss_secret else None
        if start:
            self.start()

    def start(self):
        self.start_strongswan()
        self.cygnet.start()
        return self

    def start_strongswan(self):
        self.strongswan.start()
        self.strongswan.load(self.ss_config, self.ss_secret)

    def up(self, initiator="cygnet", check=True):
        if initiator == "cygnet":
            return self.cygnet.up("lab", check=check)
        text = self.strongswan.up("net", check=check)
        if check:
            self.cygnet.wait_state("up")
        return text

    def ping(self, count=3):
        self.cygnet.wait_route(self.net.host_address("b", self.inner))
        return Ping.once(self.net.host_a, self.net.host_address("b", self.inner), count=count,
                         interval_s=0.05)

    def check_traffic(self, count=3):
        """Pings, and both sides' SA counters account for each packet and no other."""
        ours, theirs = self.cygnet.child(), self.strongswan.child("net")
        assert self.ping(count).lost == 0
        ours2, theirs2 = self.cygnet.child(), self.strongswan.child("net")
        for way in ("in", "out"):
            assert ours2[way]["packets"] - ours[way]["packets"] == count, way
            assert theirs2[way]["packets"] - theirs[way]["packets"] == count, way
