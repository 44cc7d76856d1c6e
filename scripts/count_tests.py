#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up the JUnit result files below a folder: `N passed, M failed[, K skipped]`.

Exit code 1 when something failed or nothing ran. With --any-failure prints nothing and
exits 0 only if a result file already tells of a failure. With --failures names each test
that failed, and what it says.
"""
import pathlib
import sys
import xml.etree.ElementTree as ET


def count(path):
    """(tests, failed, skipped) of one JUnit file; a file that cannot be read is a failure."""
    try:
        root = ET.parse(path).getroot()
    except (ET.ParseError, OSError):
        return 1, 1, 0
    suites = [root] if root.get("tests") is not None else root.findall("testsuite")
    number = lambda suite, key: int(suite.get(key) or 0)
    tests = failed = skipped = 0
    for suite in suites:
        tests += number(suite, "tests")
        failed += number(suite, "failures") + number(suite, "errors")
        skipped += number(suite, "skipped")
        # GoogleTest counts disabled tests among the tests.
        tests -= number(suite, "disabled")
    if skipped == 0:
        skipped = len(root.findall(".//skipped"))
    return tests, failed, skipped


def failures(path):
    """A line for each failed test of a JUnit file, and what its message says behind "E", or at all."""
    try:
        cases = ET.parse(path).getroot().iter("testcase")
    except (ET.ParseError, OSError):
        return
    for case in cases:
        for bad in [*case.findall("failure"), *case.findall("error")]:
            yield f"{case.get('classname')}::{case.get('name')} ({case.get('file') or path.parent.name})"
            said = (bad.text or bad.get("message") or "").splitlines()
            places = [line for line in said if line.startswith("tests/")]
            reasons = [line for line in said if line.startswith("E ")] or said
            yield from ("  " + line[:240] for line in places[-2:] + reasons[:8])


def main():
    words = [a for a in sys.argv[1:] if a.startswith("--")]
    folder = pathlib.Path([a for a in sys.argv[1:] if not a.startswith("--")][0])
    tests = failed = skipped = 0
    if "--failures" in words:
        for path in sorted(folder.rglob("*.xml")):
            for line in failures(path):
                print(line)
        return 0
    for path in sorted(folder.rglob("*.xml")):
        t, f, s = count(path)
        tests, failed, skipped = tests + t, failed + f, skipped + s
    if "--any-failure" in words:
        return 0 if failed else 1
    line = f"{tests - failed - skipped} passed, {failed} failed"
    if skipped:
        line += f", {skipped} skipped"
    print(line)
    if "--plain" in words:
        return 0
    return 0 if failed == 0 and tests - skipped > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
