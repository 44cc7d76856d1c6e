# SPDX-License-Identifier: Apache-2.0
"""What happens to a tunnel with Libreswan 5 in its life: rekeys by either and by both, NAT, a move, death and restart.

Hosts: kernel_site.py. Each end has its own view of the connection, for one may not know where the other is.
"""
import threading
import time

import pytest

from lab import Flow, Ping, wait_until
from lab.cygnet import conn

import kernel_site
import libreswan_site
from kernel_site import OURS, THEIR_HOST, THEIRS

OTHER = "192.0.2.77"  # where we move to, or seem to be behind the NAT


@pytest.fixture(scope="module")
def guest_lab():
    with libreswan_site.running("libreswan-life") as lab:
        yield lab


@pytest.fixture
def tunnel(guest_lab, request):
    with libreswan_site.daemons(request, guest_lab) as make_both:
        def make(ours=None, theirs=None, start=True, **words):
            """ours, theirs: what one end alone says."""
            words = {**libreswan_site.WORDS, **libreswan_site.sites(), **words}
            their_conn = conn("lab", **{**words, **(theirs or {})})
            daemon = make_both(conn("lab", **{**words, **(ours or {})}), their_conn, start)
            daemon.their_conn = their_conn
            return daemon

        yield make


def in_kernel(lab):
    """SPIs of the guest's SAs, one way."""
    return {s["spi"] for s in lab.guest.xfrm_states() if s["src"] == THEIRS[4]}


@pytest.mark.parametrize("what", ["child", "ike"])
def test_rekeyed_by_libreswan_under_traffic(guest_lab, tunnel, what):
    daemon = tunnel()
    daemon.up("lab")
    spis, ike = daemon.spis(), daemon.connection()["ike"]["spi_i"]
    flow = Flow(guest_lab.site, THEIR_HOST[4])
    guest_lab.peer.rekey("lab", what)
    if what == "child":
        wait_until(lambda: daemon.spis() != spis, 10, "the child is rekeyed")
    else:
        wait_until(lambda: daemon.connection()["ike"]["spi_i"] != ike, 10, "the IKE SA is rekeyed")
    wait_until(lambda: len(daemon.children()) == 1, 15, "the old child is gone")
    account = flow.stop()
    assert account.sent > 0 and account.lost == 0, account.text[-300:]
    kernel_site.check(guest_lab, daemon)


def test_ike_sa_rekeyed_by_us_under_traffic(guest_lab, tunnel):
    daemon = tunnel()
    daemon.up("lab")
    ike = daemon.connection()["ike"]["spi_i"]
    flow = Flow(guest_lab.site, THEIR_HOST[4])
    daemon.rekey("lab", "--ike")
    wait_until(lambda: daemon.connection()["ike"]["spi_i"] != ike, 10, "the IKE SA is rekeyed")
    assert flow.stop().lost == 0
    kernel_site.check(guest_lab, daemon)


@pytest.mark.parametrize("what", ["child", "ike"])
def test_collisions_under_traffic(guest_lab, tunnel, what):
    """Both ends rekey at the same time, again and again (RFC 7296 sections 2.8.1 and 2.8.2)."""
    daemon = tunnel()
    daemon.up("lab")
    strays = kernel_site.Strays(guest_lab, daemon)
    flow = Flow(guest_lab.site, THEIR_HOST[4])
    for _ in range(4):
        both = [threading.Thread(target=daemon.rekey, args=("lab", *(["--ike"] if what == "ike" else []))),
                threading.Thread(target=guest_lab.peer.rekey, args=("lab", what))]
        for one in both:
            one.start()
        for one in both:
            one.join()
        time.sleep(0.7)
    account = flow.stop()
    # Where an answer of the peer's was lost on the way, so is what it sent meanwhile on the SA which that answer is about:
    # we see each of these packets, and ask again after half a second. Nothing else is lost.
    _, at_us = strays.at_kernel_and_at_us()
    asked_again = daemon.read_log().count("again (try")
    assert account.sent > 50 and account.lost <= (at_us if asked_again else 0), account.text[-300:]
    wait_until(lambda: len(daemon.children()) == 1, 20, "one child is left at Cygnet")
    wait_until(lambda: len(in_kernel(guest_lab)) == 1, 20, "and one in the kernel")
    kernel_site.check(guest_lab, daemon)


@pytest.fixture
def nat(guest_lab):
    """All that our host sends to UDP ports 500 and 4500 seems to come from another address and port."""
    gw = guest_lab.gw
    gw.run(["nft", "-f", "-"], input=f"""
        table ip lab_nat {{
            chain out {{
                type nat hook postrouting priority 100
                oifname "tap0" udp dport {{ 500, 4500 }} snat to {OTHER}:20000-20100
            }}
        }}""")
    gw.run(f"ip addr add {OTHER}/24 dev tap0")
    yield
    gw.run(f"nft delete table ip lab_nat; ip addr del {OTHER}/24 dev tap0")


