# SPDX-License-Identifier: Apache-2.0
"""engine=xfrm and engine=pfkey: Cygnet in the guest drives the kernel's IPsec; beside it Cygnet's own engine and
strongSwan (hosts: kernel_site.py).

Both daemons read the same connection: its `left` is the side of the host.
"""
import pytest

from lab import Capture, Flow, Ping, wait_until
from lab.cygnet import conn, program
from lab.guest_cygnet import GuestCygnet
from lab.strongswan import StrongSwan, site_config

import guest_pair
import kernel_site
from guest_pair import check
from kernel_site import OUR_LAN, OURS, THEIR_HOST, THEIR_LAN, THEIRS


@pytest.fixture(scope="module")
def guest_lab():
    with guest_pair.running("xfrm") as lab:
        yield lab


@pytest.fixture(params=["xfrm", "pfkey"])
def engine(request):
    return request.param


@pytest.fixture
def both(guest_lab, request):
    with guest_pair.pairs_of(request, guest_lab, guest_pair.Both) as make:
        yield make


@pytest.mark.parametrize("initiator", ["ours", "theirs"])
@pytest.mark.parametrize("family", [4, 6])
def test_tunnel(guest_lab, both, engine, family, initiator):
    pair = both(engine=engine, family=family)
    pair.up(initiator)
    check(guest_lab, pair, outer=family, inner=family)
    # And from the kernel's side.
    assert guest_lab.guest.answered("10.1.0.10" if family == 4 else "fd01::10", 2, f"-I {THEIR_HOST[family]}") == 2
    pair.ours.down("lab")
    wait_until(lambda: guest_lab.guest.xfrm_states() == [], 5, "the kernel has no SA left")


@pytest.mark.parametrize("esp", ["aes_gcm256", "aes128-sha2_256", "aes256-sha2_512", "chacha20_poly1305",
                                 "aes_gcm128;esn"])
def test_algorithms(guest_lab, both, esp):
    esp, _, esn = esp.partition(";")
    pair = both(esp=esp, esn="yes" if esn else "no")
    pair.up()
    check(guest_lab, pair)


@pytest.mark.parametrize("initiator", ["ours", "theirs"])
def test_rekey_under_traffic(guest_lab, both, engine, initiator):
    pair = both(engine=engine)
    pair.up()
    before = pair.ours.spis()
    flow = Flow(guest_lab.site, THEIR_HOST[4])
    (pair.ours if initiator == "ours" else pair.theirs).rekey("lab")
    wait_until(lambda: pair.ours.spis() != before and len(pair.ours.children()) == 1, 15, "the child is rekeyed")
    wait_until(lambda: len(guest_lab.guest.xfrm_states()) == 2, 10, "the kernel has one pair of SAs")
    assert flow.stop().lost == 0
    check(guest_lab, pair)


def test_transport(guest_lab, both, engine):
    pair = both(engine=engine, type="transport", leftsubnet=None, rightsubnet=None)
    pair.up()
    check(guest_lab, pair, target=THEIRS[4])
    assert {s["mode"] for s in guest_lab.guest.xfrm_states()} == {"transport"}


def test_esp_in_udp(guest_lab, both, engine):
    pair = both(engine=engine, encapsulation="yes")
    pair.up()
    with Capture(guest_lab.gw, "tap0", "udp port 4500 or ip proto 50") as wire:
        assert Ping.once(guest_lab.site, THEIR_HOST[4], count=3, interval_s=0.05).lost == 0
    assert wire.count("udp port 4500 and udp[8:4] != 0") == 6
    assert wire.count("ip proto 50") == 0
    assert all(s["encap"] for s in guest_lab.guest.xfrm_states())
    # IKE goes on over the port that the kernel takes ESP from.
    pair.theirs.rekey("lab")
    wait_until(lambda: len(pair.ours.children()) == 1, 10, "the child is rekeyed")


