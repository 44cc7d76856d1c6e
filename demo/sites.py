# SPDX-License-Identifier: Apache-2.0
"""The two sites of `./dev run` and `./dev lab`: hosts, configuration, and a lab that may stay."""
import json
import os
import pathlib
import shutil
import signal
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from lab import Lab, LabError, two_sites, wait_until  # noqa: E402
from lab.cygnet import Cygnet, program  # noqa: E402
from lab.net import Host  # noqa: E402
from lab.uml import Guest  # noqa: E402

HOME = pathlib.Path(os.environ.get("CYGNET_LAB_DIR") or "/run/cygnet-lab")
STATE = HOME / "state.json"

PICTURE = """
    site A                                                                    site B
  ┌────────┐      ┌────────┐          ┌────────────┐          ┌────────┐      ┌────────┐
  │ host_a ├──────┤  gw_a  ├──────────┤   router   ├──────────┤  gw_b  ├──────┤ host_b │
  └────────┘      └────────┘          │    NAT     │          └────────┘      └────────┘
   10.1.0.10       192.0.2.2          └────────────┘        198.51.100.2       10.2.0.10
   fd01::10                        hides A as 198.51.100.1                     fd02::10
                       ╞═════════════ IPsec tunnel: ESP ═════════════╡
"""


def site_conf(me, peer, address, peer_address, lan, peer_lan):
    return f"""config setup

conn sites
    left={address}
    leftid=@{me}
    leftsubnet={lan}
    right={peer_address}
    rightid=@{peer}
    rightsubnet={peer_lan}
    keyexchange=ikev2
    authby=secret
    ike=aes256gcm16-prfsha256-x25519
    esp=aes256gcm16
    auto=add
"""


SECRETS = '@gw-a @gw-b : PSK "correct horse battery staple"\n'


def start_sites(lab, nat=True):
    """Hosts and both daemons, running; nothing negotiated yet. Returns (net, a, b)."""
    net = two_sites(lab, nat=nat)
    lans = {s: f"{net.lan(s, 4)},{net.lan(s, 6)}" for s in "ab"}
    daemons = {}
    for me, peer in (("b", "a"), ("a", "b")):
        daemon = Cygnet(net.gateway(me))
        daemon.conf.write_text(site_conf(f"gw-{me}", f"gw-{peer}", net.wan(me), net.seen_as(peer),
                                         lans[me], lans[peer]))
        daemon.set_secrets(SECRETS)
        daemons[me] = daemon.start()
    return net, daemons["a"], daemons["b"]


def _start_time(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return int(stat[stat.rindex(")") + 2:].split()[19])


def standing():
    """The state of a lab that was left up, or None."""
    try:
        state = json.loads(STATE.read_text())
    except (OSError, ValueError):
        return None
    alive = all(_start_time(h["holder"]) == h["started"] for h in state["hosts"].values())
    return state if alive else None


def remember(lab, guest=None):
    """Writes down which processes hold the lab, for another command to find and end it."""
    hosts = {name: {"pid": h.pid, "holder": h.holder, "started": _start_time(h.holder)}
             for name, h in lab.hosts.items()}
    STATE.write_text(json.dumps({"hosts": hosts, "guest": guest and str(guest.mailbox)}))


def attach(name):
    """The Host of that name, or the Guest."""
    state = standing()
    if not state:
        raise LabError("no lab is up: ./dev lab up")
    if name == "guest" and state.get("guest"):
        return Guest(state["guest"])
    if name not in state["hosts"]:
        there = [*state["hosts"], *(["guest"] if state.get("guest") else [])]
        raise LabError(f"no host '{name}'; there are: {', '.join(there)}")
    lab = Lab("lab", keep=HOME)
    return Host.attach(lab, name, state["hosts"][name]["pid"], {})


def take_down():
    """Ends a lab that was left up; with its holders go all its processes and interfaces."""
    try:
        state = json.loads(STATE.read_text())
    except (OSError, ValueError):
        return False
    for host in state["hosts"].values():
        # A PID may have been given to somebody else meanwhile: its start time tells.
        if _start_time(host["holder"]) == host["started"]:
            os.kill(host["holder"], signal.SIGKILL)
    wait_until(lambda: not any(_start_time(h["holder"]) == h["started"] and _lives(h["holder"])
                               for h in state["hosts"].values()), 5, "the lab's hosts end")
    forget()
    return True


def forget():
    """Removes what a lab left: configuration, logs, state."""
    shutil.rmtree(HOME, ignore_errors=True)


def _lives(pid):
    try:
        stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2:].split()[0] != "Z"


def new_lab(stay):
    if not stay:
        return Lab("run")
    if standing():
        raise LabError("a lab is up already: ./dev lab down")
    forget()
    HOME.mkdir(parents=True)
    return Lab("lab", keep=HOME, detached=True)


HOW_ON = """\
  ./dev lab up                     the same two sites, left standing
  ./dev lab sh gw_a                a shell on a gateway; there:
      cygnet status                    (the run directory is set for you)
      tcpdump -i ipsec0                clear text;  tcpdump -i wan: ESP only
      cygnet explain 10.1.0.10 10.2.0.10
  ./dev lab down
  ./dev test                       proves it, against strongSwan and the Linux kernel too
  README.md                        a first configuration, explained line by line
"""

__all__ = ["start_sites", "new_lab", "remember", "standing", "attach", "take_down", "forget", "PICTURE", "HOW_ON",
           "HOME", "ROOT", "SECRETS", "LabError", "program"]
