# SPDX-License-Identifier: Apache-2.0
"""Cygnet with strongSwan 5.9 (kernel-libipsec): algorithms, families, rekeys, endings."""
import re
import threading
import time

import pytest

from lab import Flow, Ping, wait_until

from pair import KINDS, Pair

# Every ESP algorithm that both have: as Cygnet's line and as strongSwan's proposal.
ALGORITHMS = ["aes128gcm16", "aes256gcm16", "chacha20poly1305", "aes128-sha256", "aes256-sha256",
              "aes128-sha384", "aes256-sha512", "null-sha256"]
IKE_SUITES = ["aes256gcm16-prfsha384-ecp384", "aes128-sha256-modp2048", "aes256-sha512-ecp521",
              "aes256gcm16-prfsha512-curve25519", "aes256-sha384-modp3072",
              "aes128gcm16-prfsha256-modp4096"]


def test_the_newer_version(net):
    """The strongSwan that runs is the one that the names of these tests speak of."""
    assert re.match(r"strongSwan swanctl [6-9]\.", Pair(net).strongswan.release())


@pytest.mark.parametrize("initiator", KINDS)
@pytest.mark.parametrize("esp", ALGORITHMS)
def test_esp_algorithm(net, esp, initiator):
    pair = Pair(net, esp=esp)
    pair.up(initiator)
    pair.check_traffic()


@pytest.mark.parametrize("initiator", KINDS)
@pytest.mark.parametrize("ike", IKE_SUITES)
def test_ike_suite(net, ike, initiator):
    pair = Pair(net, ike=ike, ss_ike=ike)
    pair.up(initiator)
    assert pair.ping().lost == 0


@pytest.mark.parametrize("initiator", KINDS)
@pytest.mark.parametrize("outer,inner", [(6, 6), (4, 6), (6, 4)])
def test_families(net, outer, inner, initiator):
    pair = Pair(net, outer=outer, inner=inner)
    pair.up(initiator)
    pair.check_traffic()


@pytest.mark.parametrize("initiator", KINDS)
def test_both_families_in_one_child(net, initiator):
    both = {s: f"{net.lan(s, 4)},{net.lan(s, 6)}" for s in "ab"}
    pair = Pair(net, leftsubnet=both["a"], rightsubnet=both["b"], ss_local_ts=both["b"],
                ss_remote_ts=both["a"])
    pair.up(initiator)
    for family in (4, 6):
        assert Ping.once(net.host_a, net.host_address("b", family), count=2).lost == 0
    assert pair.cygnet.child()["out"]["packets"] == 4
    assert pair.strongswan.child("net")["in"]["packets"] == 4


def keys(connection, what):
    """By which one tells whether it was rekeyed."""
    return connection["ike"]["spi_i"] if what == "ike" else connection["children"][-1]["spi_in"]


@pytest.mark.parametrize("who", KINDS)
@pytest.mark.parametrize("what", ["child", "ike"])
def test_rekey_under_traffic(net, what, who):
    pair = Pair(net)
    pair.up("cygnet" if who == "strongswan" else "strongswan")
    before = pair.cygnet.connection()
    flow = Flow(net.host_a, net.host_address("b"))
    for _ in range(2):
        time.sleep(0.2)
        was = keys(pair.cygnet.connection(), what)
        if who == "cygnet":
            pair.cygnet.rekey("lab", *(["--ike"] if what == "ike" else []))
        else:
            pair.strongswan.rekey(**({"ike": "lab"} if what == "ike" else {"child": "net"}))
        wait_until(lambda: keys(pair.cygnet.connection(), what) != was, 10, "there are new keys")
    time.sleep(0.5)
    account = flow.stop()
    after = pair.cygnet.connection()
    if what == "ike":
        assert after["ike"]["spi_i"] != before["ike"]["spi_i"]
        assert after["children"][-1]["spi_in"] == before["children"][-1]["spi_in"]
    else:
        assert after["children"][-1]["spi_in"] != before["children"][-1]["spi_in"]
        assert after["ike"]["spi_i"] == before["ike"]["spi_i"]
    assert account.sent > 50 and account.lost == 0, account.text[-300:]
    wait_until(lambda: len(pair.strongswan.status()) == 1, 15, "strongSwan has one IKE SA")
    # What was replaced is gone on both sides, once nothing can be under way any more.
    wait_until(lambda: len(pair.cygnet.children()) == 1, 15, "one child is left at Cygnet")
    wait_until(lambda: len(pair.strongswan.installed().get("net", [])) == 1, 15, "and one at strongSwan")


