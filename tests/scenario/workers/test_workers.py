# SPDX-License-Identifier: Apache-2.0
import concurrent.futures
import os
import re
import time
from collections import Counter

import pytest

from lab import Ping, transfer, wait_until
from common import check_once_everywhere, gateways


def start(net, encapsulation):
    a, b = gateways(net, __file__, start=False)
    for daemon in (b, a):
        if encapsulation:
            daemon.conf.write_text(daemon.conf.read_text() + "\tencapsulation=yes\n")
        daemon.start()
    a.wait_state("up", timeout_s=20)
    Ping.until_answered(net.host_a, net.host_address("b"))
    return a, b


def threads_of(daemon, role="engine"):
    return int(daemon.host.run(["sh", "-c", f"ls /proc/{daemon.pid(role)}/task | wc -l"]).stdout)


@pytest.mark.parametrize("encapsulation", [True, False], ids=["udp", "esp"])
def test_many_flows_one_tunnel(net, encapsulation):
    a, b = start(net, encapsulation)
    assert (threads_of(a), threads_of(b)) == (3, 2)
    check_once_everywhere(net, a)

    def one(way_and_port):
        way, port = way_and_port
        ends = (net.host_a, net.host_b) if way else (net.host_b, net.host_a)
        return transfer(*ends, net.host_address("b" if way else "a"), 3, port=port)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for sent, received, _ in pool.map(one, [(True, 9001), (False, 9002)]):
            assert sent == received
    # Small packets of many flows at once, beside a rekey.
    pings = [Ping.begin(net.host_a, net.host_address("b"), 100, 0.01) for _ in range(6)]
    a.rekey("lab")
    for ping in pings:
        account = ping.end()
        assert account.received == 100, account.text
    for daemon in (a, b):
        lost = {name: count for name, count in daemon.drops().items() if count}
        assert not {"replay-old", "replay-seen", "integrity-failed"} & set(lost), lost


def test_the_device_made_anew_has_all_queues(net):
    a, _ = start(net, True)
    net.gw_a.run("ip link del ipsec0")
    wait_until(lambda: Ping.once(net.host_a, net.host_address("b"), wait_s=0.5).received, 20, "the tunnel works again")
    pings = [Ping.once(net.host_a, net.host_address("b"), count=3, interval_s=0.05) for _ in range(8)]
    assert sum(p.lost for p in pings) == 0
    assert threads_of(a) == 3


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_threads_run_where_they_are_told(net):
    a, _ = gateways(net, __file__, start=False)
    first, second = sorted(os.sched_getaffinity(0))[:2]
    a.conf.write_text(a.conf.read_text().replace("workers=3", f"workers=3\n\tworker-cpus={second},{first}"))
    a.start()
    pid = a.pid("engine")
    found = a.host.run(["sh", "-c", f"for t in $(ls /proc/{pid}/task | sort -n); do grep Cpus_allowed_list "
                                    f"/proc/{pid}/task/$t/status; done"]).stdout.split()[1::2]
    assert found[:2] == [str(second), str(first)]
    assert found[2] == cpus_of_monitor(a)


def cpus_of_engine(daemon):
    status = daemon.host.run(["grep", "Cpus_allowed_list", f"/proc/{daemon.pid('engine')}/status"]).stdout
    return status.split()[1]


def one_threaded(net, words=""):
    """Both engines before all others, so that they wait for no compiler beside them."""
    a, b = gateways(net, __file__, start=False)
    for daemon in (b, a):
        with_setup(daemon, words)
        daemon.conf.write_text(daemon.conf.read_text() + "\tencapsulation=yes\n")
        daemon.start()
        daemon.host.run(["chrt", "-f", "-p", "20", daemon.pid("engine")])
    a.wait_state("up", timeout_s=20)
    Ping.until_answered(net.host_a, net.host_address("b"))
    return a, b


def some_pings(net, count=20):
    account = Ping.once(net.host_a, net.host_address("b"), count=count, interval_s=0.02)
    assert account.received == count, account.text


