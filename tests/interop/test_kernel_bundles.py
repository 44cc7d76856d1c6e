# SPDX-License-Identifier: Apache-2.0
"""AH, IPComp inside ESP, AH around ESP, and BEET: Cygnet's engine and the Linux kernel, keyed by hand with setkey.

The hosts are those of kernel_site.py. SA counters on both sides must agree, and the wire shows what protects.
"""

import pytest

from lab import Capture, Ping
from lab.cygnet import Cygnet

import kernel_site
from kernel_site import OUR_LAN, OURS, THEIR_HOST, THEIR_LAN, THEIRS, counted
from kernel_site import setkey_ours as ours, setkey_theirs as theirs

# Words for the engine, and for the kernel: PF_KEY of Linux cuts HMAC-SHA2-256 to 96 bits, and pads AH to 64 bits with
# IPv4 too, so that only ICVs of 96 bits have one length at both ends there.
AH = {
    "sha1": ("-A hmac-sha1 0x" + "55" * 20,) * 2,
    "sha256": ("-A hmac-sha256-96 0x" + "33" * 32, "-A hmac-sha256 0x" + "33" * 32),
    "sha512": ("-A hmac-sha512 0x" + "77" * 64,) * 2,
    "xcbc": ("-A aes-xcbc-mac 0x" + "66" * 16,) * 2,
}
ESP = "-E aes-cbc 0x" + "44" * 16 + " -A hmac-sha1 0x" + "55" * 20


@pytest.fixture(scope="module")
def site():
    with kernel_site.running("kernel-bundles") as lab:
        kernel_site.give_setkey(lab)
        # The inner addresses of BEET.
        lab.gw.add_address("lan", "10.9.0.1/32")
        lab.guest.run("ip addr add 10.9.0.2/32 dev inner0; ip route replace 10.9.0.1 dev eth0 via " + OURS[4] +
                      " 2>/dev/null || ip route replace 10.9.0.1 via " + OURS[4] + " src 10.9.0.2")
        lab.cygnet = Cygnet(lab.gw)
        lab.cygnet.configure("")
        lab.cygnet.start()
        yield lab


def clear(lab, outer):
    lab.guest.run("ip xfrm state flush; ip xfrm policy flush")
    ours(lab, "flush; spdflush;")
    # The kernel's policies hold for neighbour discovery too: it must know us before.
    lab.cygnet.wait_route(THEIRS[outer], there=False)
    assert Ping.once(lab.gw, THEIRS[outer], count=1).lost == 0


def policies(outer, networks, requests, out, back):
    """requests: with {ends} where a tunnel has them."""
    a, b = OURS[outer], THEIRS[outer]
    here, there = networks
    line = lambda one, other, way, ends: (f"spdadd {one} {other} any -P {way} ipsec " +
                                          " ".join(r.replace("{ends}", ends) for r in requests) + ";")
    return line(here, there, out, f"{a}-{b}") + line(there, here, back, f"{b}-{a}")


def pinged(lab, outer, protocol, host, target, size=None):
    lab.cygnet.wait_route(target)
    with Capture(lab.gw, "tap0", "not arp") as wire:
        ping = Ping.once(host, target, count=3, interval_s=0.05, size=size)
    assert ping.lost == 0, ping.text + ours(lab, None, "-D") + theirs(lab, "", "-D")
    assert wire.count(f"ip proto {protocol}" if outer == 4 else f"ip6 proto {protocol}") == 6
    return wire


AH_CASES = [(name, mode, family) for name in AH for mode in ("tunnel", "transport") for family in (4, 6)
            if family == 6 or name != "sha512"]


@pytest.mark.parametrize("name,mode,family", AH_CASES, ids=["-".join(map(str, c)) for c in AH_CASES])
def test_ah(site, name, mode, family):
    clear(site, family)
    a, b = OURS[family], THEIRS[family]
    tunnel = mode == "tunnel"
    networks = (OUR_LAN[family], THEIR_LAN[family]) if tunnel else (a, b)
    request = "ah/tunnel/{ends}/require" if tunnel else "ah/transport//require"
    for side, words, ways in ((ours, AH[name][0], ("out", "in")), (theirs, AH[name][1], ("in", "out"))):
        side(site, f"add {a} {b} ah 0x1001 -m {mode} -r 32 {words}; add {b} {a} ah 0x2002 -m {mode} -r 32 {words};" +
             policies(family, networks, [request], *ways))
    pinged(site, family, 51, site.site if tunnel else site.gw, THEIR_HOST[family] if tunnel else b)
    assert counted(ours(site, None, "-D")) == counted(theirs(site, "", "-D")) == {0x1001: 3, 0x2002: 3}
    # Larger than the path: cut behind AH (transport) or before the tunnel. An IPv6 host behind us hears the size first.
    if tunnel and family == 6:
        Ping.once(site.site, THEIR_HOST[6], count=1, size=2500)
    large = Ping.once(site.site if tunnel else site.gw, THEIR_HOST[family] if tunnel else b, count=1, size=2500)
    assert large.lost == 0, large.text


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("mode", ["tunnel", "transport"])
def test_ah_around_esp(site, mode, family):
    clear(site, family)
    a, b = OURS[family], THEIRS[family]
    tunnel = mode == "tunnel"
    networks = (OUR_LAN[family], THEIR_LAN[family]) if tunnel else (a, b)
    requests = ["esp/tunnel/{ends}/require" if tunnel else "esp/transport//require", "ah/transport//require"]
    for side, ways in ((ours, ("out", "in")), (theirs, ("in", "out"))):
        side(site, "".join(f"add {s} {d} esp {esp} -m {mode} -r 32 {ESP};"
                           f"add {s} {d} ah {ah} -m transport -r 32 {AH['sha1'][0]};"
                           for s, d, esp, ah in ((a, b, "0x1001", "0x1002"), (b, a, "0x2001", "0x2002"))) +
             policies(family, networks, requests, *ways))
    wire = pinged(site, family, 51, site.site if tunnel else site.gw, THEIR_HOST[family] if tunnel else b)
    # Behind the outer header and AH of 24 octets stands ESP.
    assert wire.count("ip[20] == 50" if family == 4 else "ip6[40] == 50") == 6
    everything = {0x1001: 3, 0x1002: 3, 0x2001: 3, 0x2002: 3}
    assert counted(ours(site, None, "-D")) == counted(theirs(site, "", "-D")) == everything


