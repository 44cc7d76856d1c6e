#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""clang-tidy over the given sources; what was clean is not read again until it, a header of it or the checks change.

usage: tidy_units.py BUILD [--fix] FILE...    BUILD has clang's compile_commands.json
"""
import concurrent.futures
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

TIDY = "clang-tidy-19"
ROOT = pathlib.Path(__file__).resolve().parent.parent
CLEAN = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "cygnet-tidy"


def fingerprint(command, checks):
    """Of all that the verdict depends on. None: the source does not compile, clang-tidy will say why."""
    words = shlex.split(command["command"])
    for option in ("-o", "-MF", "-MT"):
        while option in words:
            at = words.index(option)
            del words[at:at + 2]
    words = [word for word in words if word not in ("-c", "-MD")]
    # Comments count: NOLINT is one.
    text = subprocess.run([*words, "-E", "-CC"], cwd=command["directory"], capture_output=True, check=False)
    if text.returncode != 0:
        return None
    root = os.fsencode(ROOT)
    options = b" ".join(map(os.fsencode, words))
    return hashlib.sha256(checks + b"\0".join(part.replace(root, b".") for part in (options, text.stdout))).hexdigest()


def read(unit, command, checks, build, fix):
    """What clang-tidy says against the source; empty: nothing."""
    mark = fingerprint(command, checks)
    if mark and (CLEAN / mark).exists():
        return ""
    options = ["-p", build, "--quiet", "--warnings-as-errors=*"] + (["--fix"] if fix else [])
    said = subprocess.run([TIDY, *options, unit], cwd=ROOT, capture_output=True, text=True, check=False)
    if said.returncode == 0 and mark:
        (CLEAN / mark).touch()
    return "" if said.returncode == 0 else said.stdout + said.stderr


def main():
    build, *units = [word for word in sys.argv[1:] if word != "--fix"]
    fix = "--fix" in sys.argv
    CLEAN.mkdir(parents=True, exist_ok=True)
    commands = {command["file"]: command for command in json.loads((ROOT / build / "compile_commands.json").read_text())}
    version = subprocess.run([TIDY, "--version"], capture_output=True, check=True).stdout
    checks = version + (ROOT / ".clang-tidy").read_bytes()
    left_out = [unit for unit in units if str(ROOT / unit) not in commands]
    for unit in left_out:
        print(f"{unit}: no build compiles it")
    faults = len(left_out)
    with concurrent.futures.ThreadPoolExecutor(int(os.environ.get("CYGNET_JOBS", os.cpu_count()))) as pool:
        jobs = [pool.submit(read, unit, commands[str(ROOT / unit)], checks, build, fix)
                for unit in units if unit not in left_out]
        for job in jobs:
            if said := job.result():
                faults += 1
                print(said, flush=True)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
