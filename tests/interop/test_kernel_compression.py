# SPDX-License-Identifier: Apache-2.0
"""compress=yes (IPComp, RFC 3173) with engine=xfrm and engine=pfkey: the guest's kernel compresses and expands, beside
Cygnet's own engine (hosts: kernel_site.py). Packets are counted by both daemons, by the kernel's SAs of ESP and IPComp,
and on the wire.
"""
import time

import pytest

from lab import Capture, Flow, wait_until

import guest_pair
import kernel_site
from guest_pair import check
from kernel_site import OUR_LAN, OURS, THEIR_HOST, THEIR_LAN, THEIRS

OUR_HOST = {4: "10.1.0.10", 6: "fd01::10"}
# Data of a flow's packets, and whether they become smaller than half of it.
KINDS = {"large": (dict(size=1000), True), "small": (dict(size=20), False),
         "random": (dict(size=1000, random=True), False)}


@pytest.fixture(scope="module")
def guest_lab():
    with guest_pair.running("compress") as lab:
        yield lab


@pytest.fixture(params=["xfrm", "pfkey"])
def engine(request):
    return request.param


@pytest.fixture
def both(guest_lab, request):
    with guest_pair.pairs_of(request, guest_lab, guest_pair.Both) as make:
        yield lambda **words: make(**{"compress": "yes", **words})


def states(lab, protocol):
    return [s for s in lab.guest.xfrm_states() if s["protocol"] == protocol]


def ipcomp(lab, source):
    """Packets of the kernel's SAs of IPComp from this end."""
    return sum(s["packets"] for s in states(lab, "comp") if s["src"] == source)


def settle(lab, pair, before=None):
    """Waits until both ends have one child, another than before, and the kernel its SAs and no others."""
    def is_settled():
        ours, theirs = ([(c["spi_in"], c["spi_out"]) for c in daemon.children()] for daemon in (pair.ours, pair.theirs))
        return (len(ours) == 1 and theirs == [ours[0][::-1]] and ours[0] != before and
                len(states(lab, "esp")) == len(states(lab, "comp")) == 2)
    wait_until(is_settled, 40, "there is one child, and the kernel has one pair of each kind for it")


def through(lab, pair, family, target=None, **flow):
    """What a flow of echo requests did to counters: (packets each way, IPComp in the kernel from us, octets on the wire of
    the largest ESP packet)."""
    pair.ours.wait_route(target or THEIR_HOST[family])
    before = kernel_site.counters(lab, pair.ours), pair.theirs.child(), ipcomp(lab, OURS[family])
    esp = ("ip" if family == 4 else "ip6") + " proto 50"
    with Capture(lab.gw, "tap0", "not arp") as wire:
        running = Flow(lab.gw if target else lab.site, target or THEIR_HOST[family], **flow)
        time.sleep(0.1)
        account = running.stop()
    assert account.lost == 0, account.text
    after = kernel_site.counters(lab, pair.ours), pair.theirs.child(), ipcomp(lab, OURS[family])
    for side in ("cygnet", "kernel"):
        assert [after[0][side][i] - before[0][side][i] for i in (0, 1)] == [account.sent] * 2, side
    assert [after[1][w]["packets"] - before[1][w]["packets"] for w in ("in", "out")] == [account.sent] * 2
    assert wire.count(esp) == 2 * account.sent
    assert wire.count("icmp or (icmp6 and (ip6[40] == 128 or ip6[40] == 129))") == 0
    shrunk = 2 * account.sent - wire.count(f"{esp} and greater 500")
    return account.sent, after[2] - before[2], shrunk


@pytest.mark.parametrize("initiator", ["ours", "theirs"])
@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", ["tunnel", "transport"])
def test_what_shrinks_is_compressed(guest_lab, both, engine, mode, family, initiator):
    words = dict(type="transport", leftsubnet=None, rightsubnet=None) if mode == "transport" else {}
    pair = both(engine=engine, family=family, **words)
    pair.up(initiator)
    assert [s["mode"] for s in states(guest_lab, "comp")] == [mode] * 2
    assert [s["mode"] for s in states(guest_lab, "esp")] == ["transport"] * 2
    target = THEIRS[family] if mode == "transport" else None
    for name, (flow, shrinks) in KINDS.items():
        sent, expanded, shrunk = through(guest_lab, pair, family, target, **flow)
        # Both ways; and the kernel's IPComp has seen what Cygnet compressed, and nothing else.
        assert shrunk == (0 if name == "random" else 2 * sent), name
        assert expanded == (sent if shrinks else 0), name
    pair.ours.down("lab")
    wait_until(lambda: guest_lab.guest.xfrm_states() == [], 5, "the kernel has no SA left, of whatever kind")
    pair.theirs.stop()
    assert guest_lab.guest.run("ip xfrm policy").strip() == ""


