# SPDX-License-Identifier: Apache-2.0
import pathlib

from lab import Capture, Ping
from common import cygnet

_EXAMPLES = pathlib.Path(__file__).resolve().parent.parent.parent.parent / "docs" / "examples"


def _gateway(net):
    return cygnet(net.gw_b, _EXAMPLES, "roadwarrior-server.conf", secrets=_EXAMPLES / "ipsec.secrets")


def _client(net, name="carol"):
    client = cygnet(net.gw_a, _EXAMPLES, "roadwarrior-client.conf", start=False,
                    secrets=_EXAMPLES / "ipsec.secrets")
    client.conf.write_text(client.conf.read_text().replace("@carol", "@" + name))
    return client.start()


def _addresses(client):
    return client.connection("office")["ike"]["assigned_local"]


def test_static_address_behind_nat(nat_net):
    net = nat_net
    b, a = _gateway(net), _client(net)
    a.up("office")
    assert _addresses(a) == ["10.9.0.7", "fd09::7"]
    assert b.connection("carol")["ike"]["assigned_remote"] == ["10.9.0.7", "fd09::7"]
    assert a.connection("office")["ike"]["dns"] == ["10.2.0.53"]
    assert "10.9.0.7/32" in net.gw_a.out(["ip", "addr", "show", "dev", "ipsec0"])
    with Capture(net.host_b, "eth0", "icmp") as seen:
        assert Ping.once(net.gw_a, net.host_address("b"), count=3).lost == 0
    assert seen.count("src host 10.9.0.7") == 3
    assert Ping.once(net.gw_a, net.host_address("b", 6), count=3).lost == 0
    assert Ping.once(net.host_b, "10.9.0.7", count=2).lost == 0
    # The LAN of the roadwarrior stays its own.
    assert Ping.once(net.gw_a, net.host_address("a"), count=1).lost == 0

    a.rekey("office", "--ike")
    b.rekey("carol")
    for side in (a, b):
        side.wait_role("ike", side.kill("ike"))
    Ping.until_answered(net.gw_a, net.host_address("b"))
    assert _addresses(a) == ["10.9.0.7", "fd09::7"]
    assert "10.9.0.7/32" in net.gw_a.out(["ip", "addr", "show", "dev", "ipsec0"])

    a.down("office")
    assert "10.9.0.7" not in net.gw_a.out(["ip", "addr"])
    assert not net.gw_a.routes(4, "4359").strip()


def test_pool_address_is_the_same_after_a_restart_of_the_gateway(net):
    b, a = _gateway(net), _client(net, "dave")
    a.up("office")
    first = _addresses(a)
    assert len(first) == 2 and first[0].startswith("10.9.0.") and first[1].startswith("fd09::")
    assert first[0] != "10.9.0.7"
    assert Ping.once(net.gw_a, net.host_address("b"), count=2).lost == 0
    a.down("office")
    b.stop()
    b.start()
    a.up("office")
    assert _addresses(a) == first
    assert Ping.once(net.gw_a, net.host_address("b"), count=2).lost == 0
