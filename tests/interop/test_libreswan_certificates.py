# SPDX-License-Identifier: Apache-2.0
"""Certificates with Libreswan 5, whose keys are in an NSS database (hosts: kernel_site.py)."""
import pytest

from lab import Capture, wait_until
from lab.cygnet import conn
from lab.pki import Authority
from lab.uml import GuestLibreswan

import kernel_site
import libreswan_site
from kernel_site import OURS, THEIRS

INITIATORS = ("cygnet", "libreswan")
NAMES = {"ours": "gw-a.example.org", "theirs": "gw-b.example.org"}
# Of keys, and Libreswan's word for their signatures.
KINDS = {"rsa2048": "rsasig", "rsa4096": "rsa-sha2_512", "ecdsa256": "ecdsa-sha2_256", "ecdsa384": "ecdsa-sha2_384",
         "ecdsa521": "ecdsa-sha2_512"}
PASSPHRASE = "open sesame"
# Messages in fragments (RFC 7383), on either port.
FRAGMENT = "(udp port 500 and udp[24] = 53) or (udp port 4500 and udp[8:4] = 0 and udp[28] = 53)"
IP_FRAGMENT = "ip[6:2] & 0x3fff != 0"


@pytest.fixture(scope="module")
def guest_lab():
    with kernel_site.running("libreswan-certs", root="libreswan") as lab:
        root = lab.authority = Authority("Root", kind="rsa2048")
        lab.intermediates = [Authority("One", issuer=root, kind="rsa4096")]
        lab.intermediates.append(Authority("Two", issuer=lab.intermediates[0], kind="rsa4096"))
        lab.revoked = root.issue(NAMES["ours"], "rsa2048")
        lab.theirs = {kind: root.issue(NAMES["theirs"], kind, unit=kind) for kind in KINDS}
        lab.theirs["chain"] = lab.intermediates[1].issue(NAMES["theirs"], "rsa4096", unit="chain")
        above = [one.certificate for one in lab.intermediates]
        own = {name: (one.pkcs12(PASSPHRASE, above if name == "chain" else (), name), PASSPHRASE)
               for name, one in lab.theirs.items()}
        lab.peer = GuestLibreswan(lab.guest, root.pem(), own, crl=root.crl_der([lab.revoked]))
        yield lab


@pytest.fixture
def make(guest_lab, request):
    with libreswan_site.daemons(request, guest_lab, let_go=let_go) as make_both:
        def make(issued, theirs="rsa2048", chain=(), authby="rsasig", crl=None, peer=None, **words):
            """Both ends loaded, ours started: issued and chain are what we show, theirs is what Libreswan shows."""
            words = {**libreswan_site.WORDS, **libreswan_site.sites(), "leftid": "@" + NAMES["ours"],
                     "rightid": "@" + NAMES["theirs"], "authby": authby, **words}
            files = {"cacerts/root.pem": guest_lab.authority.pem(), "private/own.pem": issued.key_pem(),
                     "certs/own.pem": issued.pem() + "".join(one.pem() for one in chain)}
            if crl:
                files["crls/root.pem"] = crl

            def give_keys(daemon):
                daemon.set_secrets("")
                put(daemon, files)

            their_conn = conn("lab", rightcert=theirs, leftrsasigkey="%cert", rightrsasigkey="%cert",
                              **{**words, **(peer or {})})
            return make_both(conn("lab", leftcert="own.pem", **words), their_conn, prepare=give_keys)

        yield make


def put(daemon, files):
    for path, text in files.items():
        (daemon.dir / path).parent.mkdir(exist_ok=True)
        (daemon.dir / path).write_text(text)


def let_go(lab, connection="lab"):
    """Libreswan waits for an answer to its Delete, which an end that never believed it does not give."""
    lab.guest.run(f"timeout 2 ipsec down {connection}; ipsec whack --delete --name {connection}; "
                  f"ipsec add {connection}; ip xfrm state flush", check=False)


def kernel_sends(lab):
    """Has the guest an SA for what it would send to us?"""
    return [state for state in lab.guest.xfrm_states() if state["src"] == THEIRS[4]]