def at_one_cpu(net, daemon):
    some_pings(net)
    return cpus_of_engine(daemon).isdigit()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_an_idle_engine_goes_where_packets_arrive(net):
    a, b = one_threaded(net)
    whole = cpus_of_engine(a)
    assert not whole.isdigit()
    for daemon in (a, b):
        wait_until(lambda d=daemon: at_one_cpu(net, d), 30, f"the engine of {daemon.host.name} keeps to one CPU")
        thread, = daemon.json("status")["threads"]
        assert thread["pinned"] and str(thread["cpu"]) == cpus_of_engine(daemon)
        assert f"% on CPU {thread['cpu']}" in daemon.ctl("status").stdout
    # With work to do it has all of them again, and goes back later.
    flood = net.host_a.spawn(["ping", "-f", "-q", "-s", "1300", "-l", "200", "-w", "60", net.host_address("b")], name="flood")
    wait_until(lambda: cpus_of_engine(a) == whole, 20, "the engine may run anywhere")
    assert not a.json("status")["threads"][0]["pinned"]
    flood.stop()
    wait_until(lambda: at_one_cpu(net, a), 30, "the engine keeps to one CPU again")
    # Where somebody else puts it, it stays, whatever it has to do.
    elsewhere = "0" if cpus_of_engine(a) != "0" else "1"
    a.host.run(["taskset", "-pc", elsewhere, a.pid("engine")])
    flood = net.host_a.spawn(["ping", "-f", "-q", "-s", "1300", "-l", "200", "-w", "5", net.host_address("b")], name="flood")
    flood.wait(20)
    some_pings(net, 100)
    assert cpus_of_engine(a) == elsewhere


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
@pytest.mark.parametrize("words", ["\tworker-cpus=any\n", "\tcrypto-threads=1\n", "\tbusy-poll=10\n", "\tworkers=2\n"],
                         ids=["any", "crypto-threads", "busy-poll", "workers"])
def test_where_the_kernel_puts_it(net, words):
    a, b = one_threaded(net, words)
    whole = cpus_of_engine(a)
    some_pings(net, 200)
    for daemon in (a, b):
        assert cpus_of_engine(daemon) == whole and not whole.isdigit()
        assert not any(t["pinned"] for t in daemon.json("status")["threads"])


def cpus_of_monitor(daemon):
    """Nobody pins it."""
    status = daemon.host.run(["cat", f"/proc/{daemon.pid('monitor')}/status"]).stdout
    return next(line.split()[1] for line in status.splitlines() if line.startswith("Cpus_allowed_list"))


def with_setup(daemon, words):
    text = daemon.conf.read_text()
    daemon.conf.write_text(re.sub(r"config setup\n\tworkers=\d+\n", "config setup\n" + words, text))


@pytest.mark.parametrize("encapsulation", [True, False], ids=["udp", "esp"])
def test_ciphers_on_threads_of_their_own(net, encapsulation):
    """Bursts come back from two threads in any order: every file arrives unchanged, within a window of 32 packets."""
    a, b = gateways(net, __file__, start=False)
    for daemon in (b, a):
        with_setup(daemon, "\tcrypto-threads=2\n")
        if encapsulation:
            daemon.conf.write_text(daemon.conf.read_text() + "\tencapsulation=yes\n")
        daemon.start()
    a.wait_state("up", timeout_s=20)
    Ping.until_answered(net.host_a, net.host_address("b"))
    assert (threads_of(a), threads_of(b)) == (3, 3)
    check_once_everywhere(net, a)
    for ends, to in (((net.host_a, net.host_b), "b"), ((net.host_b, net.host_a), "a")):
        sent, received, _ = transfer(*ends, net.host_address(to), 5)
        assert sent == received
    ping = Ping.begin(net.host_a, net.host_address("b"), 100, 0.01)
    a.rekey("lab")
    account = ping.end()
    assert account.received == 100, account.text
    for daemon in (a, b):
        status = daemon.json("status")
        assert [t["work"] for t in status["threads"]] == ["packets", "ciphers", "ciphers"]
        assert status["ciphers"]["batches"] > 100 and status["ciphers"]["failed"] == 0
        lost = {name: count for name, count in daemon.drops().items() if count}
        assert not {"replay-old", "replay-seen", "integrity-failed"} & set(lost), lost
    # With nothing to do they sleep: loads count from the last question on.
    a.json("status")
    time.sleep(1)
    assert all(t["load_percent"] < 20 for t in a.json("status")["threads"])


