# SPDX-License-Identifier: Apache-2.0
"""One type of Mobile IPv6 message protected (RFC 4301 section 4.4.1.1 has it in place of ports) and the others not: real
messages through Cygnet's own engine; the kernel's IPsec can tell these messages from all else, but not their types (hosts:
machine_site.py).
"""
import pathlib
import shutil

import pytest

import machine_site
from kernel_site import OURS, THEIRS
from lab import Capture, wait_until

_SCRIPT = pathlib.Path(__file__).resolve().parent.parent / "lab/mobility.py"
HOME_TEST_INIT, BINDING_UPDATE, BINDING_ACKNOWLEDGEMENT = 1, 5, 6
OUR_HOST, THEIR_HOST = machine_site.OUR_HOST[6], machine_site.THEIR_HOST[6]


@pytest.fixture(scope="module")
def guest_lab():
    with machine_site.running("mobility") as lab:
        shutil.copy(_SCRIPT, lab.guest.mailbox)
        yield lab


@pytest.fixture
def pairs(guest_lab, request):
    with machine_site.pairs_of(request, guest_lab) as make:
        yield make


class Listeners:
    """Who sends from one end what the other end listens for."""

    def __init__(self, lab):
        self.lab, self.guest = lab, lab.kernel_host
        self.script = self.guest.dir / "mobility.py"
        self.at_site = lab.site.spawn(["/usr/bin/python3", _SCRIPT, "listen"], name="mobility")
        self.file = self.guest.dir / "mobility.log"
        self.guest.run(f"/bin/sh -c '/usr/bin/python3 {self.script} listen >{self.file} 2>&1 </dev/null & "
                       f"echo $! >{self.guest.dir}/mobility.pid'")
        self.at_site.wait_log("listening")
        wait_until(lambda: "listening" in self.file.read_text(), 20, "the guest listens")

    def close(self):
        self.at_site.stop()
        self.guest.run(f"/bin/sh -c 'kill $(cat {self.guest.dir}/mobility.pid)'")

    def send(self, kind):
        """Both ways, and it comes if it is in a tunnel."""
        self.lab.site.run(["/usr/bin/python3", _SCRIPT, "send", OUR_HOST, THEIR_HOST, kind])
        self.guest.run(["/usr/bin/python3", self.script, "send", THEIR_HOST, OUR_HOST, kind])

    def came(self, kind):
        return (f"{kind} {OUR_HOST}" in self.file.read_text(), f"{kind} {THEIR_HOST}" in self.at_site.read_log())


@pytest.fixture
def listeners(guest_lab):
    made = Listeners(guest_lab)
    yield made
    made.close()


def counted(daemon):
    child = daemon.child()
    return child["in"]["packets"], child["out"]["packets"]


def run(pair, selector, engine, outer=6):
    pair.start(engine=engine, left=OURS[outer], leftsubnet="fd01::/64", leftprotoport=selector, right=THEIRS[outer],
               rightsubnet="fd02::/64", rightprotoport=selector)
    pair.up()


@pytest.mark.parametrize("engine", ["user", "auto"])
@pytest.mark.parametrize("outer", [4, 6])
def test_one_type_of_message(guest_lab, pairs, listeners, engine, outer):
    pair = pairs()
    run(pair, f"135/{BINDING_UPDATE}", engine, outer)
    with Capture(guest_lab.gw, "tap0", "not arp") as wire:
        listeners.send(BINDING_UPDATE)
        wait_until(lambda: listeners.came(BINDING_UPDATE) == (True, True), 10, "both have it")
        wait_until(lambda: counted(pair.ours) == counted(pair.theirs) == (1, 1), 10, "it is counted")
        for kind in (HOME_TEST_INIT, BINDING_ACKNOWLEDGEMENT):
            listeners.send(kind)
        listeners.send(BINDING_UPDATE)
        wait_until(lambda: counted(pair.ours) == counted(pair.theirs) == (2, 2), 10, "each of them, and no other, is counted")
    assert wire.count("ip proto 50" if outer == 4 else "ip6 proto 50") == 4
    # The third octet of the header is its type.
    assert wire.count(f"ip6 proto 135 and ip6[42] == {BINDING_UPDATE}") == 0


def test_all_messages_in_the_kernel(guest_lab, pairs, listeners):
    pair = pairs()
    run(pair, "135", "xfrm")
    for count, kind in enumerate((BINDING_UPDATE, HOME_TEST_INIT), 1):
        listeners.send(kind)
        wait_until(lambda: listeners.came(kind) == (True, True), 10, "both have it")
        wait_until(lambda: counted(pair.ours) == counted(pair.theirs) == (count, count), 10, "it is counted")
    assert sum(state["packets"] for state in guest_lab.guest.xfrm_states()) == 4


def test_one_type_is_refused_for_the_kernel(guest_lab, pairs):
    pair = pairs()
    pair.start(wait=False, engine="xfrm", leftsubnet="fd01::/64", leftprotoport="135/5", rightsubnet="fd02::/64",
               rightprotoport="135/5")
    wait_until(lambda: "has a selector for one type of Mobile IPv6 message" in pair.theirs.read_log(), 30, "it says why")
    pair.theirs.process = None
