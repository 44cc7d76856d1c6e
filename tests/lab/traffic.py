# SPDX-License-Identifier: Apache-2.0
"""Traffic with an account of what arrived."""
import hashlib
import json
import os
import pathlib
import re
import signal
import time

from .echo import SIZE
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
        self.duplicates = int(m[1]) if (m := re.search(r"\+(\d+) duplicates", text)) else 0

    @property
    def lost(self):
        return self.sent - self.received

    @classmethod
    def once(cls, host, address, count=1, interval_s=0.2, wait_s=10, size=None, fragments=None, source=None, options=()):
        """wait_s: for the last of them; ends as soon as all are answered. fragments: ping's -M. Of a single one the text
        is ping's, with what routers say, and it may have more options."""
        if count > 1:
            assert not options
            return cls.begin(host, address, count, interval_s, wait_s, size, fragments, source).end()
        options = [*options, *(["-s", size] if size is not None else []), *(["-M", fragments] if fragments else []),
                   *(["-I", source] if source else [])]
        done = host.run(["ping", "-n", "-c", 1, "-W", wait_s, *options, address], check=False, timeout_s=wait_s + 20)
        return cls(done.stdout + done.stderr)

    @classmethod
    def begin(cls, host, address, count, interval_s=0.2, wait_s=10, size=None, fragments=None, source=None):
        """Several, in the background: end() of what is returned gives their outcome. (Ping itself waits for the last
        answer no longer than for the others.)"""
        size = SIZE if size is None else size
        process = host.spawn(["/usr/bin/python3", _HERE / "echo.py", address, count, interval_s, wait_s, size,
                              fragments or "", source or ""], name="echo")
        return _Begun(process, count * interval_s + wait_s + 20)

    @classmethod
    def timed(cls, host, address, count, interval_s):
        """Ping itself, for its times; its account may miss the last answer."""
        done = host.run(["ping", "-n", "-c", count, "-i", interval_s, "-W", 2, address], check=False,
                        timeout_s=count * interval_s + 20)
        return cls(done.stdout + done.stderr)

    @classmethod
    def until_answered(cls, host, address, timeout_s=10):
        """For after an event: waits until one ping is answered."""
        wait_until(lambda: cls.once(host, address, wait_s=0.5).received, timeout_s,
                   f"{host.name} reaches {address}")


class _Begun:
    def __init__(self, process, timeout_s):
        self._process, self._timeout_s = process, timeout_s

    def end(self):
        self._process.wait(self._timeout_s)
        return Ping(self._process.read_log())


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

    @property
    def gaps(self):
        """How often one or more behind each other were missing."""
        return sum(number - 1 not in self.missing for number in self.missing)


class Flow:
    """Echo requests from one host to another, 100 a second, from start() until stop()."""

    def __init__(self, host, address, interval_s=0.01, size=SIZE, random=False):
        self.address = address
        self.process = host.spawn(["/usr/bin/python3", _HERE / "flow.py", address, interval_s, size,
                                   "random" if random else "zeros"], name="flow")
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
