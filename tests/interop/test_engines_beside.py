# SPDX-License-Identifier: Apache-2.0
"""engine= per connection: one daemon in the guest, of whose connections the kernel carries some and Cygnet's own engine
others, all to one peer, which is Cygnet on the host (hosts: kernel_site.py).

              kern: 10.2.0.0/24, the kernel
    site ================================== guest
              user: 10.3.0.0/24, own engine
"""
import pytest

from lab import Capture, Flow, LabError, Ping, wait_until
from lab.cygnet import conn

import guest_pair
import kernel_site
from guest_pair import WORDS
from kernel_site import OUR_LAN, OURS, THEIRS

HOSTS = {"kern": "10.2.0.10", "user": "10.3.0.10"}
LANS = {"kern": "10.2.0.0/24", "user": "10.3.0.0/24"}
KERNEL_SPI = 0x80000000


@pytest.fixture(scope="module")
def guest_lab():
    with guest_pair.running("beside") as lab:
        lab.guest.run("ip addr add 10.3.0.10/24 dev inner0")
        yield lab


def number(spi):
    return int(spi, 16)


class Beside(guest_pair.GuestPair):
    def __init__(self, lab, name, language="xfrm", start=True, setup="", lans=LANS, guest_words=None, **words):
        super().__init__(lab, name)
        self.words = {**dict(left=OURS[4], leftsubnet=OUR_LAN[4], right=THEIRS[4], leftid="@ours", rightid="@theirs",
                             ike="aes_gcm128-sha2_256;dh19", dpddelay=None), **WORDS[language], **words}
        self.lans = lans
        self.ours.configure(self.text(lans, {}))
        self.engines = {"kern": language, **(guest_words or {})}
        self.theirs.configure(self.text(lans, self.engines), setup)
        if start:
            self.start()

    def text(self, lans, engines):
        return "\n".join(conn(name, rightsubnet=lan, engine=engines.get(name), **self.words)
                         for name, lan in lans.items())

    def up(self):
        for name in HOSTS:
            self.ours.up(name)
            self.theirs.wait_state("up", name)

    def counts(self):
        return {name: [self.theirs.child(name)[way]["packets"] for way in ("in", "out")] for name in HOSTS}

    def check(self, count=3):
        """Pings through both; the counters of each engine, and the kernel's own, tell of exactly these."""
        before, kernel = self.counts(), self.kernel()
        for host in HOSTS.values():
            ping = Ping.once(self.lab.site, host, count=count, interval_s=0.05)
            assert ping.lost == 0, ping.text
        after = self.counts()
        for name in HOSTS:
            assert [after[name][i] - before[name][i] for i in (0, 1)] == [count, count], name
        assert kernel_site.grown(kernel, self.kernel()) == 2 * count


@pytest.fixture
def beside(guest_lab, request):
    with guest_pair.pairs_of(request, guest_lab, Beside) as make:
        yield make


@pytest.mark.parametrize("language", ["xfrm", "pfkey"])
@pytest.mark.parametrize("encapsulation", ["no", "yes"])
def test_both_carry(guest_lab, beside, language, encapsulation):
    """One IKE SA, a child in each engine; with ESP in UDP both share port 4500, and a filter parts them by SPI."""
    pair = beside(language=language, encapsulation=encapsulation)
    pair.up()
    status = pair.theirs.status()
    assert {name: status[name]["engine"] for name in HOSTS} == {"kern": language, "user": "user"}
    assert f"in the kernel ({language})" in pair.theirs.ctl("status").stdout
    assert len(guest_lab.guest.xfrm_states()) == 2
    assert number(pair.theirs.spis("kern")[0]) >= KERNEL_SPI > number(pair.theirs.spis("user")[0])
    with Capture(guest_lab.gw, "tap0", "not arp") as wire:
        pair.check()
    assert wire.count("icmp") == 0
    udp = encapsulation == "yes"
    assert wire.count("udp port 4500 and udp[8:4] != 0") == (12 if udp else 0)
    assert wire.count("ip proto 50") == (0 if udp else 12)
    # The engine has seen nothing of the kernel's, and IKE arrives on the port that both share.
    assert pair.theirs.drops().get("unknown-spi", 0) == 0
    for name in HOSTS:
        before = pair.theirs.spis(name)
        pair.theirs.rekey(name)
        wait_until(lambda: pair.theirs.spis(name) != before and len(pair.ours.children(name)) == 1, 15, "rekeyed")
    pair.check()
    pair.stop()
    assert guest_lab.guest.run("ip xfrm state; ip xfrm policy").strip() == ""