def test_on_demand(guest_lab, both, engine):
    """A packet that meets the kernel's policy brings the tunnel up, and is not lost."""
    pair = both(engine=engine, auto="ondemand", start=False)
    pair.theirs.start()
    text = pair.ours.conf.read_text()
    pair.ours.conf.write_text(text.replace("auto=ondemand", "auto=add"))
    pair.ours.start()
    assert guest_lab.guest.answered("10.1.0.10", 4, "-I 10.2.0.10") == 4
    assert pair.theirs.state() == "up"


def test_nothing_leaves_in_the_clear(guest_lab, both, engine):
    """While the peer is away: nothing with a connection that waits for packets or is kept up; with auto=add, which asks
    for no tunnel, the routes and policies are gone as with Cygnet's own engine, and packets go as they would without."""
    pair = both(engine=engine, auto="ondemand", start=False)
    pair.ours.conf.write_text(pair.ours.conf.read_text().replace("auto=ondemand", "auto=add"))
    pair.theirs.start()
    pair.ours.start()
    pair.up("theirs")

    def clear_of_three():
        with Capture(guest_lab.gw, "tap0", "icmp[icmptype] == icmp-echo") as wire:
            guest_lab.guest.run("ping -c 3 -i 0.2 -W 1 -I 10.2.0.10 10.1.0.10", check=False)
        return wire.count()

    def with_word(old, new):
        conf = pair.theirs.conf
        conf.write_text(conf.read_text().replace(f"auto={old}", f"auto={new}"))
        pair.theirs.reload()

    pair.ours.stop()
    assert clear_of_three() == 0
    with_word("ondemand", "start")
    pair.ours.start()
    pair.theirs.wait_state("up", timeout_s=20)
    pair.ours.stop()
    assert clear_of_three() == 0
    with_word("start", "add")
    wait_until(lambda: OUR_LAN[4] not in guest_lab.guest.run("ip xfrm policy"), 10, "the policies are gone")
    assert clear_of_three() == 3
    pair.stop()
    # What asked for a tunnel stays a while in the kernel, which made it: an SA without an SPI.
    left = "ip xfrm policy; ip xfrm state | grep 'spi 0x' | grep -v 'spi 0x00000000'"
    assert guest_lab.guest.run(left, check=False).strip() == ""


def test_ike_killed(guest_lab, both, engine):
    """kill -9 of ike: packets flow on, and the next ike adopts the kernel's SAs."""
    pair = both(engine=engine)
    pair.up()
    spis = pair.theirs.spis()
    flow = Flow(guest_lab.site, THEIR_HOST[4])
    old = pair.theirs.kill("ike")
    pair.theirs.wait_role("ike", old, 20)
    pair.theirs.wait_state("up")
    assert flow.stop().lost == 0
    assert pair.theirs.spis() == spis
    before = pair.ours.spis()
    pair.theirs.rekey("lab")
    wait_until(lambda: pair.ours.spis() != before, 10, "the adopted child can be rekeyed")
    check(guest_lab, pair)


def test_lifetime_in_packets(guest_lab, both, engine):
    """The kernel counts, tells when it is time, and ike rekeys."""
    pair = both(engine=engine, **{"ipsec-max-packets": "100"})
    pair.up()
    before = pair.theirs.spis()
    assert Ping.once(guest_lab.site, THEIR_HOST[4], count=98, interval_s=0.02).lost == 0
    wait_until(lambda: pair.theirs.spis() != before, 15, "the child is rekeyed")


def test_marks(guest_lab, both):
    """Only marked packets take the tunnel."""
    pair = both(only_theirs="mark-out=0x2a/0xff")
    pair.up()
    assert "mark 0x2a/0xff" in guest_lab.guest.run("ip xfrm state")
    assert guest_lab.guest.run("ip xfrm policy").count("mark 0x2a/0xff") == 1
    assert guest_lab.guest.answered("10.1.0.10", 3, "-m 42 -I 10.2.0.10") == 3
    assert [pair.theirs.child()[w]["packets"] for w in ("in", "out")] == [3, 3]
    with Capture(guest_lab.gw, "tap0", "icmp") as wire:
        guest_lab.guest.run("ping -c 2 -i 0.2 -W 1 -I 10.2.0.10 10.1.0.10", check=False)
    assert wire.count("icmp") == 2  # unmarked: as if there were no tunnel
    assert pair.theirs.child()["out"]["packets"] == 3
    pair.theirs.rekey("lab")
    wait_until(lambda: len(guest_lab.guest.xfrm_states()) == 2, 10, "the marked SA is found again and removed")
    pair.stop()
    assert guest_lab.guest.run("ip xfrm state; ip xfrm policy").strip() == ""