def test_ciphers_keep_to_their_share(net):
    """crypto-cpu=10%: the thread that encrypts has a tenth of a CPU, however much there is to do; nothing is lost."""
    a, b = gateways(net, __file__, start=False)
    with_setup(a, "\tcrypto-cpu=10%\n")
    for daemon in (b, a):
        daemon.start()
    a.wait_state("up", timeout_s=20)
    Ping.until_answered(net.host_a, net.host_address("b"))
    a.json("status")  # loads count from here
    before = time.monotonic()
    sent, received, _ = transfer(net.host_a, net.host_b, net.host_address("b"), 100)
    assert sent == received
    ciphers = next(t for t in a.json("status")["threads"] if t["work"] == "ciphers")
    assert time.monotonic() - before > 0.1
    assert ciphers["load_percent"] <= 15, ciphers


def test_each_thread_has_an_sa_of_its_own(net):
    """RFC 9611: three clones for three threads beside the SA for all; the peer's two threads share them out."""
    a, b = gateways(net, __file__, start=False)
    a.conf.write_text(a.conf.read_text() + "\tclones=3\n")
    for daemon in (b, a):
        daemon.conf.write_text(daemon.conf.read_text() + "\tencapsulation=yes\n")
        daemon.start()
    a.wait_state("up", timeout_s=20)
    Ping.until_answered(net.host_a, net.host_address("b"))
    numbers = [None, 0, 1, 2]
    for daemon in (a, b):
        wait_until(lambda d=daemon: [c.get("resource") for c in d.children()] == numbers, 10, "all clones are up")

    def one(way_and_port):
        way, port = way_and_port
        ends = (net.host_a, net.host_b) if way else (net.host_b, net.host_a)
        return transfer(*ends, net.host_address("b" if way else "a"), 3, port=port)

    for port in range(9001, 9009, 2):
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for sent, received, _ in pool.map(one, [(True, port), (False, port + 1)]):
                assert sent == received
    out = {c.get("resource"): c["out"]["packets"] for c in a.children()}
    assert sum(1 for number in (0, 1, 2) if out[number] > 0) >= 2, out
    received = {c.get("resource"): c["in"]["packets"] for c in b.children()}
    for number in numbers:
        assert (received[number] > 0) == (out[number] > 0), (out, received)
    # Renewed while packets flow: each for its thread, and none is lost.
    before = {(c["spi_in"], c.get("resource")) for c in a.children()}
    pings = [Ping.begin(net.host_a, net.host_address("b"), 100, 0.01) for _ in range(6)]
    a.rekey("lab")
    for ping in pings:
        account = ping.end()
        assert account.received == 100, account.text
    wait_until(lambda: sorted((c.get("resource") is not None, c.get("resource") or 0) for c in a.children())
               == [(False, 0), (True, 0), (True, 1), (True, 2)], 10, "the old ones are gone")
    assert not before & {(c["spi_in"], c.get("resource")) for c in a.children()}
    for daemon in (a, b):
        lost = {name: count for name, count in daemon.drops().items() if count}
        assert not {"replay-old", "replay-seen", "integrity-failed"} & set(lost), lost
    # A new ike finds them again, and a rekey afterwards still knows whose each is.
    pid = a.pid("ike")
    a.kill("ike")
    a.wait_role("ike", pid)
    wait_until(lambda: [c.get("resource") for c in a.children()] == numbers, 10, "the new ike knows them")
    assert Ping.once(net.host_a, net.host_address("b"), count=5, interval_s=0.05).lost == 0


def test_ike_is_answered_while_the_ciphers_have_too_much(net):
    """Port 4500 carries both: what is too much for the ciphers of B is dropped there, and a rekey through the same socket
    goes through."""
    a, b = gateways(net, __file__, start=False)
    with_setup(a, "")
    with_setup(b, "\tcrypto-cpu=1%\n")
    for daemon in (b, a):
        daemon.conf.write_text(daemon.conf.read_text() + "\tencapsulation=yes\n")
        daemon.start()
    a.wait_state("up", timeout_s=20)
    Ping.until_answered(net.host_a, net.host_address("b"))
    flood = ("import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\nend=time.monotonic()+120\n"
             f"while time.monotonic()<end:\n for _ in range(64): s.sendto(bytes(1300),('{net.host_address('b')}',9))\n")
    flooding = net.host_a.spawn(["python3", "-c", flood], name="flood")
    wait_until(lambda: b.drops().get("no-buffer", 0) > 100, 10, "the ciphers of B have too much")
    before = a.spis()
    a.rekey("lab")
    wait_until(lambda: a.spis() != before, 10, "the tunnel is rekeyed under the flood")
    assert flooding.alive(), "the flood was still going on"
    flooding.stop()
    wait_until(lambda: Ping.once(net.host_a, net.host_address("b"), wait_s=0.5).received, 10, "the tunnel works")
    assert a.state() == "up" and b.state() == "up"


