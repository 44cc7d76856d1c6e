# SPDX-License-Identifier: Apache-2.0
"""Certificates of each kind with strongSwan: both roles, chains, revocation, RSA-PSS and PKCS#1."""
import pytest

from lab import Ping
from lab.cygnet import Cygnet, conn
from lab.pki import Authority
from lab.strongswan import StrongSwan

from pair import KINDS

OURS, THEIRS = "gw-a.example.org", "gw-b.example.org"


class CertPair:
    """Cygnet on gw_a, strongSwan on gw_b; both trust the root. ours and theirs: (certificate, chain)."""

    def __init__(self, net, root, ours, theirs, settings="", ss_local="pubkey", ss_remote="pubkey", crl=None, ss_crl=None,
                 **words):
        self.net = net
        self.cygnet = Cygnet(net.gw_a)
        self.put("cacerts/root.pem", root.pem())
        self.give(*ours)
        if crl:
            self.put("crls/root.pem", crl)
        self.cygnet.set_secrets("")
        self.cygnet.configure(conn(
            left=net.wan("a"), right=net.wan("b"), leftsubnet=net.lan("a"), rightsubnet=net.lan("b"),
            leftid="@" + OURS, rightid="@" + THEIRS, authby="pubkey", leftcert="own.pem", esp="aes128gcm16",
            ike="aes128gcm16-prfsha256-ecp256", **words))
        self.strongswan = StrongSwan(net.gw_b, settings=settings)
        folder = self.strongswan.dir
        issued, chain = theirs[0], theirs[1] if len(theirs) > 1 else []
        files = {"x509/own.pem": issued.pem(), "private/own.pem": issued.key_pem(), "x509ca/root.pem": root.pem()}
        files.update({f"x509ca/chain{i}.pem": c.pem() for i, c in enumerate(chain)})
        if ss_crl:
            files["x509crl/root.pem"] = ss_crl
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        self.strongswan.start()
        self.strongswan.load(f"""
          lab {{ version = 2
            local_addrs = {net.wan("b")}
            remote_addrs = {net.wan("a")}
            proposals = aes128gcm16-prfsha256-ecp256
            rekey_time = 0
            local {{ auth = {ss_local}
              certs = own.pem
              id = {THEIRS} }}
            remote {{ auth = {ss_remote}
              revocation = {"strict" if ss_crl else "relaxed"}
              id = {OURS} }}
            children {{ net {{ local_ts = {net.lan("b")}
                remote_ts = {net.lan("a")}
                esp_proposals = aes128gcm16
                rekey_time = 0 }} }} }}""", " ")
        self.cygnet.start()

    def put(self, path, text):
        (self.cygnet.dir / path).parent.mkdir(exist_ok=True)
        (self.cygnet.dir / path).write_text(text)

    def give(self, issued, chain=()):
        self.put("certs/own.pem", issued.pem() + "".join(c.pem() for c in chain))
        self.put("private/own.pem", issued.key_pem())

    def up(self, initiator, check=True):
        if initiator == "cygnet":
            return self.cygnet.up(check=check)
        text = self.strongswan.up("net", check=check)
        if check:
            self.cygnet.wait_state("up")
        return text

    def check(self, initiator):
        self.up(initiator)
        assert Ping.once(self.net.host_a, self.net.host_address("b"), count=3, interval_s=0.05).lost == 0
        assert self.cygnet.child()["in"]["packets"] == 3


@pytest.mark.parametrize("initiator", KINDS)
@pytest.mark.parametrize("kind", ["rsa2048", "rsa4096", "ecdsa256", "ecdsa384", "ecdsa521", "ed25519", "ed448"])
def test_kind(net, kind, initiator):
    root = Authority("Root")
    CertPair(net, root, (root.issue(OURS, kind),), (root.issue(THEIRS, kind),)).check(initiator)


@pytest.mark.parametrize("initiator", KINDS)
def test_chain(net, initiator):
    """Each end sends the intermediate that the other one does not have."""
    root = Authority("Root", kind="rsa2048")
    one, two = Authority("One", issuer=root), Authority("Two", issuer=root, kind="rsa2048")
    CertPair(net, root, (one.issue(OURS), [one]), (two.issue(THEIRS, "rsa2048"), [two])).check(initiator)


@pytest.mark.parametrize("initiator", KINDS)
def test_rsa_pss(net, initiator):
    """strongSwan signs with RSASSA-PSS and accepts nothing else."""
    root = Authority("Root")
    pair = CertPair(net, root, (root.issue(OURS, "rsa2048"),), (root.issue(THEIRS, "rsa2048"),),
                    settings="rsa_pss = yes", ss_remote="ike:rsa/pss-sha256-sha384-sha512")
    pair.check(initiator)
    pair.cygnet.wait_log("RSASSA-PSS")


def test_rsa_pkcs1(net):
    """strongSwan signs with PKCS#1 v1.5 by itself: with a hash of RFC 7427's, or, without that, AUTH method 1."""
    root = Authority("Root")
    pair = CertPair(net, root, (root.issue(OURS, "rsa2048"),), (root.issue(THEIRS, "rsa2048"),))
    pair.check("strongswan")
    pair.cygnet.wait_log("RSASSA-PKCS1")


@pytest.mark.parametrize("initiator", KINDS)
def test_without_signature_hashes(net, initiator):
    """A peer without RFC 7427: AUTH methods 1 and 9 (RFC 7296, RFC 4754)."""
    root = Authority("Root")
    CertPair(net, root, (root.issue(OURS, "ecdsa256"),), (root.issue(THEIRS, "rsa2048"),),
             settings="signature_authentication = no").check(initiator)


@pytest.mark.parametrize("initiator", KINDS)
def test_revoked(net, initiator):
    root = Authority("Root")
    theirs = root.issue(THEIRS)
    pair = CertPair(net, root, (root.issue(OURS),), (theirs,), crl=root.crl([theirs]))
    pair.up(initiator, check=False)
    pair.cygnet.wait_log("was revoked on")
    assert pair.cygnet.state() != "up"
    pair.put("crls/root.pem", root.crl())
    pair.cygnet.reload()
    pair.check(initiator)


@pytest.mark.parametrize("initiator", KINDS)
def test_ours_is_revoked(net, initiator):
    """strongSwan has the CRL and insists on one: we are told, and nothing comes up until we have another certificate."""
    root = Authority("Root")
    ours, another = root.issue(OURS), root.issue(OURS)
    pair = CertPair(net, root, (ours,), (root.issue(THEIRS),), ss_crl=root.crl([ours]))
    pair.up(initiator, check=False)
    pair.strongswan.wait_log("certificate was revoked")
    assert pair.cygnet.state() != "up"
    if initiator == "cygnet":
        pair.cygnet.wait_log("AUTHENTICATION_FAILED")
    pair.give(another)
    pair.cygnet.reload()
    pair.check(initiator)


@pytest.mark.parametrize("initiator", KINDS)
def test_stranger(net, initiator):
    """A certificate of another authority is refused at either end."""
    root, stranger = Authority("Root"), Authority("Stranger")
    pair = CertPair(net, root, (root.issue(OURS),), (stranger.issue(THEIRS),))
    pair.up(initiator, check=False)
    pair.cygnet.wait_log("of whom there is no certificate")
    assert pair.cygnet.state() != "up"