def test_interface_ids(guest_lab, both):
    """The kernel has them; without such an interface no packet takes the tunnel (this guest has no XFRM interfaces)."""
    pair = both(only_theirs="if_id_in=5\nif_id_out=6")
    pair.up()
    states = guest_lab.guest.run("ip xfrm state")
    assert states.count("if_id 0x5") == 1 and states.count("if_id 0x6") == 1
    policies = guest_lab.guest.run("ip xfrm policy")
    assert policies.count("if_id 0x5") == 2 and policies.count("if_id 0x6") == 1
    pair.stop()
    assert guest_lab.guest.run("ip xfrm state; ip xfrm policy").strip() == ""


def test_policies_flushed_by_others(guest_lab, both, engine):
    pair = both(engine=engine)
    pair.up()
    ours = lambda: guest_lab.guest.run("ip xfrm policy").count("src 10.2.0.0/24 dst 10.1.0.0/24")
    assert ours() == 1
    guest_lab.guest.run("ip xfrm policy flush")
    wait_until(lambda: ours() == 1, 5, "the policies are put back")
    pair.theirs.wait_log("others took")
    check(guest_lab, pair)


def test_a_policy_written_over_by_others(guest_lab, both, engine):
    """Another program sets a policy with our selector: it is told, and ours is back; then nothing more is to do."""
    pair = both(engine=engine)
    pair.up()
    selector = "src 10.2.0.0/24 dst 10.1.0.0/24"
    # A line of ip xfrm policy with its template.
    policy = lambda: guest_lab.guest.run(f"ip xfrm policy | grep -A 3 '^{selector}'", check=False).split()
    before = policy()
    assert "tmpl" in before
    guest_lab.guest.run(f"ip xfrm policy update {selector} dir out priority 7 action allow")
    wait_until(lambda: policy() == before, 5, "our policy is there again")
    wait_until(lambda: "others wrote over 1 of our policies" in pair.theirs.read_log(), 5, "and it is told")
    check(guest_lab, pair)
    # What is looked at again is found as it should be, in both languages.
    guest_lab.guest.run("ip xfrm policy add src 198.18.0.1 dst 198.18.0.2 dir out; "
                        "ip xfrm policy del src 198.18.0.1 dst 198.18.0.2 dir out")
    guest_lab.guest.run("ip xfrm policy flush")
    wait_until(lambda: policy() == before, 5, "our policy is there again")
    assert pair.theirs.read_log().count("others wrote over") == 1


def refused(pair, what):
    """The guest's daemon says why, and ends."""
    pair.theirs.start(wait=False)
    wait_until(lambda: what in pair.theirs.read_log(), 15, "it says what cannot be")
    wait_until(lambda: not pair.theirs.alive("monitor"), 5, "it does not start")
    pair.theirs.process = None


def test_network_cards(guest_lab, both):
    """The guest's card has no ESP: auto goes on without it, crypto is refused when it is loaded."""
    pair = both(only_theirs="nic-offload=auto")
    pair.up()
    check(guest_lab, pair)
    pair.stop()
    for word in ("crypto", "packet"):
        refused(both(start=False, only_theirs=f"nic-offload={word}"), "192.0.2.9 takes no SA")
    assert guest_lab.guest.xfrm_states() == []


