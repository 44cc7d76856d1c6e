# SPDX-License-Identifier: Apache-2.0
import time

import pytest

from lab import Flow, Ping, wait_until
from lab.cygnet import Cygnet, conn
from lab.memory import holders, private_octets, text_octets
from lab.pki import Authority, Web

NAMES = {"a": "gw-a.example.org", "b": "gw-b.example.org"}


def put(daemon, path, text, mode=0o644):
    file = daemon.dir / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    file.chmod(mode)


def give(daemon, issued, chain=()):
    """The gateway's own certificate, what leads from it to an authority, and its key."""
    put(daemon, "certs/own.pem", issued.pem() + "".join(c.pem() for c in chain))
    put(daemon, "private/own.pem", issued.key_pem(), 0o600)


def configure(net, daemon, side, setup="", **words):
    other = "b" if side == "a" else "a"
    daemon.configure(conn(left=net.wan(side), right=net.wan(other), leftsubnet=net.lan(side), rightsubnet=net.lan(other),
                          leftid="@" + NAMES[side], rightid="@" + NAMES[other], authby="pubkey",
                          leftcert="own.pem", **words), setup)
    daemon.set_secrets("")


def two(net, root, own_a, own_b, start=True, setup_b="", **words_b):
    """Both gateways trust the root; own_a and own_b are (certificate, chain)."""
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    for daemon, side, own in ((b, "b", own_b), (a, "a", own_a)):
        configure(net, daemon, side, setup_b if side == "b" else "", **(words_b if side == "b" else {}))
        put(daemon, "cacerts/root.pem", root.pem())
        if own:
            give(daemon, *own)
        if start:
            daemon.start()
    return a, b


def refused(a, b, reason):
    """gw_b refuses gw_a's proof, says why in its own log, and tells the peer nothing of it."""
    a.down(check=False)
    seen = len(b.read_log())
    text = a.up(check=False)
    assert "AUTHENTICATION_FAILED" in text and reason not in text, text
    wait_until(lambda: reason in b.read_log()[seen:], 5, f"'{reason}' in gw_b's log ({b.log})")


@pytest.mark.parametrize("kind_a,kind_b", [("rsa2048", "ecdsa256"), ("ecdsa256", "ed25519"), ("ed25519", "rsa2048")])
def test_kinds_and_chains(net, kind_a, kind_b):
    root = Authority("Root", kind="rsa2048" if kind_a == "ecdsa256" else "ecdsa256")
    below = Authority("Below", issuer=root)
    ours = below.issue(NAMES["a"], kind_a)
    a, b = two(net, root, (ours, [below]), (root.issue(NAMES["b"], kind_b),))
    a.up()
    assert Ping.once(net.host_a, net.host_address("b"), count=3, interval_s=0.05).lost == 0
    certs = a.json("certs")
    own, chain = certs["certificates"]
    assert own["names"] == [NAMES["a"]] and own["private_key"] is True and own["connections"] == ["lab"]
    assert own["subject"] == "O=Cygnet Lab, CN=gw-a.example.org" and own["issuer"] == "O=Cygnet Lab, CN=Below"
    assert own["serial"] and 364 * 86400 < own["expires_in_s"] <= 365 * 86400
    assert chain["authority"] is True and chain["private_key"] is False
    assert [c["subject"] for c in certs["authorities"]] == ["O=Cygnet Lab, CN=Root"]
    text = a.ctl("certs").stdout
    assert "its private key is here" in text and "used by lab" in text
    a.reload()
    a.down()
    a.up()
    assert holders(a, *private_octets(ours)) == {"keys"}
    assert holders(a, *text_octets(ours)) <= {"keys"}


def test_refused(net):
    root, stranger = Authority("Root"), Authority("Stranger")
    good = root.issue(NAMES["a"])
    a, b = two(net, root, (good,), (root.issue(NAMES["b"]),))
    a.up()
    cases = [(stranger.issue(NAMES["a"]), "of whom there is no certificate"),
             (root.issue(NAMES["a"], days=(-10, -1)), "expired on"),
             (root.issue(NAMES["a"], days=(1, 10)), "is not valid before"),
             (root.issue("another.example.org"), "does not carry")]
    for issued, reason in cases:
        give(a, issued)
        a.reload()
        refused(a, b, reason)
        if reason == "expired on":
            a.wait_log("has expired: nobody accepts it any more")
    give(a, good)
    a.reload()
    a.up()
    a.down()
    put(b, "crls/root.pem", root.crl([good]))
    b.reload()
    refused(a, b, "was revoked on")
    put(b, "crls/root.pem", root.crl())
    b.reload()
    a.up()


