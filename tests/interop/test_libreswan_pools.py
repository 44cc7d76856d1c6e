# SPDX-License-Identifier: Apache-2.0
"""Virtual addresses with Libreswan 5, either side giving them (hosts: kernel_site.py)."""
import pytest

from lab import Ping, wait_until
from lab.cygnet import conn

import libreswan_site
from kernel_site import OUR_LAN, OURS, THEIR_HOST, THEIR_LAN, THEIRS


@pytest.fixture(scope="module")
def guest_lab():
    with libreswan_site.running("libreswan-pools") as lab:
        yield lab


@pytest.fixture
def tunnel(guest_lab, request):
    """What each end says; both loaded, ours started."""
    with libreswan_site.daemons(request, guest_lab, "rw") as make:
        yield lambda ours, theirs: make(*(conn("rw", **{**libreswan_site.WORDS, **words}) for words in (ours, theirs)))


def test_libreswan_gives_us_an_address(guest_lab, tunnel):
    server = dict(left=OURS[4], right=THEIRS[4], rightsubnet=THEIR_LAN[4])
    daemon = tunnel(ours=dict(server, leftsourceip="%config"),
                    theirs=dict(server, left="%any", leftaddresspool="10.3.0.10-10.3.0.20", leftmodecfgclient="yes",
                                rightmodecfgserver="yes", modecfgdns="10.2.0.53"))
    guest_lab.guest.run(f"ip route replace 10.3.0.0/24 via {OURS[4]}")
    daemon.up("rw")
    assert daemon.connection("rw")["ike"]["assigned_local"] == ["10.3.0.10"]
    assert Ping.once(guest_lab.gw, THEIR_HOST[4], count=3, interval_s=0.05).lost == 0
    assert [s["packets"] for s in guest_lab.guest.xfrm_states()] == [3, 3]
    # A rekey leaves it where it is; who comes back gets it again.
    daemon.rekey("rw", "--ike")
    assert daemon.connection("rw")["ike"]["assigned_local"] == ["10.3.0.10"]
    assert Ping.once(guest_lab.gw, THEIR_HOST[4], count=3, interval_s=0.05).lost == 0
    daemon.down("rw")
    daemon.up("rw")
    assert daemon.connection("rw")["ike"]["assigned_local"] == ["10.3.0.10"]


def test_we_give_libreswan_an_address(guest_lab, tunnel):
    client = dict(left=OURS[4], leftsubnet=OUR_LAN[4], right=THEIRS[4])
    daemon = tunnel(ours=dict(client, right="%any", rightaddresspool="10.3.0.77", modecfgdns="10.1.0.53"),
                    theirs=dict(client, rightsubnet="0.0.0.0/0", leftmodecfgserver="yes", rightmodecfgclient="yes",
                                modecfgpull="yes", narrowing="yes"))
    guest_lab.peer.up("rw")
    daemon.wait_state("up", "rw")
    assert daemon.connection("rw")["ike"]["assigned_remote"] == ["10.3.0.77"]
    wait_until(lambda: "10.3.0.77/32" in guest_lab.guest.run("ip address"), 10, "Libreswan has set the address")
    daemon.wait_route("10.3.0.77")
    assert Ping.once(guest_lab.site, "10.3.0.77", count=3, interval_s=0.05).lost == 0
    child = daemon.child("rw")
    assert (child["in"]["packets"], child["out"]["packets"]) == (3, 3)
    guest_lab.peer.down("rw")
    wait_until(lambda: not any(l["in_use"] for l in daemon.json("leases")["leases"]), 10, "the lease is given back")
