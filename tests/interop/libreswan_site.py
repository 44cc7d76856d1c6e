# SPDX-License-Identifier: Apache-2.0
"""Cygnet beside Libreswan 5 over a guest's kernel's ESP (hosts: kernel_site.py)."""
import contextlib

from lab.cygnet import Cygnet
from lab.uml import GuestLibreswan

import kernel_site
from kernel_site import OUR_LAN, OURS, THEIR_LAN, THEIRS

# Words that Libreswan wants, and its spelling of algorithms. It takes both spellings of the version, but not together.
WORDS = {"ikev2": "insist", "keyexchange": None, "pfs": "no", "esn": "no", "ike": "aes_gcm256-sha2_256;dh19",
         "esp": "aes_gcm256", "leftid": "@ours", "rightid": "@theirs"}


def sites(family=4):
    return {"left": OURS[family], "leftsubnet": OUR_LAN[family], "right": THEIRS[family],
            "rightsubnet": THEIR_LAN[family]}


@contextlib.contextmanager
def running(name):
    """kernel_site.running() with lab.peer."""
    with kernel_site.running(name, root="libreswan") as lab:
        lab.peer = GuestLibreswan(lab.guest)
        yield lab


def down(lab, connection):
    lab.peer.down(connection)


@contextlib.contextmanager
def daemons(request, lab, connection="lab", let_go=down):
    """A function that makes a Cygnet on gw from the text of its configuration; Libreswan loads theirs, or the same.

    At the end of the test Libreswan lets go of the connection (let_go), and the daemon is stopped.
    """
    def end(daemon):
        let_go(lab, connection)
        daemon.stop()

    with kernel_site.ended(request, lambda daemon: [daemon.read_log()[-6000:], lab.peer.read_log()[-6000:]], end) as made:
        def make(text, theirs=None, start=True, prepare=None):
            daemon = Cygnet(lab.gw, kernel_site.name_of(request))
            if prepare:
                prepare(daemon)
            daemon.configure(text)
            made.append(daemon)
            lab.peer.load(theirs or text)
            if start:
                daemon.start()
            return daemon

        yield make
