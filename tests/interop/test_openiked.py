# SPDX-License-Identifier: Apache-2.0
"""Cygnet with OpenIKED 7, whose SAs are in the kernel of a guest (hosts: kernel_site.py)."""
import re
import time

import pytest

from lab import Flow, Ping, wait_until
from lab.cygnet import Cygnet, conn
from lab.openiked import GuestOpenIked, policy
from lab.pki import Authority
from lab.strongswan import PSK

import kernel_site
from kernel_site import OUR_LAN, OURS, THEIR_HOST, THEIR_LAN, THEIRS

INITIATORS = ("cygnet", "openiked")
NAMES = {"ours": "ours.example.org", "theirs": "theirs.example.org"}


@pytest.fixture(scope="module")
def guest_lab():
    with kernel_site.running("openiked", root="openiked") as lab:
        lab.authority = Authority("Root", kind="ecdsa256")
        own = lab.own = lab.authority.issue(NAMES["theirs"], "ecdsa256")
        lab.revoked = lab.authority.issue(NAMES["ours"], "ecdsa256")
        lab.peer = GuestOpenIked(lab.guest, {"ca/ca.crt": lab.authority.pem(), f"certs/{NAMES['theirs']}.crt": own.pem(),
                                             "private/local.key": own.key_pem(),
                                             "crls/ca.crl": lab.authority.crl([lab.revoked])})
        yield lab


@pytest.fixture
def tunnel(guest_lab, request):
    made = []

    def make(initiator="cygnet", family=4, proof=None, more="", peer=None, settings="", files=None, theirs=None, check=True,
             **words):
        name = "".join(c if c.isalnum() else "-" for c in request.node.name)
        daemon = Cygnet(guest_lab.gw, name)
        words = {"leftid": "@" + NAMES["ours"], "rightid": "@" + NAMES["theirs"], "esp": "aes256-sha512",
                 "ike": "aes256-sha256-curve25519", "esn": "no", **words}
        for path, text in (files or {}).items():
            (daemon.dir / path).parent.mkdir(exist_ok=True)
            (daemon.dir / path).write_text(text)
        words = {"left": OURS[family], "leftsubnet": OUR_LAN[family], "right": THEIRS[family],
                 "rightsubnet": THEIR_LAN[family], **words}
        daemon.configure(conn("lab", **words))
        daemon.start()
        made.append(daemon)
        mode = "active" if initiator == "openiked" else "passive"
        arguments = {"more": more, **({} if proof is None else {"proof": proof})}
        flow = theirs or (THEIR_LAN[family], OUR_LAN[family])
        guest_lab.peer.load(policy(mode, THEIRS[family], peer or OURS[family], *flow, **arguments), settings)
        if initiator == "cygnet":
            daemon.up("lab", check=check)
        elif check:
            daemon.wait_state("up", timeout_s=30)
        if check:
            # Its answer to IKE_AUTH comes before its kernel has the SAs.
            wait_until(lambda: len(guest_lab.guest.xfrm_states()) == 2, 10, "OpenIKED's kernel has the SAs")
        return daemon

    yield make
    for daemon in made:
        if getattr(request.node, "call_failed", True):
            print(daemon.read_log()[-4000:], guest_lab.peer.read_log()[-4000:])
        guest_lab.peer.stop()
        daemon.stop()


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("family", [4, 6])
def test_secret(guest_lab, tunnel, family, initiator):
    daemon = tunnel(initiator, family)
    kernel_site.check(guest_lab, daemon, outer=family, inner=family)


@pytest.mark.parametrize("initiator", INITIATORS)
@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa256"])
def test_certificate(guest_lab, tunnel, kind, initiator):
    """OpenIKED's own key is ECDSA; ours is of either kind."""
    own = guest_lab.authority.issue(NAMES["ours"], kind)
    daemon = tunnel(initiator, proof="", authby="pubkey", leftcert="own.pem",
                    files={"cacerts/root.pem": guest_lab.authority.pem(), "certs/own.pem": own.pem(),
                           "private/own.pem": own.key_pem()})
    kernel_site.check(guest_lab, daemon)


