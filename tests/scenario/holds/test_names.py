# SPDX-License-Identifier: Apache-2.0
"""Names that nobody answers for, or only later: what is protected does not wait for them."""
import signal
import time

import pytest

from lab import Capture, Flow, Ping, wait_until
from lab.cygnet import Cygnet, conn, program
from common import CLEAR

IDS = dict(leftid="@gw-a", rightid="@gw-b")
# A thousand packets a second: what is counted in the clear are milliseconds.
STREAM = """
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try: s.sendto(b"x" * 64, (sys.argv[1], 7777))
    except OSError: pass
    time.sleep(0.001)
"""
SERVER = """
import socket, struct, sys, threading
answer, delay = sys.argv[1], float(sys.argv[2])
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("198.51.100.1", 53))
print("bound", flush=True)
while True:
    asked, peer = s.recvfrom(4096)
    print("asked by", peer[0], flush=True)
    if not answer: continue
    end = asked.index(b"\\0", 12) + 5
    a = asked[end - 4:end - 2] == b"\\0\\1"
    said = (asked[:2] + b"\\x81\\x80" + asked[4:6] + struct.pack(">HHH", a, 0, 0) + asked[12:end] +
             (b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\0\\0\\4" + socket.inet_aton(answer) if a else b""))
    threading.Timer(delay, s.sendto, (said, peer)).start()
"""
NAME_SERVER = "198.51.100.1"  # the router, from its far side


def name_server(net, answer="", delay_s=0.0):
    """On the router. It answers with this address, or never; gw_a asks it."""
    server = net.router.spawn(["/usr/bin/python3", "-c", SERVER, answer, str(delay_s)], name="names")
    server.wait_log("bound")
    file = net.gw_a.dir / "resolv.conf"
    if not file.exists():
        file.write_text(f"nameserver {NAME_SERVER}\n")
        net.gw_a.run(["mount", "--bind", file, "/etc/resolv.conf"])
    return server


@pytest.fixture
def silent(net):
    """The router knows the way to 10.2.0.0/24; the name server never answers."""
    net.router.route(net.lan("b"), via=net.wan("b"))
    net.server = name_server(net)
    return net


def site(net, name="site", **words):
    words = {"left": net.wan("a"), "leftsubnet": net.lan("a"), "right": net.wan("b"), "rightsubnet": net.lan("b"),
             "auto": "start", **IDS, **words}
    return conn(name, **words)


def named(net):
    return site(net, "named", right="hub.test", rightsubnet="10.9.0.0/24", rightid="@hub")


def clear_while(net, act):
    """How many of host_a's packets left in the clear before act(), and until 4 s after its begin."""
    with Capture(net.gw_a, "wan", "udp dst port 7777") as clear:
        stream = net.host_a.spawn(["/usr/bin/python3", "-c", STREAM, net.host_address("b")], name="stream")
        time.sleep(0.3)
        begun = time.time()
        act()
        time.sleep(max(0.0, begun + 4 - time.time()))
        stream.stop()
    times = [float(line.split()[0]) for line in clear.lines("", "-tt")]
    return sum(at < begun for at in times), sum(at >= begun for at in times)


def test_what_has_its_addresses_waits_for_nobodys_name(silent):
    net = silent
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    b.configure(site(net, auto="add"))
    b.start()
    a.configure(site(net))
    before, alone = clear_while(net, lambda: a.start(wait=False))
    a.stop()
    a.configure(site(net) + named(net))
    _, beside = clear_while(net, lambda: a.start(wait=False))
    # Whoever waits for the name does so for 3 s.
    assert before > 50 and beside < alone + 2000, (before, alone, beside)
    assert a.state("site") == "up"
    assert "the name hub.test cannot be resolved" in a.connection("named")["last_error"]
    # What the named one protects is held as soon.
    assert "10.9.0.0/24 dev ipsec0" in net.gw_a.routes(table=4359)


def test_what_a_reload_adds_waits_for_nobodys_name(silent):
    net = silent
    a = Cygnet(net.gw_a)
    a.configure(named(net))
    a.start()
    a.wait_log("not usable now: the name hub.test cannot")
    a.configure(named(net) + site(net))
    before, beside = clear_while(net, lambda: a.ctl("reload"))
    assert before > 50 and beside < 2000, (before, beside)


