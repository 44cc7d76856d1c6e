# SPDX-License-Identifier: Apache-2.0
"""What is configured and not up, for one reason or another: the command line knows it."""
import pytest

from lab import wait_until
from lab.cygnet import Cygnet, conn


@pytest.fixture
def pair(net):
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    site = dict(left=net.wan("a"), leftsubnet=net.lan("a"), right=net.wan("b"), rightsubnet=net.lan("b"))
    a.configure(conn("site", **site, auto="start") +
                conn("away", **{**site, "left": "192.0.2.99", "rightsubnet": "10.7.0.0/24"}, auto="start") +
                conn("road", left=net.wan("a"), right="%any", leftsubnet=net.lan("a"), rightid="@road",
                     rightaddresspool="10.9.0.0/24"))
    b.configure(conn("site", **site))
    b.start()
    a.start()
    a.wait_state("up", "site")
    return net, a


def said(a, *words, fails=False):
    done = a.ctl(*words, check=False)
    assert (done.returncode != 0) == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_what_waits_is_listed_shown_and_named(pair):
    _, a = pair
    waits = "waiting for the address 192.0.2.99"
    assert "10.7.0.0/24" in said(a, "list")
    assert [c["name"] for c in a.json("list")["connections"]] == ["site", "away", "road"]
    assert waits in said(a, "status", "away")
    assert "there are: site, away, road" in said(a, "up", "nobody", fails=True)
    assert waits in said(a, "up", "away", fails=True)
    assert waits in said(a, "rekey", "away", fails=True)
    explained = said(a, "explain", "10.1.0.10", "10.7.0.1")
    assert waits in explained and "is brought up" not in explained


def test_what_is_wished_is_no_fault(pair):
    """Doctor finds nothing wrong with a tunnel that somebody took down, nor with one that only its peer can begin."""
    _, a = pair
    assert "only the peer can bring this up" in said(a, "up", "road", fails=True)
    said(a, "down", "site")
    wait_until(lambda: a.state("site") != "up", 5, "site is down")
    doctor = a.ctl("doctor", check=False).stdout
    assert "site is" not in doctor and "road is" not in doctor, doctor
    assert not a.connection("site")["last_error"] and not a.connection("road")["last_error"]


def test_outside_is_outside(pair):
    net, a = pair
    explained = said(a, "explain", net.host_address("a"), "203.0.113.1")
    assert "the engine drops" not in explained, explained