@pytest.mark.parametrize("what", ["child", "ike", "mixed"])
def test_collisions_under_traffic(net, what):
    """Both ends rekey at the same time, again and again: RFC 7296 sections 2.8.1, 2.8.2 and 2.25."""
    pair = Pair(net)
    pair.up("cygnet")
    flow = Flow(net.host_a, net.host_address("b"))
    for turn in range(6):
        ours = (["--ike"] if what == "ike" or (what == "mixed" and turn % 2) else [])
        theirs = {"ike": "lab"} if what == "ike" or (what == "mixed" and not turn % 2) else {"child": "net"}
        both = [threading.Thread(target=pair.cygnet.rekey, args=("lab", *ours)),
                threading.Thread(target=pair.strongswan.rekey, kwargs=theirs)]
        for one in both:
            one.start()
        for one in both:
            one.join()
        time.sleep(0.5)
    account = flow.stop()
    assert account.sent > 50 and account.lost == 0, account.text[-300:]
    wait_until(lambda: len(pair.cygnet.children()) == 1, 15, "one child is left at Cygnet")
    wait_until(lambda: [len(c) for c in pair.strongswan.installed().values()] == [1], 15, "and one at strongSwan")
    wait_until(lambda: len(pair.strongswan.status()) == 1, 15, "strongSwan has one IKE SA")
    pair.check_traffic()


@pytest.mark.parametrize("initiator", KINDS)
def test_rekey_with_fresh_key_exchange(net, initiator):
    """A key exchange in the ESP proposal: none in IKE_AUTH, one in each rekey."""
    pair = Pair(net, esp="aes128gcm16-ecp256")
    pair.up("strongswan" if initiator == "cygnet" else "cygnet")
    flow = Flow(net.host_a, net.host_address("b"))
    before = pair.cygnet.spis()
    pair.cygnet.rekey("lab") if initiator == "cygnet" else pair.strongswan.rekey(child="net")
    wait_until(lambda: pair.cygnet.spis() != before, 10, "the child is rekeyed")
    time.sleep(0.3)
    assert flow.stop().lost == 0


@pytest.mark.parametrize("initiator", KINDS)
def test_several_children(net, initiator):
    subnets = {"one": "10.2.0.0/25", "two": "10.2.0.128/25"}
    net.host_b.add_address("eth0", "10.2.0.200/24")
    # kernel-libipsec insists on an address of its own in each local selector.
    net.gw_b.add_address("lan", "10.2.0.129/24")
    pair = Pair(net, rightsubnet=None, rightsubnets="{" + " ".join(subnets.values()) + "}",
                ss_children={n: (r, net.lan("a")) for n, r in subnets.items()})
    if initiator == "cygnet":
        pair.cygnet.up("lab")
    else:
        for name in subnets:
            pair.strongswan.up(name)
    wait_until(lambda: len(pair.cygnet.children()) == 2, 5, "both children are up at Cygnet")
    assert Ping.once(net.host_a, "10.2.0.10", count=2).lost == 0
    assert Ping.once(net.host_a, "10.2.0.200", count=3).lost == 0
    assert len(pair.strongswan.status()) == 1  # both children of one IKE SA
    packets = {n: c[-1]["in"]["packets"] for n, c in pair.strongswan.installed().items()}
    assert packets == {"one": 2, "two": 3}


