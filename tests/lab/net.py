# SPDX-License-Identifier: Apache-2.0
"""Hosts and links.

A Host is one process that holds a network, mount, PID and UTS namespace. That process is the
init of its PID namespace, and the kernel sends it SIGKILL when whoever made it dies; with it go
all processes of the host, then its namespaces, then its interfaces. So a test that is killed
with -9 leaves nothing behind, and there is nothing to reap at the next start.
"""
import ctypes
import ipaddress
import json
import os
import pathlib
import shlex
import shutil
import signal
import subprocess
import tempfile
import time

PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class LabError(Exception):
    """Something in the lab, not in what is tested, did not work; or a command failed."""


# Limits are what a quiet machine needs, with room; on one that does other things beside it takes some times as long.
# Where a time is what is promised, the test measures it.
PATIENCE = 4


def wait_until(condition, timeout_s, what, interval_s=0.05):
    """Returns the first true value of condition(), or fails saying what was awaited."""
    timeout_s *= PATIENCE
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise LabError(f"not within {timeout_s} s: {what}")
        time.sleep(interval_s)


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _children(pid):
    try:
        return [int(p) for p in
                pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


class Process:
    """A program that runs in a host until stopped. `pid` is its PID as the lab sees it."""

    def __init__(self, popen, name, log=None):
        self._popen = popen
        self.name = name
        self.log = log
        # nsenter forks to get into the PID namespace: the program is its child.
        self.pid = wait_until(lambda: next(iter(_children(popen.pid)), None) or
                              (popen.poll() is not None and -1), 5, f"{name} starts")

    def alive(self):
        return self._popen.poll() is None

    def send_signal(self, number):
        if self.alive() and self.pid > 0:
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def stop(self, number=signal.SIGTERM, timeout_s=5):
        """Ends the program and returns its exit status; SIGKILL after the timeout."""
        self.send_signal(number)
        try:
            return self.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.send_signal(signal.SIGKILL)
            return self.wait(timeout_s)

    def wait(self, timeout_s):
        return self._popen.wait(timeout_s * PATIENCE)

    def read_log(self):
        return pathlib.Path(self.log).read_text(errors="replace") if self.log else ""

    def wait_log(self, text, timeout_s=10):
        """Waits for a line of the log that contains text and returns that line."""
        def found():
            for line in self.read_log().splitlines():
                if text in line:
                    return line
            return None if self.alive() else self._ended(text)
        return wait_until(found, timeout_s, f"'{text}' in the log of {self.name} ({self.log})")

    def _ended(self, text):
        for line in self.read_log().splitlines():
            if text in line:
                return line
        raise LabError(f"{self.name} ended (exit {self._popen.poll()}) before it said '{text}':\n"
                       + "\n".join(self.read_log().splitlines()[-15:]))


class Host:
    """One machine of the lab. Made by Lab.host()."""

    def __init__(self, lab, name, detached=False):
        self.lab = lab
        self.name = name
        self.dir = lab.dir / name
        self.dir.mkdir(parents=True, exist_ok=True)
        self.addresses = {}  # interface -> [ip_interface]
        # SIGCHLD is ignored, so that the init reaps what is orphaned.
        script = ("mount --make-rprivate / && mount -t tmpfs tmpfs /run && mkdir -p /run/lock && "
                  "mount -t sysfs sysfs /sys && hostname " + shlex.quote(name.replace("_", "-")) +
                  # Addresses are usable at once: nobody else is on these links to collide with.
                  " && echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad"
                  " && echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad"
                  " && ip link set lo up && echo ready && exec >&- 2>&- && "
                  "exec env --ignore-signal=CHLD sleep infinity")
        command = ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--mount-proc",
                   "--kill-child=SIGKILL", "sh", "-c", script]
        self._popen = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=os.setsid if detached else _die_with_parent)
        line = self._popen.stdout.readline()
        if line.strip() != b"ready":
            raise LabError(f"host {name}: {self._popen.stderr.read().decode().strip()}"
                           " (a lab needs root, or CAP_SYS_ADMIN and CAP_NET_ADMIN)")
        self.pid = _children(self._popen.pid)[0]
        self.holder = self._popen.pid

    @classmethod
    def attach(cls, lab, name, pid, addresses):
        """A host that another process made and left running."""
        self = cls.__new__(cls)
        self.lab, self.name, self.pid, self.dir = lab, name, pid, lab.dir / name
        self._popen = None
        self.addresses = {i: [ipaddress.ip_interface(a) for a in l] for i, l in addresses.items()}
        return self

    def _enter(self, net_only=False):
        flags = ["-n"] if net_only else ["-m", "-n", "-u", "-p"]
        return ["nsenter", "-t", str(self.pid), *flags, "--"]

    def run(self, command, check=True, timeout_s=30, input=None, env=None):
        """Runs a command (list, or text for sh) to its end; returns subprocess.CompletedProcess."""
        command = ["sh", "-c", command] if isinstance(command, str) else [str(c) for c in command]
        timeout_s *= PATIENCE
        try:
            done = subprocess.run(self._enter() + command, input=input, text=True, errors="replace",
                                  stdin=None if input is not None else subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  timeout=timeout_s, env={**os.environ, **(env or {})})
        except subprocess.TimeoutExpired as e:
            raise LabError(f"{self.name}: no end within {timeout_s} s: {' '.join(command)}\n"
                           f"{e.stdout}\n{e.stderr}") from None
        if check and done.returncode != 0:
            raise LabError(f"{self.name}: exit {done.returncode}: {' '.join(command)}\n"
                           f"{done.stdout}{done.stderr}")
        return done

    def out(self, command, **kw):
        return self.run(command, **kw).stdout

    def spawn(self, command, name=None, log=None, env=None, stdin=None, stdout=None):
        """Starts a program in the background; its output goes to log (a path, or made up)."""
        command = ["sh", "-c", command] if isinstance(command, str) else [str(c) for c in command]
        name = name or os.path.basename(command[0])
        if log is None and stdout is None:
            log = self.dir / f"{name}.{len(self.lab.processes)}.log"
        file = open(log, "ab") if log else None
        popen = subprocess.Popen(
            self._enter() + ["setpriv", "--pdeathsig", "KILL", *command],
            stdin=stdin or subprocess.DEVNULL, stdout=stdout or file,
            stderr=file or subprocess.DEVNULL, env={**os.environ, **(env or {})},
            start_new_session=True, preexec_fn=None if self.lab.detached else _die_with_parent)
        if file:
            file.close()
        process = Process(popen, f"{self.name}:{name}", log)
        self.lab.processes.append(process)
        return process

    def send_udp(self, address, port, payload=b"x", source_port=0, times=1):
        """Sends UDP datagrams from the host."""
        script = ("import socket,sys\n"
                  "f=socket.AF_INET6 if ':' in sys.argv[1] else socket.AF_INET\n"
                  "s=socket.socket(f,socket.SOCK_DGRAM); s.bind(('',int(sys.argv[3])))\n"
                  "for _ in range(int(sys.argv[5])): s.sendto(bytes.fromhex(sys.argv[4]),"
                  "(sys.argv[1],int(sys.argv[2])))")
        self.run(["/usr/bin/python3", "-c", script, address, port, source_port, payload.hex(),
                  times])

    def sysctl(self, **values):
        """sysctl(net__ipv4__ip_forward=1): two underscores stand for a dot."""
        for key, value in values.items():
            path = "/proc/sys/" + key.replace("__", "/")
            self.run(["sh", "-c", f"echo {value} > {path}"])

    def add_address(self, interface, address):
        address = ipaddress.ip_interface(address)
        flags = ["nodad"] if address.version == 6 else []
        self.run(["ip", "addr", "add", str(address), "dev", interface, *flags])
        self.addresses.setdefault(interface, []).append(address)

    def address(self, family, interface=None):
        """The first address of that family (of that interface), as text."""
        for name, addresses in self.addresses.items():
            if interface in (None, name):
                for a in addresses:
                    if a.version == family:
                        return str(a.ip)
        raise LabError(f"{self.name} has no IPv{family} address on {interface or 'any interface'}")

    def route(self, prefix, via=None, dev=None):
        family = ["-6"] if ":" in str(prefix) + str(via) else []
        prefix = "default" if str(prefix) in ("default", "::/0", "0.0.0.0/0") else str(prefix)
        command = ["ip", *family, "route", "add", prefix]
        command += ["via", via] if via else []
        command += ["dev", dev] if dev else []
        self.run(command)

    def routes(self, family=4, table="main"):
        return self.out(["ip", f"-{family}", "route", "show", "table", table], check=False)

    def rules(self, family=4):
        return self.out(["ip", f"-{family}", "rule", "show"])

    def interfaces(self):
        return {i["ifname"] for i in json.loads(self.out(["ip", "-j", "link", "show"]))}

    def close(self):
        if self._popen is None:
            os.kill(self.pid, signal.SIGKILL)
            return
        self._popen.kill()
        self._popen.wait()
        for pipe in (self._popen.stdout, self._popen.stderr):
            pipe.close()


