# SPDX-License-Identifier: Apache-2.0
import time

from lab.cygnet import program
from common import gateways

RATE = 50000
SECONDS = 12
MEMORY_KB = 32 << 10


def test_honest_peer_connects_during_a_flood(net):
    a, b = gateways(net, __file__)
    a.up()
    memory, pids = b.memory_kb("ike"), {role: b.pid(role) for role in ("monitor", "ike", "keys", "engine")}
    flood = net.router.spawn([program("flood_sender"), net.wan("b"), RATE, SECONDS])
    time.sleep(1.5)
    set_ups, answers = [], []
    for _ in range(4):
        a.down()
        started = time.monotonic()
        a.up(timeout_s=20)
        set_ups.append(time.monotonic() - started)
        started = time.monotonic()
        counters = b.json("status")["ike_counters"]
        answers.append(time.monotonic() - started)
        assert counters["half_open"] <= 5000
        assert b.memory_kb("ike") - memory < MEMORY_KB
    assert flood.alive(), "the flood was over too soon to mean anything"
    assert flood.wait(60) == 0
    sent, rate = flood.read_log().split()
    counters = b.json("status")["ike_counters"]
    print(f"{sent} attempts, {rate} a second; set-ups {['%.2f' % s for s in set_ups]} s; "
          f"status {['%.2f' % s for s in answers]} s; {counters}")
    # The middle of the four: a lost datagram costs a retransmission.
    assert sorted(set_ups)[1] < 2.0, (set_ups, rate)
    assert sorted(answers)[1] < 2.0, (answers, rate)
    assert counters["cookies_sent"] > 0.3 * int(sent)
    assert {role: b.pid(role) for role in pids} == pids
    assert b.memory_kb("ike") - memory < MEMORY_KB
