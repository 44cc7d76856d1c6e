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
    setkey_ours(site, our_script(our_words, mode, outer, inner, esn, udp, spis, ipsec))
    site.guest.write("/tmp/batch", their_batch(their_words, mode, outer, inner, esn, udp, spis, ipsec))
    site.guest.run("ip -batch /tmp/batch")
    tunnel = mode == "tunnel"
    what = f"{mode} {inner} in {outer}"
    site.cygnet.wait_route(THEIR_HOST[inner] if tunnel else THEIRS[outer])
    ping = Ping.once(site.site if tunnel else site.gw, THEIR_HOST[inner] if tunnel else THEIRS[outer], count=2, interval_s=0)
    assert ping.lost == 0, (what, ping.text, site.guest.run("ip -s xfrm state; cat /proc/net/xfrm_stat"))
    states = {s["spi"]: (s["packets"], s["esn"], s["encap"]) for s in site.guest.xfrm_states()}
    assert counted(setkey_ours(site, None, "-D")) == dict.fromkeys((int(s, 16) for s in spis), 2), what
    assert states == dict.fromkeys((int(s, 16) for s in spis), (2, esn, udp)), what


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
