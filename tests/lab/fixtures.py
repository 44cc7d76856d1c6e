# SPDX-License-Identifier: Apache-2.0
"""Fixtures that lab, scenario and interop tests share.

A failed test leaves its hosts' logs and captures in CYGNET_LOGS (or /tmp/cygnet-logs) and the
report names the folder.
"""
import os
import pathlib
import re
import shutil

import pytest

from .net import Lab
from .topology import two_sites

_LOGS = pathlib.Path(os.environ.get("CYGNET_LOGS", "/tmp/cygnet-logs"))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        item.call_failed = report.failed
        if report.failed and "lab" in item.funcargs:
            folder = _log_folder(item)
            report.sections.append(("lab", f"logs of all hosts: {folder}"))


def _log_folder(item):
    return _LOGS / "hosts" / re.sub(r"[^A-Za-z0-9_.-]+", "_", item.nodeid.split("/")[-1])


@pytest.fixture
def lab(request):
    """An empty Lab, gone after the test."""
    lab = Lab(re.sub(r"\W+", "-", request.node.name)[:40])
    try:
        yield lab
    finally:
        hosts, folder = lab.dir, _log_folder(request.node)
        if getattr(request.node, "call_failed", True):
            shutil.rmtree(folder, ignore_errors=True)
            folder.parent.mkdir(parents=True, exist_ok=True)
            _copy_logs(hosts, folder)
        lab.close()


def _copy_logs(source, target):
    for path in source.rglob("*"):
        # Roots of guests are mounts in the hosts' own namespaces; here they are empty folders.
        if path.is_file() and path.stat().st_size < 20 << 20 and path.suffix != ".bin":
            to = target / path.relative_to(source)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)


@pytest.fixture
def net(lab):
    """Two sites, no NAT."""
    return two_sites(lab)


@pytest.fixture
def nat_net(lab):
    """Two sites, gw_a behind the router's NAT."""
    return two_sites(lab, nat=True)
