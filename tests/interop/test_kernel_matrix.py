# SPDX-License-Identifier: Apache-2.0
"""Every algorithm of ESP and AH in use today that the Linux kernel has, in both modes, all pairs of families, with and
without extended sequence numbers and UDP encapsulation: Cygnet's engine keyed by hand with setkey, the kernel with
`ip xfrm`.

The hosts are those of kernel_site.py. Both ends' SAs count each packet, and nothing of it is on the wire in the clear.
IPComp and bundles stand in test_kernel_bundles.py and test_kernel_esp.py, AES-CMAC, which PF_KEY has no number for, in the
latter; the kernel's AH has no AES-GMAC. Left out, because Cygnet does not build them, are the kernel's single DES,
Blowfish, CAST-128, Serpent and Twofish and its HMAC with RIPEMD-160: broken, or in no use today.
"""
import itertools

import pytest

from lab import Capture, Ping
from lab.cygnet import Cygnet
from lab.uml import GuestStrongSwan

import kernel_site
from kernel_site import OUR_LAN, OURS, THEIR_HOST, THEIR_LAN, THEIRS, counted, setkey_ours


def key(octets):
    return "0x" + bytes((17 * i + 3) & 255 for i in range(octets)).hex()


def aead(name, octets, kernel, tag):
    return f"-E {name} {key(octets)}", f'aead "{kernel}" {key(octets)} {tag}'


CIPHERS = {"aes128": ("aes-cbc", "cbc(aes)", 16), "aes192": ("aes-cbc", "cbc(aes)", 24),
           "aes256": ("aes-cbc", "cbc(aes)", 32), "aes128ctr": ("aes-ctr", "rfc3686(ctr(aes))", 20),
           "aes256ctr": ("aes-ctr", "rfc3686(ctr(aes))", 36), "camellia256": ("camellia-cbc", "cbc(camellia)", 32),
           "3des": ("3des-cbc", "cbc(des3_ede)", 24), "null": ("null", "ecb(cipher_null)", 0)}
MACS = {"md5": ("hmac-md5", "hmac(md5)", 16, 96), "sha1": ("hmac-sha1", "hmac(sha1)", 20, 96),
        "sha256": ("hmac-sha256", "hmac(sha256)", 32, 128), "sha256_96": ("hmac-sha256-96", "hmac(sha256)", 32, 96),
        "sha384": ("hmac-sha384", "hmac(sha384)", 48, 192), "sha512": ("hmac-sha512", "hmac(sha512)", 64, 256),
        "xcbc": ("aes-xcbc-mac", "xcbc(aes)", 16, 96)}


def pair(cipher, mac):
    e, kernel_e, octets = CIPHERS[cipher]
    a, kernel_a, mac_octets, tag = MACS[mac]
    ours = f"-E {e} {key(octets)}" if octets else f"-E {e}"
    enc = f'enc "{kernel_e}" {key(octets)}' if octets else f'enc "{kernel_e}" ""'
    return (f"{ours} -A {a} {key(mac_octets)}", f'{enc} auth-trunc "{kernel_a}" {key(mac_octets)} {tag}')


ALGORITHMS = {
    **{f"aes{8 * (n - 4)}gcm{t}": aead(f"aes-gcm-{t}", n, "rfc4106(gcm(aes))", 8 * t)
       for n, t in ((20, 16), (28, 16), (36, 16), (20, 12), (36, 8))},
    **{f"aes{8 * (n - 3)}ccm{t}": aead(f"aes-ccm-{t}", n, "rfc4309(ccm(aes))", 8 * t)
       for n, t in ((19, 16), (27, 16), (35, 16), (19, 12), (35, 8))},
    **{f"aes{8 * (n - 4)}gmac": aead("aes-gmac", n, "rfc4543(gcm(aes))", 128) for n in (20, 28, 36)},
    "chacha20poly1305": aead("chacha20-poly1305", 36, "rfc7539esp(chacha20,poly1305)", 128),
    # Each cipher and each MAC, and what is common together.
    **{f"{c}-{m}": pair(c, m) for c, m in (
        ("aes128", "sha256"), ("aes192", "sha384"), ("aes256", "sha512"), ("aes256", "sha1"), ("aes128ctr", "sha256"),
        ("aes256ctr", "xcbc"), ("camellia256", "sha256"), ("3des", "md5"), ("null", "sha256"), ("null", "sha256_96"))},
}
AH = {name: (f"-A {ours} {key(octets)}", f'auth-trunc "{kernel}" {key(octets)} {tag}')
      for name, (ours, kernel, octets, tag) in MACS.items()}