def test_esp_in_udp(guest_lab, both, engine):
    pair = both(engine=engine, encapsulation="yes")
    pair.up()
    with Capture(guest_lab.gw, "tap0", "udp port 4500 or ip proto 50") as wire:
        for flow, _ in KINDS.values():
            running = Flow(guest_lab.site, THEIR_HOST[4], **flow)
            time.sleep(0.1)
            account = running.stop()
            assert account.lost == 0, account.text
            if flow == KINDS["large"][0]:
                assert wire.count("udp port 4500 and greater 500") == 0
    assert wire.count("ip proto 50") == 0
    assert all(s["encap"] for s in states(guest_lab, "esp"))
    assert ipcomp(guest_lab, OURS[4]) > 0


@pytest.mark.parametrize("initiator", ["ours", "theirs"])
def test_rekey_under_traffic(guest_lab, both, engine, initiator):
    pair = both(engine=engine)
    pair.up()

    def rekey():
        before = pair.ours.spis()
        (pair.ours if initiator == "ours" else pair.theirs).rekey("lab")
        settle(guest_lab, pair, before)

    flows = [Flow(guest_lab.site, THEIR_HOST[4], **flow) for flow, _ in KINDS.values()]
    for _ in range(3):
        rekey()
    for flow in flows:
        account = flow.stop()
        assert account.lost == 0, account.text
    # A new SA does not remember that what came last did not shrink (RFC 3173 section 2.2: "an adaptive algorithm").
    rekey()
    sent, expanded, shrunk = through(guest_lab, pair, 4, **KINDS["large"][0])
    assert (expanded, shrunk) == (sent, 2 * sent)


def test_a_peer_that_does_not_compress(guest_lab, both, engine):
    """What was agreed on last the policies ask for."""
    pair = both(engine=engine, start=False)
    text = pair.ours.conf.read_text()
    pair.ours.conf.write_text(text.replace("compress=yes", "compress=no"))
    pair.start()
    pair.up()
    assert states(guest_lab, "comp") == [] and [s["mode"] for s in states(guest_lab, "esp")] == ["tunnel"] * 2
    check(guest_lab, pair)
    pair.ours.conf.write_text(text)
    pair.ours.reload()
    wait_until(lambda: pair.theirs.children() == [] and states(guest_lab, "esp") == [], 10, "what was agreed on is gone")
    pair.up("theirs")
    sent, expanded, shrunk = through(guest_lab, pair, 4, **KINDS["large"][0])
    assert (expanded, shrunk) == (sent, 2 * sent)


@pytest.mark.parametrize("outer,inner", [(4, 6), (6, 4)])
def test_of_another_family_than_the_ends(guest_lab, both, engine, outer, inner):
    """It is not offered, and not accepted; the tunnel is there, and it is told."""
    for initiator in ("ours", "theirs"):
        pair = both(engine=engine, family=outer, inner=inner)
        pair.up(initiator)
        assert states(guest_lab, "comp") == []
        assert "is not compressed: in the kernel" in pair.theirs.read_log()
        check(guest_lab, pair, outer=outer, inner=inner)
        pair.stop()


def test_on_demand(guest_lab, both, engine):
    """The first packet, which met a policy of ESP alone, is not lost."""
    pair = both(engine=engine, auto="ondemand", start=False)
    pair.theirs.start()
    pair.ours.conf.write_text(pair.ours.conf.read_text().replace("auto=ondemand", "auto=add"))
    pair.ours.start()
    assert guest_lab.guest.answered(OUR_HOST[4], 4, f"-s 1000 -I {THEIR_HOST[4]}") == 4
    assert ipcomp(guest_lab, THEIRS[4]) == ipcomp(guest_lab, OURS[4]) == 4
    # And while the peer is away nothing leaves in the clear.
    pair.ours.stop()
    wait_until(lambda: pair.theirs.children() == [], 10, "the peer has said goodbye")
    with Capture(guest_lab.gw, "tap0", "icmp[icmptype] == icmp-echo or ip proto 108 or ip proto 4") as wire:
        guest_lab.guest.run(f"ping -c 3 -i 0.2 -W 1 -I {THEIR_HOST[4]} {OUR_HOST[4]}", check=False)
    assert wire.count() == 0


