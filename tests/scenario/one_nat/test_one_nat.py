# SPDX-License-Identifier: Apache-2.0
import pathlib

from lab import Ping
from common import cygnet

_HERE = pathlib.Path(__file__).resolve().parent
_SECRETS = _HERE / "ipsec.secrets"


def _second_host(net):
    """gw_c beside gw_a, behind the same NAT."""
    gw_c = net.lab.host("gw_c")
    net.lab.link(gw_c, "wan", net.router, "to_c")
    gw_c.add_address("wan", "203.0.113.2/24")
    net.router.add_address("to_c", "203.0.113.1/24")
    gw_c.route("default", via="203.0.113.1")
    return gw_c


def _client(host, name, inner):
    client = cygnet(host, _HERE, "client.conf", start=False, secrets=_SECRETS)
    client.conf.write_text(client.conf.read_text().replace("NAME", name).replace("INNER", inner))
    return client.start()


def test_two_clients_behind_one_nat(nat_net):
    net = nat_net
    gw_c = _second_host(net)
    b = cygnet(net.gw_b, _HERE, "gw_b.conf", secrets=_SECRETS)
    a, c = _client(net.gw_a, "alice", "10.9.0.1"), _client(gw_c, "bob", "10.9.0.2")
    a.up()
    c.up()
    seen = [sa["remote"] for sa in b.connection("clients")["ike_sas"]]
    assert len({remote.rsplit(":", 1)[0] for remote in seen}) == 1, seen
    assert len(set(seen)) == 2, seen
    for host, inner in ((net.gw_a, "10.9.0.1"), (gw_c, "10.9.0.2")):
        assert Ping.once(host, net.host_address("b"), count=3).lost == 0
        assert Ping.once(net.host_b, inner, count=3).lost == 0


def test_the_same_inner_address_is_refused_by_name(nat_net):
    net = nat_net
    gw_c = _second_host(net)
    b = cygnet(net.gw_b, _HERE, "gw_b.conf", secrets=_SECRETS)
    a, c = _client(net.gw_a, "alice", "10.9.0.1"), _client(gw_c, "bob", "10.9.0.1")
    a.up()
    c.up(check=False)
    b.wait_log("('bob') claims 10.9.0.1/32, which 'alice'")
    assert Ping.once(net.gw_a, net.host_address("b"), count=3).lost == 0
    assert Ping.once(net.host_b, "10.9.0.1", count=3).lost == 0
    a.down()
    c.up()
    assert Ping.once(gw_c, net.host_address("b"), count=3).lost == 0


# Answers each datagram with what it said, and whom it was seen as.
_SERVER = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("198.51.100.2", 1701))
print("ready", flush=True)
while True:
    data, peer = s.recvfrom(2000)
    s.sendto(data + b" from port %d" % peer[1], peer)
"""
_CLIENT = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("", 1701))
s.settimeout(20)
for i in range(5):
    said = b"%s %d" % (sys.argv[1].encode(), i)
    s.sendto(said, ("198.51.100.2", 1701))
    heard = s.recv(2000)
    assert heard.startswith(said + b" from port "), heard
print(heard.decode().rsplit(" ", 1)[1])
"""


def test_two_hosts_in_transport_mode_that_use_one_port(nat_net):
    net = nat_net
    gw_c = _second_host(net)
    b = cygnet(net.gw_b, _HERE, "transport_gw_b.conf", secrets=_SECRETS)
    clients = []
    for host, name in ((net.gw_a, "alice"), (gw_c, "bob")):
        client = cygnet(host, _HERE, "transport_client.conf", start=False, secrets=_SECRETS)
        client.conf.write_text(client.conf.read_text().replace("NAME", name))
        clients.append(client.start())
        client.up()
    server = net.gw_b.spawn(["/usr/bin/python3", "-c", _SERVER], name="server")
    server.wait_log("ready")
    ports = [net_host.out(["/usr/bin/python3", "-c", _CLIENT, name]).strip()
             for net_host, name in ((net.gw_a, "alice"), (gw_c, "bob"), (net.gw_a, "alice"))]
    assert ports == ["1701", "49152", "1701"], ports
    assert b.drops().get("shared-address", 0) == 0


def _home(net, name, public):
    """A host with the private address that every such home has, behind a NAT of its own."""
    host, nat = net.lab.host(name), net.lab.host(name + "_nat")
    net.lab.link(host, "wan", nat, "lan")
    net.lab.link(nat, "wan", net.router, "to_" + name)
    host.add_address("wan", "192.168.1.10/24")
    nat.add_address("lan", "192.168.1.1/24")
    nat.add_address("wan", f"{public}.2/24")
    net.router.add_address("to_" + name, f"{public}.1/24")
    host.route("default", via="192.168.1.1")
    nat.route("default", via=f"{public}.1")
    nat.sysctl(net__ipv4__ip_forward=1)
    nat.run(["nft", "-f", "-"], input="""
        table ip nat {
          chain post {
            type nat hook postrouting priority srcnat;
            oifname "wan" masquerade
          }
        }""")
    return host


def test_two_hosts_with_one_private_address_behind_two_nats(net):
    b = cygnet(net.gw_b, _HERE, "transport_gw_b.conf", secrets=_SECRETS)
    homes = [(_home(net, "alice", "203.0.113"), "alice"), (_home(net, "bob", "203.0.114"), "bob")]
    for host, name in homes:
        client = cygnet(host, _HERE, "transport_client.conf", start=False, secrets=_SECRETS)
        client.conf.write_text(client.conf.read_text().replace("NAME", name))
        client.start()
        client.up()
    assert {sa["remote"] for sa in b.connection("clients")["ike_sas"]} == {"203.0.113.2:4500", "203.0.114.2:4500"}
    server = net.gw_b.spawn(["/usr/bin/python3", "-c", _SERVER], name="server")
    server.wait_log("ready")
    # To the server they are two addresses, so both keep the port they chose.
    for host, name in [*homes, *homes]:
        assert host.out(["/usr/bin/python3", "-c", _CLIENT, name]).strip() == "1701"
    assert [child["in"]["packets"] for sa in b.connection("clients")["ike_sas"] for child in sa["children"]] == [10, 10]
    assert b.drops().get("shared-address", 0) == 0
