# SPDX-License-Identifier: Apache-2.0
"""The lab's own tests: what the other tests rely on is true."""
import os
import pathlib
import signal
import struct
import subprocess
import sys
import threading
import time

import pytest

from lab import Capture, Flow, Lab, LabError, Ping, transfer, wait_until
from lab.strongswan import StrongSwan, site_config
from lab.uml import GuestStrongSwan, Uml

_TESTS = pathlib.Path(__file__).resolve().parent.parent


def sites(net, side, family=4, **words):
    other = "b" if side == "a" else "a"
    return site_config(local=net.wan(side, family), remote=net.seen_as(other, family),
                       local_ts=net.lan(side, family), remote_ts=net.lan(other, family), **words)


@pytest.mark.parametrize("family", [4, 6])
def test_gateways_meet_and_lans_do_not(net, family):
    assert Ping.once(net.gw_a, net.wan("b", family)).received == 1
    assert Ping.once(net.host_a, net.host_address("a", family)).received == 1
    assert Ping.once(net.host_a, net.host_address("b", family), wait_s=1).received == 0


def test_nat_hides_and_rebinds(nat_net):
    net = nat_net
    with Capture(net.gw_b, "wan", "udp") as capture:
        for _ in range(2):
            net.gw_a.send_udp(net.wan("b"), 4500, source_port=4500)
            net.rebind_nat("40000-40999")
    lines = capture.lines("", "-t")
    ports = [int(l.split(" > ")[0].rsplit(".", 1)[1]) for l in lines]
    assert all(l.startswith("IP " + net.seen_as("a")) for l in lines)
    assert 20000 <= ports[0] <= 20999 and 40000 <= ports[-1] <= 40999


def test_a_capture_is_read_while_it_is_written(net):
    """What tcpdump has written of a packet in part is not counted yet; in a file that it has closed it is a fault."""
    with Capture(net.gw_b, "wan", "udp") as capture:
        net.gw_a.send_udp(net.wan("b"), 9, times=3)
        wait_until(lambda: capture.count() == 3, 10, "three packets are there")
        with open(capture.file, "ab") as file:
            file.write(struct.pack("<IIII", 1, 1, 60, 60) + bytes(20))
        assert capture.count() == 3
    with pytest.raises(LabError, match="cannot be read"):
        capture.count()


def test_a_capture_that_ends_has_all_that_came(net):
    """What the kernel has for tcpdump, and tcpdump has not yet read, is not left out."""
    with Capture(net.gw_b, "wan", "udp") as capture:
        net.gw_a.send_udp(net.wan("b"), 9)
        # As on a busy machine: it gets no time.
        capture.process.send_signal(signal.SIGSTOP)
        net.gw_a.send_udp(net.wan("b"), 9, times=2000)
        # What started it in its host stops and goes on together with it.
        threading.Timer(0.5, os.kill, (capture.process._popen.pid, signal.SIGCONT)).start()
    assert capture.count() == 2001 and capture.lost() == 0


def test_ping_waits_for_the_last_answer(net):
    """However quick the others were: here the last one stands before a neighbour who cannot be found for a while."""
    pings = Ping.begin(net.gw_a, net.wan("b"), count=2, interval_s=1)
    time.sleep(0.5)
    net.router.run("ip link set to_a arp off")
    net.gw_a.run("ip neigh flush dev wan")
    time.sleep(1.3)
    net.router.run("ip link set to_a arp on")
    account = pings.end()
    assert (account.sent, account.received, account.duplicates) == (2, 2, 0), account.text


@pytest.mark.parametrize("family", [4, 6])
def test_pings_of_any_size(net, family):
    for size, fragments in ((0, None), (1, "do"), (1400, "do"), (4000, "dont")):
        account = Ping.once(net.gw_a, net.wan("b", family), count=3, interval_s=0, size=size, fragments=fragments,
                            source=net.wan("a", family))
        assert (account.sent, account.received, account.duplicates) == (3, 3, 0), (size, account.text)
    account = Ping.once(net.gw_a, net.wan("b", family), count=2, interval_s=0, size=4000, fragments="do", wait_s=0.5)
    assert (account.sent, account.received, account.text.split("\n")[1]) == (2, 0, "missing: 1 2"), account.text