def test_a_tunnel_to_a_name_outlives_ike(silent):
    """Where it leads is known from its SAs, though nobody answers for the name any more."""
    net = silent
    hosts = net.gw_a.dir / "hosts"
    hosts.write_text(f"{net.wan('b')} hub.test\n")
    net.gw_a.run(["mount", "--bind", hosts, "/etc/hosts"])
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    b.configure(site(net, auto="add"))
    b.start()
    a.configure(site(net, right="hub.test"))
    a.start()
    a.wait_state("up", "site")
    before = a.spis("site")
    hosts.write_text("")
    with Capture(net.gw_a, "wan", CLEAR) as clear:
        flow = Flow(net.host_a, net.host_address("b"))
        a.wait_role("ike", a.kill("ike"))
        a.wait_state("up", "site")
        assert a.spis("site") == before
        account = flow.stop()
    assert account.sent > 100 and account.lost == 0, account.text
    assert clear.count() == 0, clear.lines()[:5]


def test_who_calls_while_its_name_is_asked_for_is_heard(net):
    """The peer's first message comes before the answer for its name: it is not refused."""
    name_server(net, net.wan("b"), delay_s=0.4)
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    b.configure(conn("site", left=net.wan("b"), leftsubnet=net.lan("b"), right=net.wan("a"), rightsubnet=net.lan("a"),
                     leftid="@gw-b", rightid="@gw-a"))
    b.start()
    a.configure(site(net, right="hub.test", auto="ondemand"))
    a.start(wait=False)
    wait_until(lambda: net.lan("b") in net.gw_a.routes(table=4359), 5, "gw_a has begun")
    b.up("site")
    a.wait_state("up", "site")


def test_an_answer_that_comes_late_counts(net):
    """When the patience of whoever asked is over the name is looked at as unknown, and as known when it is."""
    name_server(net, net.wan("b"), delay_s=4)
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    b.configure(site(net, auto="add"))
    b.start()
    a.configure(site(net, right="hub.test"))
    a.start()
    a.wait_log("the name hub.test cannot be resolved", 5)
    a.wait_state("up", "site", timeout_s=6)


# ---- what takes everything, to a name: only the question for that gets out

EVERYTHING = dict(right="hub.test", rightsubnet="0.0.0.0/0", rightid="@hub")
# As a name is asked for, by whoever runs it.
QUESTION = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for port in (53, 5353): s.sendto(b"\\1\\2\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0\\5other\\4test\\0\\0\\1\\0\\1", ("198.51.100.1", port))
"""
# A name server of the host's own, which asks the one on the router.
STUB = """
import socket
own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
own.bind(("127.0.0.1", 53))
print("bound", flush=True)
while True:
    asked, peer = own.recvfrom(4096)
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.settimeout(1)
    try:
        out.sendto(asked, ("198.51.100.1", 53))
        own.sendto(out.recvfrom(4096)[0], peer)
    except OSError: pass
