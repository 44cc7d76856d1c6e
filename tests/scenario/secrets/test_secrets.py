# SPDX-License-Identifier: Apache-2.0
import re
import signal

from lab import Flow, wait_until
from common import gateways

SECRET = "3f9c-only-the-keys-process-61ab"


# Run in the host, as root: prints whether the memory of a process holds the text.
SEARCH = """
import re, sys
pid, text = sys.argv[1], bytes.fromhex(sys.argv[2])
found = False
with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
    for line in maps:
        area = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
        if not area or "[v" in line:
            continue
        first, last = (int(x, 16) for x in area.groups())
        try:
            memory.seek(first)
            found = found or text in memory.read(last - first)
        except OSError:
            pass  # a guard page, or a device
print(found)
"""


def holders(daemon, text):
    """The roles in whose memory the text stands."""
    return {role for role in ("monitor", "ike", "keys", "engine")
            if daemon.host.out(["/usr/bin/python3", "-c", SEARCH, daemon.pid(role),
                                text.encode().hex()]).strip() == "True"}


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
        assert holders(daemon, SECRET) == {"keys"}
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
        wait_until(lambda: holders(daemon, SECRET) == set(), 10, "the old secret is forgotten")
    assert a.spis() == spis and flow.stop().lost == 0
    a.down()
    a.up()
    b.set_secrets(': PSK "and-a-third-one-that-differs-77"\n')
    b.reload()
    a.down()
    assert "AUTHENTICATION_FAILED" in a.up(check=False)
