# SPDX-License-Identifier: Apache-2.0
"""`./dev lab up PEER`: each peer stands beside Cygnet with a tunnel that carries packets, stays, and goes without a trace."""
import json
import os
import pathlib
import subprocess
import sys

import pytest

import machine_site

_DEMO = pathlib.Path(__file__).resolve().parent.parent.parent / "demo"
# The peer, a host behind Cygnet, and a question to the peer with a word of its answer.
PEERS = {"cygnet": ("host_a", ["gw_b", "cygnet", "status"], "sites"),
         "strongswan": ("host_a", ["gw_b", "swanctl", "--list-sas"], "INSTALLED"),
         "strongswan6": ("site", ["guest", "swanctl", "--list-sas"], "INSTALLED"),
         "newest": ("site", ["guest", "swanctl", "--list-sas"], "IPTFS"),
         "libreswan": ("site", ["guest", "ipsec", "trafficstatus"], "sites"),
         "openiked": ("site", ["guest", "ikectl", "show", "sa"], "ESTABLISHED"),
         "setkey": ("site", ["guest", "setkey", "-D"], "0x00001001"),
         "xfrm": ("site", ["guest", "ip", "xfrm", "state"], "0x00002002")}


def lab(folder, *words, check=True):
    done = subprocess.run([sys.executable, _DEMO / "lab.py", *words], capture_output=True, text=True, timeout=600,
                          env={**os.environ, "CYGNET_LAB_DIR": str(folder)})
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def lives(pid):
    """A zombie, which an init that does not reap leaves, has no command line."""
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except OSError:
        return False


def test_every_peer_is_told_of(tmp_path):
    assert [line.split()[0] for line in lab(tmp_path / "lab", "peers").splitlines()] == list(PEERS)


@pytest.mark.parametrize("peer", PEERS)
def test_stands_and_goes(tmp_path, peer):
    if peer == "newest":
        machine_site.need(newest="testing release", iptfs="source of its newest kernel")
    folder = tmp_path / "lab"
    behind, question, answer = PEERS[peer]
    try:
        lab(folder, "up", peer)
        holders = [h["holder"] for h in json.loads((folder / "state.json").read_text())["hosts"].values()]
        for _ in range(3):
            assert " 1 received" in lab(folder, "sh", behind, "ping", "-c1", "-W10", "10.2.0.10")
        assert answer in lab(folder, "sh", *question)
        assert "a lab is up already" in lab(folder, "up", "cygnet", check=False)
    finally:
        lab(folder, "down")
    assert not folder.exists()
    assert [pid for pid in holders if lives(pid)] == []
    assert "no lab is up" in lab(folder, "status", check=False)


def test_an_unknown_peer_is_named(tmp_path):
    assert "no peer 'racoon'; ./dev lab peers lists them" in lab(tmp_path / "lab", "up", "racoon", check=False)
