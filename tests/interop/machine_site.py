# SPDX-License-Identifier: Apache-2.0
"""A Cygnet gateway with a site behind it, beside Debian's newest kernel (lab/machine.py).

    site ---- gw (Cygnet) ---- tap0 ---- guest     : inner0
  10.1.0.10   10.1.0.1|192.0.2.2       192.0.2.9     10.2.0.10
  fd01::10    fd01::1|2001:db8:a::2    2001:db8:a::9 fd02::10
"""
import contextlib
import functools

import kernel_site
from lab import Lab, LabError
from lab.cygnet import Cygnet, conn
from lab.guest_cygnet import GuestCygnet, GuestHost, host_tree
from lab.machine import Machine
from lab.strongswan import fetch_root

OURS, THEIRS = kernel_site.OURS[4], kernel_site.THEIRS[4]
OUR_HOST, THEIR_HOST = {4: "10.1.0.10", 6: "fd01::10"}, {4: "10.2.0.10", 6: "fd02::10"}


def need(**roots):
    """Skips what this machine's mirror has not. roots: what each is for."""
    import pytest  # not where ./dev lab stands these hosts up

    for root, what in roots.items():
        try:
            fetch_root(root)
        except LabError as error:
            pytest.skip(f"this machine's mirror has no {what}: {error}")


@contextlib.contextmanager
def running(name, root="guest", modules=""):
    """A Lab with gw, site, guest and kernel_host as attributes, which ends with the block."""
    need(machine="newer kernel (backports)")
    lab = build(Lab(name), root, modules, host_tree)
    try:
        lab.kernel_host = GuestHost(lab.guest)
        yield lab
        lab.guest.poweroff()
    finally:
        lab.close()


def build(lab, root, modules="", prepare=None):
    """Makes gw, site and guest in a Lab, which is closed if that fails."""
    machine = functools.partial(Machine, modules=modules, cpus=2)
    return kernel_site.build(lab, root, prepare, machine)


class Pair:
    """Cygnet on its own engine and Cygnet in the guest, with one connection between them."""

    def __init__(self, lab, name):
        self.lab = lab
        self.ours, self.theirs = Cygnet(lab.gw, name), GuestCygnet(lab.kernel_host, name + "-guest")

    def start(self, wait=True, engine="xfrm", ours=None, **words):
        """Words of both; ours: those of our end instead."""
        common = dict(left=OURS, leftsubnet="10.1.0.0/24", right=THEIRS, rightsubnet="10.2.0.0/24", leftid="@ours",
                      rightid="@theirs", ike="aes_gcm128-sha2_256;dh19", esp="aes_gcm128", dpddelay=None)
        self.ours.configure(conn("lab", **{**common, **words, **(ours or {})}))
        self.theirs.configure(conn("lab", **{**common, **words}), f"engine={engine}")
        self.theirs.start(wait=wait)
        self.ours.start()
        return self.ours, self.theirs

    def up(self):
        self.ours.up("lab")
        self.ours.wait_state("up")
        self.theirs.wait_state("up")

    def stop(self):
        self.ours.stop()
        self.theirs.stop()


@contextlib.contextmanager
def pairs_of(request, lab):
    """A function that makes and starts a Pair of a test; it ends with it."""
    kernel = ("ip -s -d link; ip -s -d xfrm state; ip xfrm policy; ip rule; ip route show table 4359; "
              "cat /proc/net/xfrm_stat; dmesg | tail -20")
    show = lambda pair: [pair.ours.read_log()[-4000:], pair.theirs.read_log()[-4000:], lab.guest.run(kernel, check=False)]
    with kernel_site.ended(request, show, lambda pair: pair.stop()) as made:
        def make():
            made.append(Pair(lab, kernel_site.name_of(request)))
            return made[-1]

        yield make
