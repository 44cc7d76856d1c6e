# SPDX-License-Identifier: Apache-2.0
import time

from lab import Capture, Ping, wait_until
from common import CLEAR, gateways


def test_no_clear_text_at_any_time(net):
    net.router.route("10.1.0.0/24", via=net.wan("a"))
    net.router.route("10.2.0.0/24", via=net.wan("b"))
    a, b = gateways(net, __file__, start=False)
    a.start()  # gw_b is not there yet
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        pings = net.host_a.spawn(["ping", "-n", "-i", "0.02", net.host_address("b")], name="pings")
        time.sleep(0.5)
        b.start()
        a.wait_state("up", timeout_s=60)
        Ping.until_answered(net.host_a, net.host_address("b"))
        b.kill_all()
        time.sleep(0.5)
        b.start()
        wait_until(lambda: Ping.once(net.host_a, net.host_address("b"), wait_s=0.5).received, 60,
                   "the tunnel is back by itself")
        a.reload()
        time.sleep(0.3)
        pings.stop()
    assert clear.count() == 0, clear.lines()[:5]