@pytest.mark.parametrize("setup", ["\tcrypto-threads=2\n", "\tworkers=2\n"], ids=["crypto-threads", "workers"])
def test_ip_tfs_with_threads(net, setup):
    """Aggregated and cut packets keep their order with ciphers elsewhere and with several threads."""
    a, b = gateways(net, __file__, start=False)
    for daemon in (b, a):
        with_setup(daemon, setup)
        daemon.conf.write_text(daemon.conf.read_text().replace("replay-window=32", "replay-window=1024")
                               + "\tiptfs=require\n\tiptfs-packet-size=1200\n")
        daemon.start()
    a.wait_state("up", timeout_s=20)
    Ping.until_answered(net.host_a, net.host_address("b"))
    for ends, to in (((net.host_a, net.host_b), "b"), ((net.host_b, net.host_a), "a")):
        sent, received, _ = transfer(*ends, net.host_address(to), 5)
        assert sent == received
    ping = Ping.once(net.host_a, net.host_address("b"), count=20, size=1300, interval_s=0.02)
    assert ping.lost == 0, ping.text
    lost = Counter(a.drops()) + Counter(b.drops())
    assert not {"replay-old", "replay-seen", "integrity-failed", "bad-aggregation"} & set(+lost), lost
    # Only what a busy machine's queue did not take is missing in what is put together again.
    assert lost["aggregation-lost"] <= lost["no-buffer"], lost


def test_latency_waits_for_no_cipher_elsewhere(net):
    """The ciphers of B have far too much to do for one connection; pings of another, with traffic=latency, go by."""
    a, b = gateways(net, __file__, start=False)
    with_setup(a, "\tcrypto-threads=1\n")
    with_setup(b, "\tcrypto-cpu=1%\n")
    for daemon in (b, a):
        text = daemon.conf.read_text() + "\tencapsulation=yes\n"
        lab = text[text.index("conn lab"):]
        urgent = lab.replace("conn lab", "conn urgent") + "\tleftprotoport=icmp\n\trightprotoport=icmp\n"
        daemon.conf.write_text(text.replace(lab, urgent + "\ttraffic=latency\n" + lab + "\ttraffic=throughput\n"))
        daemon.start()
    for name in ("lab", "urgent"):
        a.wait_state("up", name, timeout_s=20)
    for daemon in (a, b):
        assert (daemon.child("lab")["traffic"], daemon.child("urgent")["traffic"]) == ("throughput", "latency")
    Ping.until_answered(net.host_a, net.host_address("b"))
    batches = b.json("status")["ciphers"]["batches"]
    assert Ping.once(net.host_a, net.host_address("b"), count=20, interval_s=0.01).lost == 0
    assert b.json("status")["ciphers"]["batches"] == batches, "pings were given to no cipher elsewhere"
    flood = ("import socket,time\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\nend=time.monotonic()+120\n"
             f"while time.monotonic()<end:\n for _ in range(64): s.sendto(bytes(1300),('{net.host_address('b')}',9))\n"
             " time.sleep(0.001)\n")
    flooding = net.host_a.spawn(["python3", "-c", flood], name="flood")
    wait_until(lambda: b.drops().get("no-buffer", 0) > 100, 10, "the ciphers of B have too much")
    under_flood = Ping.once(net.host_a, net.host_address("b"), count=50, interval_s=0.02)
    assert flooding.alive(), "the flood was still going on"
    assert under_flood.lost <= 2, under_flood.text
    flooding.stop()
    lost = Counter(a.drops()) + Counter(b.drops())
    assert not {"replay-old", "replay-seen", "integrity-failed"} & set(+lost), lost
