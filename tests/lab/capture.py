# SPDX-License-Identifier: Apache-2.0
"""tcpdump as a witness: what went over an interface, counted after the fact."""
import signal

from .net import LabError, wait_until


class Capture:
    """Captures on one interface of a host until stop(); then counts with pcap filters."""

    def __init__(self, host, interface, filter="", name=None, snap=None, steady=False):
        """steady: what is captured never pauses, so that there is no last packet to wait for."""
        self.host = host
        self.file = host.dir / f"{name or interface}.{len(host.lab.processes)}.pcap"
        command = ["tcpdump", "-i", interface, "-U", "-n", "-w", self.file, "-Z", "root", "-B",
                   "8192", "--immediate-mode"]
        command += ["-s", snap] if snap else []
        command += [filter] if filter else []
        self.process = host.spawn(command, name=f"tcpdump-{interface}")
        self.process.wait_log("listening on")
        self._steady = steady
        self._stopped = False

    def stop(self):
        if not self._stopped:
            self._stopped = True
            # The kernel hands packets over in its own time: let the last ones in.
            size = -1
            def settled():
                nonlocal size
                previous, size = size, self.file.stat().st_size
                return previous == size
            if not self._steady:
                wait_until(settled, 5, f"{self.file} settles", interval_s=0.1)
            self.process.stop(signal.SIGINT)
        return self

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
        for line in self.process.read_log().splitlines():
            if "dropped by kernel" in line:
                return int(line.split()[0])
        return 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