def certificates(lab, own, **more):
    """Files for us, who show `own`."""
    return {"cacerts/root.pem": lab.authority.pem(), "certs/own.pem": own.pem(), "private/own.pem": own.key_pem(), **more}


@pytest.mark.parametrize("initiator", INITIATORS)
def test_revoked(guest_lab, tunnel, initiator):
    """We have a CRL that names OpenIKED's certificate; with another CRL it is good again."""
    crl = guest_lab.authority.crl([guest_lab.own])
    own = guest_lab.authority.issue(NAMES["ours"], "ecdsa256")
    daemon = tunnel(initiator, proof="", authby="pubkey", leftcert="own.pem", check=False,
                    files=certificates(guest_lab, own, **{"crls/root.pem": crl}))
    daemon.wait_log("was revoked on")
    assert daemon.state() != "up"
    (daemon.dir / "crls/root.pem").write_text(guest_lab.authority.crl())
    daemon.reload()
    if initiator == "cygnet":
        daemon.up("lab")
    else:
        guest_lab.peer.again()
        daemon.wait_state("up", timeout_s=30)
    kernel_site.check(guest_lab, daemon)


@pytest.mark.parametrize("initiator", INITIATORS)
def test_ours_is_revoked(guest_lab, tunnel, initiator):
    """OpenIKED has a CRL that names ours, and nothing comes up."""
    daemon = tunnel(initiator, proof="", authby="pubkey", leftcert="own.pem", check=False,
                    files=certificates(guest_lab, guest_lab.revoked))
    serial = format(guest_lab.revoked.certificate.serial_number, "X")
    log = lambda: guest_lab.peer.read_log().replace("serial: 0", "serial: ")
    wait_until(lambda: "peer certificate is invalid" in log() and f"serial: {serial}" in log(), 30, "OpenIKED refuses it")
    if initiator == "cygnet":
        assert daemon.state() != "up"
    assert "ESTABLISHED" not in guest_lab.peer.show()


def test_openiked_gives_us_an_address(guest_lab, tunnel):
    daemon = tunnel(theirs=(THEIR_LAN[4], "10.3.0.0/24"), proof=f'psk "{PSK}" config address 10.3.0.10', leftsubnet=None,
                    leftsourceip="%config")
    guest_lab.guest.run(f"ip route replace 10.3.0.0/24 via {OURS[4]}")
    assert daemon.connection()["ike"]["assigned_local"] == ["10.3.0.10"]
    Ping.until_answered(guest_lab.gw, THEIR_HOST[4], 10)
    before = daemon.child()
    assert Ping.once(guest_lab.gw, THEIR_HOST[4], count=3, interval_s=0.05).lost == 0
    assert daemon.child()["in"]["packets"] - before["in"]["packets"] == 3


def test_we_give_openiked_an_address(guest_lab, tunnel):
    daemon = tunnel("openiked", theirs=("10.3.0.0/24", OUR_LAN[4]), proof=f'psk "{PSK}" request address any iface inner0',
                    right="%any", rightsubnet=None, rightaddresspool="10.3.0.77")
    assert daemon.connection()["ike"]["assigned_remote"] == ["10.3.0.77"]
    wait_until(lambda: "10.3.0.77/" in guest_lab.guest.run("ip address show dev inner0"), 10, "its interface has the address")
    Ping.until_answered(guest_lab.site, "10.3.0.77", 10)
    before = daemon.child()
    assert Ping.once(guest_lab.site, "10.3.0.77", count=3, interval_s=0.05).lost == 0
    assert daemon.child()["in"]["packets"] - before["in"]["packets"] == 3


@pytest.mark.parametrize("initiator", INITIATORS)
def test_fragments(guest_lab, tunnel, initiator):
    """With certificates and pieces of 576 octets, IKE_AUTH comes in several, both ways."""
    own = guest_lab.authority.issue(NAMES["ours"], "rsa2048")
    daemon = tunnel(initiator, proof="", settings="set fragmentation", authby="pubkey", leftcert="own.pem",
                    fragmentation="force",
                    files={"cacerts/root.pem": guest_lab.authority.pem(), "certs/own.pem": own.pem(),
                           "private/own.pem": own.key_pem()})
    kernel_site.check(guest_lab, daemon)
    # No datagram that carried a message was larger; a whole IKE_AUTH with its certificate would have been.
    sizes = [int(n) for n in re.findall(r"(?:send|recv) IKE_AUTH \w+ 1 .* (\d+) bytes", guest_lab.peer.read_log())]
    assert len(sizes) > 2 and max(sizes) <= 576, sizes


