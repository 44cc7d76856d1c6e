# SPDX-License-Identifier: Apache-2.0
"""Programs out of a root of their own, on a host where a Cygnet lends them its engine (`cygnet wrap`)."""
from .net import wait_until
from .strongswan import PSK, enter_root
from .uml import PLUTO_READY


class Wrapped:
    """A root, writable over a copy that others share, in which programs find the engine."""

    def __init__(self, host, engine, root):
        self.host, self.engine = host, engine
        self.root = enter_root(host, root, engine.lent_folders())

    def write(self, path, text, mode="600"):
        self.host.run(["tee", f"{self.root}{path}"], input=text)
        self.host.run(["chmod", mode, f"{self.root}{path}"])

    def run(self, *words, check=True, timeout_s=30):
        return self.host.run(["chroot", self.root, *words], check=check, timeout_s=timeout_s)

    def spawn(self, *words, name):
        return self.host.spawn(self.engine.ctl_command("wrap", "chroot", self.root, *words), name=name)


class WrappedIked(Wrapped):
    """OpenIKED; words: of iked.conf. One daemon a configuration."""

    def __init__(self, host, engine, words, options="-dvT"):
        super().__init__(host, engine, "openiked")
        self.write("/etc/iked.conf", words + "\n")
        self.process = self.spawn("/usr/sbin/iked", options, name="iked")

    def read_log(self):
        return self.process.read_log()


class WrappedPluto(Wrapped):
    """Libreswan; conns: of ipsec.conf."""

    def __init__(self, host, engine, conns, names=("lab",)):
        super().__init__(host, engine, "libreswan")
        self.write("/etc/ipsec.conf", "config setup\n\tlogfile=/run/pluto.log\n\tlogtime=no\n" + conns)
        self.write("/etc/ipsec.secrets", f': PSK "{PSK}"\n')
        self.run("mkdir", "-p", "/run/pluto")
        self.process = self.spawn("/usr/libexec/ipsec/pluto", "--nofork", "--config", "/etc/ipsec.conf",
                                  "--secretsfile", "/etc/ipsec.secrets", name="pluto")
        wait_until(lambda: self.run("ipsec", "whack", "--status", check=False).returncode == 0, 20, "pluto answers")
        wait_until(lambda: PLUTO_READY in self.read_log(), 20, "pluto listens")
        for name in names:
            self.run("ipsec", "add", name)

    def up(self, name="lab", check=True):
        return self.run("ipsec", "up", name, check=check, timeout_s=60).stdout

    def down(self, name="lab"):
        return self.run("ipsec", "down", name, check=False).stdout

    def whack(self, *words, check=True):
        return self.run("ipsec", "whack", *words, check=check).stdout

    def read_log(self):
        return self.run("cat", "/run/pluto.log", check=False).stdout + self.process.read_log()