def test_nat_in_front_of_us(guest_lab, nat, tunnel):
    daemon = tunnel(theirs={"left": "%any"})
    daemon.up("lab")
    assert daemon.connection()["ike"]["nat"] == "local"
    assert all(s["encap"] for s in guest_lab.guest.xfrm_states())
    assert OTHER in {s["dst"] for s in guest_lab.guest.xfrm_states()}
    assert Ping.once(guest_lab.site, THEIR_HOST[4], count=3, interval_s=0.05).lost == 0
    # The mapping stays in use by both ends' rekeys.
    spis = daemon.spis()
    flow = Flow(guest_lab.site, THEIR_HOST[4])
    guest_lab.peer.rekey("lab")
    wait_until(lambda: daemon.spis() != spis, 10, "Libreswan rekeys the child")
    wait_until(lambda: len(daemon.children()) == 1, 15, "the old child is gone")
    assert flow.stop().lost == 0


def test_we_move(guest_lab, tunnel):
    """MOBIKE (RFC 4555)."""
    gw = guest_lab.gw
    daemon = tunnel(ours={"left": "%defaultroute"}, theirs={"left": "%any"}, mobike="yes", dpddelay="2s")
    gw.run(f"ip route add default via {THEIRS[4]}")
    try:
        daemon.ctl("reload")
        daemon.up("lab")
        ike = daemon.connection()["ike"]["spi_i"]
        gw.run(f"ip addr del {OURS[4]}/24 dev tap0 && ip addr add {OTHER}/24 dev tap0 && ip route replace default via {THEIRS[4]}")
        wait_until(lambda: OTHER in {s["dst"] for s in guest_lab.guest.xfrm_states()}, 20, "the kernel's SAs follow")
        Ping.until_answered(guest_lab.site, THEIR_HOST[4], 10)
        assert daemon.connection()["ike"]["spi_i"] == ike
    finally:
        gw.run(f"ip addr del {OTHER}/24 dev tap0; ip addr add {OURS[4]}/24 dev tap0; ip route del default", check=False)


def test_libreswan_answers_and_asks_for_signs_of_life(guest_lab, tunnel):
    """Both look after an idle tunnel every second; nothing healthy is torn down."""
    daemon = tunnel(dpddelay="1s", dpdtimeout="5s", dpdaction="restart")
    daemon.up("lab")
    spis = daemon.spis()
    before = daemon.json("status")["ike_counters"]
    time.sleep(4)
    looks = lambda: daemon.json("status")["ike_counters"]
    wait_until(lambda: looks()["datagrams_in"] - before["datagrams_in"] >= 6, 10, "they look after it")
    after = looks()
    assert daemon.spis() == spis and after["established"] == 1
    kernel_site.check(guest_lab, daemon)


def test_libreswan_killed(guest_lab, tunnel):
    """We notice that nobody answers, and are back with it once it is there again."""
    daemon = tunnel(dpddelay="1s", dpdaction="restart", ours={"auto": "start", "retransmit-timeout": "4s"},
                    theirs={"retransmit-timeout": None})
    daemon.wait_state("up")
    spis = daemon.spis()
    guest_lab.peer.kill()
    guest_lab.peer.start()
    guest_lab.peer.load(daemon.their_conn)
    wait_until(lambda: [c for c in daemon.children() if (c["spi_in"], c["spi_out"]) != spis], 40,
               "Cygnet is up again with fresh SAs")
    Ping.until_answered(guest_lab.site, THEIR_HOST[4], 10)
    kernel_site.check(guest_lab, daemon)


def test_libreswan_killed_and_calls_again(guest_lab, tunnel):
    """The restarted Libreswan's INITIAL_CONTACT, which it sends where it is told to, takes the old IKE SA away here."""
    daemon = tunnel(theirs={"initial-contact": "yes"})
    guest_lab.peer.up("lab")
    daemon.wait_state("up")
    spis = daemon.spis()
    guest_lab.peer.kill()
    guest_lab.peer.start()
    guest_lab.peer.load(daemon.their_conn)
    guest_lab.peer.up("lab")
    wait_until(lambda: len(daemon.connection()["ike_sas"]) == 1 and daemon.spis() != spis, 10,
               "Cygnet has just the new IKE SA")
    kernel_site.check(guest_lab, daemon)


def test_cygnet_killed(guest_lab, tunnel):
    """Libreswan is told nothing; the restarted Cygnet's INITIAL_CONTACT replaces the old SAs."""
    daemon = tunnel(ours={"auto": "start"})
    daemon.wait_state("up")
    old = in_kernel(guest_lab)
    daemon.kill_all()
    daemon.start()
    daemon.wait_state("up")
    wait_until(lambda: len(in_kernel(guest_lab)) == 1 and in_kernel(guest_lab) != old, 15, "the kernel has just the new SAs")
    kernel_site.check(guest_lab, daemon)