def bring_up(lab, daemon, initiator, check=True):
    if initiator == "cygnet":
        daemon.up("lab", check=check)
    else:
        lab.peer.up("lab", check=check)
        if check:
            daemon.wait_state("up")


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("kind", KINDS)
def test_kind(guest_lab, make, kind, initiator):
    daemon = make(guest_lab.authority.issue(NAMES["ours"], kind), theirs=kind, authby=KINDS[kind])
    bring_up(guest_lab, daemon, initiator)
    kernel_site.check(guest_lab, daemon)
    if kind.startswith("rsa"):
        # RFC 8247 section 3.2: what Libreswan signs with by itself.
        daemon.wait_log("RSASSA-PSS")


@pytest.mark.parametrize("initiator", INITIATORS)
def test_chain_in_fragments(guest_lab, make, initiator):
    """Each end sends two intermediates that the other one lacks, over a path of 1280 octets that nothing larger passes."""
    one, two = guest_lab.intermediates
    daemon = make(two.issue(NAMES["ours"], "rsa4096"), theirs="chain", chain=[two, one], peer={"sendca": "all"})
    guest_lab.gw.run(["ip", "link", "set", "tap0", "mtu", "1280"])
    guest_lab.guest.run("ip link set vec0 mtu 1280")
    try:
        with Capture(guest_lab.gw, "tap0", "udp or ip[6:2] & 0x3fff != 0") as wire:
            bring_up(guest_lab, daemon, initiator)
            kernel_site.check(guest_lab, daemon)
        ours, theirs = (wire.count(f"({FRAGMENT}) and src host {host[4]}") for host in (OURS, THEIRS))
        counters = daemon.json("status")["ike_counters"]
        assert counters["fragments_out"] == ours >= 4, (ours, counters)
        # On a busy machine messages are sent twice; what comes when all has been said is not looked at any more.
        assert theirs >= counters["fragments_in"] >= 4, (theirs, counters)
        if not counters["retransmits_sent"] and not counters["retransmits_answered"]:
            assert counters["fragments_in"] == theirs, (theirs, counters)
        assert wire.count(IP_FRAGMENT) == 0
        assert counters["fragments_refused"] == 0
        kernel_site.check(guest_lab, daemon)
    finally:
        guest_lab.gw.run(["ip", "link", "set", "tap0", "mtu", "1500"])
        guest_lab.guest.run("ip link set vec0 mtu 1500")


@pytest.mark.parametrize("initiator", INITIATORS)
def test_revoked(guest_lab, make, initiator):
    """We have a CRL that names Libreswan's certificate; with another CRL it is good again."""
    daemon = make(guest_lab.authority.issue(NAMES["ours"], "rsa2048"),
                  crl=guest_lab.authority.crl([guest_lab.theirs["rsa2048"]]))
    bring_up(guest_lab, daemon, initiator, check=False)
    daemon.wait_log("was revoked on")
    assert daemon.state() != "up"
    if initiator == "libreswan":
        assert not kernel_sends(guest_lab)
        wait_until(lambda: "AUTHENTICATION_FAILED" in guest_lab.peer.read_log(), 10, "Libreswan is told")
    let_go(guest_lab)
    put(daemon, {"crls/root.pem": guest_lab.authority.crl()})
    daemon.reload()
    bring_up(guest_lab, daemon, initiator)
    kernel_site.check(guest_lab, daemon)


@pytest.mark.parametrize("initiator", INITIATORS)
def test_ours_is_revoked(guest_lab, make, initiator):
    """Libreswan has a CRL that names ours: nothing comes up until we have another certificate, and we are told."""
    daemon = make(guest_lab.revoked)
    bring_up(guest_lab, daemon, initiator, check=False)
    if initiator == "cygnet":
        daemon.wait_log("AUTHENTICATION_FAILED")
        assert daemon.state() != "up"
    # As initiator Libreswan says nothing to us, who answered its IKE_AUTH: liveness will tell us.
    wait_until(lambda: "has been revoked" in guest_lab.peer.read_log(), 10, "Libreswan knows of it")
    assert not kernel_sends(guest_lab)
    let_go(guest_lab)
    another = guest_lab.authority.issue(NAMES["ours"], "rsa2048")
    put(daemon, {"certs/own.pem": another.pem(), "private/own.pem": another.key_pem()})
    if initiator == "cygnet":
        daemon.reload()
    else:
        daemon.stop()  # with all that it believed to have
        daemon.start()
    bring_up(guest_lab, daemon, initiator)
    kernel_site.check(guest_lab, daemon)
