# SPDX-License-Identifier: Apache-2.0
import pathlib
import time

from lab import Capture, Flow, Ping, wait_until
from common import CLEAR, gateways

_ATTACK = pathlib.Path(__file__).resolve().parent / "attack.py"
MEMORY_KB = 64 << 10  # what a role may grow by under any attack


class Watch:
    """Sees that gw_b came through: same processes, bounded memory, nothing in the clear."""

    def __init__(self, net, b):
        self.net, self.b = net, b
        self.pids = {r: b.pid(r) for r in ("monitor", "ike", "engine")}
        self.memory = {r: b.memory_kb(r) for r in self.pids}

    def check(self):
        for role, pid in self.pids.items():
            assert self.b.pid(role) == pid and self.b.alive(role), f"{role} was restarted"
            grown = self.b.memory_kb(role) - self.memory[role]
            assert grown < MEMORY_KB, f"{role} grew by {grown} kB"


def attack(net, *words, timeout_s=60):
    return net.router.out(["/usr/bin/python3", _ATTACK, *words], timeout_s=timeout_s)


def test_flood_of_spoofed_requests(net):
    a, b = gateways(net, __file__)
    a.up()
    watch, flow = Watch(net, b), Flow(net.host_a, net.host_address("b"))
    flood = net.router.spawn(["/usr/bin/python3", _ATTACK, "flood", net.wan("b"), 1_500_000, 120])
    time.sleep(2)
    watch.check()
    # In the middle of it an honest peer, which can answer a COOKIE, still gets in.
    spis = a.spis()
    a.down()
    a.up(timeout_s=20)
    assert a.spis() != spis
    counters = lambda: b.json("status")["ike_counters"]
    wait_until(lambda: counters()["cookies_sent"] > 50000, 20, "the flood is answered")
    assert flood.alive(), "the flood was over too soon to mean anything"
    flood.stop()
    watch.check()
    flow.stop()
    assert Ping.once(net.host_a, net.host_address("b"), count=20, interval_s=0.01).lost == 0
    assert counters()["half_open"] <= 5000


def test_flood_does_not_touch_the_tunnel(net):
    a, b = gateways(net, __file__)
    a.up()
    flow = Flow(net.host_a, net.host_address("b"))
    attack(net, "flood", net.wan("b"), 30000, 4)
    account = flow.stop()
    assert account.sent > 100 and account.lost == 0
    assert a.state() == b.state() == "up"


def test_garbage_and_bent_messages(net):
    a, b = gateways(net, __file__)
    a.up()
    watch, flow = Watch(net, b), Flow(net.host_a, net.host_address("b"))
    with Capture(net.host_b, "eth0", "ip and not icmp") as reached:
        attack(net, "garbage", net.wan("b"), 8000)
        attack(net, "bent", net.wan("b"), 8000)
    account = flow.stop()
    assert account.lost == 0
    watch.check()
    assert reached.count() == 0
    wait_until(lambda: b.drops().get("unknown-spi", 0) > 100, 5, "it was looked at")
    wait_until(lambda: b.json("status")["ike_counters"]["malformed"] > 100, 5, "so were messages")
    # One entry an event does not mean 16,000 lines of log.
    assert len(b.read_log().splitlines()) < 2000


def test_replayed_and_bent_esp(net):
    a, b = gateways(net, __file__)
    a.up()
    with Capture(net.router, "to_b", f"ip proto 50 and dst host {net.wan('b')}") as captured:
        assert Ping.once(net.host_a, net.host_address("b"), count=50, interval_s=0.01).lost == 0
    assert captured.count() == 50
    watch = Watch(net, b)
    before = b.child()["in"]["packets"]
    with Capture(net.host_b, "eth0", "icmp[0] == 8") as reached, \
            Capture(net.gw_b, "ipsec0", "icmp[0] == 8") as device:
        assert "sent 50" in attack(net, "replay", "to_b", captured.file)
        assert "sent 50" in attack(net, "replay", "to_b", captured.file, "flip")
        assert Ping.once(net.host_a, net.host_address("b")).received == 1
    drops = b.drops()
    # A bent packet with a number already seen may be refused for either reason.
    assert drops.get("replay-seen", 0) + drops.get("integrity-failed", 0) == 100, drops
    assert drops.get("replay-seen", 0) >= 50
    assert reached.count() == device.count() == 1
    assert b.child()["in"]["packets"] == before + 1
    watch.check()


def test_clear_text_from_outside_is_refused(net):
    """Packets that pretend to come from host_a, in the clear, around the tunnel."""
    a, b = gateways(net, __file__)
    a.up()
    net.router.add_address("lo", "10.1.0.10/32")
    net.router.route("10.2.0.0/24", via=net.wan("b"))
    with Capture(net.gw_b, "wan", CLEAR) as sent:
        net.router.run(["ping", "-n", "-c", 3, "-i", "0.1", "-W", 1, "-I", "10.1.0.10",
                        net.host_address("b")], check=False)
    assert sent.count("icmp[0] == 8") == 3  # they did arrive at gw_b
    # Whatever host_b answers goes into the tunnel and nowhere else.
    assert sent.count("icmp[0] == 0") == 0
