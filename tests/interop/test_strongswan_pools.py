# SPDX-License-Identifier: Apache-2.0
"""Virtual addresses with strongSwan (kernel-libipsec): either side gives them."""
from lab import Ping, wait_until
from lab.cygnet import Cygnet, conn
from lab.strongswan import StrongSwan, site_config

_IKE = "aes128gcm16-prfsha256-ecp256"


def _private_resolv_conf(host):
    path = host.dir / "resolv.conf"
    path.write_text("nameserver 192.0.2.53\n")
    host.run(["mount", "--bind", path, "/etc/resolv.conf"])
    return path


def test_strongswan_gets_addresses_from_us(net):
    b = Cygnet(net.gw_b)
    b.configure(conn("rw", left=net.wan("b"), leftid="@gw-b", leftsubnet=f"{net.lan('b')},{net.lan('b', 6)}",
                     right="%any", rightid="@gw-a", rightaddresspool="10.9.0.7,fd09::7", modecfgdns="10.2.0.53",
                     ike=_IKE, esp="aes128gcm16"))
    b.start()
    a = StrongSwan(net.gw_a).start()
    a.load(site_config(local=net.wan("a"), remote=net.wan("b"), local_ts="dynamic", remote_ts="0.0.0.0/0,::/0",
                       local_id="gw-a", remote_id="gw-b", extra="vips = 0.0.0.0,::", ike=_IKE))
    a.up("net")
    assert b.connection("rw")["ike"]["assigned_remote"] == ["10.9.0.7", "fd09::7"]
    child = a.child("net")
    assert child["local"] == ["10.9.0.7/32", "fd09::7/128"]
    assert sorted(child["remote"]) == sorted([net.lan("b"), net.lan("b", 6)])
    for family in (4, 6):
        assert Ping.once(net.gw_a, net.host_address("b", family), count=2).lost == 0
    ours = b.child("rw")
    assert (ours["in"]["packets"], ours["out"]["packets"]) == (4, 4)
    before = b.connection("rw")["ike"]["spi_i"]
    a.rekey(ike="lab")
    wait_until(lambda: [sa["spi_i"] != before for sa in b.connection("rw")["ike_sas"]] == [True], 10, "the new IKE SA is left")
    assert b.connection("rw")["ike"]["assigned_remote"] == ["10.9.0.7", "fd09::7"]
    a.down(ike="lab")
    wait_until(lambda: not any(l["in_use"] for l in b.json("leases")["leases"]), 5, "the leases are given back")


def test_we_get_addresses_from_strongswan(net):
    mine = _private_resolv_conf(net.gw_a)
    b = StrongSwan(net.gw_b).start()
    b.load(site_config(local=net.wan("b"), remote=net.wan("a"), local_ts=f"{net.lan('b')},{net.lan('b', 6)}",
                       remote_ts="dynamic", local_id="gw-b", remote_id="gw-a", extra="pools = v4, v6", ike=_IKE),
           pools="v4 { addrs = 10.9.0.32/28\n dns = 10.2.0.53 }\nv6 { addrs = fd09::20/124 }")
    a = Cygnet(net.gw_a)
    a.configure(conn("rw", left="%defaultroute", leftid="@gw-a", leftsourceip="%config", right=net.wan("b"),
                     rightid="@gw-b", ike=_IKE, esp="aes128gcm16"))
    a.start()
    a.up("rw")
    v4, v6 = a.connection("rw")["ike"]["assigned_local"]
    assert v4.startswith("10.9.0.") and v6.startswith("fd09::2")
    wait_until(lambda: "nameserver 10.2.0.53\n" in mine.read_text(), 3, "our resolver")
    for family in (4, 6):
        assert Ping.once(net.gw_a, net.host_address("b", family), count=2).lost == 0
    assert b.child("net")["in"]["packets"] == 4
    a.rekey("rw", "--ike")
    assert a.connection("rw")["ike"]["assigned_local"] == [v4, v6]
    a.down("rw")
    a.up("rw")
    assert a.connection("rw")["ike"]["assigned_local"] == [v4, v6]
    a.stop()
    assert mine.read_text() == "nameserver 192.0.2.53\n"
