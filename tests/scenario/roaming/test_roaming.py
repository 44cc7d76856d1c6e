# SPDX-License-Identifier: Apache-2.0
import hashlib
import os
import pathlib

import lab as lab_package
from lab import wait_until
from common import gateways

_LAB = pathlib.Path(lab_package.__file__).resolve().parent
# The second half trickles until the file named last is there: however long a busy machine takes for what happens
# meanwhile, the transfer is not over before.
_SLOW_SENDER = """
import os, socket, sys, time
data = open(sys.argv[2], "rb").read()
s = socket.create_connection((sys.argv[1], 9000), 20)
s.settimeout(60)
at = 0
while at < len(data):
    piece = 32768 if at < len(data) // 2 or os.path.exists(sys.argv[3]) else 1024
    s.sendall(data[at:at + piece])
    at += piece
    time.sleep(0.05)
s.close()
"""


class SlowTransfer:
    """A file from host_a to host_b over one TCP connection that lasts until check()."""

    def __init__(self, net, megabytes=3):
        self.data = net.host_a.dir / "slow.bin"
        self.data.write_bytes(os.urandom(megabytes * 1_000_000))
        self.got = net.host_b.dir / "slow.got"
        self.enough = net.host_a.dir / "slow.enough"
        self.server = net.host_b.spawn(["/usr/bin/python3", _LAB / "tcp_receive.py", 9000, self.got],
                                       name="receive")
        self.server.wait_log("listening")
        self.client = net.host_a.spawn(["/usr/bin/python3", "-c", _SLOW_SENDER, net.host_address("b"),
                                        self.data, self.enough], name="send")

    def check(self, timeout_s=40):
        assert self.client.alive(), "the file was through before anything happened"
        self.enough.touch()
        assert self.client.wait(timeout_s) == 0, self.client.read_log()
        self.server.wait(timeout_s)
        digest = [hashlib.sha256(p.read_bytes()).hexdigest() for p in (self.data, self.got)]
        assert digest[0] == digest[1]


def begin(net):
    a, b = gateways(net, __file__)
    a.up()
    assert a.connection()["ike"]["remote"].endswith(":4500")
    return a, b, a.spis(), SlowTransfer(net)


def seen_by(b, start):
    wait_until(lambda: b.connection()["ike"]["remote"].startswith(start), 10, f"gw_b sees gw_a at {start}")


def readdress(net, address):
    """As a DHCP client does it: the old address goes, then the new one and its route come."""
    net.gw_a.run("ip -4 addr flush dev wan")
    if address:
        net.gw_a.run(f"ip addr add {address}/24 dev wan && ip route add default via 192.0.2.1")


def test_new_address(net):
    a, b, spis, transfer = begin(net)
    readdress(net, "192.0.2.77")
    seen_by(b, "192.0.2.77")
    transfer.check()
    assert a.spis() == spis and a.connection()["ike"]["local"].startswith("192.0.2.77")


def test_nat_appears_and_forgets(net):
    a, b, spis, transfer = begin(net)
    net.block("meta l4proto esp")  # as NATs do; else who sends first after the flush decides whether ESP passes
    net.set_nat("20000-20999")
    net.router.run(["conntrack", "-F"])
    seen_by(b, "198.51.100.1:20")
    wait_until(lambda: a.child()["udp_encapsulation"] and b.child()["udp_encapsulation"], 10, "ESP is in UDP")
    net.rebind_nat("40000-40999")
    transfer.check()  # ESP follows at once, by its packets; IKE when there is something to say
    seen_by(b, "198.51.100.1:40")
    assert a.spis() == spis


def test_to_ipv6_and_back(net):
    a, b, spis, transfer = begin(net)
    readdress(net, None)
    seen_by(b, "[2001:db8:a::2]")
    readdress(net, "192.0.2.2")
    net.gw_a.run("ip -6 addr flush dev wan scope global")
    seen_by(b, "192.0.2.2")
    transfer.check()
    assert a.spis() == spis