def test_ike_killed(guest_lab, both, engine):
    """The next ike adopts what the kernel has."""
    pair = both(engine=engine)
    pair.up()
    spis = pair.theirs.spis()
    flows = [Flow(guest_lab.site, THEIR_HOST[4], **flow) for flow, _ in KINDS.values()]
    old = pair.theirs.kill("ike")
    pair.theirs.wait_role("ike", old, 20)
    pair.theirs.wait_state("up")
    for flow in flows:
        account = flow.stop()
        assert account.lost == 0, account.text
    assert pair.theirs.spis() == spis
    before = pair.ours.spis()
    pair.theirs.rekey("lab")
    settle(guest_lab, pair, before)
    sent, expanded, shrunk = through(guest_lab, pair, 4, **KINDS["large"][0])
    assert (expanded, shrunk) == (sent, 2 * sent)


def test_daemon_killed(guest_lab, both, engine):
    """What it left goes on, and goes when there are new SAs in its place."""
    pair = both(engine=engine, auto="start", start=False)
    pair.ours.conf.write_text(pair.ours.conf.read_text().replace("auto=start", "auto=add"))
    pair.start()
    for daemon in (pair.ours, pair.theirs):
        daemon.wait_state("up")
    before = pair.ours.spis()
    flow = Flow(guest_lab.site, THEIR_HOST[4], **KINDS["large"][0])
    pair.theirs.kill("monitor")
    wait_until(lambda: not pair.theirs.alive("engine"), 5, "all of its processes are gone")
    assert len(states(guest_lab, "esp")) == len(states(guest_lab, "comp")) == 2
    pair.theirs.start()
    pair.theirs.wait_state("up")
    settle(guest_lab, pair, before)
    # What we send between our answer and the moment when the kernel has the new SA, it cannot read.
    account = flow.stop()
    assert account.gaps <= 1 and account.lost < 100, account.text
    sent, expanded, shrunk = through(guest_lab, pair, 4, **KINDS["large"][0])
    assert (expanded, shrunk) == (sent, 2 * sent)


def test_half_of_it_flushed_by_others(guest_lab, both, engine):
    """SAs of IPComp alone: nothing leaves in the clear, and all of it is negotiated anew."""
    pair = both(engine=engine, auto="start", start=False)
    pair.ours.conf.write_text(pair.ours.conf.read_text().replace("auto=start", "auto=add"))
    pair.start()
    for daemon in (pair.ours, pair.theirs):
        daemon.wait_state("up")
    before = pair.ours.spis()
    guest_lab.guest.run("ip xfrm state deleteall proto comp")
    settle(guest_lab, pair, before)
    sent, expanded, shrunk = through(guest_lab, pair, 4, **KINDS["large"][0])
    assert (expanded, shrunk) == (sent, 2 * sent)


@pytest.mark.parametrize("words,what", [
    ("clones=1", "compress=yes with clones="), ("if_id_in=5\nif_id_out=6", "compress=yes with if_id_in="),
    ("nic-offload=crypto", "compress=yes with nic-offload="),
    ("leftsubnet=10.1.0.0/24,fd01::/64\nrightsubnet=10.2.0.0/24,fd02::/64", "compress=yes with subnets of both")])
def test_what_is_refused_by_name(guest_lab, both, words, what):
    replaced = dict(leftsubnet=None, rightsubnet=None) if "subnet" in words else {}
    pair = both(start=False, only_theirs=words, **replaced)
    pair.theirs.start(wait=False)
    wait_until(lambda: what in pair.theirs.read_log(), 15, "it says what cannot be")
    wait_until(lambda: not pair.theirs.alive("monitor"), 5, "it does not start")
    pair.theirs.process = None
