# SPDX-License-Identifier: Apache-2.0
"""OpenIKED on Cygnet's engine: it knows PF_KEY only, and this kernel has none; `cygnet wrap` gives it the engine's.

     host_a ---- gw_a ------------- router ------------- gw_b ---- host_b
                 OpenIKED, engine                        Cygnet
"""
from lab import Capture, Ping, wait_until
from lab.cygnet import Cygnet, conn, program
from lab.openiked import policy
from lab.strongswan import enter_root


class OpenIked:
    """iked out of its own root, on a host where cygnetd lends it the engine."""

    def __init__(self, host, engine, words):
        self.host = host
        root = enter_root(host, "openiked", [program("libcygnet-wrap.so").parent, engine.run_dir])
        host.run(["tee", root / "etc/iked.conf"], input=words + "\n")
        host.run(["chmod", "600", root / "etc/iked.conf"])
        self.process = host.spawn(engine.ctl_command("wrap", "chroot", root, "/usr/sbin/iked", "-dvT"), name="iked")


def test_openiked_sets_up_a_tunnel_on_the_engine(net):
    peer = Cygnet(net.gw_b)
    peer.configure(conn("lab", left=net.wan("b"), right=net.wan("a"), leftsubnet=net.lan("b"),
                        rightsubnet=net.lan("a"), leftid="@ours.example.org", rightid="@theirs.example.org",
                        ike="aes256-sha2_256-dh31", esp="aes256-sha2_512"))
    peer.start()
    engine = Cygnet(net.gw_a)
    engine.configure("", setup="ikeport=1500\nnat-ikeport=4600")
    engine.start()
    iked = OpenIked(net.gw_a, engine, policy("active", net.wan("a"), net.wan("b"), net.lan("a"), net.lan("b")))
    try:
        wait_until(lambda: peer.state("lab") == "up", 20, "the tunnel is up")
    except Exception as error:
        raise AssertionError(iked.process.read_log()[-4000:]) from error
    with Capture(net.gw_a, "wan") as wire:
        ping = Ping.once(net.host_a, net.host_address("b"), count=5, interval_s=0.05)
    assert ping.lost == 0, ping.text + iked.process.read_log()[-4000:]
    assert wire.count("ip proto 50") == 10 and wire.count("net 10.0.0.0/8") == 0
    shown = net.gw_a.run([program("setkey"), "--run-dir", engine.run_dir, "-D"]).stdout
    assert shown.count("E: aes-cbc") == shown.count("A: hmac-sha512") == shown.count("allocated: 5") == 2, shown