def test_block_and_unblock(net):
    net.block("ip protocol icmp")
    assert Ping.once(net.gw_a, net.wan("b"), wait_s=0.5).received == 0
    net.unblock()
    assert Ping.once(net.gw_a, net.wan("b")).received == 1


def test_flow_counts_what_was_lost(net):
    flow = Flow(net.gw_a, net.wan("b"))
    net.block("ip protocol icmp")
    time.sleep(0.2)
    net.unblock()
    time.sleep(0.2)
    assert flow.stop().lost >= 5
    flow = Flow(net.gw_a, net.wan("b"))
    time.sleep(0.3)
    account = flow.stop()
    assert account.sent >= 15 and account.lost == 0


def test_nothing_outlives_a_killed_maker():
    script = ("import sys; sys.path.insert(0, sys.argv[1]); from lab import *\n"
              "lab = Lab('killed'); net = two_sites(lab)\n"
              "p = net.gw_a.spawn(['sleep', '987654'])\n"
              "print(p.pid, *[h.pid for h in lab.hosts.values()], lab.dir, flush=True)\n"
              "import time; time.sleep(60)")
    maker = subprocess.Popen([sys.executable, "-c", script, str(_TESTS)], stdout=subprocess.PIPE,
                             text=True)
    *pids, folder = maker.stdout.readline().split()
    assert len(pids) == 6
    maker.kill()
    maker.wait()
    # A zombie holds no namespace; when it is reaped is up to this machine's init.
    def lives(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
        except OSError:
            return False
    wait_until(lambda: not any(lives(pid) for pid in pids), 5, "all processes of the lab are gone")
    subprocess.run(["rm", "-rf", folder], check=True)


def test_failing_command_says_where(lab):
    host = lab.host("one")
    with pytest.raises(LabError, match="one: exit 3"):
        host.run("exit 3")


@pytest.mark.parametrize("nat", [False, True])
def test_strongswan_to_strongswan(net, nat):
    if nat:
        net.set_nat("20000-20999")
    a, b = StrongSwan(net.gw_a).start(), StrongSwan(net.gw_b).start()
    a.load(sites(net, "a", local_id="gw-a", remote_id="gw-b"))
    b.load(sites(net, "b", local_id="gw-b", remote_id="gw-a"))
    a.up("net")
    assert Ping.once(net.host_a, net.host_address("b"), count=3).lost == 0
    assert a.child("net")["out"]["packets"] == 3 == b.child("net")["in"]["packets"]
    sent, received, _ = transfer(net.host_a, net.host_b, net.host_address("b"), megabytes=5)
    assert sent == received


def test_strongswan_to_kernel_esp(lab):
    """kernel-libipsec insists on UDP encapsulation; the guest's kernel still does the ESP."""
    gateway, site = lab.host("gw"), lab.host("site")
    guest = Uml(gateway, ["192.0.2.9/24"], ["192.0.2.2"], ["10.2.0.10/24"])
    gateway.add_address("tap0", "192.0.2.2/24")
    lab.link(gateway, "lan", site, "eth0")
    gateway.add_address("lan", "10.1.0.1/24")
    site.add_address("eth0", "10.1.0.10/24")
    site.route("default", via="10.1.0.1")
    gateway.sysctl(net__ipv4__ip_forward=1)
    peer = GuestStrongSwan(guest)
    peer.load(site_config(local="192.0.2.9", remote="192.0.2.2", local_ts="10.2.0.0/24",
                          remote_ts="10.1.0.0/24"))
    ours = StrongSwan(gateway).start()
    ours.load(site_config(local="192.0.2.2", remote="192.0.2.9", local_ts="10.1.0.0/24",
                          remote_ts="10.2.0.0/24"))
    ours.up("net")
    assert Ping.once(site, "10.2.0.10", count=3).lost == 0
    counts = {s["src"]: s["packets"] for s in guest.xfrm_states()}
    assert counts == {"192.0.2.2": 3, "192.0.2.9": 3}
    assert all(s["encap"] for s in guest.xfrm_states())
    guest.poweroff()
