# SPDX-License-Identifier: Apache-2.0
"""What the committed fuzz corpora reach: a table by target, one by source file, and a total.

Called by ./dev fuzz --coverage with the build directory; --markdown FILE writes the tables there, --missing PART lists the
lines that no input reaches of the files whose path contains PART.
"""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COV, PROFDATA = "llvm-cov-19", "llvm-profdata-19"

# What reads octets from outside, and is therefore to be reached: folder or file prefix under src/.
AREAS = {
    "IKE messages": ["wire/ike/"],
    "IKE endpoint": ["ike/"],
    "other wire formats": ["wire/ip", "wire/udp", "wire/esp", "wire/icmp", "wire/ah", "wire/pfkey/", "wire/xfrm/"],
    "certificates and keys": ["crypto/certificate", "crypto/crl", "crypto/ocsp", "crypto/trust_store", "crypto/public_key",
                              "crypto/pkcs12", "crypto/distinguished"],
    "configuration": ["config/"],
    "control": ["control/"],
    "engine's socket": ["sadb/"],
    "HTTP": ["io/http"],
    "engine": ["engine/"],
}


def run(*command: str, **more) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, **more).stdout


def replay(program: Path, into: Path) -> Path | None:
    raw, merged = into / f"{program.name}.profraw", into / f"{program.name}.profdata"
    # A target that fails is left out of the tables: the fuzz stage says what is wrong with it.
    done = subprocess.run([str(program), "--corpus-only"], capture_output=True, text=True,
                          env={**os.environ, "LLVM_PROFILE_FILE": str(raw)})
    if done.returncode or not raw.exists():
        print(f"{program.name} ended with {done.returncode}: {done.stderr.strip()[-200:]}", file=sys.stderr)
        return None
    run(PROFDATA, "merge", "-sparse", str(raw), "-o", str(merged))
    raw.unlink()
    return merged


def summary(profile: Path, programs: list[Path]) -> dict[str, dict]:
    """By file under src/: lines, functions and branches with their counts."""
    objects = [str(programs[0])] + [w for p in programs[1:] for w in ("-object", str(p))]
    text = run(COV, "export", "-summary-only", f"-instr-profile={profile}", *objects)
    out = {}
    for entry in json.loads(text)["data"][0]["files"]:
        path = os.path.relpath(entry["filename"], ROOT / "src")
        if not path.startswith(".."):
            out[path] = entry["summary"]
    return out


def area_of(path: str) -> str | None:
    return next((name for name, prefixes in AREAS.items() if any(path.startswith(p) for p in prefixes)), None)


def share(parts: list[dict], what: str) -> tuple[int, int]:
    return sum(p[what]["covered"] for p in parts), sum(p[what]["count"] for p in parts)


def percent(covered: int, count: int) -> str:
    return "-" if count == 0 else f"{100 * covered / count:.1f} %"


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def by_target(profiles: dict[Path, Path]) -> str:
    rows = []
    for program, profile in profiles.items():
        short = program.name.removeprefix("regress_")
        files = summary(profile, [program])
        seeds = len(list((ROOT / "tests/fuzz/corpus" / short).iterdir()))
        covered = share([f for p, f in files.items() if area_of(p)], "lines")[0]
        functions = share([f for p, f in files.items() if area_of(p)], "functions")[0]
        rows.append([f"fuzz_{short}", str(seeds), str(functions), str(covered)])
    return table(["target", "inputs", "functions reached", "lines reached"], rows)


def by_file(files: dict[str, dict]) -> str:
    rows, all_parts = [], []
    for area in AREAS:
        mine = {p: f for p, f in sorted(files.items()) if area_of(p) == area}
        if not mine:
            continue
        all_parts += mine.values()
        rows.append([f"**{area}**"] + cells(list(mine.values())))
        rows += [[f"`{path}`"] + cells([part]) for path, part in mine.items() if part["lines"]["count"]]
    rows.append(["**total**"] + cells(all_parts))
    return table(["source", "lines", "reached", "branches", "taken"], rows)


def cells(parts: list[dict]) -> list[str]:
    lines, branches = share(parts, "lines"), share(parts, "branches")
    return [str(lines[1]), percent(*lines), str(branches[1]), percent(*branches)]


def missing(profile: Path, programs: list[Path], part: str) -> None:
    objects = [str(programs[0])] + [w for p in programs[1:] for w in ("-object", str(p))]
    data = json.loads(run(COV, "export", "-skip-functions", f"-instr-profile={profile}", *objects))["data"][0]
    for entry in data["files"]:
        path = os.path.relpath(entry["filename"], ROOT)
        if part not in path or not path.startswith("src"):
            continue
        text = Path(entry["filename"]).read_text().splitlines()
        for (first, _, count, has_count, is_entry, *_), (last, *_) in zip(entry["segments"], entry["segments"][1:]):
            if has_count and is_entry and count == 0:
                print(f"{path}:{first}-{last}: {text[first - 1].strip()}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev fuzz --coverage")
    parser.add_argument("build", type=Path)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--missing")
    parser.add_argument("--only", default="")
    arguments = parser.parse_args()
    programs = sorted(p for p in (arguments.build / "bin").glob("regress_*")
                      if arguments.only in p.name and p.is_file())
    if not programs:
        print("no regress_* programs in", arguments.build, file=sys.stderr)
        return 1
    folder = arguments.build / "profiles"
    folder.mkdir(exist_ok=True)
    profiles = {program: profile for program in programs if (profile := replay(program, folder))}
    programs = list(profiles)
    merged = folder / "all.profdata"
    run(PROFDATA, "merge", "-sparse", *map(str, profiles.values()), "-o", str(merged))
    if arguments.missing:
        missing(merged, programs, arguments.missing)
        return 0
    tables = by_target(profiles) + "\n" + by_file(summary(merged, programs))
    print(tables)
    if arguments.markdown:
        arguments.markdown.write_text(
            "# What the fuzz corpora reach\n\n"
            "Measured by `./dev fuzz --coverage --markdown docs/fuzz-coverage.md`: the committed corpora alone, without the\n"
            "mutations that the fuzzer and the test run add. Of each target: how many functions and lines of the sources below.\n"
            "\n" + tables)
    return 0


if __name__ == "__main__":
    sys.exit(main())
