# SPDX-License-Identifier: Apache-2.0
"""Cygnet inside a User-Mode Linux guest, where the kernel has IPsec: for engine=xfrm.

The guest sees the host's /usr, and the build's programs and the mailbox under their own paths, below
/host; cygnetd runs in a chroot there, with the host's libraries.
"""
import pathlib
import shlex
import signal
import subprocess

from .cygnet import Cygnet, program
from .net import LabError, wait_until

_RUN = "/run/cygnet"


def host_tree(host, root):
    """Lays the host's programs below ROOT/guest/host, before the guest starts."""
    programs = program("cygnetd").parent
    tree = f"{root}/guest/host"
    host.run(f"""set -e
        mkdir -p {tree}/usr {tree}/etc {tree}/proc {tree}/sys {tree}/dev {tree}/run {tree}/tmp {tree}{programs}
        for d in bin sbin lib lib64; do [ -e {tree}/$d ] || ln -s usr/$d {tree}/$d; done
        cp /etc/passwd /etc/group /etc/nsswitch.conf {tree}/etc/
        mkdir -p {tree}/etc/ssl; cp /etc/ssl/openssl.cnf {tree}/etc/ssl/
        mount --bind /usr {tree}/usr
        mount --bind {programs} {tree}{programs}""")


class GuestHost:
    """The guest as what a Cygnet runs on."""

    def __init__(self, guest):
        self.guest = guest
        self.name = "guest"
        self.dir = guest.mailbox
        guest.run(f"""set -e
            mount --rbind /proc /host/proc; mount --rbind /sys /host/sys; mount --rbind /dev /host/dev
            mount -t tmpfs tmpfs /host/run
            mkdir -p /host{self.dir}; mount --bind /lab /host{self.dir}""")

    def run(self, command, check=True, timeout_s=30):
        words = command if isinstance(command, str) else " ".join(shlex.quote(str(w)) for w in command)
        output = self.guest.run(f"chroot /host {words}; echo \"exit $?\"", timeout_s=timeout_s)
        text, _, status = output.rstrip().rpartition("exit ")
        if check and int(status):
            raise LabError(f"guest: exit {status}: {words}\n{text}")
        return subprocess.CompletedProcess(words, int(status), text, "")


class _Running:
    def __init__(self, daemon):
        self.daemon = daemon

    def alive(self):
        return self.daemon.alive("monitor") or not self.daemon.started


class GuestCygnet(Cygnet):
    READY_S = 60  # a slow guest on a busy machine
    def __init__(self, host, name="cygnet"):
        super().__init__(host, name)
        self.run_dir = pathlib.Path(_RUN)
        self.state_dir = pathlib.Path("/run/cygnet-state")
        self.started = False

    def start(self, wait=True, env=None):
        words = [program("cygnetd"), "--config", self.conf, "--secrets", self.secrets, "--run-dir", self.run_dir,
                 "--state-dir", self.state_dir, "--foreground"]
        line = " ".join(shlex.quote(str(w)) for w in words)
        self.started = False
        self.host.run(f"/bin/sh -c {shlex.quote(f'setsid {line} >>{self.log} 2>&1 </dev/null &')}")
        self.process = _Running(self)
        if wait:
            try:
                self.wait_ready(self.READY_S)
            except LabError as error:
                raise LabError(f"{error}\n{self.read_log()[-2000:]}") from error
            self.started = True
        return self

    def stop(self):
        if self.process is None:
            return None
        self.process = None
        if self.alive("monitor"):
            self.host.run(f"/bin/sh -c 'pid=$(cat {_RUN}/monitor.pid); kill $pid; "
                          f"for i in $(seq 400); do kill -0 $pid 2>/dev/null || exit 0; sleep 0.1; done; exit 1'")
        return 0

    def pid(self, role):
        return int(self.host.run(["cat", f"{_RUN}/{role}.pid"]).stdout)

    def alive(self, role):
        return self.host.run(f"/bin/sh -c 'kill -0 $(cat {_RUN}/{role}.pid)'", check=False).returncode == 0

    def kill(self, role, number=signal.SIGKILL):
        pid = self.pid(role)
        self.host.run(["kill", f"-{int(number)}", pid])
        return pid

    def wait_dead(self):
        """After its monitor was killed."""
        alive = f"for file in {_RUN}/*.pid; do kill -0 $(cat $file) 2>/dev/null && exit 1; done; exit 0"
        wait_until(lambda: self.host.run(["/bin/sh", "-c", alive], check=False).returncode == 0, 10, "all its processes end")