@pytest.mark.parametrize("words,what", [
    ("ipsec-interface=7", "has ipsec-interface=, and this kernel has no XFRM interfaces (CONFIG_XFRM_INTERFACE)"),
    ("clones=2", "has clones=2, and the kernel refused an SA of these algorithms: there is no CPU 1"),
    ("iptfs=yes", "has iptfs=, and the kernel refused an SA of these algorithms: it has no IP-TFS")])
def test_what_this_kernel_has_not(guest_lab, both, words, what):
    """Nor this machine, which has one CPU."""
    refused(both(start=False, only_theirs=words), what)
    assert guest_lab.guest.xfrm_states() == []


@pytest.mark.parametrize("words,what", [
    (dict(esp="aes_gcm128"), "AEAD"), (dict(esp="aes128-sha2_256"), "96 bits"), (dict(esn="either"), "esn=no"),
    (dict(rightsubnet="0.0.0.0/0", leftsubnet="0.0.0.0/0"), "its own peer"), (dict(mobike="yes"), "mobike=no")])
def test_what_pf_key_cannot_say_is_refused(guest_lab, both, words, what):
    pair = both(engine="pfkey", start=False, **words)
    pair.theirs.start(wait=False)
    wait_until(lambda: what in pair.theirs.read_log(), 15, "it says what cannot be")
    wait_until(lambda: not pair.theirs.alive("monitor"), 5, "it does not start")
    pair.theirs.process = None


def test_what_the_kernel_lacks_is_refused(guest_lab, both):
    pair = both(start=False, traffic="latency")
    pair.theirs.start(wait=False)
    wait_until(lambda: "traffic=latency" in pair.theirs.read_log(), 15, "it says what cannot be")
    wait_until(lambda: not pair.theirs.alive("monitor"), 5, "it does not start")
    pair.theirs.process = None
    # engine=auto takes Cygnet's own engine then.
    pair.theirs.configure(pair.ours.conf.read_text().split("\n", 1)[1].lstrip(), "engine=auto")
    pair.theirs.start()
    pair.ours.start()
    pair.up()
    pair.theirs.wait_log("own engine")
    assert guest_lab.guest.xfrm_states() == []


def test_daemon_killed(guest_lab, both, engine):
    """kill -9 of everything: the kernel's SAs carry on, and the next daemon takes them over until it has its own."""
    pair = both(engine=engine, auto="start", start=False)
    text = pair.ours.conf.read_text()
    pair.ours.conf.write_text(text.replace("auto=start", "auto=add"))
    pair.ours.start()
    pair.theirs.start()
    pair.ours.wait_state("up")
    pair.theirs.wait_state("up")
    before = pair.theirs.spis()
    strays = kernel_site.Strays(guest_lab, pair.ours)
    flow = Flow(guest_lab.site, THEIR_HOST[4])
    pair.theirs.kill("monitor")
    pair.theirs.wait_dead()
    assert len(guest_lab.guest.xfrm_states()) == 2
    pair.theirs.start()
    pair.theirs.wait_state("up")
    wait_until(lambda: pair.theirs.spis() != before, 10, "it has SAs of its own")
    wait_until(lambda: len(guest_lab.guest.xfrm_states()) == 2, 10, "what was taken over is gone")
    # What we send between our answer and the moment when the kernel has the new SA, it cannot read.
    account = flow.stop()
    at_kernel, _ = strays.at_kernel_and_at_us()
    assert account.lost <= at_kernel and account.lost == len(account.missing) <= 50, account.text[-2000:]
    assert account.lost == 0 or account.missing[-1] - account.missing[0] + 1 == account.lost, account.text[-2000:]
    check(guest_lab, pair)
    # What a killed one leaves, --clean-up takes back.
    pair.theirs.kill("monitor")
    pair.theirs.wait_dead()
    guest_lab.kernel_host.run([program("cygnetd"), "--clean-up", "--config", pair.theirs.conf, "--secrets",
                               pair.theirs.secrets, "--run-dir", pair.theirs.run_dir])
    assert guest_lab.guest.run("ip xfrm state; ip xfrm policy").strip() == ""
    pair.theirs.process = None


