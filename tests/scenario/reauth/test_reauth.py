# SPDX-License-Identifier: Apache-2.0
import pathlib
import time

import pytest

from lab import Capture, Flow, wait_until
from common import CLEAR, cygnet, gateways


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
    wait_until(lambda: len(a.children()) == len(b.children()) == 1, 10, "one child is left")
    assert a.state() == b.state() == "up"


_EXAMPLES = pathlib.Path(__file__).resolve().parent.parent.parent.parent / "docs" / "examples"


def test_a_roadwarrior_keeps_its_address(net):
    """The lease goes from the old IKE SA to the new one; traffic to and from it does not stop."""
    for host in (net.gw_a, net.gw_b):
        path = host.dir / "resolv.conf"
        path.write_text("nameserver 192.0.2.53\n")
        host.run(["mount", "--bind", path, "/etc/resolv.conf"])
    cygnet(net.gw_b, _EXAMPLES, "roadwarrior-server.conf", secrets=_EXAMPLES / "ipsec.secrets")
    a = cygnet(net.gw_a, _EXAMPLES, "roadwarrior-client.conf", start=False, secrets=_EXAMPLES / "ipsec.secrets")
    words = "\treauth=yes\n\tikelifetime=12s\n\tmargintime=4s\n\trekeyfuzz=0%\n"
    a.conf.write_text(a.conf.read_text().rstrip("\n") + "\n" + words)
    a.start()
    a.up("office")
    first = a.connection("office")["ike"]
    flow = Flow(net.gw_a, net.host_address("b"))
    wait_until(lambda: a.connection("office")["ike"]["spi_i"] != first["spi_i"], 12, "a new IKE SA")
    time.sleep(3)
    account = flow.stop()
    assert a.connection("office")["ike"]["assigned_local"] == first["assigned_local"]
    assert account.sent > 500 and account.lost == 0, account.text[-300:]