class Lab:
    """All hosts of one test. Use as a context; `keep` names where logs stay afterwards."""

    def __init__(self, name="lab", keep=None, detached=False):
        self.name = name
        self.detached = detached
        self.hosts = {}
        self.processes = []
        self._temporary = keep is None
        self.dir = pathlib.Path(keep or tempfile.mkdtemp(prefix=f"cygnet-{name}-"))
        self.dir.mkdir(parents=True, exist_ok=True)
        # Daemons that gave up root must still reach their run directories below.
        self.dir.chmod(0o755)
        self._at_close = []

    def host(self, name):
        self.hosts[name] = Host(self, name, self.detached)
        return self.hosts[name]

    def link(self, a, name_a, b, name_b, mtu=1500):
        """A cable: veth between host a's interface name_a and host b's name_b."""
        done = subprocess.run(
            ["ip", "link", "add", name_a, "mtu", str(mtu), "netns", str(a.pid), "type", "veth",
             "peer", "name", name_b, "mtu", str(mtu), "netns", str(b.pid)],
            capture_output=True, text=True)
        if done.returncode:
            raise LabError(f"link {a.name}-{b.name}: {done.stderr}")
        a.run(["ip", "link", "set", name_a, "up"])
        b.run(["ip", "link", "set", name_b, "up"])

    def at_close(self, function):
        """Called before the hosts go, last added first."""
        self._at_close.append(function)

    def close(self):
        for function in reversed(self._at_close):
            function()
        self._at_close = []
        for process in self.processes:
            process.send_signal(signal.SIGKILL)
        for host in self.hosts.values():
            host.close()
        for process in self.processes:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                pass
        self.hosts = {}
        if self._temporary:
            shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
