# SPDX-License-Identifier: Apache-2.0
"""Certificates with Libreswan 5, whose keys are in an NSS database (hosts: kernel_site.py)."""
import pytest

from lab.cygnet import Cygnet, conn
from lab.pki import Authority
from lab.uml import GuestLibreswan

import kernel_site
from kernel_site import OUR_LAN, OURS, THEIR_LAN, THEIRS

NAMES = {"ours": "gw-a.example.org", "theirs": "gw-b.example.org"}
KINDS = {"rsa2048": "rsasig", "ecdsa256": "ecdsa"}  # of keys, and Libreswan's word for them
PASSPHRASE = "open sesame"


@pytest.fixture(scope="module")
def guest_lab():
    lab = kernel_site.make("libreswan-certs", root="libreswan")
    try:
        lab.authority = Authority("Root", kind="rsa2048")
        own = {kind: (lab.authority.issue(NAMES["theirs"], kind, unit=kind).pkcs12(PASSPHRASE, name=kind), PASSPHRASE)
               for kind in KINDS}
        lab.peer = GuestLibreswan(lab.guest, lab.authority.pem(), own)
        yield lab
        lab.guest.poweroff()
    finally:
        lab.close()


@pytest.mark.parametrize("initiator", ("cygnet", "libreswan"))
@pytest.mark.parametrize("kind", KINDS)
def test_kind(guest_lab, kind, initiator, request):
    issued = guest_lab.authority.issue(NAMES["ours"], kind)
    words = dict(left=OURS[4], leftid="@" + NAMES["ours"], leftsubnet=OUR_LAN[4], right=THEIRS[4],
                 rightid="@" + NAMES["theirs"], rightsubnet=THEIR_LAN[4], ikev2="insist", keyexchange=None,
                 pfs="no", esn="no", ike="aes_gcm256-sha2_256;dh19", esp="aes_gcm256", authby=KINDS[kind])
    daemon = Cygnet(guest_lab.gw, f"certs-{kind}-{initiator}")
    for path, text in (("cacerts/root.pem", guest_lab.authority.pem()), ("certs/own.pem", issued.pem()),
                       ("private/own.pem", issued.key_pem())):
        (daemon.dir / path).parent.mkdir(exist_ok=True)
        (daemon.dir / path).write_text(text)
    daemon.set_secrets("")
    daemon.configure(conn("lab", leftcert="own.pem", **words))
    daemon.start()
    try:
        guest_lab.peer.load(conn("lab", rightcert=kind, leftrsasigkey="%cert", rightrsasigkey="%cert", **words))
        if initiator == "cygnet":
            daemon.up("lab")
        else:
            guest_lab.peer.up("lab")
            daemon.wait_state("up")
        kernel_site.check(guest_lab, daemon)
    finally:
        if getattr(request.node, "call_failed", True):
            print(daemon.read_log()[-4000:], guest_lab.peer.read_log()[-4000:])
        guest_lab.peer.down("lab")
        daemon.stop()
