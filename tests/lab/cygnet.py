# SPDX-License-Identifier: Apache-2.0
"""Cygnet itself in a host: configuration written, daemon started, asked, killed by role."""
import json
import os
import pathlib
import signal

from .net import LabError, wait_until
from .strongswan import PSK

_ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ROLES = ("monitor", "ike", "keys", "engine")


def program(name):
    """The path of cygnetd or cygnet: from CYGNET_BIN, or the build directory."""
    folder = pathlib.Path(os.environ.get("CYGNET_BIN") or _ROOT / "build" / "bin")
    path = folder / name
    if not path.exists():
        raise LabError(f"{path} does not exist: run ./dev build")
    return path


def conn(name="lab", left="", right="", leftsubnet="", rightsubnet="", auto="add", **words):
    """One `conn` section. Words with None are left out; underscores in names stay."""
    values = {"left": left, "right": right, "leftsubnet": leftsubnet, "rightsubnet": rightsubnet,
              "keyexchange": "ikev2", "authby": "secret", "auto": auto, **words}
    lines = [f"\t{k}={v}" for k, v in values.items() if v not in (None, "")]
    return f"conn {name}\n" + "\n".join(lines) + "\n"


def wait_route(host, address, there=True):
    """What the peer or a program of PF_KEY set up is there a moment before its route, which another process sets."""
    into_tunnel = lambda: " dev ipsec" in host.run(["ip", "route", "get", address], check=False).stdout
    wait_until(lambda: into_tunnel() == there, 5,
               f"{host.name} has {'a' if there else 'no'} route into the tunnel for {address}")


