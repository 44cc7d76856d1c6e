# SPDX-License-Identifier: Apache-2.0
import pathlib

from lab import Capture, Ping, wait_until
from lab.cygnet import program
from common import cygnet

_EXAMPLES = pathlib.Path(__file__).resolve().parent.parent.parent.parent / "docs" / "examples"


def _gateway(net):
    return cygnet(net.gw_b, _EXAMPLES, "roadwarrior-server.conf", secrets=_EXAMPLES / "ipsec.secrets")


def _client(host, name="carol", start=True):
    client = cygnet(host, _EXAMPLES, "roadwarrior-client.conf", start=False,
                    secrets=_EXAMPLES / "ipsec.secrets")
    client.conf.write_text(client.conf.read_text().replace("@carol", "@" + name))
    return client.start() if start else client


def _private_resolv_conf(host, text="# mine\nnameserver 192.0.2.53\n"):
    """An /etc/resolv.conf of the host's own; returns its path outside."""
    path = host.dir / "resolv.conf"
    path.write_text(text)
    host.run(["mount", "--bind", path, "/etc/resolv.conf"])
    return path


def _addresses(client):
    return client.connection("office")["ike"]["assigned_local"]


def _lease(gateway, address):
    return next(l for l in gateway.json("leases")["leases"] if l["address"] == address)


def _second_client(net):
    """Another host behind the same NAT."""
    gw_c = net.lab.host("gw_c")
    net.lab.link(gw_c, "wan", net.router, "to_c")
    for mine, router in (("203.0.113.2/24", "203.0.113.1/24"), ("2001:db8:c::2/64", "2001:db8:c::1/64")):
        gw_c.add_address("wan", mine)
        net.router.add_address("to_c", router)
        gw_c.route("::/0" if ":" in mine else "default", via=router.split("/")[0])
    return gw_c


def test_static_address_behind_nat(nat_net):
    net = nat_net
    for host in (net.gw_a, net.gw_b):
        _private_resolv_conf(host)
    b, a = _gateway(net), _client(net.gw_a)
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
    assert _lease(b, "10.9.0.7")["in_use"]

    a.down("office")
    assert "10.9.0.7" not in net.gw_a.out(["ip", "addr"])
    assert not net.gw_a.routes(4, "4359").strip()
    wait_until(lambda: not _lease(b, "10.9.0.7")["in_use"], 5, "the lease is given back")


def test_addresses_that_nobody_has_are_refused(net):
    """Not sent away by the gateway's default route; and the office's own network is left alone."""
    _private_resolv_conf(net.gw_a)
    b, a = _gateway(net), _client(net.gw_a)
    nobody = {4: "10.9.0.77", 6: "fd09::77"}

    def refused(address):
        # The kernel says so to each host once a second, after a few times.
        with Capture(net.gw_b, "wan", "net 10.9.0.0/24 or net fd09::/64") as wan:
            wait_until(lambda: "nreachable" in Ping.once(net.host_b, address, wait_s=1).text, 10, f"{address} is refused")
        assert wan.count() == 0, wan.lines()

    for address in (*nobody.values(), "10.9.0.7"):
        refused(address)
    a.up("office")
    assert Ping.once(net.host_b, "10.9.0.7", count=2).lost == 0
    refused(nobody[4])
    refused(nobody[6])
    # Another peer of the pool, from inside its tunnel.
    wait_until(lambda: "nreachable" in Ping.once(net.gw_a, nobody[4], wait_s=1).text, 10, "it is refused there, too")
    # Erin's addresses are those of the office's network.
    assert {p["left_to"] for p in b.json("status")["pool_routes"] if p["proxyarp"]} == {"10.2.0.0/24", "fd02::/64"}
    assert {p["pool"] for p in b.json("status")["pool_routes"] if not p["left_to"]} == {"10.9.0.0/24", "fd09::/64"}
    assert "no peer has are refused" in b.ctl("doctor", check=False).stdout
    a.down("office")
    refused("10.9.0.7")
    # What somebody routes is his.
    net.gw_b.run(["ip", "route", "add", "10.9.0.64/26", "via", net.host_address("b")])
    wait_until(lambda: "via" in net.gw_b.run(["ip", "route", "get", nobody[4]], check=False).stdout, 5,
               "the route of the administrator")
    net.gw_b.run(["ip", "route", "del", "10.9.0.64/26"])
    wait_until(lambda: net.gw_b.run(["ip", "route", "get", nobody[4]], check=False).returncode != 0, 5, "no route again")
    refused(nobody[4])
    b.kill_all()
    refused(nobody[4])
    b.start()
    refused(nobody[4])
    b.stop()
    assert "unreachable" not in net.gw_b.routes(4, "4359") and "unreachable" not in net.gw_b.routes(6, "4359")


def test_two_clients_behind_one_nat_reach_each_other(nat_net):
    net = nat_net
    gw_c = _second_client(net)
    for host in (net.gw_a, gw_c):
        _private_resolv_conf(host)
    b, carol, dave = _gateway(net), _client(net.gw_a), _client(gw_c, "dave")
    carol.up("office")
    dave.up("office")
    his = _addresses(dave)
    assert his[0] != "10.9.0.7" and his[0].startswith("10.9.0.") and his[1].startswith("fd09::")
    for host, other in ((net.gw_a, his), (gw_c, ["10.9.0.7", "fd09::7"])):
        for address in (net.host_address("b"), net.host_address("b", 6), *other):
            assert Ping.once(host, address, count=2).lost == 0, (host.name, address)
    assert {l["identity"] for l in b.json("leases")["leases"] if l["in_use"]} == {"carol", "dave"}


