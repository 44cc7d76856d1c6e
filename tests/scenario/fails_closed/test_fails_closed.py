# SPDX-License-Identifier: Apache-2.0
import signal
import time

import pytest

from lab import Capture, Ping, wait_until
from lab.cygnet import Cygnet, conn
from common import CLEAR, gateways


def test_no_clear_text_at_any_time(net):
    net.router.route("10.1.0.0/24", via=net.wan("a"))
    net.router.route("10.2.0.0/24", via=net.wan("b"))
    a, b = gateways(net, __file__, start=False)
    a.start()  # gw_b is not there yet
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        pings = net.host_a.spawn(["ping", "-n", "-i", "0.02", net.host_address("b")], name="pings")
        time.sleep(0.5)
        b.start()
        a.wait_state("up", timeout_s=60)
        Ping.until_answered(net.host_a, net.host_address("b"))
        b.kill_all()
        time.sleep(0.5)
        b.start()
        wait_until(lambda: Ping.once(net.host_a, net.host_address("b"), wait_s=0.5).received, 60,
                   "the tunnel is back by itself")
        a.reload()
        time.sleep(0.3)
        pings.stop()
    assert clear.count() == 0, clear.lines()[:5]


def roadwarrior(net, auto, right_network=None):
    """A client on gw_a, which gets its address from gw_b; both started."""
    ends = dict(right=net.wan("b"), rightsubnet=right_network or net.lan("b"), leftid="@road", rightid="@gw-b")
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    a.configure(conn("road", **ends, left=net.wan("a"), leftsourceip="%config", auto=auto, dpddelay="1s",
                     **{"retransmit-timeout": "2s"}))
    b.configure(conn("road", **ends, left="%any", leftaddresspool="10.9.0.7", auto="add"))
    b.start()
    a.start()
    return a, b


@pytest.mark.parametrize("auto", ["ondemand", "start"])
def test_a_client_whose_tunnel_is_down_sends_nothing_in_the_clear(net, auto):
    """Its address, the device's only one, comes and goes with the tunnel; the routes stay."""
    a, b = roadwarrior(net, auto)
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        # Not by a packet: one from before the address was there would be held on, and ask again.
        a.up("road")
        Ping.until_answered(net.gw_a, net.host_address("b"))
        assert "10.9.0.7" in net.gw_a.out(["ip", "addr", "show", "dev", "ipsec0"])
        a.down("road")
        wait_until(lambda: "10.9.0.7" not in net.gw_a.out(["ip", "addr", "show", "dev", "ipsec0"]), 5, "the address is gone")
        Ping.until_answered(net.gw_a, net.host_address("b"))  # which brings it up again
        assert a.connection("road")["ike"]["assigned_local"] == ["10.9.0.7"]
        # The gateway dies, and nobody tells.
        b.kill_all()
        a.wait_log("no answer from", 20)
        assert Ping.once(net.gw_a, net.host_address("b"), count=3, wait_s=1).received == 0
        # So does the engine.
        a.wait_role("engine", a.kill("engine"))
        time.sleep(1)
        assert Ping.once(net.gw_a, net.host_address("b"), count=3, wait_s=1).received == 0
        b.start()
        Ping.until_answered(net.gw_a, net.host_address("b"), 60)
    assert clear.count() == 0, clear.lines()[:5]


_SENDER = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try:
        s.sendto(b"x" * 64, (sys.argv[1], 7777))
    except OSError:
        pass
    time.sleep(0.0001)
"""
_FAULTS = ["ip link set ipsec0 down", "ip addr flush dev ipsec0", "ip link del ipsec0", "ip route flush table 4359",
           "ip rule del pref 210"]


@pytest.mark.parametrize("fault", _FAULTS)
def test_what_is_taken_away_under_traffic(net, fault):
    net.router.route("10.1.0.0/24", via=net.wan("a"))
    net.router.route("10.2.0.0/24", via=net.wan("b"))
    a, _ = gateways(net, __file__)
    Ping.until_answered(net.host_a, net.host_address("b"))
    sender = net.host_a.spawn(["/usr/bin/python3", "-c", _SENDER, net.host_address("b")], name="sender")
    with Capture(net.gw_a, "lan", "udp port 7777") as came, Capture(net.gw_a, "wan", CLEAR) as clear:
        wait_until(lambda: came.count() > 100, 10, "packets come")
        for _ in range(2):
            net.gw_a.run(fault)
            wait_until(lambda: " dev ipsec0" in net.gw_a.run(["ip", "route", "get", net.host_address("b")],
                                                             check=False).stdout, 5, "the route is back")
        wait_until(lambda: Ping.once(net.host_a, net.host_address("b"), wait_s=0.5).received, 30, "the tunnel is back")
        before = came.count()
        wait_until(lambda: came.count() > before + 100, 10, "packets come")
        sender.stop()
    assert clear.count() == 0, clear.lines()[:5]


_BOUND = """
import socket, struct, sys
how, target, port, device = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM if how == "TCP" else socket.SOCK_DGRAM)
s.settimeout(5)
index, rest = socket.if_nametoindex(device), []
if how in ("SO_BINDTODEVICE", "TCP"):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
elif how == "IP_UNICAST_IF":
    s.setsockopt(socket.IPPROTO_IP, 50, struct.pack("!I", index))