def test_fetched_revocation(net):
    root = Authority("Root")
    asked, mute = Authority("Asked", issuer=root), Authority("Mute", issuer=root)
    web = Web(net.router, "198.51.100.1")
    good = root.issue(NAMES["a"], crl_url=web.url("root.crl"))
    bad = root.issue(NAMES["a"], crl_url=web.url("root.crl"))
    bad_ocsp = asked.issue(NAMES["a"], ocsp_url=web.url("bad.ocsp"))
    good_ocsp = asked.issue(NAMES["a"], ocsp_url=web.url("good.ocsp"))
    unknown = mute.issue(NAMES["a"], crl_url=web.url("missing.crl"))
    web.put("root.crl", root.crl([bad]))
    web.put("bad.ocsp", asked.ocsp(bad_ocsp, revoked=True))
    web.put("good.ocsp", asked.ocsp(good_ocsp))
    a, b = two(net, root, (good,), (root.issue(NAMES["b"]),), rightrevocation="strict")
    a.up()
    a.down()
    a.up()
    assert web.requests() == ["GET root.crl"]
    for issued, chain, reason in ((bad, [], "was revoked on"), (bad_ocsp, [asked], "was revoked on"),
                                  (unknown, [mute], "there is neither CRL")):
        give(a, issued, chain)
        a.reload()
        refused(a, b, reason)
    b.wait_log("missing.crl: the server answers 404")
    give(a, good_ocsp, [asked])
    a.reload()
    a.up()
    # gw_a asks about its own certificates as well, to bring the answers along; bad news it keeps to itself.
    wait_until(lambda: web.requests().count("POST bad.ocsp") == 2, 10, "both ask")
    asked_for = web.requests()
    assert [r for r in asked_for if r.startswith("GET")] == ["GET root.crl", "GET missing.crl"]
    assert asked_for.count("POST bad.ocsp") == 2 and asked_for.count("POST good.ocsp") in (1, 2)
    crls = {c["source"]: c for c in b.json("certs")["crls"]}
    assert crls[web.url("root.crl")]["issuer"] == "O=Cygnet Lab, CN=Root" and not crls[web.url("root.crl")]["fault"]
    assert crls[web.url("missing.crl")]["fault"] == "the server answers 404"
    assert crls[web.url("bad.ocsp")]["ocsp"] is True


def test_silent_server(net):
    """A revocation server that does not answer delays a relaxed gateway, and stops a strict one."""
    root = Authority("Root")
    net.router.run(["nft", "-f", "-"], input="""
        table inet silent {
          chain in {
            type filter hook input priority 0;
            tcp dport 8080 drop
          }
        }""")
    own = root.issue(NAMES["a"], crl_url="http://198.51.100.1:8080/root.crl")
    a, b = two(net, root, (own,), (root.issue(NAMES["b"]),))
    before = time.monotonic()
    a.up()
    assert time.monotonic() - before > 3
    configure(net, b, "b", setup="strictcrlpolicy=yes")
    b.reload()
    refused(a, b, "there is neither CRL nor OCSP response")


def test_own_status_is_sent_along(net):
    """Each end asks about its own certificate ahead of time; a strict peer that reaches no server takes its word."""
    root = Authority("Root")
    web = Web(net.router, "198.51.100.1")
    net.router.run(["nft", "-f", "-"], input=f"""
        table inet split {{
          chain in {{
            type filter hook input priority 0;
            ip saddr {net.wan("b")} tcp dport 8080 drop
          }}
        }}""")
    own = root.issue(NAMES["a"], ocsp_url=web.url("own.ocsp"))
    web.put("own.ocsp", root.ocsp(own))
    a, b = two(net, root, (own,), (root.issue(NAMES["b"]),), rightrevocation="strict")
    a.wait_log("fetched " + web.url("own.ocsp"))
    def seconds(daemon):
        before = time.monotonic()
        daemon.up()
        daemon.down()
        return time.monotonic() - before

    for daemon in (a, b):  # as responder too
        # Whoever has to wait for a server does so for longer, each time; a busy machine may take long once.
        assert min(seconds(daemon) for _ in range(3)) < 3, "nobody has to wait for a server"
    assert web.requests() == ["POST own.ocsp"]
    assert b.json("certs")["crls"] == []


def test_renewal_under_traffic(net):
    root = Authority("Root")
    old, new = root.issue(NAMES["a"], days=(-360, 5)), root.issue(NAMES["a"])
    a, b = two(net, root, (old,), (root.issue(NAMES["b"]),))
    a.up()
    a.wait_log("expires in 4 days")
    assert "expires in 4d" in a.ctl("doctor", check=False).stdout
    flow = Flow(net.host_a, net.host_address("b"))
    spis = a.spis()
    give(a, new)
    assert a.json("reload")["unchanged"] == ["lab"]
    time.sleep(0.5)
    assert a.spis() == spis and flow.stop().lost == 0
    assert a.json("certs")["certificates"][0]["expires_in_s"] > 300 * 86400
    put(b, "crls/root.pem", root.crl([old]))
    b.reload()
    a.down()
    a.up()  # with the old one it would be refused


def test_import(net):
    root = Authority("Root")
    own = root.issue(NAMES["a"], "rsa2048")
    a, b = two(net, root, None, (root.issue(NAMES["b"]),), start=False)
    (a.dir / "lab.p12").write_bytes(own.pkcs12("open sesame", [root.certificate]))
    (a.dir / "passphrase").write_text("open sesame\n")
    a.ctl("import", a.dir / "lab.p12", "--dir", a.dir, "--name", "own", "--passphrase-file", a.dir / "passphrase")
    b.start()
    a.start()
    a.up()
    assert a.json("certs")["certificates"][0]["private_key"] is True