BEET_HOSTS = {4: ("10.9.0.1", "10.9.0.2"), 6: ("fd09::1", "fd09::2")}
# Those that IPComp and BEET are tried with, and their octets of IV, of a block and of the check value.
SOME = {"aes128gcm16": (8, 4, 16), "chacha20poly1305": (8, 4, 16), "aes256-sha512": (16, 16, 32),
        "aes128ctr-sha256": (8, 4, 16)}
# Mode, outer and inner family.
SHAPES = [("tunnel", o, i) for o, i in itertools.product((4, 6), repeat=2)] + [("transport", f, f) for f in (4, 6)]


@pytest.fixture(scope="module")
def site():
    with kernel_site.running("kernel-matrix") as lab:
        # Its socket on port 4500 is what hands ESP in UDP to the kernel; it makes no SA here.
        lab.peer = GuestStrongSwan(lab.guest)
        lab.cygnet = Cygnet(lab.gw)
        lab.cygnet.configure("")
        lab.cygnet.start()
        # Policies hold for neighbour discovery too, so both know each other for good.
        for family in (4, 6):
            assert Ping.once(lab.gw, THEIRS[family], count=1).lost == 0
        device = lab.guest.run(f"ip -o route get {OURS[4]}").split(" dev ")[1].split()[0]
        mac = lab.guest.run(f"cat /sys/class/net/{device}/address").strip()
        ours = lab.gw.out(["cat", "/sys/class/net/tap0/address"]).strip()
        for family in (4, 6):
            lab.gw.run(["ip", "neigh", "replace", THEIRS[family], "dev", "tap0", "lladdr", mac, "nud", "permanent"])
            lab.guest.run(f"ip neigh replace {OURS[family]} dev {device} lladdr {ours} nud permanent")
        # Who is inside of BEET.
        for family, (here, there) in BEET_HOSTS.items():
            length = 32 if family == 4 else 128
            lab.gw.add_address("lan", f"{here}/{length}")
            lab.guest.run(f"ip addr add {there}/{length} dev inner0 {'nodad' if family == 6 else ''}; "
                          f"ip route replace {here} via {OURS[family]} src {there}")
        yield lab


def our_script(words, mode, outer, inner, esn, udp, spis, ipsec="esp"):
    a, b = OURS[outer], THEIRS[outer]
    port, protocol = ("[4500]", "esp-udp") if udp else ("", ipsec)
    here, there = (OUR_LAN[inner], THEIR_LAN[inner]) if mode == "tunnel" else (a, b)
    flags = f"-m {mode} -r 64" + (" -f esn" if esn else "")
    ends = (f"{a}-{b}", f"{b}-{a}") if mode == "tunnel" else ("", "")
    return (f"flush; spdflush; add {a}{port} {b}{port} {protocol} {spis[0]} {flags} {words};"
            f"add {b}{port} {a}{port} {protocol} {spis[1]} {flags} {words};"
            f"spdadd {here} {there} any -P out ipsec {ipsec}/{mode}/{ends[0]}/require;"
            f"spdadd {there} {here} any -P in ipsec {ipsec}/{mode}/{ends[1]}/require;")


