#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""./dev lab [up|down|status|sh HOST [COMMAND...]]: two sites that stay until taken down."""
import os
import sys

from sites import HOME, HOW_ON, PICTURE, LabError, attach, build, new_lab, program, remember, \
    standing, take_down


def up():
    lab = new_lab(stay=True)
    try:
        _, a, _ = build(lab)
        remember(lab)
        print(PICTURE)
        print(a.up("sites").rstrip())
    except BaseException:
        lab.close()
        take_down()
        raise
    print(f"\nThe lab is up (configuration and logs: {HOME}).\n\n{HOW_ON}", end="")
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
    return 0


def shell(name, *words):
    host = attach(name)
    run_dir = HOME / name / "cygnet" / "run"
    environment = {**os.environ, "CYGNET_RUN_DIR": str(run_dir), "PS1": f"{name}# ",
                   "PATH": f"{program('cygnet').parent}:{os.environ['PATH']}"}
    command = list(words) or ["bash", "--norc", "-i"]
    os.execvpe("nsenter", ["nsenter", "-t", str(host.pid), "-m", "-n", "-u", "-p", "--", *command],
               environment)


def main():
    word, *rest = sys.argv[1:] or ["up"]
    actions = {"up": up, "down": down, "status": status, "sh": shell}
    if word not in actions or (word == "sh") != bool(rest):
        print(__doc__, file=sys.stderr)
        return 2
    try:
        return actions[word](*rest)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
