# SPDX-License-Identifier: Apache-2.0
"""tcpdump as a witness: what went over an interface, counted after the fact."""
import re
import signal
import time

from .net import LabError, wait_until

# As it says so when it is asked, in one line, and when it ends, in three.
_TOLD = re.compile(r"(\d+) packets? captured\W+(\d+) packets? received by filter\W+(\d+) packets? dropped by kernel")
_PAUSE_S = 0.1
_IDLE_S = 2.0
_NO_LAST_S = 10.0


class Capture:
    """Captures on one interface of a host until stop(); then counts with pcap filters."""

    def __init__(self, host, interface, filter="", name=None, snap=2048, steady=False):
        """snap: octets of each packet; tcpdump's buffer has places of that size, some thousands.
        steady: what is captured never pauses, so that there is no last packet to wait for."""
        self.host = host
        self.file = host.dir / f"{name or interface}.{len(host.lab.processes)}.pcap"
        command = ["tcpdump", "-i", interface, "-U", "-n", "-w", self.file, "-Z", "root", "-B",
                   "8192", "--immediate-mode", "-s", snap]
        command += [filter] if filter else []
        self.process = host.spawn(command, name=f"tcpdump-{interface}")
        self.process.wait_log("listening on")
        self._steady = steady
        self._stopped = False

    def _told(self):
        """[(captured, received, dropped)] of each time that tcpdump was asked, or ended."""
        return [tuple(map(int, found)) for found in _TOLD.findall(self.process.read_log())]

    def _ask(self):
        """What tcpdump has taken, and what the kernel has for it."""
        before = len(self._told())
        self.process.send_signal(signal.SIGUSR1)
        return wait_until(lambda: self._told()[before:], 10, f"tcpdump counts for {self.file}")[-1]

    def stop(self):
        if not self._stopped:
            self._stopped = True
            if self.process.alive():
                self._let_in()
            self.process.stop(signal.SIGINT)
        return self

    def _let_in(self):
        """All that has come until now is written: when tcpdump ends, it leaves out what it has not read yet. If there is
        a last packet, that one too."""
        _, due, _ = before = self._ask()
        begun = idle_since = time.monotonic()
        while True:
            time.sleep(_PAUSE_S)
            captured, received, dropped = now = self._ask()
            if (self._steady or time.monotonic() > begun + _NO_LAST_S) and captured + dropped >= due:
                return
            if now != before:
                idle_since = time.monotonic()
            # What came before the filter was in place is received and never captured.
            elif captured + dropped >= received or time.monotonic() > idle_since + _IDLE_S:
                return
            before = now

    def lines(self, filter="", *options):
        """tcpdump's text for the packets that the pcap filter selects. While it captures, the packet that is being
        written just now is not among them."""
        command = ["tcpdump", "-n", "-r", self.file, *options] + ([filter] if filter else [])
        done = self.host.run(command, check=False)
        if done.returncode != 0 and (self._stopped or "truncated dump file" not in done.stderr):
            raise LabError(f"{self.host.name}: {self.file} cannot be read: {done.stderr}")
        return done.stdout.splitlines()

    def count(self, filter=""):
        return len(self.lines(filter, "-t"))

    def lost(self):
        """Packets that tcpdump itself says it missed (the count is then a lower bound)."""
        told = self._told()
        return told[-1][2] if told else 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