def their_batch(words, mode, outer, inner, esn, udp, spis, ipsec="esp"):
    a, b = OURS[outer], THEIRS[outer]
    here, there = (THEIR_LAN[inner], OUR_LAN[inner]) if mode == "tunnel" else (b, a)
    # RFC 4302 section 2.6: 32 bits in IPv4; the kernel aligns to 64 unless it is told.
    flags = " ".join((["align4"] if ipsec == "ah" and outer == 4 else []) + (["esn"] if esn else []))
    extra = f" replay-window {64 if esn else 32}" + (f" flag {flags}" if flags else "")
    extra += " encap espinudp 4500 4500 0.0.0.0" if udp else ""
    lines = ["xfrm state flush", "xfrm policy flush"]
    for source, destination, spi in ((a, b, spis[0]), (b, a, spis[1])):
        # Where the inside is of another family the selector has to say so.
        sel = f" sel src {'::/0' if inner == 6 else '0.0.0.0/0'}" if mode == "tunnel" and inner != outer else ""
        lines.append(f"xfrm state add src {source} dst {destination} proto {ipsec} spi {spi} reqid 1 mode {mode}{extra} "
                     f"{words}{sel}")
    for source, destination, s, d, way in ((here, there, b, a, "out"), (there, here, a, b, "in"),
                                           (there, here, a, b, "fwd")):
        lines.append(f"xfrm policy add src {source} dst {destination} dir {way} "
                     f"tmpl src {s} dst {d} proto {ipsec} reqid 1 mode {mode}")
    return "\n".join(lines) + "\n"


def once(site, words, mode, outer, inner, esn, udp, spis, ipsec="esp"):
    our_words, their_words = words
    tunnel = mode == "tunnel"
    exchanged(site, our_script(our_words, mode, outer, inner, esn, udp, spis, ipsec),
              their_batch(their_words, mode, outer, inner, esn, udp, spis, ipsec),
              site.site if tunnel else site.gw, THEIR_HOST[inner] if tunnel else THEIRS[outer],
              spis, esn, udp, f"{mode} {inner} in {outer}")


def exchanged(site, our_text, their_text, host, target, spis, esn, udp, what, **ping):
    """Two pings, which the SAs of both ends with these SPIs count, and whatever else there is; {(protocol, SPI): packets}
    of the kernel."""
    setkey_ours(site, our_text)
    site.guest.write("/tmp/batch", their_text)
    site.guest.run("ip -batch /tmp/batch")
    site.cygnet.wait_route(target)
    done = Ping.once(host, target, count=2, interval_s=0, **ping)
    assert done.lost == 0, (what, done.text, site.guest.run("ip -s xfrm state; cat /proc/net/xfrm_stat"))
    numbers = {int(spi, 16) for spi in spis}
    found = site.guest.xfrm_states()
    states = {s["spi"]: (s["packets"], s["esn"], s["encap"]) for s in found if s["protocol"] in ("esp", "ah")}
    ours = counted(setkey_ours(site, None, "-D"))
    assert {spi: ours.get(spi) for spi in numbers} == dict.fromkeys(numbers, 2), what
    assert states == dict.fromkeys(numbers, (2, esn, udp)), what
    return {(s["protocol"], s["spi"]): s["packets"] for s in found}


@pytest.mark.parametrize("esn", (False, True), ids=("32", "esn"))
@pytest.mark.parametrize("udp", (False, True), ids=("plain", "udp"))
@pytest.mark.parametrize("name", ALGORITHMS)
def test_all_modes_and_families(site, name, udp, esn):
    spis = ("0x1001", "0x2002")
    with Capture(site.gw, "tap0", "not arp") as wire:
        for mode, outer, inner in SHAPES:
            once(site, ALGORITHMS[name], mode, outer, inner, esn, udp, spis)
    esp = "udp port 4500" if udp else "proto 50"
    v4, v6 = ("ip and " + esp, "ip6 and " + esp) if udp else ("ip " + esp, "ip6 " + esp)
    # Three shapes with each outer family, two pings, both ways.
    assert (wire.count(v4), wire.count(v6)) == (12, 12)
    assert wire.count("icmp or (icmp6 and (ip6[40] == 128 or ip6[40] == 129))") == 0