def test_what_others_flush_is_there_again(guest_lab, both):
    """Policies are set again at once; SAs are negotiated anew, and nothing leaves in the clear meanwhile."""
    pair = both(auto="start")
    pair.ours.wait_state("up")
    pair.theirs.wait_state("up")
    pair.wait_settled()
    guest = guest_lab.guest
    policies = guest.run("ip xfrm policy | grep -c priority").strip()
    with Capture(guest_lab.gw, "tap0", "icmp") as clear:
        guest.run("ip xfrm policy flush")
        wait_until(lambda: guest.run("ip xfrm policy | grep -c priority", check=False).strip() == policies, 5,
                   "the policies are set again")
        check(guest_lab, pair)
        before = pair.theirs.spis()
        guest.run("ip xfrm state flush")
        wait_until(lambda: len(guest_lab.guest.xfrm_states()) == 2 and pair.theirs.spis() != before, 20,
                   "there are new SAs")
        pair.ours.wait_state("up")
        wait_until(lambda: Ping.once(guest_lab.site, THEIR_HOST[4], wait_s=0.5).received, 10, "the tunnel works again")
    assert clear.count("icmp") == 0
    pair.theirs.wait_log("out of the kernel")


def test_strongswan(guest_lab, request):
    """strongSwan 5.9 with its own user-space ESP on the host, which takes ESP in UDP only."""
    theirs = GuestCygnet(guest_lab.kernel_host, "strongswan-guest")
    theirs.configure(conn("lab", left=OURS[4], leftsubnet=OUR_LAN[4], right=THEIRS[4], rightsubnet=THEIR_LAN[4],
                          leftid="@ours", rightid="@theirs", ike="aes128gcm16-prfsha256-ecp256",
                          esp="aes128gcm16"), "engine=xfrm")
    peer = StrongSwan(guest_lab.gw)
    try:
        theirs.start()
        peer.start()
        peer.load(site_config(local=OURS[4], remote=THEIRS[4], local_ts=OUR_LAN[4], remote_ts=THEIR_LAN[4],
                              esp="aes128gcm16", ike="aes128gcm16-prfsha256-ecp256", local_id="ours",
                              remote_id="theirs"))
        peer.up("net")
        theirs.wait_state("up")
        before = peer.child("net")
        assert Ping.once(guest_lab.site, THEIR_HOST[4], count=3, interval_s=0.05).lost == 0
        after = peer.child("net")
        assert [after[w]["packets"] - before[w]["packets"] for w in ("in", "out")] == [3, 3]
        assert [theirs.child()[w]["packets"] for w in ("in", "out")] == [3, 3]
        assert all(s["encap"] and s["packets"] == 3 for s in guest_lab.guest.xfrm_states())
    finally:
        if getattr(request.node, "call_failed", True):
            print(theirs.read_log()[-3000:])
        peer.stop()
        theirs.stop()


def test_an_sa_that_the_kernel_refuses(guest_lab, both):
    """What it took when it was asked, and takes no more: nothing counts as up that carries nothing."""
    pair = both()
    guest = guest_lab.guest
    before = guest.run("cat /proc/sys/kernel/modprobe").strip()
    guest.run("echo /bin/false >/proc/sys/kernel/modprobe && rmmod gcm")
    try:
        done = pair.theirs.ctl("up", "lab", check=False)
        assert done.returncode != 0 or pair.theirs.children() == []
        pair.theirs.wait_log("an SA was not installed: the kernel refused the")
        pair.theirs.wait_log("; its tunnel is taken down")
        assert "reached a limit of its lifetime" not in pair.theirs.read_log()
        wait_until(lambda: pair.ours.children() == [] and pair.theirs.children() == [], 10, "both ends have no child")
        wait_until(lambda: guest.xfrm_states() == [], 10, "nor has the kernel an SA")
    finally:
        guest.run(f"echo {before} >/proc/sys/kernel/modprobe; modprobe gcm")
    pair.up()
    check(guest_lab, pair)
