# SPDX-License-Identifier: Apache-2.0
import re
import signal

from lab import Flow, wait_until
from lab.memory import holders
from common import gateways

SECRET = "3f9c-only-the-keys-process-61ab"


def two(net):
    a, b = gateways(net, __file__, start=False)
    for daemon in (b, a):
        daemon.set_secrets(f': PSK "{SECRET}"\n')
        daemon.start()
    return a, b


def test_only_keys_holds_them(net):
    a, b = two(net)
    a.up()
    for daemon in (a, b):
        daemon.reload()
    a.down()
    a.up()
    for daemon in (a, b):
        assert holders(daemon, SECRET.encode()) == {"keys"}
        assert "ike" in holders(daemon, b"gw-a")  # what another process knows is found in it
        limits = daemon.host.out(["cat", f"/proc/{daemon.pid('keys')}/status"])
        assert re.search(r"Seccomp:\t2", limits) and re.search(r"CapEff:\t0+$", limits, re.M)
        assert not re.search(r"Uid:\t0", limits)


def test_keys_killed(net):
    a, b = two(net)
    a.up()
    flow = Flow(net.host_a, net.host_address("b"))
    old = a.kill("keys")
    a.wait_role("keys", old)
    assert flow.stop().lost == 0
    a.down()
    a.up()
    # Stopped, it leaves the question unanswered; the one after it is asked again.
    a.down()
    old = a.kill("keys", signal.SIGSTOP)
    up = a.host.spawn(a.ctl_command("up", "lab"))
    a.wait_state("connecting")
    a.kill("keys")
    a.wait_role("keys", old)
    a.wait_state("up")
    assert up.wait(10) == 0


def test_changed_secret(net):
    a, b = two(net)
    a.up()
    spis = a.spis()
    flow = Flow(net.host_a, net.host_address("b"))
    for daemon in (a, b):
        daemon.set_secrets(': PSK "another-secret-of-both-ends-8d1e"\n')
        daemon.reload()
        wait_until(lambda: holders(daemon, SECRET.encode()) == set(), 10, "the old secret is forgotten")
    assert a.spis() == spis and flow.stop().lost == 0
    a.down()
    a.up()
    b.set_secrets(': PSK "and-a-third-one-that-differs-77"\n')
    b.reload()
    a.down()
    assert "AUTHENTICATION_FAILED" in a.up(check=False)