@pytest.mark.parametrize("initiator", KINDS)
def test_narrowing(net, initiator):
    """The responder allows less than what is asked for; the child carries exactly that."""
    wide, narrow = "10.2.0.0/16", "10.2.0.0/28"
    if initiator == "cygnet":
        pair = Pair(net, rightsubnet=wide, ss_local_ts=narrow)
    else:
        pair = Pair(net, rightsubnet=narrow, ss_local_ts=wide)
    pair.up(initiator)
    assert pair.strongswan.child("net")["local"] == [narrow]
    pair.check_traffic()
    # 10.2.0.20 lies outside of what was agreed: the child must not carry it.
    net.host_b.add_address("eth0", "10.2.0.20/24")
    before = pair.cygnet.child()["out"]["packets"]
    assert Ping.once(net.host_a, "10.2.0.20", wait_s=0.5).received == 0
    assert pair.cygnet.child()["out"]["packets"] == before


@pytest.mark.parametrize("family", [4, 6])
def test_nat_in_between(nat_net, family):
    net = nat_net
    pair = Pair(net, outer=family, inner=family)
    pair.up("cygnet")
    pair.check_traffic()
    assert f"remote 'gw-a' @ {net.seen_as('a', family)}[2" in pair.strongswan.status()[0]["text"]
    # strongSwan rekeys through the mapping that the keepalives hold open.
    before = pair.cygnet.spis()
    pair.strongswan.rekey(child="net")
    wait_until(lambda: pair.cygnet.spis() != before, 10, "the child is rekeyed")
    assert pair.ping().lost == 0


@pytest.mark.parametrize("who", KINDS)
def test_delete(net, who):
    pair = Pair(net)
    pair.up("cygnet")
    pair.check_traffic()
    if who == "cygnet":
        pair.cygnet.down("lab")
    else:
        pair.strongswan.down(ike="lab")
    wait_until(lambda: pair.strongswan.status() == [], 5, "strongSwan has no SA left")
    wait_until(lambda: pair.cygnet.children() == [], 5, "Cygnet has no child left")
    pair.up("strongswan" if who == "cygnet" else "cygnet")
    pair.check_traffic()


def test_delete_of_the_child_alone(net):
    pair = Pair(net)
    pair.up("cygnet")
    pair.strongswan.down(child="net")
    wait_until(lambda: pair.cygnet.children() == [], 5, "the child is gone at Cygnet too")
    pair.cygnet.up("lab")
    pair.check_traffic()


def test_strongswan_killed(net):
    """Cygnet notices by itself that the peer is gone and keeps trying until it is back."""
    pair = Pair(net, auto="start", dpddelay="2s", dpdaction="restart", **{"retransmit-timeout": "6s"})
    pair.cygnet.wait_state("up")
    before = pair.cygnet.spis()
    pair.strongswan.kill()
    pair.start_strongswan()
    # One look for both: between two, the old child may go.
    wait_until(lambda: [c for c in pair.cygnet.children() if (c["spi_in"], c["spi_out"]) != before], 90,
               "Cygnet is up again with fresh SAs")
    pair.check_traffic()


def test_strongswan_killed_and_calls_again(net):
    """The restarted strongSwan initiates anew; its INITIAL_CONTACT takes the old IKE SA away here."""
    pair = Pair(net)
    pair.up("strongswan")
    before = pair.cygnet.spis()
    pair.strongswan.kill()
    pair.start_strongswan()
    pair.strongswan.up("net")
    wait_until(lambda: len(pair.cygnet.connection()["ike_sas"]) == 1 and pair.cygnet.spis() != before, 5,
               "Cygnet has just the new IKE SA")
    pair.check_traffic()


def test_cygnet_killed(net):
    """strongSwan is told nothing; the restarted Cygnet's INITIAL_CONTACT replaces the old SA."""
    pair = Pair(net, auto="start")
    pair.cygnet.wait_state("up")
    assert pair.ping().lost == 0
    pair.cygnet.kill_all()
    pair.cygnet.start()
    pair.cygnet.wait_state("up")
    wait_until(lambda: len(pair.strongswan.status()) == 1, 5, "strongSwan has just the new SA")
    pair.check_traffic()


def test_cygnet_killed_and_silent(net):
    """strongSwan's own liveness check gives up on a dead Cygnet, and initiates when it is back."""
    pair = Pair(net, ss_extra="dpd_delay = 1s", ss_child_extra="dpd_action = restart")
    pair.up("strongswan")
    pair.cygnet.kill_all()
    pair.strongswan.wait_log("giving up after", 30)
    pair.cygnet.start()
    pair.cygnet.wait_state("up", timeout_s=30)
    pair.check_traffic()