@pytest.mark.parametrize("esn", (False, True), ids=("32", "esn"))
@pytest.mark.parametrize("name", AH)
def test_ah_in_all_modes_and_families(site, name, esn):
    with Capture(site.gw, "tap0", "not arp") as wire:
        for mode, outer, inner in SHAPES:
            once(site, AH[name], mode, outer, inner, esn, False, ("0x1001", "0x2002"), "ah")
    assert (wire.count("ip proto 51"), wire.count("ip6 proto 51")) == (12, 12)


def ipcomp_script(words, mode, family, esn, udp):
    a, b = OURS[family], THEIRS[family]
    port, esp = ("[4500]", "esp-udp") if udp else ("", "esp")
    here, there = (OUR_LAN[family], THEIR_LAN[family]) if mode == "tunnel" else (a, b)
    flags = "-m transport -r 64" + (" -f esn" if esn else "")
    text = "flush; spdflush;"
    for s, d, cpi, spi in ((a, b, "0x1000", "0x1001"), (b, a, "0x2000", "0x2002")):
        text += f"add {s} {d} ipcomp {cpi} -m {mode} -C deflate; add {s}{port} {d}{port} {esp} {spi} {flags} {words};"
    inside = lambda ends: f"ipcomp/tunnel/{ends}/require" if mode == "tunnel" else "ipcomp/transport//use"
    return text + (f"spdadd {here} {there} any -P out ipsec {inside(f'{a}-{b}')} esp/transport//require;"
                   f"spdadd {there} {here} any -P in ipsec {inside(f'{b}-{a}')} esp/transport//require;")


def ipcomp_batch(words, mode, family, esn, udp):
    a, b = OURS[family], THEIRS[family]
    here, there = (THEIR_LAN[family], OUR_LAN[family]) if mode == "tunnel" else (b, a)
    extra = f"replay-window {64 if esn else 32}" + (" flag esn" if esn else "")
    extra += " encap espinudp 4500 4500 0.0.0.0" if udp else ""
    lines = ["xfrm state flush", "xfrm policy flush"]
    for s, d, cpi, spi in ((a, b, "0x1000", "0x1001"), (b, a, "0x2000", "0x2002")):
        lines.append(f"xfrm state add src {s} dst {d} proto comp spi {cpi} reqid 1 mode {mode} comp deflate")
        lines.append(f"xfrm state add src {s} dst {d} proto esp spi {spi} reqid 1 mode transport {extra} {words}")
    for source, destination, s, d, way in ((here, there, b, a, "out"), (there, here, a, b, "in"),
                                           (there, here, a, b, "fwd")):
        lines.append(f"xfrm policy add src {source} dst {destination} dir {way} "
                     f"tmpl src {s} dst {d} proto comp reqid 1 mode {mode} level {'required' if way == 'out' else 'use'} "
                     f"tmpl proto esp reqid 1 mode transport")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("esn", (False, True), ids=("32", "esn"))
