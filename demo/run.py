#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""./dev run [--stay]: two sites, one tunnel, shown in a few screens.

Exit code 0 only if every step did what it says. Everything is cleaned up at the end; with --stay
the lab is left standing (./dev lab down ends it).
"""
import struct
import sys
import time

from screen import bold, columns, command, dim, green, heading, hexdump, quote, red, say
from sites import HOW_ON, PICTURE, LabError, forget, new_lab, remember, start_sites

from lab import Capture, Flow, Ping, transfer

MEGABYTES = 50
PATTERN = b"hello from A! "


def frames(file):
    """(link type, [frame]) of a pcap file."""
    data = file.read_bytes()
    link, at, found = struct.unpack_from("<I", data, 20)[0], 24, []
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        found.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return link, found


def first_packet(capture):
    """The first packet of a capture from its IP header on."""
    link, found = frames(capture.file)
    if not found:
        raise LabError(f"nothing captured on {capture.process.name}")
    return found[0][14:] if link == 1 else found[0]


def ok(condition, text):
    """Says that a step worked, or ends the demonstration."""
    if not condition:
        raise LabError(text)
    print(f"\n  {green('✔')} {text}", flush=True)


def show_sites(a):
    heading(1, "Two sites")
    say("Five hosts, each a network namespace of this machine. The router in the middle knows "
        "nothing of the LANs and hides site A behind NAT, as most routers do.")
    print(PICTURE)
    command("gw_a", "cat ipsec.conf")
    quote(a.conf.read_text())
    command("gw_a", "cat ipsec.secrets")
    quote(a.secrets.read_text())


def show_negotiation(net, a):
    heading(2, "The negotiation (IKEv2)")
    before = Ping.once(net.host_a, net.host_address("b"), wait_s=0.5)
    ok(before.received == 0, "before the tunnel, host_a does not reach host_b")
    command("gw_a", "cygnet up sites")
    quote(a.up("sites"), limit=24)
    ok(a.state("sites") == "up", "the tunnel is up")


def show_traffic(net):
    heading(3, "Traffic")
    for family, tool in ((4, "ping"), (6, "ping -6")):
        address = net.host_address("b", family)
        command("host_a", f"{tool} -c 3 {address}")
        ping = Ping.once(net.host_a, address, count=3, interval_s=0.1)
        quote("\n".join(l for l in ping.text.splitlines() if l and not l.startswith("PING")))
        ok(ping.lost == 0, f"{ping.received} of {ping.sent} answered")
    command("host_a", f"send {MEGABYTES} MB of random octets over TCP to host_b")
    sent, received, seconds = transfer(net.host_a, net.host_b, net.host_address("b"), MEGABYTES)
    quote(f"sha256 at host_a  {sent}\nsha256 at host_b  {received}\n"
          f"{MEGABYTES} MB in {seconds:.2f} s: {MEGABYTES * 8 / seconds:.0f} Mbit/s")
    ok(sent == received, "the same file, octet for octet")


def show_packet(net):
    heading(4, "The same packet, seen in two places")
    say("tcpdump on gw_a's device ipsec0 shows what the sites say; on the wire there is only ESP "
        "(in UDP port 4500, because of the NAT).")
    with Capture(net.gw_a, "ipsec0", "src host 10.1.0.10") as clear, \
            Capture(net.gw_a, "wan", "src host 192.0.2.2 and udp port 4500") as wire:
        Ping.once(net.host_a, net.host_address("b"), options=["-p", PATTERN.hex()])
    command("gw_a", "tcpdump -i ipsec0")
    quote("\n".join(clear.lines("", "-t")))
    command("gw_a", "tcpdump -i wan")
    quote("\n".join(wire.lines("", "-t")))
    print()
    inside, outside = first_packet(clear), first_packet(wire)
    columns(["on ipsec0: clear text", ""] + hexdump(inside), ["on the wire: ESP", ""] + hexdump(outside))
    ok(PATTERN in inside and PATTERN not in outside, "readable on ipsec0, unreadable on the wire")


def show_status(a):
    heading(5, "What the gateway knows")
    command("gw_a", "cygnet status")
    quote(a.ctl("status").stdout)
    command("gw_a", "cygnet explain 10.1.0.10 10.2.0.10")
    quote(a.ctl("explain", "10.1.0.10", "10.2.0.10").stdout)


def show_rekey(net, a):
    heading(6, "New keys under traffic")
    say("100 pings a second run from site to site while both the ESP keys and the IKE keys are "
        "replaced, and while the IKE process is killed and restarted.")
    flow = Flow(net.host_a, net.host_address("b"))
    try:
        old = a.child("sites")["spi_in"]
        for words in (["rekey", "sites"], ["rekey", "sites", "--ike"]):
            time.sleep(0.4)
            command("gw_a", "cygnet " + " ".join(words))
            quote(a.ctl(*words).stdout or "done")
        new = a.child("sites")["spi_in"]
        time.sleep(0.4)
        command("gw_a", "kill -9 $(cat run/ike.pid)")
        a.wait_role("ike", a.kill("ike"))
        quote(f"restarted, and holds the tunnel: {a.state('sites')}")
        time.sleep(0.5)
    finally:
        account = flow.stop()
    quote(f"SPI before {old}, after {new}\n"
          f"{account.sent} pings sent, {account.received} answered, {account.lost} lost")
    ok(account.lost == 0 and account.sent > 50 and old != new, "nothing was lost")


def main():
    stay = "--stay" in sys.argv[1:]
    if [w for w in sys.argv[1:] if w != "--stay"]:
        print(__doc__, file=sys.stderr)
        return 2
    lab = None
    try:
        lab = new_lab(stay)
        print(f"\n{bold('Cygnet')}: two networks, one IPsec tunnel.")
        net, a, _ = start_sites(lab)
        if stay:
            remember(lab)
        show_sites(a)
        show_negotiation(net, a)
        show_traffic(net)
        show_packet(net)
        show_status(a)
        show_rekey(net, a)
    except (LabError, KeyboardInterrupt) as error:
        print(f"\n{red('✘')} {error or 'interrupted'}", file=sys.stderr)
        if lab:
            for log in sorted(lab.dir.rglob("cygnetd.log")):
                print(dim(f"\n{log.parent.parent.name}: last lines of cygnetd's log"), file=sys.stderr)
                quote("\n".join(log.read_text(errors="replace").splitlines()[-15:]))
            lab.close()
            forget() if stay else None
        return 1
    heading(7, "How to go on")
    print(HOW_ON)
    if stay:
        print("The lab is still up: ./dev lab sh gw_a … ./dev lab down")
    else:
        lab.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
