# SPDX-License-Identifier: Apache-2.0
"""Cygnet with Libreswan 5 over the kernel's ESP (hosts: kernel_site.py).

Both ends read the same file: its `left` is Cygnet's side, and each finds out which end it is.
"""
import pytest

from lab import Flow, wait_until
from lab.cygnet import Cygnet, conn
from lab.uml import GuestLibreswan

import kernel_site
from kernel_site import OUR_LAN, OURS, THEIR_HOST, THEIR_LAN, THEIRS

INITIATORS = ("cygnet", "libreswan")


@pytest.fixture(scope="module")
def guest_lab():
    lab = kernel_site.make("libreswan", root="libreswan")
    try:
        lab.peer = GuestLibreswan(lab.guest)
        yield lab
        lab.guest.poweroff()
    finally:
        lab.close()


@pytest.fixture
def tunnel(guest_lab, request):
    made = []

    def make(family=4, **words):
        words = {"ikev2": "insist", "keyexchange": None, "pfs": "no", "esn": "no",
                 "ike": "aes_gcm256-sha2_256;dh19", "esp": "aes_gcm256", "leftid": "@ours", "rightid": "@theirs",
                 **words}
        text = conn("lab", left=OURS[family], leftsubnet=OUR_LAN[family],
                    right=THEIRS[family], rightsubnet=THEIR_LAN[family], **words)
        daemon = Cygnet(guest_lab.gw, re_name(request))
        daemon.configure(text)
        daemon.start()
        guest_lab.peer.load(text)
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        if getattr(request.node, "call_failed", True):
            print(daemon.read_log()[-4000:], guest_lab.peer.read_log()[-4000:])
        guest_lab.peer.down("lab")
        daemon.stop()


def re_name(request):
    return "".join(c if c.isalnum() else "-" for c in request.node.name)


def up(daemon, lab, initiator):
    if initiator == "cygnet":
        daemon.up("lab")
    else:
        lab.peer.up("lab")
        daemon.wait_state("up")


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("esp", ["aes_gcm128", "aes_gcm256", "aes128-sha2_256", "aes256-sha2_512",
                                 "chacha20_poly1305"])
def test_algorithm(guest_lab, tunnel, esp, initiator):
    daemon = tunnel(esp=esp)
    up(daemon, guest_lab, initiator)
    kernel_site.check(guest_lab, daemon)


@pytest.mark.parametrize("initiator", INITIATORS)
def test_ipv6(guest_lab, tunnel, initiator):
    daemon = tunnel(family=6)
    up(daemon, guest_lab, initiator)
    kernel_site.check(guest_lab, daemon, outer=6, inner=6)


def test_esn(guest_lab, tunnel):
    daemon = tunnel(esn="yes")
    daemon.up("lab")
    kernel_site.check(guest_lab, daemon)


@pytest.mark.parametrize("pfs", ["no", "yes"])
def test_rekey_under_traffic(guest_lab, tunnel, pfs):
    """pfs=yes is Libreswan's default: each rekey of the child has a key exchange of its own."""
    daemon = tunnel(pfs=pfs)
    daemon.up("lab")
    before = daemon.spis()
    flow = Flow(guest_lab.site, THEIR_HOST[4])
    daemon.rekey("lab")
    wait_until(lambda: daemon.spis() != before, 10, "the child is rekeyed")
    wait_until(lambda: len(daemon.children()) == 1, 15, "the old child is gone")
    assert flow.stop().lost == 0
    kernel_site.check(guest_lab, daemon)


@pytest.mark.parametrize("who", INITIATORS)
def test_delete(guest_lab, tunnel, who):
    daemon = tunnel()
    daemon.up("lab")
    if who == "cygnet":
        daemon.down("lab")
    else:
        guest_lab.peer.down("lab")
    wait_until(lambda: daemon.children() == [], 5, "Cygnet has no child left")
    wait_until(lambda: guest_lab.guest.xfrm_states() == [], 5, "the kernel has no SA left")


@pytest.mark.parametrize("initiator", INITIATORS)
def test_null_authentication(guest_lab, tunnel, initiator):
    """RFC 7619: neither end proves who it is."""
    daemon = tunnel(authby="null", leftid="%null", rightid="%null")
    up(daemon, guest_lab, initiator)
    kernel_site.check(guest_lab, daemon)