@pytest.mark.parametrize("initiator", KINDS)
def test_wrong_psk(net, initiator):
    pair = Pair(net, ss_secret="another secret")
    text = pair.up(initiator, check=False)
    if initiator == "cygnet":
        assert "AUTHENTICATION_FAILED" in text
        assert pair.cygnet.ctl("up", "lab", check=False).returncode == 1
    else:
        pair.cygnet.wait_log("secret", 5)
    assert "a shared secret" not in text + pair.cygnet.read_log()
    assert pair.cygnet.children() == []


@pytest.mark.parametrize("initiator", KINDS)
def test_no_common_ike_proposal(net, initiator):
    pair = Pair(net, ike="aes256gcm16-prfsha384-ecp384", ss_ike="aes128-sha256-modp2048")
    text = pair.up(initiator, check=False)
    if initiator == "cygnet":
        assert "NO_PROPOSAL_CHOSEN" in text
    else:
        # The peer's whole offer stands beside ours, with the line that would accept it.
        for word in ("proposal", "modp2048", "ecp384"):
            wait_until(lambda: word in pair.cygnet.read_log().lower(), 5, f"{word} is in the log")


@pytest.mark.parametrize("initiator", KINDS)
def test_no_common_esp_proposal(net, initiator):
    pair = Pair(net, esp="aes256gcm16", ss_esp="aes128-sha256")
    text = pair.up(initiator, check=False)
    if initiator == "cygnet":
        assert "NO_PROPOSAL_CHOSEN" in text
    else:
        assert "NO_PROPOSAL_CHOSEN" in text
        pair.cygnet.wait_log("proposal", 5)
    assert pair.cygnet.children() == []


@pytest.mark.parametrize("initiator", KINDS)
def test_selectors_do_not_meet(net, initiator):
    pair = Pair(net, ss_local_ts="10.77.0.0/24")
    text = pair.up(initiator, check=False)
    assert "TS_UNACCEPTABLE" in text
    if initiator == "strongswan":
        log = pair.cygnet.wait_log("10.77.0.0/24", 5)
        assert log
    assert pair.cygnet.children() == []


def test_invalid_ke_payload(net):
    """Our first group is not strongSwan's: it asks for another one and gets it."""
    pair = Pair(net, ike="aes128gcm16-prfsha256-curve25519-ecp256",
                ss_ike="aes128gcm16-prfsha256-ecp256")
    pair.up("cygnet")
    pair.check_traffic()
    assert "INVAL_KE" in pair.strongswan.read_log() or "INVALID_KE" in pair.strongswan.read_log()


def test_invalid_ke_payload_from_us(net):
    pair = Pair(net, ike="aes128gcm16-prfsha256-ecp256",
                ss_ike="aes128gcm16-prfsha256-curve25519-ecp256")
    pair.up("strongswan")
    pair.check_traffic()


def test_lifetime_rekeys_by_itself(net):
    """strongSwan rekeys on its own clock every 2 s; nothing is lost meanwhile."""
    pair = Pair(net)
    pair.ss_config = pair.ss_config.replace("rekey_time = 0\n        \n", "rekey_time = 2s\n rand_time = 0s\n life_time = 60s\n")
    pair.strongswan.load(pair.ss_config)
    pair.up("strongswan")
    first = pair.cygnet.spis()
    flow = Flow(net.host_a, net.host_address("b"))
    time.sleep(5)
    wait_until(lambda: pair.cygnet.spis() != first, 10, "strongSwan rekeys")
    account = flow.stop()
    assert account.lost == 0


def test_nat_rebinding(nat_net):
    """The router forgets its mapping; an exchange from the new one tells strongSwan."""
    net = nat_net
    pair = Pair(net)
    pair.up("cygnet")
    assert pair.ping().lost == 0
    net.rebind_nat()
    # RFC 7296 section 2.23: the end that is not behind the NAT follows the authenticated message.
    pair.cygnet.rekey("lab")
    Ping.until_answered(net.host_a, net.host_address("b"), 10)
