# SPDX-License-Identifier: Apache-2.0
"""Cygnet with Libreswan 5 over the kernel's ESP (hosts: kernel_site.py).

Both ends read the same file: its `left` is Cygnet's side, and each finds out which end it is.
"""
import pytest

from lab import Flow, wait_until
from lab.cygnet import conn

import kernel_site
import libreswan_site
from kernel_site import THEIR_HOST

INITIATORS = ("cygnet", "libreswan")


@pytest.fixture(scope="module")
def guest_lab():
    with libreswan_site.running("libreswan") as lab:
        yield lab


@pytest.fixture
def tunnel(guest_lab, request):
    with libreswan_site.daemons(request, guest_lab) as make:
        yield lambda family=4, **words: make(conn("lab", **{**libreswan_site.WORDS, **libreswan_site.sites(family), **words}))


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
