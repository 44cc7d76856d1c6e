# SPDX-License-Identifier: Apache-2.0
import pytest

from lab import Ping, transfer
from common import check_once_everywhere, gateways


@pytest.mark.parametrize("inner,outer", [(4, 4), (6, 6), (4, 6), (6, 4)])
def test_site_to_site(net, inner, outer):
    a, b = gateways(net, __file__)
    name = f"v{inner}-over-v{outer}"
    a.up(name)
    b.wait_state("up", name)
    wire = check_once_everywhere(net, a, inner, 5, name)
    # No NAT between them: plain ESP, each packet once.
    assert wire.count("ip proto 50" if outer == 4 else "ip6 proto 50") == 10
    assert b.child(name)["in"]["packets"] == a.child(name)["out"]["packets"] == 5
    assert (b.child(name)["spi_in"], b.child(name)["spi_out"]) == a.spis(name)[::-1]
    sent, received, _ = transfer(net.host_a, net.host_b, net.host_address("b", inner), 20)
    assert sent == received
    # From the far side, and from a gateway itself.
    assert Ping.once(net.host_b, net.host_address("a", inner), count=2).lost == 0


def test_all_at_once_and_down(net):
    a, b = gateways(net, __file__)
    for inner, outer in ((4, 4), (6, 6)):
        a.up(f"v{inner}-over-v{outer}")
        assert Ping.once(net.host_a, net.host_address("b", inner), count=2).lost == 0
    for name in ("v4-over-v4", "v6-over-v6"):
        a.down(name)
        assert a.state(name) != "up"
        assert b.children(name) == []
    assert Ping.once(net.host_a, net.host_address("b"), wait_s=0.5).received == 0
    a.stop()
    assert "ipsec0" not in net.gw_a.interfaces()
    for family in (4, 6):
        assert "ipsec0" not in net.gw_a.routes(family, "all")
        assert net.gw_a.rules(family) == net.router.rules(family)