"""


def hub(net, **words):
    b = Cygnet(net.gw_b)
    b.configure(conn("hub", **{**dict(left=net.wan("b"), leftsubnet="0.0.0.0/0", leftid="@hub", right="%any",
                                      rightsubnet=net.lan("a"), rightid="@gw-a"), **words}))
    return b.start()


def questions_may_leave(net):
    return "dport 53" in net.gw_a.rules()


def nothing_but_names_leaves(net):
    """host_a's and gw_a's packets, and questions of others than ike."""
    with Capture(net.gw_a, "wan", "ip and not src host 192.0.2.1 and not udp port 500 and not udp port 4500") as wire:
        assert Ping.once(net.host_a, net.host_address("b"), count=2, wait_s=1).received == 0
        assert Ping.once(net.gw_a, net.wan("b"), count=2, wait_s=1).received == 0
        net.gw_a.run(["/usr/bin/python3", "-c", QUESTION], check=False)
        net.host_a.run(["/usr/bin/python3", "-c", QUESTION], check=False)
    names = f"udp port 53 and host {NAME_SERVER} and host {net.wan('a')}"
    others = [line for line in wire.lines(f"not ({names})")]
    assert not others, others[:5]
    assert not [line for line in wire.lines() if "other.test" in line]


def test_everything_to_an_unknown_name_is_held(silent):
    net = silent
    b = hub(net)
    a = Cygnet(net.gw_a)
    a.configure(site(net, **EVERYTHING))
    a.start()
    a.wait_log("hub.test cannot be resolved")
    net.server.wait_log(f"asked by {net.wan('a')}")
    assert a.state("site") == "waiting"
    assert f"{net.lan('a')} === 0.0.0.0/0" in a.ctl("status").stdout
    nothing_but_names_leaves(net)
    assert questions_may_leave(net)
    # It answers at last, and the tunnel takes all questions.
    net.server.stop()
    server = name_server(net, net.wan("b"))
    a.wait_state("up", "site", timeout_s=20)
    wait_until(lambda: not questions_may_leave(net), 5, "nothing is let out any more")
    Ping.until_answered(net.host_a, net.host_address("b"))
    with Capture(net.gw_a, "wan", "udp port 53") as clear:
        net.gw_a.run(["getent", "hosts", "hub.test"], check=False)
    assert clear.count() == 0, clear.lines()[:5]
    server.stop()


def test_a_client_that_takes_everything_is_held_too(silent):
    """Its address comes from the peer, so that it waits with whichever it has."""
    net = silent
    b = hub(net, rightsubnet=None, rightaddresspool="10.9.0.7-10.9.0.9")
    a = Cygnet(net.gw_a)
    a.configure(site(net, left="%defaultroute", leftsubnet=None, leftsourceip="%config", **EVERYTHING))
    a.start()
    a.wait_log("hub.test cannot be resolved")
    nothing_but_names_leaves(net)
    net.server.stop()
    name_server(net, net.wan("b"))
    a.wait_state("up", "site", timeout_s=20)
    wait_until(lambda: not questions_may_leave(net), 5, "nothing is let out any more")
    # Its end, and another beginning: held at once.
    a.stop()
    assert not questions_may_leave(net)


def test_a_peer_that_is_somewhere_else_is_found(silent):
    """Nobody is where the name led; while that is so the name is asked for again, and nothing else leaves."""
    net = silent
    net.server.stop()
    server = name_server(net, "198.51.100.99")
    hub(net)
    a = Cygnet(net.gw_a)
    a.configure(site(net, **EVERYTHING, **{"retransmit-timeout": "2s"}))
    a.start()
    a.wait_log("no answer from 198.51.100.99", 20)
    wait_until(lambda: questions_may_leave(net), 5, "the question can be asked again")
    nothing_but_names_leaves(net)
    server.stop()
    name_server(net, net.wan("b"))
    a.wait_state("up", "site", timeout_s=30)
    wait_until(lambda: not questions_may_leave(net), 5, "nothing is let out any more")


def test_a_name_server_of_this_machine_asks_for_it(silent):
    net = silent
    net.server.stop()
    name_server(net, net.wan("b"))
    (net.gw_a.dir / "resolv.conf").write_text("nameserver 127.0.0.1\n")
    net.gw_a.spawn(["/usr/bin/python3", "-c", STUB], name="stub").wait_log("bound")
    hub(net)
    a = Cygnet(net.gw_a)
    a.configure(site(net, **EVERYTHING))
    a.start()
    a.wait_state("up", "site", timeout_s=10)
    wait_until(lambda: not questions_may_leave(net), 5, "nothing is let out any more")


def test_what_is_let_out_ends_with_the_daemon(silent):
    """Killed, the next one begins anew; --clean-up takes everything back."""
    net = silent
    a = Cygnet(net.gw_a)
    a.configure(site(net, **EVERYTHING))
    a.start()
    wait_until(lambda: questions_may_leave(net), 5, "questions are let out")
    a.wait_role("ike", a.kill("ike"))
    wait_until(lambda: questions_may_leave(net), 5, "questions are let out")
    nothing_but_names_leaves(net)
    a.kill("monitor", signal.SIGKILL)
    a.process.wait(5)
    a.start()
    wait_until(lambda: questions_may_leave(net), 5, "questions are let out")
    nothing_but_names_leaves(net)
    a.kill_all()
    a.host.run([program("cygnetd"), "--clean-up", "--config", a.conf, "--run-dir", a.run_dir, "--state-dir", a.state_dir])
    assert not questions_may_leave(net)


def test_what_waits_for_its_name_is_nobody_elses(net):
    """A connection whose peer's name is not known has its networks all the same: another peer does not get them."""
    hosts = net.gw_a.dir / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    net.gw_a.run(["mount", "--bind", hosts, "/etc/hosts"])
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    hub = dict(left=net.wan("a"), leftid="@gw-a", leftsubnet=net.lan("a"))
    a.configure(conn("site", **hub, right="site.test", rightid="@site", rightsubnet="10.3.0.0/16", auto="ondemand")
                + conn("any", **hub, right="%any", rightid="@gw-b", rightsubnet="10.0.0.0/8"))
    client = dict(left=net.wan("b"), leftid="@gw-b", right=net.wan("a"), rightid="@gw-a", rightsubnet=net.lan("a"))
    b.configure(conn("taken", **client, leftsubnet="10.3.0.5/32") + conn("free", **client, leftsubnet="10.4.0.5/32"))
    b.start()
    a.start()
    assert a.state("site") == "waiting"
    assert "TS_UNACCEPTABLE" in b.ctl("up", "taken", check=False).stderr
    a.wait_log("which connection site says is behind its own peer")
    b.up("free")
    assert [c["remote"] for c in a.children("any")] == [["10.4.0.5/32"]]
