# SPDX-License-Identifier: Apache-2.0
import time

from lab import Capture, Ping, wait_until
from lab.cygnet import program
from common import CLEAR, gateways


def footprint(host):
    """What a daemon leaves in the kernel: (interfaces, rules, routes) that are not the lab's."""
    rules = [host.rules(f) for f in (4, 6)]
    routes = [l for f in (4, 6) for l in host.routes(f, "all").splitlines() if "ipsec" in l]
    return (sorted(i for i in host.interfaces() if i.startswith("ipsec")), rules, sorted(routes))


def test_killed_monitor_is_replaced(net):
    clean = footprint(net.gw_a)
    a, b = gateways(net, __file__)
    a.up()
    assert Ping.once(net.host_a, net.host_address("b")).received == 1
    up = footprint(net.gw_a)
    assert up != clean
    pids = {role: a.pid(role) for role in ("monitor", "ike", "engine")}
    a.kill("monitor")
    wait_until(lambda: not a.process.alive(), 5, "the daemon's first process has ended")
    a.start()
    for role, old in pids.items():
        assert a.pid(role) != old
        gone = net.gw_a.run(["kill", "-0", old], check=False).returncode != 0
        assert gone, f"the old {role} still runs"
    a.up()
    assert Ping.once(net.host_a, net.host_address("b"), count=3).lost == 0
    assert footprint(net.gw_a)[1] == up[1]  # each rule once
    a.stop()
    assert footprint(net.gw_a) == clean
    assert b.alive("ike")


def test_power_cut(net):
    clean = footprint(net.gw_a)
    a, _ = gateways(net, __file__)
    a.up()
    for _ in range(3):
        a.kill_all()
        a.start()
    a.up()
    assert Ping.once(net.host_a, net.host_address("b"), count=3).lost == 0
    a.stop()
    assert footprint(net.gw_a) == clean


def test_nothing_leaves_in_the_clear(net):
    net.router.route("10.2.0.0/24", via=net.wan("b"))
    clean = footprint(net.gw_a)
    a, _ = gateways(net, __file__)
    a.conf.write_text(a.conf.read_text().replace("auto=add", "auto=start"))
    a.reload()
    a.wait_state("up", timeout_s=20)
    Ping.until_answered(net.host_a, net.host_address("b"))
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        pings = net.host_a.spawn(["ping", "-n", "-i", "0.02", net.host_address("b")], name="pings")
        time.sleep(0.5)
        a.kill("monitor")
        wait_until(lambda: not a.process.alive(), 5, "the daemon's first process has ended")
        time.sleep(0.5)
        a.start()
        a.wait_state("up", timeout_s=20)
        Ping.until_answered(net.host_a, net.host_address("b"))
        pings.stop()
    assert clear.count() == 0, clear.lines()[:5]
    a.kill_all()
    net.gw_a.run([program('cygnetd'), '--clean-up', '--config', a.conf, '--secrets', a.secrets, '--run-dir',
                    a.run_dir, '--state-dir', a.state_dir])
    assert footprint(net.gw_a) == clean
    assert net.gw_a.run(["nft", "list", "tables"]).stdout == ""