@pytest.mark.parametrize("mode", ["tunnel", "transport"])
@pytest.mark.parametrize("with_ah", [False, True], ids=["esp", "esp-ah"])
def test_ipcomp_inside_esp(site, mode, with_ah):
    clear(site, 4)
    a, b = OURS[4], THEIRS[4]
    tunnel = mode == "tunnel"
    networks = (OUR_LAN[4], THEIR_LAN[4]) if tunnel else (a, b)
    # Linux takes no tunnel on the way out that is optional.
    requests = ["ipcomp/tunnel/{ends}/require" if tunnel else "ipcomp/transport//use", "esp/transport//require"]
    requests += ["ah/transport//require"] if with_ah else []
    for side, ways in ((ours, ("out", "in")), (theirs, ("in", "out"))):
        text = ""
        for s, d, cpi, esp, ah in ((a, b, "0x1000", "0x1001", "0x1002"), (b, a, "0x2000", "0x2001", "0x2002")):
            text += f"add {s} {d} ipcomp {cpi} -m {mode} -C deflate;add {s} {d} esp {esp} -m transport -r 32 {ESP};"
            text += f"add {s} {d} ah {ah} -m transport -r 32 {AH['sha1'][0]};" if with_ah else ""
        side(site, text + policies(4, networks, requests, *ways))
    host, target = (site.site, THEIR_HOST[4]) if tunnel else (site.gw, b)
    wire = pinged(site, 4, 51 if with_ah else 50, host, target, size=1000)
    assert wire.count("greater 500") == 0, "a ping's pattern shrinks"
    seen = counted(ours(site, None, "-D"))
    kernel = counted(theirs(site, "", "-D"))
    for spi in (0x1001, 0x2001) + ((0x1002, 0x2002) if with_ah else ()):
        assert seen[spi] == kernel[spi] == 3
    assert kernel[0x1000] == kernel[0x2000] == 3


def test_beet(site):
    """PF_KEY of Linux cannot say who is inside: there, `ip xfrm` does."""
    clear(site, 4)
    a, b = OURS[4], THEIRS[4]
    aead = '"rfc4106(gcm(aes))" 0x' + "88" * 20 + " 128"
    ours(site, f"add {a} {b} esp 0x1001 -m beet -r 32 -E aes-gcm-16 0x{'88' * 20};"
               f"add {b} {a} esp 0x2002 -m beet -r 32 -E aes-gcm-16 0x{'88' * 20};" +
         policies(4, ("10.9.0.1", "10.9.0.2"), ["esp/beet/{ends}/require"], "out", "in"))
    for s, d, spi, inner, way in ((a, b, "0x1001", ("10.9.0.1", "10.9.0.2"), "in"),
                                  (b, a, "0x2002", ("10.9.0.2", "10.9.0.1"), "out")):
        site.guest.run(f"ip xfrm state add src {s} dst {d} proto esp spi {spi} reqid 1 mode beet aead {aead} "
                       f"sel src {inner[0]} dst {inner[1]}; "
                       f"ip xfrm policy add src {inner[0]} dst {inner[1]} dir {way} "
                       f"tmpl src {s} dst {d} proto esp reqid 1 mode beet")
    site.cygnet.wait_route("10.9.0.2")
    with Capture(site.gw, "tap0", "not arp") as wire:
        ping = Ping.once(site.gw, "10.9.0.2", count=3, interval_s=0.05, size=100, source="10.9.0.1")
    assert ping.lost == 0, ping.text
    # ESP header, IV, ICMP of 108 octets, trailer and ICV behind one IP header: there is no inner one.
    assert wire.count(f"ip proto 50 and greater {14 + 20 + 8 + 8 + 108 + 2 + 16} and less {14 + 20 + 8 + 8 + 112 + 18}") == 6
    states = {s["spi"]: s["packets"] for s in site.guest.xfrm_states()}
    assert sorted(states.values()) == [3, 3]
    assert counted(ours(site, None, "-D")) == {0x1001: 3, 0x2002: 3}
