# SPDX-License-Identifier: Apache-2.0
import ctypes
import os
import socket
import time

import pytest

from lab import Capture, Flow, wait_until
from common import CLEAR, gateways


@pytest.mark.parametrize("victim", ["a", "b"])
def test_ike_killed_under_traffic(net, victim):
    a, b = gateways(net, __file__)
    a.up()
    b.wait_state("up")
    spis, ike = a.spis(), a.connection()["ike"]["spi_i"]
    flow = Flow(net.host_a, net.host_address("b"))
    one = a if victim == "a" else b
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        for _ in range(3):
            old = one.kill("ike")
            one.wait_role("ike", old)
            time.sleep(0.3)
        for daemon in (a, b):
            daemon.wait_state("up")
        assert a.spis() == spis and a.connection()["ike"]["spi_i"] == ike
        assert (b.child()["spi_in"], b.child()["spi_out"]) == spis[::-1]
        # What was adopted is whole: it can be rekeyed from both ends, and deleted.
        one.rekey("lab")
        wait_until(lambda: a.spis() != spis, 10, "the adopted child is rekeyed")
        other = b if one is a else a
        second = a.spis()
        other.rekey("lab")
        wait_until(lambda: a.spis() != second, 10, "and rekeyed by the other end")
        time.sleep(0.2)
        account = flow.stop()
    assert account.sent > 100 and account.lost == 0, account.text[-300:]
    assert clear.count() == 0
    a.down()
    wait_until(lambda: b.children() == [], 5, "the delete reached gw_b")


def test_ike_killed_while_negotiating(net):
    """No half-made state is left behind: the next attempt works."""
    a, b = gateways(net, __file__)
    net.block("udp dport { 500, 4500 }")
    net.gw_a.spawn(a.ctl_command("up", "lab"))
    a.wait_state("connecting")
    old = a.kill("ike")
    net.unblock()
    a.wait_role("ike", old)
    a.up()
    assert len(a.children()) == 1
    wait_until(lambda: len(b.children()) == 1, 10, "gw_b has one child, too")


def test_ike_that_cannot_be_started_again_is_started_when_it_can(net):
    """The monitor has no descriptors left for a while: it does not give up, and nothing is taken back."""
    a, b = gateways(net, __file__)
    a.up()
    b.wait_state("up")
    spis, monitor = a.spis(), a.pid("monitor")
    flow = Flow(net.host_a, net.host_address("b"))
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        net.gw_a.run(["prlimit", "--pid", monitor, "--nofile=3:4096"])
        old = a.kill("ike")
        a.wait_log(": trying it again")
        time.sleep(0.5)
        assert a.alive("monitor") and a.alive("engine") and not a.alive("ike")
        net.gw_a.run(["prlimit", "--pid", monitor, "--nofile=4096:4096"])
        a.wait_role("ike", old, timeout_s=20)
        account = flow.stop()
    a.wait_state("up")
    assert a.spis() == spis
    assert account.sent > 50 and account.lost == 0, account.text[-300:]
    assert clear.count() == 0


PIDFD_GETFD = 438  # pidfd_getfd(2)


def seen_from_here(host, pid):
    """What the PID of a process of that host is outside of it."""
    space = os.readlink(f"/proc/{host.pid}/ns/net")
    for outer in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{outer}/status", encoding="ascii") as status:
                known = next(line for line in status if line.startswith("NSpid:")).split()
            if int(known[-1]) == pid and os.readlink(f"/proc/{outer}/ns/net") == space:
                return int(outer)
        except (OSError, StopIteration):
            continue
    raise AssertionError(f"no process {pid} in {host.name}")


def cut_connections(pid):
    """Shuts the SEQPACKET connections of a process down, but that to the monitor, both ends living on."""
    libc = ctypes.CDLL(None, use_errno=True)
    process, cut = os.pidfd_open(pid), 0
    for number in sorted(int(n) for n in os.listdir(f"/proc/{pid}/fd")):
        if number <= 3 or not os.readlink(f"/proc/{pid}/fd/{number}").startswith("socket:"):
            continue
        copy = libc.syscall(PIDFD_GETFD, process, number, 0)
        if copy < 0:
            continue
        with socket.socket(fileno=copy) as s:
            if s.family == socket.AF_UNIX and s.type == socket.SOCK_SEQPACKET:
                s.shutdown(socket.SHUT_RDWR)
                cut += 1
    os.close(process)
    return cut


def test_the_connection_to_the_engine_is_made_anew(net):
    """Nobody ended, yet ike and engine cannot talk: ike ends itself, and the next one finds everything."""
    a, b = gateways(net, __file__)
    a.up()
    b.wait_state("up")
    spis, old = a.spis(), a.pid("ike")
    assert cut_connections(seen_from_here(net.gw_a, old)) >= 1
    a.wait_role("ike", old, timeout_s=15)
    a.wait_state("up")
    assert a.spis() == spis
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        flow = Flow(net.host_a, net.host_address("b"))
        time.sleep(0.5)
        account = flow.stop()
    assert account.sent > 10 and account.lost == 0, account.text[-300:]
    assert clear.count() == 0
    a.rekey("lab")
    wait_until(lambda: a.spis() != spis, 10, "the child is rekeyed by the next ike")
