# SPDX-License-Identifier: Apache-2.0
"""Shared set-up: scapy on the path, and the oracle programs of the build."""
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def scapy_path():
    """Where scapy 2.6 lies: given by ./dev, else found (and fetched once) by the same script."""
    given = os.environ.get("CYGNET_SCAPY")
    if given:
        return given
    out = subprocess.run([ROOT / "scripts/fetch_scapy.sh"], check=True, capture_output=True, text=True)
    return out.stdout.strip().splitlines()[-1]


sys.path.insert(0, scapy_path())
os.environ.setdefault("CYGNET_BIN", str(ROOT / "build/bin"))

from pipe import Pipe  # noqa: E402  (needs the path above)


@pytest.fixture(scope="session")
def esp_process():
    pipe = Pipe("esp_oracle")
    yield pipe
    pipe.close()


@pytest.fixture
def engine(esp_process):
    """An empty engine behind a pipe."""
    esp_process.ask(op="reset")
    return esp_process
