# SPDX-License-Identifier: Apache-2.0
import pytest

from lab import wait_until
from lab.cygnet import Cygnet, conn, cygnet_pair, program

BROKEN = [
    ("leftsubnt=10.1.0.0/24", "leftsubnet"),
    ("ikev3=insist", "ikev2"),
    ("esp=aes129gcm16", "aes128gcm16"),
    ("auto=strat", "start"),
    ("right=192.0.2.300", "192.0.2.300"),
]


def refused(daemon):
    """Starts a daemon that must not run; returns what it said."""
    daemon.start(wait=False)
    assert daemon.process.wait(5) != 0
    return daemon.read_log()


@pytest.mark.parametrize("line,hint", BROKEN)
def test_broken_line(lab, line, hint):
    daemon = Cygnet(lab.host("gw"))
    daemon.configure(conn("lab", left="192.0.2.2", right="198.51.100.2") + f"\t{line}\n")
    number = len(daemon.conf.read_text().splitlines())
    said = refused(daemon)
    assert f"ipsec.conf:{number}:" in said
    assert hint in said


def test_all_faults_in_one_go(lab):
    daemon = Cygnet(lab.host("gw"))
    daemon.configure("conn one\n\tlfet=1.2.3.4\nconn two\n\trihgt=1.2.3.4\n")
    said = refused(daemon)
    assert "left" in said and "right" in said


def test_broken_secrets_are_not_shown(lab):
    daemon = Cygnet(lab.host("gw"))
    daemon.configure("")
    daemon.set_secrets('@a @b : PKS "hush hush"\n')
    said = refused(daemon)
    assert "ipsec.secrets:1" in said and "hush" not in said


@pytest.mark.parametrize("initiator", ["a", "b"])
def test_unequal_secrets(net, initiator):
    a, b = cygnet_pair(net, start=False)
    b.set_secrets(': PSK "quite another secret"\n')
    b.start()
    a.start()
    one, other = (a, b) if initiator == "a" else (b, a)
    done = one.ctl("up", "lab", check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 1 and "AUTHENTICATION_FAILED" in said
    assert "secret" in other.wait_log("secret").lower()
    for text in (said, a.read_log(), b.read_log()):
        assert "quite another" not in text and "a shared secret of" not in text


def test_unknown_identity(net):
    a, b = cygnet_pair(net, start=False)
    a.conf.write_text(a.conf.read_text().replace("leftid=@gw-a", "leftid=@stranger"))
    b.start()
    a.start()
    done = a.ctl("up", "lab", check=False)
    assert done.returncode == 1
    line = b.wait_log("stranger")
    assert line


def test_no_common_proposal_shows_the_difference(net):
    a, b = cygnet_pair(net, start=False, ike="aes128-sha256-modp2048")
    b.conf.write_text(b.conf.read_text().replace("ike=aes128-sha256-modp2048",
                                                 "ike=aes256gcm16-prfsha384-ecp384"))
    b.start()
    a.start()
    done = a.ctl("up", "lab", check=False)
    assert done.returncode == 1 and "NO_PROPOSAL_CHOSEN" in done.stdout + done.stderr
    for word in ("proposal", "modp2048", "ecp384", "ike="):
        wait_until(lambda: word in b.read_log().lower(), 5, f"{word} is in gw_b's log")


def test_nobody_answers(net):
    a, b = cygnet_pair(net, start=False)
    a.start()
    net.gw_b.run(["nft", "-f", "-"], input="table inet f { chain i { type filter hook input "
                 "priority 0; udp dport { 500, 4500 } drop; }; }")
    process = net.gw_a.spawn(a.ctl_command("up", "lab"), name="up")
    said = process.wait_log("no answer from " + net.wan("b"), 10)
    assert "UDP 500" in said


def test_up_of_an_unknown_connection(net):
    a, _ = cygnet_pair(net)
    done = a.ctl("up", "lba", check=False)
    assert done.returncode in (1, 2) and "lab" in done.stdout + done.stderr


def test_no_daemon(lab):
    host = lab.host("gw")
    done = host.run([program("cygnet"), "--run-dir", host.dir / "nowhere", "status"], check=False)
    assert done.returncode == 3 and "cygnetd" in done.stderr
    assert host.run([program("cygnet"), "frobnicate"], check=False).returncode == 2


def test_unprivileged_user(lab):
    host = lab.host("gw")
    host.run(["chmod", "-R", "a+rX", host.dir, host.dir.parent])
    # Copies: the build directory may lie where nobody may look.
    host.run(["cp", program("cygnetd"), program("cygnet"), "/run"])
    conf, secrets = "/run/ipsec.conf", "/run/ipsec.secrets"
    host.run(f"echo 'config setup' > {conf}; echo ': PSK \"x\"' > {secrets}; chmod 644 {secrets}")
    nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    done = host.run([*nobody, "/run/cygnetd", "--config", conf, "--secrets", secrets, "--run-dir",
                     "/tmp/cygnet-nobody", "--foreground"], check=False, timeout_s=10)
    assert done.returncode != 0
    assert "root" in done.stderr or "CAP_NET_ADMIN" in done.stderr


def test_control_socket_is_for_root_only(net):
    a, _ = cygnet_pair(net)
    mode = net.gw_a.out(["stat", "-c", "%a", a.run_dir / "control.sock"]).strip()
    assert int(mode, 8) & 0o007 == 0
