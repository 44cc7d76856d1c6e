# SPDX-License-Identifier: Apache-2.0
"""engine=xfrm on Debian's newest kernel (lab/machine.py), for what the one of User-Mode Linux has not: XFRM interfaces
and SAs for single CPUs. Cygnet's own engine is at the other end; iproute2 says what the kernel has.

    site ---- gw (Cygnet) ---- tap0 ---- guest (Cygnet, engine=xfrm) : inner0
  10.1.0.10   10.1.0.1|192.0.2.2       192.0.2.9                       10.2.0.10
"""
import pytest

import machine_site
from lab import Ping, wait_until
from machine_site import THEIRS

THEIR_HOST = machine_site.THEIR_HOST[4]


@pytest.fixture(scope="module")
def machine():
    with machine_site.running("newer") as lab:
        yield lab


@pytest.fixture
def pair(machine, request):
    """start(**words): both daemons with a connection of these words."""
    with machine_site.pairs_of(request, machine) as make:
        yield lambda **words: make().start(**words)


def up(ours, theirs):
    ours.up("lab")
    ours.wait_state("up")
    theirs.wait_state("up")


def ping_both_ways(machine, count=3):
    there = Ping.once(machine.site, THEIR_HOST, count=count, interval_s=0.05)
    assert there.lost == 0, there.text
    assert machine.guest.answered("10.1.0.10", count, f"-I {THEIR_HOST}") == count


@pytest.mark.parametrize("words", [{}, {"ipsec-interface": "7"}], ids=["device", "interface"])
def test_what_is_bound_to_another_device_is_held(machine, pair, words):
    """The packet filter tells what the kernel's policies take from what would leave in the clear."""
    ours, theirs = pair(**words)
    up(ours, theirs)
    ping_both_ways(machine)
    assert theirs.json("status")["held"] == 0
    assert "100% packet loss" in machine.guest.run("ping -c 2 -i 0.2 -W 1 -I vec0 10.1.0.10", check=False)
    wait_until(lambda: theirs.json("status")["held"] == 2, 5, "they are counted")


def index_of(machine, name):
    return int(machine.guest.run(f"cat /sys/class/net/{name}/ifindex"))


def test_interface_of_the_daemon(machine, pair):
    ours, theirs = pair(**{"ipsec-interface": "7"})
    link = machine.guest.run("ip -d link show ipsec7")
    assert "xfrm if_id 0x7 " in link and "mtu 1400" in link and ",UP" in link
    up(ours, theirs)
    states = machine.guest.run("ip xfrm state")
    assert states.count("if_id 0x7") == 2, states
    assert "if_id 0x7" in machine.guest.run("ip xfrm policy show dir out")
    assert "dev ipsec7" in machine.guest.run("ip route show table 4359 10.1.0.0/24")
    assert "dev ipsec7" in machine.guest.run("ip route get 10.1.0.10 from 10.2.0.10")
    # Clear text is seen there, and nothing of it on the wire.
    for device, file in (("ipsec7", "clear"), ("vec0", "wire")):
        machine.guest.run(f"tcpdump -l --immediate-mode -n -i {device} icmp >/tmp/{file} 2>/tmp/{file}.said </dev/null & "
                          f"for i in $(seq 300); do grep -q listening /tmp/{file}.said && exit 0; sleep 0.1; done; exit 1",
                          timeout_s=60)
    ping_both_ways(machine)
    wait_until(lambda: machine.guest.run("grep -c ICMP /tmp/clear", check=False).strip() == "12", 10, "12 packets seen")
    assert machine.guest.run("cat /tmp/wire") == ""
    child = theirs.child()
    assert child["device"] == "ipsec7"
    assert [child[way]["packets"] for way in ("in", "out")] == [6, 6]
    assert "RX:" in machine.guest.run("ip -s link show ipsec7")

    # What its policies do not take is dropped there, and leaves nowhere in the clear.
    errors = lambda: int(machine.guest.run("cat /sys/class/net/ipsec7/statistics/tx_errors"))
    before = errors()
    machine.guest.run("ping -c 2 -i 0.1 -W 1 -I 192.0.2.9 10.1.0.10", check=False)
    assert errors() == before + 2
    ping_both_ways(machine, count=1)  # so that what went before it has been written
    assert machine.guest.run("cat /tmp/wire") == ""
    machine.guest.run("kill $(pidof tcpdump)")

    # Killed: it stays, with its routes, and is taken over.
    before = index_of(machine, "ipsec7")
    theirs.kill("monitor")
    theirs.wait_dead()
    assert index_of(machine, "ipsec7") == before
    assert "dev ipsec7" in machine.guest.run("ip route show table 4359 10.1.0.0/24")
    theirs.start()
    assert index_of(machine, "ipsec7") == before
    ours.down("lab")
    up(ours, theirs)
    ping_both_ways(machine)

    # Deleted by somebody: there again, with its routes.
    machine.guest.run("ip link delete ipsec7")
    wait_until(lambda: "dev ipsec7" in machine.guest.run("ip route show table 4359 10.1.0.0/24", check=False), 10, "routes are back")
    assert index_of(machine, "ipsec7") != before
    ping_both_ways(machine)

    theirs.stop()
    assert "does not exist" in machine.guest.run("ip link show ipsec7", check=False)


