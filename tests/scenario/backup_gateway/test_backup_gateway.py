# SPDX-License-Identifier: Apache-2.0
import time

from lab import Capture, Flow, Ping, wait_until
from lab.cygnet import Cygnet, conn
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


def test_a_name_with_several_addresses(net):
    """The resolver prefers the IPv6 address, where nobody is; then one of two of IPv4 falls silent."""
    hosts = net.gw_a.dir / "hosts"
    hosts.write_text("".join(f"{address} hub.test\n" for address in ("2001:db8:b::dead", FIRST, SECOND)))
    net.gw_a.run(["mount", "--bind", hosts, "/etc/hosts"])
    net.gw_b.run(["ip", "address", "add", f"{SECOND}/24", "dev", "wan"])
    ends = dict(leftsubnet=net.lan("a"), rightsubnet=net.lan("b"), leftid="@gw-a", rightid="@gw-b", dpddelay="2s",
                dpdtimeout="4s", mobike="no")
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    a.configure(conn("lab", left="%defaultroute", right="hub.test", auto="start", failback_interval="2s", **ends)
                .replace("failback_interval", "failback-interval"))
    b.configure("".join(conn(name, left="%any", right=address, **ends)
                        for name, address in (("lab", FIRST), ("backup", SECOND))))
    b.start()
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        a.start()
        wait_until(lambda: works(net), 40, "an IPv4 address is used")
        used = peer(a)
        other = {FIRST: SECOND, SECOND: FIRST}[used]
        assert a.connection()["ike"]["local"].startswith(net.wan("a") + ":")
        block(net, used)
        net.block(f"ip saddr {used}")
        wait_until(lambda: works(net) and peer(a) == other, 60, "the other one is used")
        net.unblock()
        flow = Flow(net.host_a, net.host_address("b"))
        time.sleep(6)
        account = flow.stop()
        assert account.lost == 0, account.text[-300:]
        assert peer(a) == other, "nobody prefers one of them"
    assert clear.count() == 0, clear.lines()[:5]
