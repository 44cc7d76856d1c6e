# SPDX-License-Identifier: Apache-2.0
import time

from lab import Flow, Ping, wait_until
from lab.cygnet import Cygnet, conn

NETS = {"one": "10.2.0.0/26", "two": "10.2.0.64/26", "three": "10.2.0.128/26"}


def write(daemon, net, side, names, **changed):
    other = "b" if side == "a" else "a"
    text = ""
    for name in names:
        subnets = {"leftsubnet": "10.1.0.0/24", "rightsubnet": NETS[name]}
        if side == "b":
            subnets = {"leftsubnet": NETS[name], "rightsubnet": "10.1.0.0/24"}
        text += conn(name, left=net.wan(side), right=net.wan(other), leftid=f"@gw-{side}",
                     rightid=f"@gw-{other}", **subnets, **changed.get(name, {}))
    daemon.configure(text)


def test_reload(net):
    for last in (70, 140):
        net.host_b.add_address("eth0", f"10.2.0.{last}/24")
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    for daemon, side in ((a, "a"), (b, "b")):
        write(daemon, net, side, ["one", "two"])
        daemon.start()
    a.up("one")
    a.up("two")
    one, two = a.spis("one"), a.spis("two")
    flow = Flow(net.host_a, "10.2.0.10")

    for daemon, side in ((b, "b"), (a, "a")):
        write(daemon, net, side, ["one", "two", "three"], two={"esp": "aes256gcm16"})
        report = daemon.json("reload")
        assert (report["added"], report["changed"], report["removed"], report["unchanged"]) == \
            (["three"], ["two"], [], ["one"])
    a.up("two")
    a.up("three")
    assert a.spis("one") == one and a.spis("two") != two
    assert "256" in a.child("two")["algorithms"]
    for last in (70, 140):
        assert Ping.once(net.host_a, f"10.2.0.{last}", count=2).lost == 0

    good = a.conf.read_text()
    a.conf.write_text(good + "conn four\n\tleftsubnt=10.1.0.0/24\n")
    failed = a.reload(check=False)
    line = len(good.splitlines()) + 2
    assert failed.returncode == 1
    assert f"ipsec.conf:{line}:" in failed.stdout + failed.stderr
    assert "leftsubnet" in failed.stdout + failed.stderr
    assert a.spis("one") == one

    write(a, net, "a", ["one", "three"])
    assert a.json("reload")["removed"] == ["two"]
    wait_until(lambda: b.children("two") == [], 5, "the removed connection's delete reached gw_b")
    assert "two" not in a.status()
    time.sleep(0.2)
    account = flow.stop()
    assert a.spis("one") == one and account.lost == 0


def test_what_a_reload_refused_stays_refused(net):
    """A connection for an engine that does not run, and words that only a restart puts into force."""
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    for daemon, side in ((a, "a"), (b, "b")):
        write(daemon, net, side, ["one"])
        daemon.start()
    a.up("one")
    good = a.conf.read_text()

    def refused(text, *words):
        a.conf.write_text(text)
        for _ in range(2):
            failed = a.reload(check=False)
            assert failed.returncode == 1
            assert all(word in failed.stdout + failed.stderr for word in words), failed.stdout + failed.stderr
        assert list(a.status()) == ["one"]

    other = conn("two", left=net.wan("a"), right=net.wan("b"), leftsubnet="10.1.0.0/24", rightsubnet=NETS["two"])
    refused(good + other + "\tengine=xfrm\n", "two", "engine", "restart")
    setup = lambda *words: good.replace("config setup\n", "".join(f"{w}\n" for w in ("config setup", *words)), 1)
    refused(setup("\tikeport=5500", "\tpuzzle-difficulty=3"), "ikeport, puzzle-difficulty", "restart")
    # Nothing of it has become the daemon's: what is there goes on, and a good file is taken.
    a.conf.write_text(good + other)
    assert a.json("reload")["added"] == ["two"]
    a.rekey("one", "--ike")
    assert Ping.once(net.host_a, "10.2.0.10", count=2).lost == 0
    a.conf.write_text(setup("\tlog-level=debug") + other)
    a.reload()


def test_addresses_of_a_connection_that_came_with_a_refused_reload(net):
    """The connection is sound, a line of the secrets was not; when that is mended the connection may set its address."""
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    write(a, net, "a", ["one"])
    b.configure(conn("road", left=net.wan("b"), leftsubnet=NETS["one"], right="%any", rightsourceip="10.9.0.0/24",
                     leftid="@gw-b", rightid="@gw-a"))
    a.start()
    b.start()
    secrets = a.secrets.read_text()
    a.conf.write_text(a.conf.read_text() + conn("road", left=net.wan("a"), leftsourceip="%config", right=net.wan("b"),
                                                rightsubnet=NETS["one"], leftid="@gw-a", rightid="@gw-b"))
    a.secrets.write_text(secrets + ": PSK no-quotes-here and more\n")
    assert a.reload(check=False).returncode == 1
    a.secrets.write_text(secrets)
    a.reload()
    a.up("road")
    assert Ping.once(net.gw_a, "10.2.0.10", count=2).lost == 0
