# SPDX-License-Identifier: Apache-2.0
import json
import re

import pytest

from lab import Capture, Ping, wait_until
from common import gateways

COMMANDS = [["status"], ["list"], ["drops"], ["doctor"], ["explain", "10.1.0.10", "10.2.0.10"],
            ["debug", "transitions"], ["debug", "keys"]]


@pytest.fixture
def pair(net):
    a, b = gateways(net, __file__)
    a.up()
    b.wait_state("up")
    return net, a, b


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_text_and_json(pair, command):
    _, a, _ = pair
    text = a.ctl(*command).stdout
    assert text.strip()
    assert "\033[" not in text  # no colour when nobody looks
    assert isinstance(json.loads(a.ctl(*command, "--json").stdout), dict)


def test_status(pair):
    net, a, b = pair
    Ping.once(net.host_a, net.host_address("b"), count=4, interval_s=0.05)
    c = a.connection()
    assert c["state"] == "up" and c["ike"]["remote_id"] == "gw-b"
    assert c["children"][0]["local"] == ["10.1.0.0/24"]
    assert c["children"][0]["out"]["packets"] == 4
    text = a.ctl("status").stdout
    for part in ("lab", "10.1.0.0/24", "10.2.0.0/24", net.wan("b")):
        assert part in text
    assert b.connection()["ike"]["spi_i"] == c["ike"]["spi_i"]


def test_explain(pair):
    net, a, b = pair
    protect = a.json("explain", "10.1.0.10", "10.2.0.10")
    assert protect["verdict"] == "protect"
    assert protect["sas"][0]["spi"] == a.child()["spi_out"]
    assert protect["route_device"] == "ipsec0" and protect["why"]
    outside = a.json("explain", "10.1.0.10", "203.0.113.1")
    assert outside["verdict"] in ("outside", "unreachable")
    assert a.ctl("explain", "10.1.0.10", "10.2.0.10", "tcp", "443").returncode == 0
    assert a.ctl("explain", "not-an-address", "10.2.0.10", check=False).returncode == 2
    text = a.ctl("explain", "10.1.0.10", "10.2.0.10").stdout
    assert "lab" in text and "ipsec0" in text


def test_explain_before_and_after(net):
    a, _ = gateways(net, __file__)
    before = a.json("explain", "10.1.0.10", "10.2.0.10")
    # Nothing is in its way: what the engine would do with it is no answer.
    assert before["verdict"] == ("unreachable" if not before["route_device"] else "outside")
    a.up()
    assert a.json("explain", "10.1.0.10", "10.2.0.10")["verdict"] == "protect"


def test_explain_follows_what_is_forwarded(pair):
    net, a, _ = pair
    # Somebody's rule for what comes from the LAN; what this machine sends itself still goes into the tunnel.
    net.gw_a.run(["ip", "rule", "add", "from", "10.1.0.0/24", "iif", "lan", "priority", "100", "table", "100"])
    net.gw_a.run(["ip", "route", "add", "default", "dev", "wan", "table", "100"])
    assert a.json("explain", "10.1.0.10", "10.2.0.10")["verdict"] == "outside"
    assert a.json("explain", "10.1.0.1", "10.2.0.10")["verdict"] == "protect"


def test_drops_have_reasons_and_remedies(pair):
    net, a, _ = pair
    # Into the device by its route, but outside of every policy.
    net.gw_a.run(["ip", "route", "add", "10.99.0.0/24", "dev", "ipsec0"])
    Ping.once(net.host_a, "10.99.0.1", count=3, interval_s=0.05, wait_s=0.3)
    wait_until(lambda: a.drops().get("policy-discard", 0) >= 3, 5, "they are counted")
    rows = {d["name"]: d for d in a.json("drops")["drops"]}
    assert all(d["why"] and d["do"] for d in rows.values())
    text = a.ctl("drops").stdout
    assert "policy-discard" in text and "cygnet explain" in text


def test_doctor_finds_what_is_wrong(pair):
    net, a, _ = pair
    assert "ip_forward" not in a.ctl("doctor", check=False).stdout.replace("ip_forward is on", "")
    net.gw_a.sysctl(net__ipv4__ip_forward=0)
    assert "ip_forward" in a.ctl("doctor", check=False).stdout


def test_monitor_follows(pair):
    net, a, _ = pair
    monitor = net.gw_a.spawn(a.ctl_command("monitor"), name="monitor")
    wait_until(lambda: monitor.alive(), 2, "monitor runs")
    def line():
        a.rekey("lab")
        return "lab" in monitor.read_log()
    wait_until(line, 10, "the rekey is seen by cygnet monitor", interval_s=0.5)
    monitor.stop()


def test_debug_transitions(pair):
    _, a, _ = pair
    text = a.ctl("debug", "transitions").stdout
    for word in ("IKE_SA_INIT", "IKE_AUTH", "CREATE_CHILD_SA", "INFORMATIONAL"):
        assert word in text


def tshark(net, a, file, keys, *options):
    """tshark with what `cygnet debug keys` exported, as lines per table."""
    home = a.dir / "wireshark"
    home.mkdir(exist_ok=True)
    for table in ("esp_sa", "ikev2_decryption_table"):
        lines = dict.fromkeys(line for export in keys for line in export[table])
        (home / table).write_text("\n".join(lines) + "\n")
    return net.gw_a.out(["tshark", "-r", file, "-o", "esp.enable_encryption_decode:TRUE", "-o",
                         "esp.enable_authentication_check:TRUE", *options],
                        env={"WIRESHARK_CONFIG_DIR": str(home)}, timeout_s=60)


def test_exported_keys_open_the_capture(net):
    a, b = gateways(net, __file__)
    with Capture(net.gw_a, "wan", "udp or ip proto 50") as wire:
        a.up()
        assert Ping.once(net.host_a, net.host_address("b"), count=5, interval_s=0.05).lost == 0
        keys = [a.json("debug", "keys")]
        a.rekey("lab")
        assert Ping.once(net.host_a, net.host_address("b"), count=5, interval_s=0.05).lost == 0
        keys.append(a.json("debug", "keys"))
        wire.stop()
        icmp = tshark(net, a, wire.file, keys, "-Y", "icmp", "-T", "fields", "-e", "esp.icv_good", "-e",
                      "icmp.seq")
    lines = [l for l in icmp.splitlines() if l.strip()]
    assert len(lines) == 20, icmp
    assert all(l.split()[0] in ("1", "True") for l in lines), icmp
    ids = tshark(net, a, wire.file, keys, "-Y", "isakmp.exchangetype == 35", "-V")
    assert "gw-a" in ids and "gw-b" in ids


def test_no_key_without_permission(net):
    a, b = gateways(net, __file__, start=False)
    for daemon in (b, a):
        daemon.conf.write_text(daemon.conf.read_text().replace("\tallow-key-export=yes\n", ""))
        daemon.start()
    a.up()
    done = a.ctl("debug", "keys", check=False)
    assert done.returncode == 1
    assert "allow-key-export" in done.stdout + done.stderr
    assert not re.search(r"[0-9a-f]{32}", done.stdout + done.stderr)
    for text in (a.read_log(), b.read_log(), a.ctl("status", "--json").stdout):
        assert not re.search(r"[0-9a-fA-F]{32}", text)
