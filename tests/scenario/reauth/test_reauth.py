# SPDX-License-Identifier: Apache-2.0
import time

import pytest

from lab import Capture, Flow, wait_until
from common import CLEAR, gateways


@pytest.mark.parametrize("who", ["both", "responder"])
def test_reauthentication_loses_nothing(net, who):
    a, b = gateways(net, __file__, start=False)
    if who == "responder":
        conf = a.conf.read_text().replace("\treauth=yes\n", "").replace("ikelifetime=12s", "ikelifetime=1h")
        a.conf.write_text(conf)
    b.start()
    a.start()
    a.up()
    b.wait_state("up")
    first = a.connection()["ike"]["spi_i"]
    flow = Flow(net.host_a, net.host_address("b"))
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        wait_until(lambda: a.connection()["ike"]["spi_i"] != first, 12, "a new IKE SA")
        second = a.connection()["ike"]["spi_i"]
        wait_until(lambda: a.connection()["ike"]["spi_i"] != second, 12, "and another")
        time.sleep(2)
        account = flow.stop()
    assert account.sent > 800 and account.lost == 0, account.text[-300:]
    assert clear.count() == 0
    assert len(a.children()) == len(b.children()) == 1
    assert a.state() == b.state() == "up"
