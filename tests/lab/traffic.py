# SPDX-License-Identifier: Apache-2.0
"""Traffic with an account of what arrived."""
import hashlib
import json
import os
import pathlib
import re
import signal
import time

from .net import LabError, wait_until

_HERE = pathlib.Path(__file__).resolve().parent
# The second half trickles until the file named last is there: however long a busy machine takes for what happens
# meanwhile, the transfer is not over before.
_SLOW_SENDER = """
import os, socket, sys, time
data = open(sys.argv[2], "rb").read()
s = socket.create_connection((sys.argv[1], 9000), 20)
s.settimeout(60)
at = 0
while at < len(data):
    piece = 32768 if at < len(data) // 2 or os.path.exists(sys.argv[3]) else 1024
    s.sendall(data[at:at + piece])
    at += piece
    time.sleep(0.05)
s.close()
"""


class Ping:
    """The outcome of a ping that has ended."""

    def __init__(self, text):
        self.text = text
        m = re.search(r"(\d+) packets transmitted, (\d+) received", text)
        self.sent, self.received = (int(m[1]), int(m[2])) if m else (0, 0)
        m = re.search(r"= [\d.]+/([\d.]+)/", text)
        self.rtt_ms = float(m[1]) if m else None
        self.duplicates = int(m[1]) if (m := re.search(r"\+(\d+) duplicates", text)) else 0

    @property
    def lost(self):
        return self.sent - self.received

    @classmethod
    def once(cls, host, address, count=1, interval_s=0.2, wait_s=2, size=None, options=()):
        command = ["ping", "-n", "-c", count, "-i", interval_s, "-W", wait_s, *options]
        command += ["-s", size] if size is not None else []
        done = host.run(command + [address], check=False, timeout_s=count * interval_s + wait_s + 20)
        return cls(done.stdout + done.stderr)

    @classmethod
    def until_answered(cls, host, address, timeout_s=10):
        """For after an event: waits until one ping is answered."""
        wait_until(lambda: cls.once(host, address, wait_s=0.5).received, timeout_s,
                   f"{host.name} reaches {address}")


class Account:
    """What became of a Flow: numbers sent, received, lost, and which."""

    def __init__(self, line):
        self.text = line
        values = json.loads(line)
        self.sent, self.received = values["sent"], values["received"]
        self.missing, self.duplicates = values["missing"], values["duplicates"]

    @property
    def lost(self):
        return self.sent - self.received


class Flow:
    """Echo requests from one host to another, 100 a second, from start() until stop()."""

    def __init__(self, host, address, interval_s=0.01):
        self.address = address
        self.process = host.spawn(["/usr/bin/python3", _HERE / "flow.py", address, interval_s],
                                  name="flow")
        self.process.wait_log("first", 10)

    def stop(self):
        """Ends the flow, lets in what is under way, and gives the Account."""
        self.process.send_signal(signal.SIGINT)
        self.process.wait(10)
        return Account(self.process.read_log().splitlines()[-1])


def transfer(sender, receiver, address, megabytes=20, port=9000, timeout_s=60):
    """Sends a random file over TCP. Returns (sha256 sent, sha256 received, seconds)."""
    data = sender.dir / "transfer.bin"
    data.write_bytes(os.urandom(megabytes * 1_000_000))
    sha = hashlib.sha256(data.read_bytes()).hexdigest()
    got = receiver.dir / "received.bin"
    got.unlink(missing_ok=True)
    server = receiver.spawn(["/usr/bin/python3", _HERE / "tcp_receive.py", port, got], name="receive")
    server.wait_log("listening")
    started = time.monotonic()
    done = sender.run(["/usr/bin/python3", _HERE / "tcp_send.py", address, port, data],
                      timeout_s=timeout_s, check=False)
    if done.returncode:
        raise LabError(f"transfer to {address}: {done.stderr}")
    server.wait(timeout_s)
    seconds = time.monotonic() - started
    received = hashlib.sha256(got.read_bytes()).hexdigest()
    data.unlink()
    got.unlink()
    return sha, received, seconds


class SlowTransfer:
    """A file from host_a to host_b over one TCP connection that lasts until check()."""

    def __init__(self, net, megabytes=3):
        self.data = net.host_a.dir / "slow.bin"
        self.data.write_bytes(os.urandom(megabytes * 1_000_000))
        self.got = net.host_b.dir / "slow.got"
        self.enough = net.host_a.dir / "slow.enough"
        self.server = net.host_b.spawn(["/usr/bin/python3", _HERE / "tcp_receive.py", 9000, self.got],
                                       name="receive")
        self.server.wait_log("listening")
        self.client = net.host_a.spawn(["/usr/bin/python3", "-c", _SLOW_SENDER, net.host_address("b"),
                                        self.data, self.enough], name="send")

    def check(self, timeout_s=40):
        assert self.client.alive(), "the file was through before anything happened"
        self.enough.touch()
        assert self.client.wait(timeout_s) == 0, self.client.read_log()
        self.server.wait(timeout_s)
        digest = [hashlib.sha256(p.read_bytes()).hexdigest() for p in (self.data, self.got)]
        assert digest[0] == digest[1]
