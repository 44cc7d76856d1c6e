# SPDX-License-Identifier: Apache-2.0
"""OpenIKED on Cygnet's engine: it knows PF_KEY only, and this kernel has none; `cygnet wrap` gives it the engine's.

     host_a ---- gw_a ------------- router ------------- gw_b ---- host_b
                 OpenIKED, engine                        Cygnet, or strongSwan
"""
from lab import Capture, Ping, wait_until
from lab.cygnet import Cygnet, conn, program, wait_route
from lab.openiked import policy
from lab.strongswan import StrongSwan, site_config
from lab.wrapped import WrappedIked

ESP = "aes256-sha2_512"


def on_engine(net, options="-dv"):
    """options: -dvT leaves NAT traversal out."""
    engine = Cygnet(net.gw_a)
    engine.configure("", setup="ikeport=1500\nnat-ikeport=4600")
    engine.start()
    return WrappedIked(net.gw_a, engine, policy("active", net.wan("a"), net.wan("b"), net.lan("a"), net.lan("b")),
                       options)


def cygnet_peer(net):
    peer = Cygnet(net.gw_b)
    peer.configure(conn("lab", left=net.wan("b"), right=net.seen_as("a"), leftsubnet=net.lan("b"),
                        rightsubnet=net.lan("a"), leftid="@ours.example.org", rightid="@theirs.example.org",
                        ike="aes256-sha2_256-dh31", esp=ESP))
    return peer.start()


def wait_up(iked, is_up):
    try:
        wait_until(is_up, 20, "the tunnel is up")
    except Exception as error:
        raise AssertionError(iked.read_log()[-4000:]) from error


def ping(net, iked):
    iked.engine.wait_route(net.host_address("b"))
    wait_route(net.gw_b, net.host_address("a"))
    done = Ping.once(net.host_a, net.host_address("b"), count=5, interval_s=0.05)
    assert done.lost == 0, done.text + iked.read_log()[-4000:]
    shown = net.gw_a.run([program("setkey"), "--run-dir", iked.engine.run_dir, "-D"]).stdout
    assert shown.count("E: aes-cbc") == shown.count("A: hmac-sha512") == shown.count("allocated: 5") == 2, shown
    return shown


def test_openiked_sets_up_a_tunnel_on_the_engine(net):
    peer = cygnet_peer(net)
    iked = on_engine(net, "-dvT")
    wait_up(iked, lambda: peer.state("lab") == "up")
    with Capture(net.gw_a, "wan") as wire:
        ping(net, iked)
    assert wire.count("ip proto 50") == 10 and wire.count("net 10.0.0.0/8") == 0


def test_nat_in_between(nat_net):
    """ESP in UDP: the engine shares iked's port 4500."""
    net = nat_net
    peer = cygnet_peer(net)
    iked = on_engine(net)
    wait_up(iked, lambda: peer.state("lab") == "up")
    with Capture(net.gw_b, "wan") as wire:
        assert "esp-udp" in ping(net, iked)
    assert wire.count("udp portrange 20000-20999 and udp port 4500") >= 10
    child = peer.child()
    assert (child["in"]["packets"], child["out"]["packets"]) == (5, 5)


def test_to_strongswan_in_udp(net):
    """strongSwan's kernel-libipsec always wants ESP in UDP."""
    peer = StrongSwan(net.gw_b)
    peer.start()
    peer.load(site_config(local=net.wan("b"), remote=net.wan("a"), local_ts=net.lan("b"), remote_ts=net.lan("a"),
                          ike="aes256-sha256-curve25519", esp="aes256-sha512", local_id="ours.example.org",
                          remote_id="theirs.example.org"))
    iked = on_engine(net)
    wait_up(iked, lambda: "net" in peer.installed())
    with Capture(net.gw_a, "wan") as wire:
        ping(net, iked)
    assert wire.count("udp port 4500") >= 10 and wire.count("net 10.0.0.0/8") == 0
    child = peer.child("net")
    assert (child["in"]["packets"], child["out"]["packets"]) == (5, 5)