class Cygnet:
    """cygnetd in a host. Several on one host: give each its own name."""

    def __init__(self, host, name="cygnet", secret=PSK, daemon="cygnetd"):
        self.host = host
        self.daemon = daemon
        self.dir = host.dir / name
        self.dir.mkdir(exist_ok=True)
        self.conf = self.dir / "ipsec.conf"
        self.secrets = self.dir / "ipsec.secrets"
        self.run_dir = self.dir / "run"
        self.state_dir = self.dir / "state"
        self.log = self.dir / "cygnetd.log"
        self.process = None
        self.configure("")
        self.set_secrets(f': PSK "{secret}"\n')

    def configure(self, conns, setup=""):
        lines = "".join(f"\t{line}\n" for line in setup.splitlines() if line.strip())
        self.conf.write_text(f"config setup\n{lines}\n{conns}")

    def set_secrets(self, text):
        self.secrets.write_text(text)
        self.secrets.chmod(0o600)

    def start(self, wait=True, env=None):
        self.process = self.host.spawn(
            [program(self.daemon), "--config", self.conf, "--secrets", self.secrets, "--run-dir",
             self.run_dir, "--state-dir", self.state_dir, "--foreground"], name="cygnetd", log=self.log, env=env)
        if wait:
            self.wait_ready()
        return self

    def wait_route(self, address, there=True):
        wait_route(self.host, address, there)

    def wait_ready(self, timeout_s=10):
        def ready():
            if self.process is not None and not self.process.alive():
                raise LabError(f"cygnetd ended in {self.host.name}:\n" + self.read_log()[-3000:])
            return self.ctl("status", "--json", check=False).returncode == 0
        wait_until(ready, timeout_s, f"cygnetd answers in {self.host.name} (log {self.log})")

    def stop(self):
        """Ends the daemon as a service manager does; returns its exit status."""
        process, self.process = self.process, None
        return process.stop(signal.SIGTERM, timeout_s=10) if process else None

    def pid(self, role):
        """The PID of a role, as the host sees it."""
        return int((self.run_dir / f"{role}.pid").read_text())

    def alive(self, role):
        try:
            pid = self.pid(role)
        except (OSError, ValueError):
            return False
        return self.host.run(["kill", "-0", pid], check=False).returncode == 0

    def kill(self, role, number=signal.SIGKILL):
        """Kills one role; returns the PID it had."""
        pid = self.pid(role)
        self.host.run(["kill", f"-{int(number)}", pid])
        return pid

    def kill_all(self):
        """As a power cut does: every role at once, nothing said to the peer."""
        for role in ROLES:
            if self.alive(role):
                # ike and engine die with the monitor: one may be gone by now.
                self.host.run(["kill", "-9", self.pid(role)], check=False)
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(5)
            self.process = None

    def wait_role(self, role, old_pid, timeout_s=10):
        """Waits until the role runs again under another PID and the daemon answers."""
        def again():
            try:
                return self.pid(role) != old_pid and self.alive(role)
            except (OSError, ValueError, LabError):
                return False  # the file is being written
        wait_until(again, timeout_s, f"{role} runs again in {self.host.name}")
        self.wait_ready(timeout_s)

    def ctl_command(self, *words):
        return [program("cygnet"), "--run-dir", self.run_dir, *words]

    def lent_folders(self):
        """What a program in a root of its own needs to be there for `cygnet wrap`."""
        return [program("libcygnet-wrap.so").parent, self.run_dir]

    def ctl(self, *words, check=True, timeout_s=30):
        """Runs `cygnet`; returns the CompletedProcess."""
        return self.host.run(self.ctl_command(*words), check=check, timeout_s=timeout_s)

    def json(self, *words):
        return json.loads(self.ctl(*words, "--json").stdout)

    def up(self, name="lab", check=True, timeout_s=30):
        """`cygnet up`; returns what a person sees."""
        done = self.ctl("up", name, check=check, timeout_s=timeout_s)
        return done.stdout + done.stderr

    def down(self, name="lab", check=True):
        done = self.ctl("down", name, check=check)
        return done.stdout + done.stderr

    def rekey(self, *words):
        return self.ctl("rekey", *words).stdout

    def reload(self, check=True):
        return self.ctl("reload", check=check)

    def status(self):
        return {c["name"]: c for c in self.json("status")["connections"]}

    def connection(self, name="lab"):
        connections = self.status()
        if name not in connections:
            raise LabError(f"no connection {name} in {self.host.name}: {list(connections)}")
        return connections[name]

    def state(self, name="lab"):
        return self.connection(name)["state"]

    def wait_state(self, state, name="lab", timeout_s=15):
        return wait_until(lambda: self.state(name) == state, timeout_s,
                          f"{name} is {state} in {self.host.name} (log {self.log})")

    def children(self, name="lab"):
        return self.connection(name)["children"]

    def child(self, name="lab"):
        """The newest child of a connection."""
        children = self.children(name)
        if not children:
            raise LabError(f"{self.host.name}: {name} has no child")
        return children[-1]

    def spis(self, name="lab"):
        c = self.child(name)
        return c["spi_in"], c["spi_out"]

    def drops(self):
        """{reason: count} of what the engine and the daemon dropped."""
        return {d["name"]: d["count"] for d in self.json("drops")["drops"]}

    def read_log(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_log(self, text, timeout_s=10):
        return wait_until(lambda: next((l for l in self.read_log().splitlines() if text in l), None),
                          timeout_s, f"'{text}' in Cygnet's log on {self.host.name} ({self.log})")

    def memory_kb(self, role):
        """Resident memory of a role."""
        status = self.host.out(["cat", f"/proc/{self.pid(role)}/status"])
        return int(next(l for l in status.splitlines() if l.startswith("VmRSS")).split()[1])


def cygnet_pair(net, family=4, start=True, setup="", **words):
    """Cygnet on both gateways with one conn `lab` between the LANs; not yet up.

    words go into both conns; auto="start" brings it up from gw_a only.
    """
    auto = words.pop("auto", "add")
    words.setdefault("leftsubnet", None)
    a, b = Cygnet(net.gw_a), Cygnet(net.gw_b)
    lan = lambda side: words.pop("subnet_" + side, None) or net.lan(side, family)
    lan_a, lan_b = lan("a"), lan("b")
    words.pop("leftsubnet")
    words.setdefault("leftid", "@gw-a")
    words.setdefault("rightid", "@gw-b")
    mirrored = {("right" + k[4:] if k.startswith("left") else
                 "left" + k[5:] if k.startswith("right") else k): v for k, v in words.items()}
    a.configure(conn(left=net.wan("a", family), right=net.wan("b", family), leftsubnet=lan_a,
                     rightsubnet=lan_b, auto=auto, **words), setup)
    b.configure(conn(left=net.wan("b", family), right=net.seen_as("a", family), leftsubnet=lan_b,
                     rightsubnet=lan_a, auto="add", **mirrored), setup)
    if start:
        b.start()
        a.start()
    return a, b
