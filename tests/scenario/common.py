# SPDX-License-Identifier: Apache-2.0
"""What the scenarios share: a folder's gw_a.conf and gw_b.conf, run by Cygnet on the gateways."""
import pathlib

from lab import Capture, Ping
from lab.cygnet import Cygnet

_HERE = pathlib.Path(__file__).resolve().parent
ESP = "ip proto 50 or ip6 proto 50 or udp port 4500"
CLEAR = "net 10.0.0.0/8 or net fd00::/8"


def cygnet(host, folder, conf, start=True, name="cygnet", secrets=None):
    """Cygnet on a host with the file FOLDER/conf and the scenarios' shared secrets."""
    daemon = Cygnet(host, name)
    daemon.conf.write_text((pathlib.Path(folder) / conf).read_text())
    daemon.set_secrets((pathlib.Path(secrets) if secrets else _HERE / "ipsec.secrets").read_text())
    return daemon.start() if start else daemon


def gateways(net, file, start=True):
    """(Cygnet on gw_a, Cygnet on gw_b) with the configuration beside the test file."""
    folder = pathlib.Path(file).resolve().parent
    b = cygnet(net.gw_b, folder, "gw_b.conf", start)
    a = cygnet(net.gw_a, folder, "gw_a.conf", start)
    return a, b


def check_once_everywhere(net, a, family=4, count=5, conn="lab"):
    """Pings site to site: each packet once in the clear on ipsec0, once as ESP on the wire."""
    icmp = "icmp" if family == 4 else "icmp6 and (ip6[40] == 128 or ip6[40] == 129)"
    before = a.child(conn)
    with Capture(net.gw_a, "ipsec0") as device, Capture(net.gw_a, "wan") as wire:
        ping = Ping.once(net.host_a, net.host_address("b", family), count=count, interval_s=0.05)
    after = a.child(conn)
    assert ping.received == count and ping.duplicates == 0, ping.text
    source = f"src host {net.host_address('a', family)}"
    target = f"dst host {net.host_address('a', family)}"
    assert device.count(f"({icmp}) and {source}") == count
    assert device.count(f"({icmp}) and {target}") == count
    assert wire.count(CLEAR) == 0, wire.lines(CLEAR)
    for way in ("in", "out"):
        assert after[way]["packets"] - before[way]["packets"] == count
    return wire
