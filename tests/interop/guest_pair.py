# SPDX-License-Identifier: Apache-2.0
"""Cygnet on a host of ours and Cygnet in the guest, whose kernel may carry the packets (hosts: kernel_site.py)."""
import contextlib

from lab import wait_until
from lab.cygnet import Cygnet, conn
from lab.guest_cygnet import GuestCygnet, GuestHost, host_tree

import kernel_site
from kernel_site import OUR_LAN, OURS, THEIR_LAN, THEIRS

# PF_KEY has no AEADs, no extended sequence numbers and cannot move SAs.
WORDS = {"xfrm": dict(esp="aes_gcm128"), "pfkey": dict(esp="aes256-sha2_512", esn="no", mobike="no")}


@contextlib.contextmanager
def running(name):
    """kernel_site.running() with lab.kernel_host to run Cygnet on."""
    with kernel_site.running(name, prepare=host_tree) as lab:
        lab.kernel_host = GuestHost(lab.guest)
        yield lab


class GuestPair:
    """ours and theirs, not configured."""

    def __init__(self, lab, name, host=None):
        self.lab = lab
        self.ours, self.theirs = Cygnet(host or lab.gw, name), GuestCygnet(lab.kernel_host, name + "-guest")

    def start(self):
        self.theirs.start()
        self.ours.start()

    def stop(self):
        self.ours.stop()
        self.theirs.stop()

    def wait_settled(self, names=("lab",)):
        """Where both ends begin, two IKE SAs are made, of which one goes again with all that it has."""
        def settled():
            ends = [daemon.connection(name) for daemon in (self.ours, self.theirs) for name in names]
            return all(len(end[what]) == 1 for end in ends for what in ("ike_sas", "children")) and len(self.kernel()) == 2
        wait_until(settled, 10, "each connection has one child, and the kernel the two SAs of one")

    def kernel(self):
        """{SPI: packets} that the guest's kernel has protected or opened."""
        return self.lab.guest.xfrm_packets()

    def logs(self):
        return self.ours.read_log()[-3000:] + "\n=== guest\n" + self.theirs.read_log()[-5000:]


class Both(GuestPair):
    """Cygnet on the host with its own engine, and in the guest with the kernel's."""

    def __init__(self, lab, name, engine="xfrm", start=True, only_theirs="", **words):
        super().__init__(lab, name)
        family = words.pop("family", 4)
        inner = words.pop("inner", family)
        defaults = dict(left=OURS[family], leftsubnet=OUR_LAN[inner], right=THEIRS[family],
                        rightsubnet=THEIR_LAN[inner], leftid="@ours", rightid="@theirs",
                        ike="aes_gcm128-sha2_256;dh19", dpddelay=None, **WORDS[engine])
        text = conn("lab", **{**defaults, **words})
        self.ours.configure(text)
        self.theirs.configure(text + "".join(f"\t{line}\n" for line in only_theirs.splitlines()), f"engine={engine}")
        if start:
            self.start()

    def up(self, initiator="ours"):
        (self.ours if initiator == "ours" else self.theirs).up("lab")
        self.ours.wait_state("up")
        self.theirs.wait_state("up")


def check(lab, pair, **words):
    """Pings through; the counters of both daemons and of the kernel agree."""
    before = pair.theirs.child()
    kernel_site.check(lab, pair.ours, **words)
    after = pair.theirs.child()
    count = words.get("count", 3)
    assert [after[w]["packets"] - before[w]["packets"] for w in ("in", "out")] == [count, count]


@contextlib.contextmanager
def pairs_of(request, lab, kind):
    """A function that makes kind(lab, name, ...) for a test; they end with it."""
    kernel = "ip -s xfrm state; ip xfrm policy; cat /proc/net/xfrm_stat; ip addr; ip rule; ip route show table 4359"
    show = lambda pair: [pair.logs(), lab.guest.run(kernel, check=False)]
    with kernel_site.ended(request, show, lambda pair: pair.stop()) as made:
        def make(*arguments, **words):
            made.append(kind(lab, kernel_site.name_of(request), *arguments, **words))
            return made[-1]

        yield make
