# SPDX-License-Identifier: Apache-2.0
"""A Cygnet gateway with a site behind it, beside a guest whose kernel does the ESP.

    site ---- gw (Cygnet) ---- tap0 ---- guest (kernel ESP) : inner0
  10.1.0.10   10.1.0.1|192.0.2.2       192.0.2.9             10.2.0.10
  fd01::10    fd01::1|2001:db8:a::2    2001:db8:a::9         fd02::10
"""
import contextlib
import re
import shutil

from lab import Capture, Lab, Ping
from lab.cygnet import program
from lab.uml import Uml

OURS = {4: "192.0.2.2", 6: "2001:db8:a::2"}
THEIRS = {4: "192.0.2.9", 6: "2001:db8:a::9"}
OUR_LAN = {4: "10.1.0.0/24", 6: "fd01::/64"}
THEIR_LAN = {4: "10.2.0.0/24", 6: "fd02::/64"}
THEIR_HOST = {4: "10.2.0.10", 6: "fd02::10"}


@contextlib.contextmanager
def running(name, root="guest", prepare=None):
    """A Lab with gw, site and guest as attributes, which ends with the block."""
    lab = build(Lab(name), root, prepare)
    try:
        yield lab
        lab.guest.poweroff()
    finally:
        lab.close()


def name_of(request):
    """Of a test, as a daemon may be called."""
    return "".join(c if c.isalnum() else "-" for c in request.node.name)


@contextlib.contextmanager
def ended(request, show, end):
    """A list for what a test makes, each of which is ended with it; if it failed, what show(one) returns is printed."""
    made = []
    yield made
    for one in made:
        if getattr(request.node, "call_failed", True):
            print(*show(one), sep="\n")
        end(one)


def build(lab, root, prepare=None, machine=Uml):
    """Makes gw, site and guest in a Lab, which is closed if that fails."""
    try:
        gw, site = lab.host("gw"), lab.host("site")
        guest = machine(gw, [f"{THEIRS[4]}/24", f"{THEIRS[6]}/64"], [OURS[4], OURS[6]],
                        ["10.2.0.10/24", "fd02::10/64"], root=root, prepare=prepare)
        for family, length in ((4, 24), (6, 64)):
            gw.add_address("tap0", f"{OURS[family]}/{length}")
        lab.link(gw, "lan", site, "eth0")
        for address in ("10.1.0.1/24", "fd01::1/64"):
            gw.add_address("lan", address)
        for address in ("10.1.0.10/24", "fd01::10/64"):
            site.add_address("eth0", address)
        site.route("default", via="10.1.0.1")
        site.route("::/0", via="fd01::1")
        gw.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
    except BaseException:
        lab.close()
        raise
    lab.gw, lab.site, lab.guest = gw, site, guest
    return lab


class Strays:
    """Packets from now on that either end dropped, most of them for want of an SA: not yet, or no more."""

    def __init__(self, lab, daemon):
        self._lab, self._daemon = lab, daemon
        self._before = self._count()

    def _count(self):
        stat = self._lab.guest.run("cat /proc/net/xfrm_stat").split()
        return sum(int(count) for count in stat[1::2]), sum(self._daemon.drops().values())

    def at_kernel_and_at_us(self):
        return tuple(now - then for now, then in zip(self._count(), self._before))


def counters(lab, cygnet):
    """Packets (to the guest, from the guest) by Cygnet's newest child and by the kernel's two SAs of it. (What it replaced
    may still be in the kernel, and go at any time.)"""
    child = cygnet.child()
    kernel = lab.guest.xfrm_packets()
    return {"cygnet": (child["out"]["packets"], child["in"]["packets"]),
            "kernel": tuple(kernel[int(child[f"spi_{way}"], 16)] for way in ("out", "in"))}


def grown(before, after):
    """Packets by which what is there now has grown, of {SPI: packets}."""
    return sum(packets - before.get(spi, 0) for spi, packets in after.items())


def check(lab, cygnet, outer=4, inner=4, count=3, target=None):
    """Pings; both ends' SAs count each packet, and the wire carries them as plain ESP only."""
    cygnet.wait_route(target or THEIR_HOST[inner])
    before = counters(lab, cygnet)
    with Capture(lab.gw, "tap0", "not arp") as wire:
        ping = Ping.once(lab.gw if target else lab.site, target or THEIR_HOST[inner], count=count,
                         interval_s=0.05)
    assert ping.lost == 0, ping.text
    after = counters(lab, cygnet)
    for side in ("cygnet", "kernel"):
        assert [after[side][i] - before[side][i] for i in (0, 1)] == [count, count], side
    assert wire.count("ip proto 50" if outer == 4 else "ip6 proto 50") == 2 * count
    assert wire.count("icmp or (icmp6 and (ip6[40] == 128 or ip6[40] == 129))") == 0


def give_setkey(lab):
    """Our setkey in the guest, for its kernel's PF_KEY, as /usr/bin/setkey."""
    # The guest has a newer system, but perhaps not all of what ours is linked with.
    for path in [program("setkey")] + re.findall(r"=> (/\S+)", lab.gw.out(["ldd", program("setkey")])):
        if "libc.so" not in str(path) and "libm.so" not in str(path):
            shutil.copy(path, lab.guest.mailbox)
    lab.guest.write("/usr/bin/setkey", '#!/bin/sh\nLD_LIBRARY_PATH=/lab exec /lab/setkey --kernel "$@"\n')
    lab.guest.run("chmod 755 /usr/bin/setkey")


def setkey_ours(lab, text, *words):
    """setkey on the engine of lab.cygnet; text: a script."""
    command = [program("setkey"), "--run-dir", lab.cygnet.run_dir, *(words or ["-c"])]
    return lab.gw.run(command, input=text).stdout


def setkey_theirs(lab, text, words="-c"):
    """The same on the guest's kernel."""
    lab.guest.write("/tmp/script", text)
    return lab.guest.run(f"setkey {words} < /tmp/script")


def counted(text):
    """{spi: packets} of setkey -D."""
    found = {}
    for block in re.split(r"(?m)^(?=\S)", text):
        spi = re.search(r"spi=\d+\((0x[0-9a-f]+)\)", block)
        if spi:
            found[int(spi[1], 16)] = int(re.search(r"allocated: (\d+)", block)[1])
    return found