def test_on_demand(guest_lab, beside):
    """The first packets bring both up, from the kernel's policy and from the device of our own engine."""
    pair = beside(start=False, auto="ondemand")
    pair.ours.conf.write_text(pair.ours.conf.read_text().replace("auto=ondemand", "auto=add"))
    pair.theirs.start()
    pair.ours.start()
    for host in HOSTS.values():
        assert guest_lab.guest.answered("10.1.0.10", 4, f"-I {host}") == 4
    pair.check()


def test_processes_killed(guest_lab, beside):
    pair = beside(auto="start", dpdaction="restart")
    for name in HOSTS:
        pair.ours.wait_state("up", name)
        pair.theirs.wait_state("up", name)
    pair.wait_settled(HOSTS)
    pair.check()
    # ike: the next one takes over the SAs of both.
    spis = {name: pair.theirs.spis(name) for name in HOSTS}
    flows = [Flow(guest_lab.site, host) for host in HOSTS.values()]
    old = pair.theirs.kill("ike")
    pair.theirs.wait_role("ike", old, 20)
    assert [flow.stop().lost for flow in flows] == [0, 0]
    assert {name: pair.theirs.spis(name) for name in HOSTS} == spis
    pair.check()
    # The kernel's process: nothing happens to the other engine, and what the kernel carries is made anew.
    flow = Flow(guest_lab.site, HOSTS["user"])
    old = pair.theirs.kill("kernel")
    pair.theirs.wait_role("kernel", old, 20)
    wait_until(lambda: up(pair, "kern") and pair.theirs.spis("kern") != spis["kern"], 30, "kern is up again")
    assert flow.stop().lost == 0
    assert pair.theirs.spis("user") == spis["user"]
    wait_until(lambda: Ping.once(guest_lab.site, HOSTS["kern"], wait_s=0.5).received, 10, "kern carries packets")
    # Our own engine: everything is made anew.
    old = pair.theirs.kill("engine")
    pair.theirs.wait_role("engine", old, 20)
    for name in HOSTS:
        wait_until(lambda: up(pair, name), 40, f"{name} is up again")
        wait_until(lambda: Ping.once(guest_lab.site, HOSTS[name], wait_s=0.5).received, 20, f"{name} carries packets")


def up(pair, name):
    try:
        return pair.theirs.state(name) == "up" and pair.ours.state(name) == "up"
    except LabError:
        return False


def test_another_engine_by_reload(guest_lab, beside):
    pair = beside(auto="start")
    for name in HOSTS:
        pair.theirs.wait_state("up", name)
    pair.theirs.configure(pair.text(LANS, {"kern": "user", "user": "xfrm"}))
    pair.theirs.reload()
    for name, engine in {"kern": "user", "user": "xfrm"}.items():
        wait_until(lambda: up(pair, name) and pair.theirs.connection(name)["engine"] == engine, 20, "it is up again")
    pair.wait_settled(HOSTS)
    pair.check()
    policies = lambda: guest_lab.guest.run("ip xfrm policy")
    wait_until(lambda: "10.3.0.0/24" in policies() and "10.2.0.0/24" not in policies(), 10, "the policies are those of user")


_SENDER = """
import os, socket, sys, time
source, target, stop = sys.argv[1:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((source, 0))
sent = 0
while not os.path.exists(stop):
    for _ in range(20):
        try:
            s.sendto(b"x" * 64, (target, 9000))
            sent += 1
        except OSError:
            pass
    time.sleep(0.001)
print(sent)
"""


class Sender:
    """Datagrams from an address of the guest to port 9000, without a pause until stop()."""

    def __init__(self, lab, source, target):
        self.guest, name = lab.guest, f"sender-{source}-{target}"
        self.end, self.count = lab.guest.mailbox / f"{name}.end", lab.guest.mailbox / f"{name}.count"
        for file in (self.end, self.count):
            file.unlink(missing_ok=True)
        program = lab.guest.mailbox / f"{name}.py"
        program.write_text(_SENDER)
        self.guest.run(f"(setsid chroot /host /usr/bin/python3 {program} {source} {target} {self.end} "
                       f">/lab/{self.count.name} 2>&1 </dev/null &)")

    def stop(self):
        """How many were sent."""
        self.end.touch()
        wait_until(lambda: self.count.read_text().strip(), 20, "the sender ends")
        return int(self.count.read_text())


