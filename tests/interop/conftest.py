# SPDX-License-Identifier: Apache-2.0
import pathlib
import shutil

import pytest

from lab.fixtures import *  # noqa: F401,F403
from lab.strongswan import StrongSwan

# What the versions of strongSwan have in common is tried with one of them; 6.0 as well meets all suites in
# test_kernel_esp.py.
ONE_VERSION = ("test_esp_algorithm", "test_ike_suite", "test_no_common_ike_proposal", "test_no_common_esp_proposal",
               "test_selectors_do_not_meet", "test_wrong_psk")
# What strongSwan has since 6.0.
NEWER = ("test_ocsp_response_brought_along", "test_the_newer_version")


def versions():
    """The system's strongSwan, and 6.0 unless that is what the system has (Debian 13)."""
    release = pathlib.Path("/etc/os-release").read_text()
    return ["host", "6"] if shutil.which("swanctl") and 'VERSION_ID="12"' in release else ["host"]


def pytest_generate_tests(metafunc):
    module = metafunc.module.__name__.split(".")[-1]
    # What runs on our engine is the system's.
    if module.startswith("test_strongswan") and not module.endswith("_on_engine"):
        name = metafunc.function.__name__
        several = ["host"] if name in ONE_VERSION else versions()[-1:] if name in NEWER else versions()
        metafunc.parametrize("strongswan_version", several, ids=[{"host": "ss", "6": "ss6"}[v] for v in several],
                             indirect=True)


@pytest.fixture(autouse=True)
def strongswan_version(request, monkeypatch):
    """For all tests, for only what pytest knows before it asks pytest_generate_tests() is set up at all."""
    if hasattr(request, "param"):
        monkeypatch.setattr(StrongSwan, "version", request.param)