def test_interface_of_the_administrator(machine, pair):
    machine.guest.run("ip link add ipsec8 type xfrm if_id 8 && ip link set ipsec8 mtu 1300 up && "
                      "ip address add 10.8.0.1/24 dev ipsec8 && ip route add 10.88.0.0/16 dev ipsec8")
    addresses = lambda: machine.guest.run("ip -4 -o address show dev ipsec8")
    try:
        before = index_of(machine, "ipsec8")
        ours, theirs = pair(**{"ipsec-interface": "8"})
        up(ours, theirs)
        ping_both_ways(machine)
        assert "mtu 1300" in machine.guest.run("ip link show ipsec8")
        # Its own address is no leftover of ours; ours, which keeps the routes, is.
        assert "10.8.0.1/24" in addresses() and "192.0.0.8/32" in addresses()
        theirs.kill("monitor")
        theirs.wait_dead()
        theirs.start()
        assert "10.8.0.1/24" in addresses() and "192.0.0.8/32" in addresses()
        theirs.stop()
        assert index_of(machine, "ipsec8") == before, "it was not ours to take away"
        assert "10.8.0.1/24" in addresses() and "192.0.0.8" not in addresses()
        assert "dev ipsec8" in machine.guest.run("ip route show 10.88.0.0/16")
        # With its last address the administrator's routes would go.
        machine.guest.run("ip address flush dev ipsec8 && ip route add 10.88.0.0/16 dev ipsec8")
        theirs.start()
        assert "192.0.0.8/32" in addresses()
        theirs.stop()
        assert "dev ipsec8" in machine.guest.run("ip route show 10.88.0.0/16")
        assert "ipsec8 keeps the address 192.0.0.8" in theirs.read_log()
    finally:
        machine.guest.run("ip link delete ipsec8", check=False)


def test_sas_for_single_cpus(machine, pair):
    ours, theirs = pair(clones="2")
    # Who answers waits for the first packet on each of them.
    theirs.up("lab")
    ours.wait_state("up")
    wait_until(lambda: {c["resource"] for c in theirs.children()} == {0, 1, None}, 30, "each CPU has its SA")

    def sent():
        """Packets of each of the kernel's outbound SAs, by its CPU: iproute2 does not print that one, its SPI says it."""
        cpu = {int(c["spi_out"], 16): c["resource"] for c in theirs.children()}
        return {cpu[s["spi"]]: s["packets"] for s in machine.guest.xfrm_states() if s["src"] == THEIRS}

    wait_until(lambda: set(sent()) == {0, 1, None}, 10, "they are in the kernel")
    for cpu in (0, 1):
        before = sent()
        assert machine.guest.answered("10.1.0.10", 3, f"-I {THEIR_HOST}", f"taskset -c {cpu}") == 3
        after = sent()
        assert {key: after[key] - before[key] for key in after} == {0: 0, 1: 0, None: 0, cpu: 3}


def test_more_cpus_than_there_are(machine, pair):
    _, theirs = pair(wait=False, clones="3")
    what = "has clones=3, and the kernel refused an SA of these algorithms: there is no CPU 2"
    wait_until(lambda: what in theirs.read_log(), 30, "it says what cannot be")
    wait_until(lambda: not theirs.alive("monitor"), 10, "it does not start")
    theirs.process = None
