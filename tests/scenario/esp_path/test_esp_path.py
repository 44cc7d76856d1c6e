# SPDX-License-Identifier: Apache-2.0
import pytest

from lab import Ping, transfer, wait_until
from common import gateways


def start(net, b_path="xdp", name="v4", auto="add"):
    a, b = gateways(net, __file__, start=False)
    a.conf.write_text(a.conf.read_text().replace("auto=add", f"auto={auto}", 1))  # of v4
    b.conf.write_text(b.conf.read_text().replace("esp-path=xdp", f"esp-path={b_path}"))
    for daemon in (b, a):
        daemon.start()
    a.up(name)
    Ping.until_answered(net.host_a, net.host_address("b"))
    return a, b


def by_xdp(daemon):
    """(packets in, packets out) of the interface wan; None: it goes by sockets."""
    return next(((i["packets_in"], i["packets_out"]) for i in daemon.json("status")["esp_interfaces"]
                 if i["name"] == "wan"), None)


def has_program(host):
    return "xdp" in host.out(["ip", "link", "show", "wan"])


def takes_the_way(net, daemon, timeout_s=20):
    """Pings go that way, out and in, and are answered."""
    wait_until(lambda: by_xdp(daemon) is not None, timeout_s, "XDP has the interface")

    def does():
        before = by_xdp(daemon)
        ping = Ping.once(net.host_a, net.host_address("b"), count=10, interval_s=0.02, wait_s=0.5)
        after = by_xdp(daemon)
        return before and after and ping.lost == 0 and after[1] - before[1] >= 9
    wait_until(does, timeout_s, "packets go past the stack", interval_s=0.2)


def lost(daemon):
    return {name: count for name, count in daemon.drops().items()
            if count and name not in ("no-policy", "acquire-timeout", "link-local")}


@pytest.mark.parametrize("name", ["v4", "v6"])
@pytest.mark.parametrize("b_path", ["xdp", "socket"])
def test_packets_go_past_the_stack(net, name, b_path):
    a, b = start(net, b_path, name)
    takes_the_way(net, a)
    for ends, to in (((net.host_a, net.host_b), "b"), ((net.host_b, net.host_a), "a")):
        before = by_xdp(a)
        sent, received, _ = transfer(*ends, net.host_address(to), 20)
        assert sent == received
        after = by_xdp(a)
        # 20 MB in packets of at most 1500 octets, and their acknowledgements.
        many = 1 if to == "b" else 0
        assert after[many] - before[many] > 13_000, (before, after)
    for size in (0, 1, 100, 1300, 1400, 1472, 4000, 9000):
        for option in ("dont", "want"):
            ping = Ping.once(net.host_a, net.host_address("b"), count=3, interval_s=0.05, size=size, fragments=option)
            assert ping.lost == ping.duplicates == 0, (ping.text, a.drops(), b.drops())
    assert (by_xdp(b) is None) == (b_path == "socket")
    assert "plain ESP over XDP (packets): wan " in a.ctl("status").stdout
    for daemon in (a, b):
        assert not {"replay-old", "replay-seen", "integrity-failed", "malformed-ip", "send-failed"} & set(lost(daemon))
    a.rekey(name)
    takes_the_way(net, a)
    a.stop()
    wait_until(lambda: not has_program(net.gw_a), 5, "the program is gone")


def test_the_neighbour_and_the_interface_change(net):
    # The kernel doubts what it knows of neighbours sooner than usual.
    net.gw_a.sysctl(net__ipv4__neigh__wan__base_reachable_time_ms=1000, net__ipv4__neigh__wan__delay_first_probe_time=1)
    a, _ = start(net)
    takes_the_way(net, a)
    # The router's card is replaced, and nobody says so: the kernel finds out, and the tunnel follows.
    net.router.run(["ip", "link", "set", "to_a", "address", "02:00:00:00:77:01"])
    wait_until(lambda: Ping.once(net.host_a, net.host_address("b"), wait_s=0.3).received, 30, "the new card is known")
    assert "02:00:00:00:77:01" in net.gw_a.out(["ip", "neigh", "show", "192.0.2.1"])
    takes_the_way(net, a)
    # Down and up, and with another MTU: nothing is lost for long.
    net.gw_a.run(["ip", "link", "set", "wan", "down"])
    wait_until(lambda: by_xdp(a) is None, 5, "the interface is given up")
    net.gw_a.run(["ip", "link", "set", "wan", "up", "mtu", "1400"])
    net.router.run(["ip", "link", "set", "to_a", "mtu", "1400"])
    net.gw_a.route("default", via="192.0.2.1")
    takes_the_way(net, a)
    for size in (1300, 1400, 3000):
        assert Ping.once(net.host_a, net.host_address("b"), count=3, interval_s=0.05, size=size,
                         fragments="dont").received == 3
    # Larger frames than XDP can have.
    for host, name in ((net.gw_a, "wan"), (net.router, "to_a")):
        host.run(["ip", "link", "set", name, "mtu", "9000"])
    a.wait_log("its MTU of 9000 is too large")
    wait_until(lambda: by_xdp(a) is None, 5, "the interface is given up")
    wait_until(lambda: not has_program(net.gw_a), 5, "the program is gone")
    assert Ping.once(net.host_a, net.host_address("b"), count=3, interval_s=0.05).received == 3


def test_after_a_death_the_program_is_gone(net):
    a, b = start(net, auto="start")
    takes_the_way(net, a)
    assert has_program(net.gw_a) and has_program(net.gw_b)
    old = b.kill("engine")
    b.wait_role("engine", old)
    Ping.until_answered(net.host_a, net.host_address("b"), 60)
    takes_the_way(net, b)
    a.kill_all()
    wait_until(lambda: not has_program(net.gw_a), 5, "the program is gone")
    a.start()
    Ping.until_answered(net.host_a, net.host_address("b"), 30)
    takes_the_way(net, a)


def test_another_program_has_the_interface(net):
    """Then plain ESP goes by sockets, and the log says why."""
    a, b = gateways(net, __file__, start=False)
    b.start()
    blocker = net.gw_a.run(["ip", "link", "set", "dev", "wan", "xdpgeneric", "obj",
                            "/usr/lib/x86_64-linux-gnu/bpf/xsk_def_xdp_prog_5.3.o", "sec", "xdp"], check=False)
    if blocker.returncode != 0:
        pytest.skip("no other XDP program here")
    a.start()
    a.up("v4")
    Ping.until_answered(net.host_a, net.host_address("b"))
    a.wait_log("plain ESP on wan goes by sockets: cannot attach the XDP program: another program has the interface's XDP")
    assert by_xdp(a) is None
    sent, received, _ = transfer(net.host_a, net.host_b, net.host_address("b"), 5)
    assert sent == received
