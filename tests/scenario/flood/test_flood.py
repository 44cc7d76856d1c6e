# SPDX-License-Identifier: Apache-2.0
import time

from lab.cygnet import program
from lab.net import wait_until
from common import gateways

RATE = 50000
LEAST = 20000  # what any machine sends beside all else; a slower flood shows nothing
ENOUGH = 100000  # attempts that were looked at
MEMORY_KB = 32 << 10


def seconds(work):
    started = time.monotonic()
    work()
    return time.monotonic() - started


def middle(times):
    """Of several: one lost datagram costs a retransmission."""
    return sorted(times)[len(times) // 2]


def test_honest_peer_connects_during_a_flood(net):
    a, b = gateways(net, __file__)

    def set_up():
        a.down()
        return seconds(lambda: a.up(timeout_s=30))

    # What it takes here and now without a flood: the machine may have other things to do.
    a.up()
    quiet = middle([set_up() for _ in range(3)])
    memory, pids = b.memory_kb("ike"), {role: b.pid(role) for role in ("monitor", "ike", "keys", "engine")}
    before = b.json("status")["ike_counters"]
    flood = net.router.spawn([program("flood_sender"), net.wan("b"), RATE])
    seen = lambda: b.json("status")["ike_counters"]["datagrams_in"] - before["datagrams_in"]
    wait_until(lambda: seen() > 5000, 60, "the flood arrives")
    set_ups, answers = [], []
    while len(set_ups) < 5 or seen() < ENOUGH:
        set_ups.append(set_up())
        answers.append(seconds(lambda: b.json("status")))
        counters = b.json("status")["ike_counters"]
        assert counters["half_open"] <= 5000
        assert b.memory_kb("ike") - memory < MEMORY_KB
        assert flood.alive()
    after = b.json("status")["ike_counters"]
    assert flood.stop() == 0
    sent, rate = flood.read_log().split()
    of_flood = {name: after[name] - before[name] for name in ("datagrams_in", "cookies_sent", "half_open_refused")}
    print(f"{sent} attempts, {rate} a second; {of_flood}; without it {quiet:.2f} s, set-ups "
          f"{['%.2f' % s for s in set_ups]} s; status {['%.2f' % s for s in answers]} s")
    assert int(rate) >= LEAST
    # Within 2 seconds, unless the machine has so much else to do that a set-up takes long without any flood: there it is
    # enough that each of them succeeded.
    if max(quiet, middle([set_up() for _ in range(3)])) < 0.1:
        assert middle(set_ups) < 2.0, (set_ups, quiet, rate)
        assert middle(answers) < 2.0, (answers, quiet, rate)
    # Whatever was looked at was answered with a COOKIE and forgotten, but for the first hundred, and for the honest one.
    assert of_flood["cookies_sent"] > 0.95 * of_flood["datagrams_in"], of_flood
    assert {role: b.pid(role) for role in pids} == pids
    assert b.memory_kb("ike") - memory < MEMORY_KB