def traffic(lab, daemon):
    """A Flow through the tunnel, and the count of what either end drops from here on."""
    strays = kernel_site.Strays(lab, daemon)
    flow = Flow(lab.site, THEIR_HOST[4])
    time.sleep(0.3)
    return flow, strays


def check_account(flow, strays):
    """We lose nothing, and nothing is lost on the way: what is missing OpenIKED's kernel has dropped, in the one moment
    between OpenIKED's answer and its new SA, or between the end of its old SA and the new one."""
    time.sleep(0.3)
    account = flow.stop()
    at_kernel, _ = strays.at_kernel_and_at_us()
    assert account.sent > 50 and account.lost <= at_kernel, account.text[-2000:]
    assert account.lost == 0 or account.missing[-1] - account.missing[0] + 1 == account.lost <= 100, account.text[-2000:]


@pytest.mark.parametrize("what", ["child", "ike"])
def test_rekey_under_traffic(guest_lab, tunnel, what):
    daemon = tunnel()
    before = daemon.connection()
    flow, strays = traffic(guest_lab, daemon)
    daemon.rekey("lab", *(["--ike"] if what == "ike" else []))
    if what == "child":
        wait_until(lambda: daemon.children()[-1]["spi_in"] != before["children"][-1]["spi_in"], 10, "the child is rekeyed")
        wait_until(lambda: len(daemon.children()) == 1, 15, "the old child is gone")
        check_account(flow, strays)
    else:
        wait_until(lambda: daemon.connection()["ike"]["spi_i"] != before["ike"]["spi_i"], 10, "the IKE SA is rekeyed")
        time.sleep(0.3)
        assert flow.stop().lost == 0
    kernel_site.check(guest_lab, daemon)


def test_rekeyed_by_the_peer_under_traffic(guest_lab, tunnel):
    """OpenIKED rekeys its children on its own clock, some time before the end of `lifetime`."""
    daemon = tunnel(more="lifetime 12 bytes 1G")
    before = daemon.spis()
    flow, strays = traffic(guest_lab, daemon)
    wait_until(lambda: daemon.spis() != before, 20, "the child is rekeyed")
    wait_until(lambda: len(daemon.children()) == 1, 15, "the old child is gone")
    check_account(flow, strays)


@pytest.mark.parametrize("who", INITIATORS)
def test_delete(guest_lab, tunnel, who):
    daemon = tunnel()
    if who == "cygnet":
        daemon.down("lab")
    else:
        guest_lab.guest.run("ikectl reset id FQDN/ours.example.org")
    wait_until(lambda: daemon.children() == [], 5, "Cygnet has no child left")
    wait_until(lambda: guest_lab.guest.xfrm_states() == [], 5, "the kernel has no SA left")


def test_cygnet_moves(guest_lab, tunnel):
    """MOBIKE (RFC 4555). OpenIKED cannot move an SA of this kernel over PF_KEY; the next child is at the right place."""
    gw = guest_lab.gw
    daemon = tunnel(peer="any", settings="set mobike", mobike="yes", dpddelay="2s")
    ike, spis = daemon.connection()["ike"]["spi_i"], daemon.spis()
    try:
        gw.run(f"ip addr del {OURS[4]}/24 dev tap0 && ip addr add 192.0.2.77/24 dev tap0")
        wait_until(lambda: "192.0.2.77" in guest_lab.peer.show(), 20, "OpenIKED follows")
        daemon.rekey("lab")
        wait_until(lambda: daemon.spis() != spis and len(daemon.children()) == 1, 15, "the child is replaced")
        Ping.until_answered(guest_lab.site, THEIR_HOST[4], 10)
        assert daemon.connection()["ike"]["spi_i"] == ike
    finally:
        gw.run(f"ip addr del 192.0.2.77/24 dev tap0; ip addr add {OURS[4]}/24 dev tap0")
