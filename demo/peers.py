# SPDX-License-Identifier: Apache-2.0
"""The peers of `./dev lab up PEER`: each beside Cygnet, with a tunnel that is up and both configurations to change."""
from sites import HOME, PICTURE, ROOT, site_conf, SECRETS, start_sites, sys

sys.path.insert(0, str(ROOT / "tests" / "interop"))

import kernel_site  # noqa: E402
import machine_site  # noqa: E402
from kernel_site import OUR_LAN, OURS, THEIR_LAN, THEIRS  # noqa: E402
from lab import Ping, two_sites, wait_until  # noqa: E402
from lab.cygnet import Cygnet, conn, program  # noqa: E402
from lab.openiked import GuestOpenIked, policy  # noqa: E402
from lab.strongswan import PSK, StrongSwan, fetch_root, site_config  # noqa: E402
from lab.uml import GuestLibreswan, GuestStrongSwan  # noqa: E402

GUEST_PICTURE = """
  ┌────────┐      ┌──────────────┐        ┌───────────────────────────┐
  │  site  ├──────┤ gw  (Cygnet) ├─ tap0 ─┤ guest: {what:<18} │ inner0
  └────────┘      └──────────────┘        │   its kernel does the ESP │
   10.1.0.10       192.0.2.2              └───────────────────────────┘ 10.2.0.10
   fd01::10        2001:db8:a::2           192.0.2.9  2001:db8:a::9     fd02::10
                         ╞══════ ESP, protocol 50 ══════╡
"""

IKE, ESP = "aes128gcm16-prfsha256-ecp256", "aes128gcm16"


class Standing:
    """What a person is shown: the hosts, what was said when the tunnel came up, and what to try."""

    def __init__(self, picture, said, tries, guest=None):
        self.picture, self.said, self.tries, self.guest = picture, said, tries, guest


def cygnet(lab):
    _, a, _ = start_sites(lab)
    return Standing(PICTURE, a.up("sites"), [
        ("sh gw_a", "a shell on a gateway; there: cygnet status, tcpdump -i ipsec0 (clear text), tcpdump -i wan (ESP)"),
        ("sh gw_a cygnet explain 10.1.0.10 10.2.0.10", "which policy and SA a packet meets"),
        ("sh host_a ping 10.2.0.10", "through the tunnel")])


def strongswan(lab):
    """strongSwan 5.9 with its user-space ESP in site B's gateway."""
    net = two_sites(lab, nat=True)
    peer = StrongSwan(net.gw_b)
    peer.start()
    peer.load(site_config("sites", local=net.wan("b"), remote=net.seen_as("a"), local_ts=net.lan("b"),
                          remote_ts=net.lan("a"), esp="aes256gcm16", ike="aes256gcm16-prfsha256-x25519",
                          local_id="gw-b", remote_id="gw-a"),
              'ike-lab { secret = "correct horse battery staple" }')
    ours = Cygnet(net.gw_a)
    ours.conf.write_text(site_conf("gw-a", "gw-b", net.wan("a"), net.wan("b"), net.lan("a"), net.lan("b")))
    ours.set_secrets(SECRETS)
    ours.start()
    return Standing(PICTURE, ours.up("sites"), [
        ("sh gw_b swanctl --list-sas", "what strongSwan holds"),
        ("sh gw_b swanctl --initiate --child net", "strongSwan dials"),
        ("sh gw_b swanctl --load-all --file " + str(peer.dir / "swanctl.conf"), "after a change of its configuration"),
        ("sh gw_b tail -f " + str(peer.log), "its log"),
        ("sh host_a ping 10.2.0.10", "through the tunnel")])


def _guest(lab, root):
    kernel_site.build(lab, root)
    return Cygnet(lab.gw)


def _ike_conf(**words):
    words = {"left": OURS[4], "right": THEIRS[4], "leftid": "@ours.example.org", "rightid": "@theirs.example.org",
             "leftsubnet": OUR_LAN[4], "rightsubnet": THEIR_LAN[4], "ike": IKE, "esp": ESP, **words}
    return conn("sites", **words)