@pytest.mark.parametrize("udp", (False, True), ids=("plain", "udp"))
@pytest.mark.parametrize("name", SOME)
def test_ipcomp(site, name, udp, esn):
    """Pings whose data repeats itself, and such as are too small to be compressed (RFC 2394 section 4.2)."""
    ours, theirs = ALGORITHMS[name]
    for mode, family in itertools.product(("tunnel", "transport"), (4, 6)):
        tunnel = mode == "tunnel"
        host, target = (site.site, THEIR_HOST[family]) if tunnel else (site.gw, THEIRS[family])
        for size, expanded in ((1000, 2), (20, 0)):
            with Capture(site.gw, "tap0", "not arp") as wire:
                kernel = exchanged(site, ipcomp_script(ours, mode, family, esn, udp),
                                   ipcomp_batch(theirs, mode, family, esn, udp), host, target, ("0x1001", "0x2002"), esn,
                                   udp, f"{mode} {family}, {size} octets", size=size)
            # What we compressed it expanded, and what it sent went through its own, whether it shrank or not.
            assert (kernel["comp", 0x1000], kernel["comp", 0x2000]) == (expanded, 2), (mode, family, size)
            ip = "ip" if family == 4 else "ip6"
            esp = f"{ip} and udp port 4500" if udp else f"{ip} proto 50"
            assert (wire.count(esp), wire.count(f"{esp} and greater 500")) == (4, 0), (mode, family, size)
            assert wire.count("icmp or (icmp6 and (ip6[40] == 128 or ip6[40] == 129))") == 0


def beet_script(words, outer, inner, esn, udp):
    a, b = OURS[outer], THEIRS[outer]
    here, there = BEET_HOSTS[inner]
    port, esp = ("[4500]", "esp-udp") if udp else ("", "esp")
    flags = "-m beet -r 64" + (" -f esn" if esn else "")
    return (f"flush; spdflush; add {a}{port} {b}{port} {esp} 0x1001 {flags} {words};"
            f"add {b}{port} {a}{port} {esp} 0x2002 {flags} {words};"
            f"spdadd {here} {there} any -P out ipsec esp/beet/{a}-{b}/require;"
            f"spdadd {there} {here} any -P in ipsec esp/beet/{b}-{a}/require;")


def beet_batch(words, outer, inner, esn, udp):
    a, b = OURS[outer], THEIRS[outer]
    here, there = BEET_HOSTS[inner]
    extra = f"replay-window {64 if esn else 32}" + (" flag esn" if esn else "")
    extra += " encap espinudp 4500 4500 0.0.0.0" if udp else ""
    lines = ["xfrm state flush", "xfrm policy flush"]
    for s, d, spi, x, y, way in ((a, b, "0x1001", here, there, "in"), (b, a, "0x2002", there, here, "out")):
        lines.append(f"xfrm state add src {s} dst {d} proto esp spi {spi} reqid 1 mode beet {extra} {words} sel src {x} dst {y}")
        lines.append(f"xfrm policy add src {x} dst {y} dir {way} tmpl src {s} dst {d} proto esp reqid 1 mode beet")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("esn", (False, True), ids=("32", "esn"))
@pytest.mark.parametrize("udp", (False, True), ids=("plain", "udp"))
@pytest.mark.parametrize("name", SOME)
def test_beet(site, name, udp, esn):
    """The inner addresses are the SA's, and are not on the wire (draft-nikander-esp-beet-mode)."""
    ours, theirs = ALGORITHMS[name]
    for outer, inner in itertools.product((4, 6), repeat=2):
        here, there = BEET_HOSTS[inner]
        with Capture(site.gw, "tap0", "not arp") as wire:
            exchanged(site, beet_script(ours, outer, inner, esn, udp), beet_batch(theirs, outer, inner, esn, udp), site.gw,
                      there, ("0x1001", "0x2002"), esn, udp, f"beet {inner} in {outer}", size=200, source=here)
        ip = "ip" if outer == 4 else "ip6"
        esp = f"{ip} and udp port 4500" if udp else f"{ip} proto 50"
        assert wire.count(esp) == 4, (outer, inner)
        # Outer headers, those of ESP, ICMP of 208 octets and the trailer: no room for another IP header.
        iv, block, icv = SOME[name]
        whole = 14 + (20 if outer == 4 else 40) + (8 if udp else 0) + 8 + iv + -(-(208 + 2) // block) * block + icv
        assert wire.count(f"{esp} and greater {whole} and less {whole}") == 4, (outer, inner)
        assert wire.count("icmp or (icmp6 and (ip6[40] == 128 or ip6[40] == 129))") == 0
