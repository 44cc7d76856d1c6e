#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""./dev lab [up [PEER]|peers|down|status|sh HOST [COMMAND...]]: a peer beside Cygnet that stays until taken down."""
import os
import sys

from peers import ABOUT, PEERS
from sites import HOME, LabError, attach, forget, new_lab, program, remember, standing, take_down

from lab.net import Host


def up(peer="cygnet"):
    if peer not in PEERS:
        raise LabError(f"no peer '{peer}'; ./dev lab peers lists them")
    lab = new_lab(stay=True)
    try:
        stands = PEERS[peer](lab)
        remember(lab, stands.guest)
    except BaseException:
        lab.close()
        forget()
        raise
    print(stands.picture)
    print(stands.said.rstrip())
    print(f"\nThe lab is up (configuration and logs: {HOME}). Try:\n")
    for words, meaning in [*stands.tries, ("down", "take it down")]:
        print(f"  ./dev lab {words}\n      {meaning}")
    return 0


def peers():
    for name, about in ABOUT.items():
        print(f"{name:12} {about}")
    return 0


def down():
    print("the lab is down" if take_down() else "no lab was up")
    return 0


def status():
    state = standing()
    if not state:
        print("no lab is up")
        return 1
    for name, host in state["hosts"].items():
        print(f"{name:8} nsenter -t {host['pid']} -a")
    if state.get("guest"):
        print("guest    ./dev lab sh guest")
    return 0


def shell(name, *words):
    there = attach(name)
    if isinstance(there, Host):
        return host_shell(there, words)
    return ask(there, " ".join(words)) if words else guest_shell(there)


def host_shell(host, words):
    home = HOME / host.name
    environment = {**os.environ, "CYGNET_RUN_DIR": str(home / "cygnet" / "run"), "PS1": f"{host.name}# ",
                   "PATH": f"{program('cygnet').parent}:{os.environ['PATH']}"}
    if (home / "strongswan").exists():
        environment["STRONGSWAN_CONF"] = str(home / "strongswan" / "strongswan.conf")
    command = list(words) or ["bash", "--norc", "-i"]
    os.execvpe("nsenter", ["nsenter", "-t", str(host.pid), "-m", "-n", "-u", "-p", "--", *command],
               environment)


def ask(guest, command):
    status, output = guest.ask(command, timeout_s=600)
    print(output, end="", flush=True)
    return status


def guest_shell(guest):
    """Line by line: each is a shell of its own in the guest, so `cd` does not last."""
    while True:
        try:
            line = input("guest# ").strip()
        except (EOFError, KeyboardInterrupt):
            print()
            return 0
        if line in ("exit", "logout"):
            return 0
        if line:
            ask(guest, line)


def main():
    word, *rest = sys.argv[1:] or ["up"]
    actions = {"up": (up, 0, 1), "peers": (peers, 0, 0), "down": (down, 0, 0), "status": (status, 0, 0),
               "sh": (shell, 1, 99)}
    action, least, most = actions.get(word, (None, 0, 0))
    if not action or not least <= len(rest) <= most:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return action(*rest)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