def _guest_standing(lab, ours, what, tries):
    return Standing(GUEST_PICTURE.format(what=what), ours.up("sites"), tries + [
        ("sh guest", "a shell in the guest, a line at a time; ip -s xfrm state shows its kernel's SAs"),
        ("sh gw cygnet status", "Cygnet's side"),
        ("sh site ping 10.2.0.10", "through the tunnel")], guest=lab.guest)


def strongswan6(lab):
    """strongSwan 6 over the ESP of a Linux 6.12 kernel."""
    ours = _guest(lab, "guest")
    peer = GuestStrongSwan(lab.guest)
    peer.load(site_config("sites", local=THEIRS[4], remote=OURS[4], local_ts=THEIR_LAN[4], remote_ts=OUR_LAN[4],
                          esp=ESP, ike=IKE, local_id="theirs.example.org", remote_id="ours.example.org"))
    ours.configure(_ike_conf())
    ours.start()
    return _guest_standing(lab, ours, "strongSwan 6", [
        ("sh guest swanctl --list-sas", "what strongSwan holds"),
        ("sh guest swanctl --initiate --child net", "strongSwan dials"),
        ("sh guest tail -20 /lab/charon.log", "its log")])


def newest(lab):
    """strongSwan 6.1 over IP-TFS of Debian's newest kernel, in QEMU (the first time some minutes, then half a one)."""
    for root in ("iptfs", "newest"):
        fetch_root(root)
    machine_site.build(lab, "newest", "xfrm_iptfs")
    ours = Cygnet(lab.gw)
    peer = GuestStrongSwan(lab.guest)
    peer.load(site_config("sites", local=THEIRS[4], remote=OURS[4], local_ts=THEIR_LAN[4], remote_ts=OUR_LAN[4],
                          esp=ESP, ike=IKE, local_id="theirs.example.org", remote_id="ours.example.org",
                          child_extra="mode = iptfs\n replay_window = 64"))
    ours.configure(_ike_conf(iptfs="yes"))
    ours.start()
    return _guest_standing(lab, ours, "strongSwan 6.1", [
        ("sh guest swanctl --list-sas", "what strongSwan holds"),
        ("sh guest cat /proc/net/xfrm_stat", "what its kernel could not do with packets"),
        ("sh guest tail -20 /lab/charon.log", "its log")])


def libreswan(lab):
    """Libreswan 5 over the ESP of a Linux 6.12 kernel; both ends read the same ipsec.conf."""
    ours = _guest(lab, "libreswan")
    text = _ike_conf(ikev2="insist", keyexchange=None, pfs="no", esn="no", ike="aes_gcm256-sha2_256;dh19", esp="aes_gcm256")
    ours.configure(text)
    ours.start()
    GuestLibreswan(lab.guest).load(text)
    return _guest_standing(lab, ours, "Libreswan 5", [
        ("sh guest ipsec status", "what Libreswan holds"),
        ("sh guest ipsec up sites", "Libreswan dials"),
        ("sh guest tail -20 /lab/pluto.log", "its log")])


def openiked(lab):
    """OpenIKED 7, which keys a Linux 6.12 kernel over PF_KEY."""
    ours = _guest(lab, "openiked")
    ours.configure(_ike_conf(ike="aes256-sha256-curve25519", esp="aes256-sha512", esn="no"))
    ours.start()
    GuestOpenIked(lab.guest).load(policy("passive", THEIRS[4], OURS[4], THEIR_LAN[4], OUR_LAN[4]))
    stands = _guest_standing(lab, ours, "OpenIKED 7", [
        ("sh guest ikectl show sa", "what OpenIKED holds"),
        ("sh guest tail -20 /lab/iked.log", "its log")])
    # It answers IKE_AUTH first and hands the SAs to its kernel afterwards.
    wait_until(lambda: len(lab.guest.xfrm_states()) == 2, 5, "the guest's kernel has the SAs")
    return stands


_CIPHER = "0x" + "44" * 32
_MAC = "0x" + "33" * 32


