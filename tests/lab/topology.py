# SPDX-License-Identifier: Apache-2.0
"""The topology that nearly every test uses.

     host_a ---- gw_a ---------- router ---------- gw_b ---- host_b
   10.1.0.10   10.1.0.1|192.0.2.2  |  198.51.100.2|10.2.0.1   10.2.0.10
   fd01::10    fd01::1|2001:db8:a::2 2001:db8:b::2|fd02::1    fd02::10

The router forwards both families and, with nat=True, hides gw_a behind its own far address
(198.51.100.1, 2001:db8:b::1).
"""
from .net import Lab

LAN = {"a": {4: "10.1.0.0/24", 6: "fd01::/64"}, "b": {4: "10.2.0.0/24", 6: "fd02::/64"}}
HOST = {"a": {4: "10.1.0.10/24", 6: "fd01::10/64"}, "b": {4: "10.2.0.10/24", 6: "fd02::10/64"}}
GATEWAY_LAN = {"a": {4: "10.1.0.1/24", 6: "fd01::1/64"}, "b": {4: "10.2.0.1/24", 6: "fd02::1/64"}}
GATEWAY_WAN = {"a": {4: "192.0.2.2/24", 6: "2001:db8:a::2/64"},
               "b": {4: "198.51.100.2/24", 6: "2001:db8:b::2/64"}}
ROUTER = {"a": {4: "192.0.2.1/24", 6: "2001:db8:a::1/64"},
          "b": {4: "198.51.100.1/24", 6: "2001:db8:b::1/64"}}


def _bare(address):
    return address.split("/")[0]


class TwoSites:
    """The hosts of two_sites(), and what tests ask of them."""

    def __init__(self, lab, nat=False, mtu=1500):
        self.lab = lab
        self.host_a, self.gw_a = lab.host("host_a"), lab.host("gw_a")
        self.router = lab.host("router")
        self.gw_b, self.host_b = lab.host("gw_b"), lab.host("host_b")
        self.nat = False
        for side, host, gateway in (("a", self.host_a, self.gw_a), ("b", self.host_b, self.gw_b)):
            lab.link(host, "eth0", gateway, "lan")
            lab.link(gateway, "wan", self.router, f"to_{side}", mtu=mtu)
            for family in (4, 6):
                host.add_address("eth0", HOST[side][family])
                gateway.add_address("wan", GATEWAY_WAN[side][family])
                gateway.add_address("lan", GATEWAY_LAN[side][family])
                self.router.add_address(f"to_{side}", ROUTER[side][family])
                host.route("::/0" if family == 6 else "default",
                           via=_bare(GATEWAY_LAN[side][family]))
                gateway.route("::/0" if family == 6 else "default",
                              via=_bare(ROUTER[side][family]))
        for gateway in (self.gw_a, self.router, self.gw_b):
            gateway.sysctl(net__ipv4__ip_forward=1, net__ipv6__conf__all__forwarding=1)
        # What the tunnel does not carry must not arrive by another way: the router knows no LAN.
        if nat:
            self.set_nat("20000-20999")

    def set_nat(self, ports):
        """Turns NAT on; every UDP mapping then comes from the port range given."""
        self.nat = True
        self.router.run(["nft", "-f", "-"], input=f"""
            table inet nat
            delete table inet nat
            table inet nat {{
              chain post {{
                type nat hook postrouting priority srcnat;
                oifname "to_b" meta l4proto udp masquerade to :{ports}
                oifname "to_b" masquerade
              }}
            }}""")

    def no_nat(self):
        """Turns NAT off; what passed it begins anew."""
        self.nat = False
        self.router.run("nft delete table inet nat; conntrack -F")

    def rebind_nat(self, ports="40000-40999"):
        """The NAT forgets its mappings: the next packet from gw_a comes from another port."""
        self.set_nat(ports)
        self.router.run(["conntrack", "-F"])

    def block(self, rule):
        """Adds a drop rule to the router's forwarding, for example 'udp dport 500'."""
        self.router.run(["nft", "-f", "-"], input=f"""
            table inet block {{
              chain forward {{
                type filter hook forward priority filter;
                {rule} counter drop
              }}
            }}""")

    def unblock(self):
        self.router.run(["nft", "delete", "table", "inet", "block"])

    def wan(self, side, family=4):
        return _bare(GATEWAY_WAN[side][family])

    def seen_as(self, side, family=4):
        """The address that the other gateway sees."""
        return _bare(ROUTER["b"][family]) if side == "a" and self.nat else self.wan(side, family)

    def lan(self, side, family=4):
        return LAN[side][family]

    def host_address(self, side, family=4):
        return _bare(HOST[side][family])

    def gateway(self, side):
        return self.gw_a if side == "a" else self.gw_b


def two_sites(lab: Lab, nat=False, mtu=1500) -> TwoSites:
    return TwoSites(lab, nat, mtu)
