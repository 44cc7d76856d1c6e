# SPDX-License-Identifier: Apache-2.0
"""Cygnet on a host of ours and Cygnet in the guest, whose kernel may carry the packets (hosts: kernel_site.py)."""
import contextlib

from lab import wait_until
from lab.cygnet import Cygnet
from lab.guest_cygnet import GuestCygnet, GuestHost, host_tree

import kernel_site

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