def _setkey_text(there, out, back):
    a, b = OURS[4], THEIRS[4]
    # PF_KEY of Linux cuts HMAC-SHA2-256 to 96 bits; ours does so when it is asked to.
    words = f"-m tunnel -r 32 -E aes-cbc {_CIPHER} -A {'hmac-sha256' if there else 'hmac-sha256-96'} {_MAC}"
    return (f"flush; spdflush;\nadd {a} {b} esp 0x1001 {words};\nadd {b} {a} esp 0x2002 {words};\n"
            f"spdadd {OUR_LAN[4]} {THEIR_LAN[4]} any -P {out} ipsec esp/tunnel/{a}-{b}/require;\n"
            f"spdadd {THEIR_LAN[4]} {OUR_LAN[4]} any -P {back} ipsec esp/tunnel/{b}-{a}/require;\n")


def _key_ours(ours, text):
    ours.configure("")
    ours.start()
    file = ours.dir / "setkey.conf"
    file.write_text(text)
    ours.host.run([program("setkey"), "--run-dir", ours.run_dir, "-f", file])
    return file


def _manual_standing(lab, file, what, tries):
    ping = Ping.once(lab.site, "10.2.0.10", count=3, interval_s=0.05)
    said = f"keyed by hand: {ping.received} of {ping.sent} packets came back through the tunnel\n"
    return Standing(GUEST_PICTURE.format(what=what), said, tries + [
        (f"sh gw setkey -f {file}", "key Cygnet's engine again after a change"),
        ("sh gw setkey -D", "Cygnet's SAs"),
        ("sh guest", "a shell in the guest, a line at a time; ip -s xfrm state shows its kernel's SAs"),
        ("sh site ping 10.2.0.10", "through the tunnel")], guest=lab.guest)


def setkey(lab):
    """No IKE: the same setkey keys Cygnet's engine and, over af_key, a Linux 6.12 kernel."""
    ours = _guest(lab, "guest")
    kernel_site.give_setkey(lab)
    lab.guest.write("/lab/setkey.conf", _setkey_text(True, "in", "out"))
    lab.guest.run("setkey -f /lab/setkey.conf")
    return _manual_standing(lab, _key_ours(ours, _setkey_text(False, "out", "in")), "setkey", [
        ("sh guest setkey -D", "the kernel's SAs, as its PF_KEY tells them"),
        ("sh guest setkey -f /lab/setkey.conf", "key the kernel again")])


def xfrm(lab):
    """No IKE: setkey keys Cygnet's engine, ip xfrm keys a Linux 6.12 kernel."""
    ours = _guest(lab, "guest")
    a, b = OURS[4], THEIRS[4]
    algorithms = f"enc 'cbc(aes)' {_CIPHER} auth-trunc 'hmac(sha256)' {_MAC} 128"
    lines = [f"ip xfrm state add src {s} dst {d} proto esp spi {spi} reqid 1 mode tunnel replay-window 32 {algorithms}"
             for s, d, spi in ((a, b, "0x1001"), (b, a, "0x2002"))]
    lines += [f"ip xfrm policy add src {OUR_LAN[4]} dst {THEIR_LAN[4]} dir {way} "
              f"tmpl src {a} dst {b} proto esp reqid 1 mode tunnel" for way in ("in", "fwd")]
    lines += [f"ip xfrm policy add src {THEIR_LAN[4]} dst {OUR_LAN[4]} dir out "
              f"tmpl src {b} dst {a} proto esp reqid 1 mode tunnel"]
    lab.guest.write("/lab/xfrm.sh", "set -e\nip xfrm state flush\nip xfrm policy flush\n" + "\n".join(lines) + "\n")
    lab.guest.run("sh /lab/xfrm.sh")
    text = _setkey_text(True, "out", "in")
    return _manual_standing(lab, _key_ours(ours, text), "ip xfrm", [
        ("sh guest ip -s xfrm state", "the kernel's SAs"),
        ("sh guest sh /lab/xfrm.sh", "key the kernel again")])


PEERS = {f.__name__: f for f in (cygnet, strongswan, strongswan6, newest, libreswan, openiked, setkey, xfrm)}
ABOUT = {"cygnet": "two sites, Cygnet on both gateways, a NAT router between (the default)",
         **{name: f.__doc__ for name, f in PEERS.items() if f.__doc__}}

__all__ = ["PEERS", "ABOUT", "HOME", "PSK"]
