# SPDX-License-Identifier: Apache-2.0
"""The lab: hosts as network namespaces, links between them, and the peers that run there.

    with Lab() as lab:
        net = two_sites(lab, family=4, nat=True)
        net.host_a.run(["ping", "-c1", net.host_b.address(4)])

Nothing of a lab outlives the process that made it, however that ends: see net.py.
"""
from .net import Host, Lab, LabError, Process, wait_until
from .topology import TwoSites, two_sites
from .capture import Capture
from .traffic import Flow, Ping, SlowTransfer, transfer

__all__ = ["Host", "Lab", "LabError", "Process", "wait_until", "TwoSites", "two_sites",
           "Capture", "Flow", "Ping", "SlowTransfer", "transfer"]