@pytest.mark.parametrize("kind", ["ports", "selectors", "transport"])
def test_moving_under_traffic(guest_lab, beside, kind):
    """What has no route while the kernel carries it: some ports of a network, or one host to another. Its packets do not
    cease while the reload takes it from one engine to the other, there and back (selectors: and names more ports)."""
    if kind == "transport":
        pair, flows = beside(auto="start", lans={"kern": None}, type="transport", leftsubnet=None), {THEIRS[4]: OURS[4]}
        engines = {"kern": "xfrm"}
    else:
        pair = beside(auto="start", leftprotoport="udp/9000", rightprotoport="udp")
        flows, engines = dict.fromkeys(HOSTS.values(), "10.1.0.10"), {"kern": "xfrm", "user": "user"}
    names = list(pair.lans)
    for name in names:
        pair.theirs.wait_state("up", name)
    senders = [Sender(guest_lab, source, target) for source, target in flows.items()]
    with Capture(guest_lab.gw, "tap0", "udp dst port 9000") as clear, Capture(guest_lab.gw, "tap0", "ip proto 50", name="esp") as esp:
        for _ in range(2):
            # The other way round, and back.
            for there in ({name: "user" if engine == "xfrm" else "xfrm" for name, engine in engines.items()}, engines):
                if kind == "selectors":
                    pair.words["leftprotoport"] = {"udp/9000": "udp", "udp": "udp/9000"}[pair.words["leftprotoport"]]
                pair.theirs.configure(pair.text(pair.lans, there))
                pair.theirs.reload()
                for name in names:
                    wait_until(lambda: up(pair, name) and pair.theirs.connection(name)["engine"] == there[name], 30,
                               f"{name} is up again, {there[name]}")
                before = esp.count()
                wait_until(lambda: esp.count() > before + 100, 20, "packets are protected")
        sent = sum(sender.stop() for sender in senders)
    assert sent > 2000
    assert clear.count() == 0, (clear.count(), clear.lines("", "-ttt")[:5])
    policies = lambda: guest_lab.guest.run("ip xfrm policy")
    wait_until(lambda: ("10.2.0.0/24" in policies() or kind == "transport") and "10.3.0.0/24" not in policies(), 10,
               "the policies are those of kern")


@pytest.mark.parametrize("engines,lans,what", [
    ({"kern": "xfrm"}, {"kern": "10.2.0.0/16", "user": "10.2.3.0/24"}, "have traffic in common"),
    ({"kern": "xfrm", "user": "pfkey"}, LANS, "driven in one language"),
    ({"kern": "xfrm", "user": "xfrm"}, LANS, None)])
def test_what_cannot_be_is_refused(guest_lab, beside, engines, lans, what):
    pair = beside(start=False, lans=lans, guest_words=engines)
    if what is None:  # it can: our own engine runs with nothing to carry
        pair.theirs.start()
        assert {c["engine"] for c in pair.theirs.status().values()} == {"xfrm"}
        return
    pair.theirs.start(wait=False)
    wait_until(lambda: what in pair.theirs.read_log(), 15, "it says what cannot be")
    wait_until(lambda: not pair.theirs.alive("monitor"), 5, "it does not start")
    pair.theirs.process = None


def test_each_what_it_needs(guest_lab, beside):
    """engine=auto: one connection that only the kernel can carry, one that only our own engine can."""
    pair = beside(start=False, setup="engine=auto", guest_words={"kern": None})
    text = pair.theirs.conf.read_text()
    first, second = text.split("conn user\n")
    pair.theirs.conf.write_text(first + "\tmark-out=0x2a\n\nconn user\n" + second + "\ttraffic=latency\n")
    pair.ours.conf.write_text(pair.ours.conf.read_text() + "\ttraffic=latency\n")
    pair.theirs.start()
    pair.ours.start()
    pair.up()
    status = pair.theirs.status()
    assert {name: status[name]["engine"] for name in HOSTS} == {"kern": "xfrm", "user": "user"}
    assert Ping.once(guest_lab.site, HOSTS["user"], count=3, interval_s=0.05).lost == 0


def test_clear_text_from_outside(guest_lab, beside):
    """What pretends to come out of the kernel's tunnel is refused by its policies. (Of our own engine's the packet filter
    refuses it, which this guest lacks.)"""
    pair = beside()
    pair.up()
    guest, gw, host = guest_lab.guest, guest_lab.gw, HOSTS["kern"]
    refused = lambda: int(guest.run("awk '$1 == \"XfrmInTmplMismatch\" { print $2 }' /proc/net/xfrm_stat"))
    # From an address that no tunnel has it arrives: the way is open.
    gw.add_address("lan", "10.4.0.1/24")
    guest.run("ip route replace 10.4.0.0/24 via 192.0.2.2")
    gw.run("ip rule add priority 100 to 10.2.0.0/15 lookup 77; ip route add 10.2.0.0/15 via 192.0.2.9 table 77")
    try:
        assert Ping.once(gw, host, count=2, source="10.4.0.1").lost == 0
        before = refused()
        assert Ping.once(gw, host, count=2, source="10.1.0.1", wait_s=1).received == 0
        wait_until(lambda: refused() == before + 2, 10, "they are refused")
    finally:
        gw.run("ip rule del priority 100; ip route flush table 77; ip addr del 10.4.0.1/24 dev lan", check=False)
        guest.run("ip route del 10.4.0.0/24", check=False)