else:
    rest = [(socket.IPPROTO_IP, 8, struct.pack("=I4s4s", index, bytes(4), bytes(4)))]
s.connect((target, port)) if how == "TCP" else s.sendmsg([b"q"], rest, 0, (target, port))
"""


def test_sockets_that_are_bound_to_a_device(net):
    """The kernel takes every destination for a neighbour there, and on this link somebody answers for everybody."""
    a, _ = roadwarrior(net, "start", right_network="0.0.0.0/0")
    host = net.host_address("b")
    Ping.until_answered(net.gw_a, host)
    net.router.route("10.2.0.0/24", via=net.wan("b"))
    net.router.run("sysctl -w net.ipv4.conf.all.proxy_arp=1")

    def send(how, target=host, device="wan"):
        return net.gw_a.run(["/usr/bin/python3", "-c", _BOUND, how, target, "5353", device], check=False)

    ways = ("SO_BINDTODEVICE", "IP_UNICAST_IF", "IP_PKTINFO", "TCP")
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        for how in ways:
            refused = send(how)
            assert "PermissionError" in refused.stderr or "ConnectionRefusedError" in refused.stderr, (how, refused)
        a.wait_log("were about to leave in the clear by another device")
        wait_until(lambda: a.json("status")["held"] == len(ways), 5, "they are counted")
        doctor = a.ctl("doctor", check=False).stdout
        assert "would have left in the clear by another device" in doctor, doctor
        # To its own LAN and to groups they send as before.
        for target, device in ((net.host_address("a"), "lan"), ("224.0.0.251", "wan"), ("239.1.2.3", "wan")):
            assert send("SO_BINDTODEVICE", target, device).returncode == 0, target
        assert Ping.once(net.gw_a, host).received == 1
    assert clear.count(f"host {host}") == 0, clear.lines()[:5]
    # Who puts a rule before ours has it so.
    net.gw_a.run(f"ip rule add to {host} lookup main pref 100")
    a.wait_log("is asked before ours")
    with Capture(net.gw_a, "wan", f"udp port 5353 and dst host {host}") as clear:
        wait_until(lambda: send("SO_BINDTODEVICE").returncode == 0 and clear.count(), 5, "it leaves")
        assert "PermissionError" in send("SO_BINDTODEVICE", "10.2.0.77").stderr
    net.gw_a.run("ip rule del pref 100")
    wait_until(lambda: send("SO_BINDTODEVICE").returncode != 0, 5, "it is refused again")
    a.stop()
    assert send("SO_BINDTODEVICE").returncode == 0


def test_a_stop_gives_the_network_back(net):
    net.router.route("10.2.0.0/24", via=net.wan("b"))
    a, _ = gateways(net, __file__)
    Ping.until_answered(net.host_a, net.host_address("b"))
    a.stop()
    assert not net.gw_a.routes(4, "4359").strip()
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        Ping.once(net.host_a, net.host_address("b"), count=2, wait_s=1)
    assert clear.count() >= 2


def test_a_restart_that_hands_over_leaves_nothing_open(net):
    net.router.route("10.1.0.0/24", via=net.wan("a"))
    net.router.route("10.2.0.0/24", via=net.wan("b"))
    a, _ = gateways(net, __file__)
    Ping.until_answered(net.host_a, net.host_address("b"))
    sender = net.host_a.spawn(["/usr/bin/python3", "-c", _SENDER, net.host_address("b")], name="sender")
    with Capture(net.gw_a, "lan", "udp port 7777") as came, Capture(net.gw_a, "wan", CLEAR) as clear:
        wait_until(lambda: came.count() > 100, 10, "packets come")
        a.kill("monitor", signal.SIGUSR1)
        assert a.process.wait(10) == 75
        assert not a.alive("engine")
        a.start()
        wait_until(lambda: Ping.once(net.host_a, net.host_address("b"), wait_s=0.5).received, 30, "the tunnel is back")
        sender.stop()
    assert "taking over" in a.read_log()
    assert clear.count() == 0, clear.lines()[:5]
    a.stop()
    assert not net.gw_a.routes(4, "4359").strip()