def test_pool_address_is_the_same_after_the_gateway_was_killed(net):
    _private_resolv_conf(net.gw_a)
    b, a = _gateway(net), _client(net.gw_a, "dave")
    a.up("office")
    first = _addresses(a)
    assert len(first) == 2 and first[0].startswith("10.9.0.") and first[1].startswith("fd09::")
    a.down("office")
    refused = b.ctl("leases", "release", "10.9.0.99", check=False)
    assert refused.returncode == 1 and "10.9.0.99 is nobody's" in refused.stderr
    # Leases are written within a moment.
    database = b.state_dir / "leases.db"
    wait_until(lambda: database.exists() and database.stat().st_size > 0, 2, "the database is written")
    b.stop()
    b.start()
    lease = _lease(b, first[0])
    assert (lease["identity"], lease["in_use"], lease["connection"]) == ("dave", False, "roadwarriors")
    a.up("office")
    assert _addresses(a) == first
    b.kill_all()
    b.start()
    assert _lease(b, first[0])["identity"] == "dave"
    # Damaged, it is put aside; service goes on.
    b.stop()
    (b.state_dir / "leases.db").write_bytes(b"no database at all" * 300)
    b.start()
    b.wait_log("stands aside as")
    assert b.json("leases")["leases"] == []


def test_names_are_asked_of_the_office_while_the_tunnel_is_up(net):
    mine = _private_resolv_conf(net.gw_a)
    original = mine.read_text()
    b, a = _gateway(net), _client(net.gw_a)
    a.up("office")
    wait_until(lambda: "nameserver 10.2.0.53\nsearch office.example\n" in mine.read_text(), 3, "our resolver")
    a.down("office")
    wait_until(lambda: mine.read_text() == original, 3, "the old resolver")
    a.up("office")
    a.wait_role("ike", a.kill("ike"))
    assert "nameserver 10.2.0.53\n" in mine.read_text()
    a.stop()
    assert mine.read_text() == original
    assert b.alive("ike")

    # Killed with -9, taken back by --clean-up; a living one is left alone.
    a.start()
    a.up("office")
    wait_until(lambda: mine.read_text() != original, 3, "our resolver")
    clean_up = [program("cygnetd"), "--clean-up", "--config", a.conf, "--run-dir", a.run_dir, "--state-dir",
                a.state_dir]
    assert net.gw_a.run(clean_up, check=False).returncode == 1
    a.kill("monitor")
    wait_until(lambda: not a.process.alive(), 5, "the daemon's first process has ended")
    assert mine.read_text() != original
    net.gw_a.run(clean_up)
    assert mine.read_text() == original
    assert "4359" not in net.gw_a.rules() and not net.gw_a.routes(4, "4359").strip()


def test_systemd_resolved_is_asked_for_the_domain_alone(net):
    calls = net.gw_a.dir / "calls"
    net.gw_a.run(["sh", "-c", "mount -t tmpfs tmpfs /usr/local/bin && mkdir -p /run/systemd/resolve && "
                              f"printf '#!/bin/sh\\necho \"$@\" >>{calls}\\n' >/usr/local/bin/resolvectl && "
                              "chmod 755 /usr/local/bin/resolvectl"])
    _gateway(net)
    a = _client(net.gw_a)
    a.up("office")
    wanted = "dns ipsec0 10.2.0.53\ndomain ipsec0 ~office.example\ndefault-route ipsec0 no\n"
    wait_until(lambda: calls.exists() and calls.read_text() == wanted, 3, "resolvectl is told")
    a.down("office")
    wait_until(lambda: calls.read_text() == wanted + "revert ipsec0\n", 3, "resolvectl is told")


def test_an_address_of_the_local_network(net):
    _private_resolv_conf(net.gw_a)
    b, a = _gateway(net), _client(net.gw_a, "erin")
    a.up("office")
    v4, v6 = _addresses(a)
    assert v4.startswith("10.2.0.2") and v6.startswith("fd02::2:")
    for address in (v4, v6):
        assert Ping.once(net.host_b, address, count=2).lost == 0
    assert net.gw_b.out("cat /proc/sys/net/ipv6/conf/lan/proxy_ndp").strip() == "1"
    for family in (4, 6):
        assert "lan" in net.gw_b.out(["ip", f"-{family}", "neigh", "show", "proxy"])
    # A killed gateway answers for nobody once it is back.
    b.kill_all()
    b.start()
    for family in (4, 6):
        wait_until(lambda: not net.gw_b.out(["ip", f"-{family}", "neigh", "show", "proxy"]).strip(), 3, "nobody is answered for")
    wait_until(lambda: net.gw_b.out("cat /proc/sys/net/ipv6/conf/lan/proxy_ndp").strip() == "0", 3, "nor asked")
    a.stop()
    a.start()
    a.up("office")
    assert Ping.once(net.host_b, v4, count=1).lost == 0
    a.down("office")
    wait_until(lambda: not net.gw_b.out("ip neigh show proxy").strip(), 3, "no neighbour is answered for")
    assert net.host_b.run(["ping", "-c1", "-W1", v4], check=False).returncode != 0
