# SPDX-License-Identifier: Apache-2.0
from lab import Capture, Ping, two_sites
from lab.cygnet import Cygnet, conn, cygnet_pair, program


def test_two_devices(net):
    net.host_b.add_address("eth0", "10.2.0.200/24")
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    halves = {"one": "10.2.0.0/25", "two": "10.2.0.128/25"}
    text_a = text_b = ""
    for i, (name, half) in enumerate(halves.items()):
        text_a += conn(name, left=net.wan("a"), right=net.wan("b"), leftid="@gw-a", rightid="@gw-b",
                       leftsubnet="10.1.0.0/24", rightsubnet=half, interface=f"ipsec{i}")
        text_b += conn(name, left=net.wan("b"), right=net.wan("a"), leftid="@gw-b", rightid="@gw-a",
                       leftsubnet=half, rightsubnet="10.1.0.0/24")
    a.configure(text_a, setup="devices=ipsec0,ipsec1")
    b.configure(text_b)
    b.start()
    a.start()
    assert {"ipsec0", "ipsec1"} <= net.gw_a.interfaces()
    for name in halves:
        a.up(name)
    with Capture(net.gw_a, "ipsec0", "icmp") as first, Capture(net.gw_a, "ipsec1", "icmp") as second:
        assert Ping.once(net.host_a, "10.2.0.10", count=2).lost == 0
        assert Ping.once(net.host_a, "10.2.0.200", count=3).lost == 0
    assert (first.count("host 10.2.0.10"), first.count("host 10.2.0.200")) == (4, 0)
    assert (second.count("host 10.2.0.10"), second.count("host 10.2.0.200")) == (0, 6)
    a.stop()
    assert not {"ipsec0", "ipsec1"} & net.gw_a.interfaces()


def test_run_dir_picks_the_daemon(net):
    a, b = cygnet_pair(net)
    a.up()
    for daemon in (a, b):
        by_environment = net.gw_a.run([program("cygnet"), "status", "--json"],
                                      env={"CYGNET_RUN_DIR": str(daemon.run_dir)})
        assert daemon.child()["spi_in"] in by_environment.stdout


def test_second_daemon_on_one_run_dir_is_refused(net):
    a, _ = cygnet_pair(net)
    second = Cygnet(net.gw_a)
    second.process = net.gw_a.spawn(
        [program("cygnetd"), "--config", a.conf, "--secrets", a.secrets, "--run-dir", a.run_dir,
         "--foreground"], name="second")
    assert second.process.wait(10) != 0
    # Nor two that keep leases and the resolver's original in one place.
    third = Cygnet(net.gw_a)
    third.configure("")
    third.state_dir = a.state_dir
    third.start(wait=False)
    assert third.process.wait(10) != 0
    assert "--state-dir" in third.read_log()
    assert a.alive("ike") and a.alive("engine")
    a.up()
    assert Ping.once(net.host_a, net.host_address("b")).received == 1
