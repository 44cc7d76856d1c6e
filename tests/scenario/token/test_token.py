# SPDX-License-Identifier: Apache-2.0
import pytest

from lab import Flow, Ping, wait_until
from lab.cygnet import Cygnet, conn
from lab.memory import holders, private_octets, text_octets
from lab.pki import Authority
from lab.token import MODULE, PIN, Token

NAMES = {"a": "gw-a.example.org", "b": "gw-b.example.org"}


@pytest.fixture
def token():
    one = Token()
    yield one
    one.close()


def gateway(net, side, root, cert, secrets):
    """A gateway whose certificate is `cert` (a file in certs/, or a URI)."""
    other = "b" if side == "a" else "a"
    daemon = Cygnet(net.gw_a if side == "a" else net.gw_b)
    daemon.configure(conn(left=net.wan(side), right=net.wan(other), leftsubnet=net.lan(side), rightsubnet=net.lan(other),
                          leftid="@" + NAMES[side], rightid="@" + NAMES[other], authby="pubkey", leftcert=cert),
                     f"pkcs11module={MODULE}")
    daemon.set_secrets(secrets)
    (daemon.dir / "cacerts").mkdir()
    (daemon.dir / "cacerts/root.pem").write_text(root.pem())
    return daemon


def with_files(net, side, root):
    own = root.issue(NAMES[side])
    daemon = gateway(net, side, root, "own.pem", "")
    for folder, name, text in (("certs", "own.pem", own.pem()), ("private", "own.pem", own.key_pem())):
        (daemon.dir / folder).mkdir()
        (daemon.dir / folder / name).write_text(text)
    return daemon


def no_pin_in(daemon):
    assert PIN not in daemon.read_log()
    for role in ("ike", "keys", "engine", "monitor", "token"):
        assert PIN not in daemon.host.out(["cat", f"/proc/{daemon.pid(role)}/cmdline"])
    assert holders(daemon, PIN.encode()) == {"token"}


@pytest.mark.parametrize("kind", ["rsa2048", "ecdsa256", "ecdsa384"])
def test_key_and_certificate_on_a_token(net, token, kind):
    root = Authority("Root")
    on_token = root.issue(NAMES["a"], kind)
    token.put(on_token, "gw", 1)
    b = with_files(net, "b", root).start()
    a = gateway(net, "a", root, token.uri("gw", "cert"), token.secret("gw"))
    a.start(env=token.env)
    a.up()
    assert Ping.once(net.host_a, net.host_address("b"), count=3, interval_s=0.05).lost == 0
    own = a.json("certs")["certificates"][0]
    assert own["private_key"] is True and own["key_on_token"] is True
    assert own["source"] == token.uri("gw", "cert") and own["names"] == [NAMES["a"]]
    assert "its private key is on a token" in a.ctl("certs").stdout
    a.down()
    b.up()  # as responder too
    b.down()
    no_pin_in(a)
    assert holders(a, *private_octets(on_token), *text_octets(on_token)) <= {"token"}


def test_token_process_has_no_network_and_no_rights(net, token):
    root = Authority("Root")
    token.put(root.issue(NAMES["a"]), "gw", 1)
    a = gateway(net, "a", root, token.uri("gw", "cert"), token.secret("gw")).start(env=token.env)
    status = dict(line.split(":\t", 1) for line in
                  a.host.out(["cat", f"/proc/{a.pid('token')}/status"]).splitlines() if ":\t" in line)
    assert status["Uid"].split()[0] != "0" and status["Seccomp"] == "2" and status["NoNewPrivs"] == "1"
    assert {int(status[c], 16) for c in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    ours, theirs = (a.host.out(["readlink", f"/proc/{a.pid(role)}/ns/net"]) for role in ("token", "ike"))
    assert ours != theirs
    assert "softhsm" in a.host.out(["cat", f"/proc/{a.pid('token')}/maps"])
    for role in ("ike", "keys", "engine", "monitor"):
        assert "softhsm" not in a.host.out(["cat", f"/proc/{a.pid(role)}/maps"])


def test_killed_and_taken_out(net, token):
    """Neither a killed token process nor a token that is gone harms a tunnel; handshakes fail by name, and heal."""
    root = Authority("Root")
    token.put(root.issue(NAMES["a"]), "gw", 1)
    with_files(net, "b", root).start()
    a = gateway(net, "a", root, token.uri("gw", "cert"), token.secret("gw")).start(env=token.env)
    a.up()
    flow = Flow(net.host_a, net.host_address("b"))
    old = a.kill("token")
    a.wait_role("token", old)
    assert flow.stop().lost == 0
    a.down()
    wait_until(lambda: "tunnel" in a.up(check=False) or a.state() == "up", 10, "the key signs again")
    a.down()
    token.take_out()
    text = a.up(check=False)
    assert "token 'lab'" in text, text
    token.put_back()
    wait_until(lambda: a.ctl("up", "lab", check=False).returncode == 0, 20, "the token is back")


def test_wrong_pin_is_tried_once(net, token):
    root = Authority("Root")
    token.put(root.issue(NAMES["a"]), "gw", 1)
    with_files(net, "b", root).start()
    a = gateway(net, "a", root, token.uri("gw", "cert"), token.secret("gw", "1234-wrong")).start(env=token.env)
    line = a.wait_log("the PIN is wrong")
    assert "ipsec.secrets:1" in line and "token 'lab'" in line and "1234-wrong" not in a.read_log()
    a.up(check=False)
    a.reload()
    assert "is not tried again" in line
    a.set_secrets(token.secret("gw"))
    a.reload()
    wait_until(lambda: a.json("certs")["certificates"][0]["private_key"] is True, 10, "the right PIN opens it")
    a.up()
