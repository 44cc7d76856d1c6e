# SPDX-License-Identifier: Apache-2.0
import pytest

from lab import Capture, Flow, Ping, wait_until
from lab.cygnet import Cygnet, conn
from common import CLEAR

PEERS = {"one": "198.51.100.2", "two": "198.51.100.3"}
DEAD = dict(dpddelay="2s", dpdtimeout="4s")


@pytest.fixture
def pair(net):
    net.gw_b.run(["ip", "address", "add", PEERS["two"] + "/24", "dev", "wan"])
    # What leaves in the clear would be answered.
    net.router.route(net.lan("b"), via=net.wan("b"))
    return Cygnet(net.gw_a), Cygnet(net.gw_b)


def ours(net, auto, **words):
    return "".join(conn(name, left=net.wan("a"), right=address, leftid="@a", rightid="@" + name, auto=auto,
                        leftsubnet=net.lan("a"), rightsubnet=net.lan("b"), **words) for name, address in PEERS.items())


def theirs(net, *names, **words):
    return "".join(conn(name, left=PEERS[name], right=net.wan("a"), leftid="@" + name, rightid="@a",
                        leftsubnet=net.lan("b"), rightsubnet=net.lan("a"), **words) for name in names)


def works(net):
    return Ping.once(net.host_a, net.host_address("b"), wait_s=0.5).received == 1


def in_use(net, a):
    """Whose SA carries packets now."""
    sent = lambda: {name: sum(c["out"]["packets"] for c in a.children(name)) for name in PEERS}
    before = sent()
    assert Ping.once(net.host_a, net.host_address("b"), count=3, interval_s=0.05).lost == 0
    after = sent()
    used = [name for name in PEERS if after[name] > before[name]]
    assert len(used) == 1, (before, after)
    explained = a.ctl("explain", net.host_address("a"), net.host_address("b")).stdout
    assert used[0] in explained, explained
    return used[0]


def both_up(net, a, b):
    """The names: the one that is in use, and the other."""
    a.configure(ours(net, "start", **DEAD))
    b.configure(theirs(net, *PEERS, **DEAD))
    b.start()
    a.start()
    for name in PEERS:
        a.wait_state("up", name)
    first = in_use(net, a)
    return first, next(name for name in PEERS if name != first)


def test_the_other_takes_over_and_keeps_it(net, pair):
    a, b = pair
    first, other = both_up(net, a, b)
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        for gone, stays in ((first, other), (other, first)):
            b.configure(theirs(net, stays, **DEAD))
            b.reload()
            wait_until(lambda: a.state(gone) != "up", 10, f"{gone} is deleted by its peer")
            wait_until(lambda: works(net), 10, f"{stays} carries what {gone} did")
            assert in_use(net, a) == stays
            flow = Flow(net.host_a, net.host_address("b"))
            b.configure(theirs(net, *PEERS, **DEAD))
            b.reload()
            wait_until(lambda: a.state(gone) == "up", 60, f"{gone} comes back")
            account = flow.stop()
            assert account.lost == 0, account.text[-300:]
            assert in_use(net, a) == stays
    assert clear.count() == 0, clear.lines()[:5]


def test_one_falls_silent(net, pair):
    a, b = pair
    first, other = both_up(net, a, b)
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        net.block(f"ip daddr {PEERS[first]}")
        wait_until(lambda: works(net), 40, f"{other} carries what {first} did")
        assert in_use(net, a) == other
    assert clear.count() == 0, clear.lines()[:5]


def test_ike_is_killed(net, pair):
    """The next ike finds who carries the packets, and goes on so."""
    a, b = pair
    first, other = both_up(net, a, b)
    b.configure(theirs(net, other, **DEAD))
    b.reload()
    wait_until(lambda: works(net) and a.state(first) != "up", 10, f"{other} carries what {first} did")
    b.configure(theirs(net, *PEERS, **DEAD))
    b.reload()
    wait_until(lambda: a.state(first) == "up", 60, f"{first} comes back")
    a.wait_role("ike", a.kill("ike"))
    assert in_use(net, a) == other


def test_on_demand_the_next_is_asked(net, pair):
    a, b = pair
    a.configure(ours(net, "ondemand"))
    b.configure(theirs(net, "two"))
    b.start()
    a.start()
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        Ping.until_answered(net.host_a, net.host_address("b"))
    assert clear.count() == 0, clear.lines()[:5]
    assert in_use(net, a) == "two"
