# SPDX-License-Identifier: Apache-2.0
"""Cygnet's engine and the Linux kernel's ESP, both keyed by hand with setkey over PF_KEY.

The same setkey speaks to the engine's socket on gw and to af_key in the guest (see kernel_site.py
for the hosts). SA counters on both sides must agree.
"""
import re

import pytest

from lab import Capture, Ping
from lab.cygnet import Cygnet

import kernel_site
from kernel_site import OUR_LAN, OURS, THEIR_HOST, THEIR_LAN, THEIRS, counted
from kernel_site import setkey_ours as ours, setkey_theirs as theirs

SECRET = "0x" + "33" * 32
# Words for the engine, and for the kernel where they differ: PF_KEY of Linux cuts HMAC-SHA2-256 to 96 bits. It knows no
# AEADs, and no tunnel whose inside is of another family than its outside.
ALGORITHMS = {
    "cbc-sha1": ("-E aes-cbc 0x" + "44" * 16 + " -A hmac-sha1 0x" + "55" * 20, None),
    "cbc-sha256": ("-E aes-cbc 0x" + "44" * 32 + f" -A hmac-sha256-96 {SECRET}",
                   "-E aes-cbc 0x" + "44" * 32 + f" -A hmac-sha256 {SECRET}"),
    "cbc-sha512": ("-E aes-cbc 0x" + "44" * 16 + " -A hmac-sha512 0x" + "55" * 64, None),
    "null-sha1": ('-E null -A hmac-sha1 "twenty octets of key"', None),
    "ctr-sha1": ("-E aes-ctr 0x" + "66" * 20 + " -A hmac-sha1 0x" + "55" * 20, None),
}


@pytest.fixture(scope="module")
def site():
    with kernel_site.running("kernel-pfkey") as lab:
        kernel_site.give_setkey(lab)
        lab.cygnet = Cygnet(lab.gw)
        lab.cygnet.configure("")
        lab.cygnet.start()
        yield lab


def script(algorithm, mode, outer, inner, out, back):
    a, b = OURS[outer], THEIRS[outer]
    ends = (f"{a}-{b}", f"{b}-{a}") if mode == "tunnel" else ("", "")
    from_a, from_b = (OUR_LAN[inner], THEIR_LAN[inner]) if mode == "tunnel" else (a, b)
    return f"""
        flush; spdflush;
        add {a} {b} esp 0x1001 -m {mode} -r 32 {algorithm};
        add {b} {a} esp 0x2002 -m {mode} -r 32 {algorithm};
        spdadd {from_a} {from_b} any -P {out} ipsec esp/{mode}/{ends[0]}/require;
        spdadd {from_b} {from_a} any -P {back} ipsec esp/{mode}/{ends[1]}/require;"""


CASES = [(name, "tunnel", 4, 4) for name in ALGORITHMS] + [
    ("cbc-sha256", "tunnel", 6, 6), ("cbc-sha1", "transport", 4, 4), ("cbc-sha512", "transport", 6, 6)]


@pytest.mark.parametrize("name,mode,outer,inner", CASES, ids=["-".join(map(str, c)) for c in CASES])
def test_setkey_on_both_sides(site, name, mode, outer, inner):
    here, there = ALGORITHMS[name]
    for side in (lambda text: ours(site, text), lambda text: theirs(site, text)):
        side("flush; spdflush;")
    # The kernel's policies hold for neighbour discovery too: it must know us before.
    site.cygnet.wait_route(THEIRS[outer], there=False)
    assert Ping.once(site.gw, THEIRS[outer], count=1).lost == 0
    ours(site, script(here, mode, outer, inner, "out", "in"))
    theirs(site, script(there or here, mode, outer, inner, "in", "out"))
    target = THEIR_HOST[inner] if mode == "tunnel" else THEIRS[outer]
    site.cygnet.wait_route(target)
    with Capture(site.gw, "tap0", "not arp") as wire:
        ping = Ping.once(site.site if mode == "tunnel" else site.gw, target, count=3, interval_s=0.05)
    assert ping.lost == 0, ping.text
    assert wire.count("ip proto 50" if outer == 4 else "ip6 proto 50") == 6
    assert wire.count("icmp or (icmp6 and (ip6[40] == 128 or ip6[40] == 129))") == 0
    assert counted(ours(site, None, "-D")) == counted(theirs(site, "", "-D")) == {0x1001: 3, 0x2002: 3}


def test_both_print_alike(site):
    """What the kernel says of an SA and of a policy, and what the engine says: but for times and numbers the same."""
    text = script(ALGORITHMS["cbc-sha1"][0], "tunnel", 4, 4, "out", "in")
    ours(site, text)
    theirs(site, text)

    def bare(output):
        output = re.sub(r"(?m)^\t(created|last|diff|sadb_seq|spid|allocated|current|refcnt).*\n", "", output)
        return sorted(re.split(r"(?m)^(?=\S)", re.sub(r"seq=0x[0-9a-f]+", "seq=", output)))

    assert bare(ours(site, None, "-D", "--show-keys")) == bare(theirs(site, "", "-D"))
    assert bare(ours(site, None, "-D", "-P")) == bare(theirs(site, "", "-D -P"))


def test_errors_of_the_kernel(site):
    text = script(ALGORITHMS["cbc-sha1"][0], "tunnel", 4, 4, "in", "out")
    theirs(site, text)
    again = site.guest.run("setkey -c < /tmp/script 2>&1", check=False)
    assert again == "", "flush comes first"
    theirs(site, f"deleteall {OURS[4]} {THEIRS[4]} esp;")
    assert counted(theirs(site, "", "-D")) == {0x2002: 0}
    site.guest.write("/tmp/script", f"add {THEIRS[4]} {OURS[4]} esp 0x2002 {ALGORITHMS['cbc-sha1'][0]};")
    twice = site.guest.run("setkey -c < /tmp/script 2>&1; echo $?", check=False)
    assert twice == "setkey: (standard input):1:1: the result of line 1: File exists\n1\n"
