# SPDX-License-Identifier: Apache-2.0
import time

from lab import Capture, Flow, Ping, wait_until
from common import CLEAR, gateways

FIRST, SECOND = "198.51.100.2", "198.51.100.3"


def begin(net):
    net.gw_b.run(["ip", "address", "add", f"{SECOND}/24", "dev", "wan"])
    a, b = gateways(net, __file__, start=False)
    b.start()
    return a, b


def block(net, address):
    net.block(f"ip daddr {address}")


def peer(a):
    """Where the IKE SA leads that has the child; another may be on its way back."""
    ike = next((sa for sa in a.connection()["ike_sas"] if sa["children"]), a.connection()["ike_sas"][0])
    return ike["remote"].rsplit(":", 1)[0]


def works(net):
    return Ping.once(net.host_a, net.host_address("b"), wait_s=1).received == 1


def test_failover_and_failback(net):
    a, _ = begin(net)
    block(net, FIRST)
    a.start()
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        wait_until(lambda: works(net), 20, "the second address is used")
        assert peer(a) == SECOND
        flow = Flow(net.host_a, net.host_address("b"))
        net.unblock()
        wait_until(lambda: peer(a) == FIRST, 15, "back at the first")
        time.sleep(3)
        account = flow.stop()
        assert account.sent > 200 and account.lost == 0, account.text[-300:]
        wait_until(lambda: len(a.children()) == 1, 10, "one child is left")
        block(net, FIRST)
        wait_until(lambda: works(net), 40, "and at the second again")
        assert peer(a) == SECOND
    assert clear.count() == 0


def test_none_answers(net):
    a, _ = begin(net)
    net.block(f"ip daddr {{ {FIRST}, {SECOND} }}")
    a.start()
    a.wait_log("none of the addresses of right= answers", 40)
    net.unblock()
    wait_until(lambda: works(net), 30, "up as soon as one answers")
