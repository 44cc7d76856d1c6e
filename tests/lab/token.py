# SPDX-License-Identifier: Apache-2.0
"""A PKCS#11 token in software (SoftHSM), with a home of its own that the daemon's user may read."""
import os
import pathlib
import pwd
import shutil
import subprocess
import tempfile

from cryptography.hazmat.primitives import serialization

from .net import LabError

MODULE = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "7351-open"


def _daemon_user():
    for name in ("cygnet", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            pass
    raise LabError("there is neither a user cygnet nor nobody")


class Token:
    def __init__(self, label="lab"):
        self.label = label
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="cygnet-token-"))
        self.dir.chmod(0o755)
        (self.dir / "tokens").mkdir()
        conf = self.dir / "softhsm2.conf"
        conf.write_text(f"directories.tokendir = {self.dir}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n")
        self.env = {"SOFTHSM2_CONF": str(conf)}
        self._run(["softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "so-" + PIN, "--pin", PIN])
        self.give_to_daemon()

    def _run(self, command):
        done = subprocess.run([str(c) for c in command], env={**os.environ, **self.env}, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise LabError(f"{command[0]}: {done.stdout}")
        return done.stdout

    def give_to_daemon(self):
        user = _daemon_user()
        for path in [self.dir / "tokens", *(self.dir / "tokens").rglob("*")]:
            os.chown(path, user.pw_uid, user.pw_gid)

    def put(self, issued, label, number, certificate=True):
        """Key (and certificate) of an Issued, as objects `label` with this number as CKA_ID."""
        key = self.dir / f"{label}.key"
        key.write_text(issued.key_pem())
        self._run(["softhsm2-util", "--import", key, "--token", self.label, "--label", label, "--id", f"{number:02x}",
                   "--pin", PIN])
        key.unlink()
        if certificate:
            der = self.dir / f"{label}.der"
            der.write_bytes(issued.certificate.public_bytes(serialization.Encoding.DER))
            self._run(["pkcs11-tool", "--module", MODULE, "--token-label", self.label, "--write-object", der, "--type",
                       "cert", "--label", label, "--id", f"{number:02x}", "--login", "--pin", PIN])
        self.give_to_daemon()

    def uri(self, label, kind):
        return f"pkcs11:token={self.label};object={label};type={kind}"

    def secret(self, label, pin=PIN):
        return f': PIN "{self.uri(label, "private")}" "{pin}"\n'

    def take_out(self):
        (self.dir / "tokens").rename(self.dir / "away")

    def put_back(self):
        (self.dir / "away").rename(self.dir / "tokens")

    def close(self):
        shutil.rmtree(self.dir, ignore_errors=True)
