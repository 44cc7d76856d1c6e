# SPDX-License-Identifier: Apache-2.0
"""strongSwan with its own user-space ESP (kernel-libipsec) as a peer in a host.

It is the host system's (Debian 12: 5.9.8), or 6.0 out of a Debian 13 root (scripts/fetch_root.sh guest). charon runs
in the host's mount namespace, where /run is private. Everything it says goes to
HOST/charon.log, at the level that shows proposals, selectors and keys' names but no raw bytes.
"""
import pathlib
import re
import subprocess

from .net import LabError, wait_until

CHARON = "/usr/sbin/charon-systemd"
# In this order: the first plugin that offers kernel-ipsec is the one used.
PLUGINS = ("random nonce openssl aes sha1 sha2 hmac gcm chapoly curve25519 kdf gmp pem pkcs1 pkcs8 x509 "
           "pubkey constraints revocation vici kernel-libipsec kernel-netlink socket-default "
           "updown")

PSK = "a shared secret of the lab"


_FETCH_ROOT = pathlib.Path(__file__).resolve().parent.parent.parent / "scripts/fetch_root.sh"


def fetch_root(name):
    """The folder of a Debian 13 root with that peer, fetched once."""
    done = subprocess.run([_FETCH_ROOT, name], capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"fetch_root.sh {name}: {done.stderr}")
    return pathlib.Path(done.stdout.strip().splitlines()[-1])


def enter_root(host, name, folders=()):
    """Makes a root of `name` of a host's own, in which /dev, /proc, /run and `folders` are the host's."""
    root, layer = host.dir / f"{name}-root", host.dir / f"{name}-layer"
    shared = "".join(f"mkdir -p {root}/{f}\nmount --bind {f} {root}/{f}\n" for f in ("/run", *folders))
    host.run(f"""set -e
        mkdir -p {root} {layer}
        mount -t tmpfs tmpfs {layer}
        mkdir {layer}/up {layer}/work
        mount -t overlay overlay -o lowerdir={fetch_root(name)},upperdir={layer}/up,workdir={layer}/work {root}
        mount --rbind /dev {root}/dev
        mount --rbind /proc {root}/proc
        mount --rbind /sys {root}/sys
        {shared}""")
    return root


class StrongSwan:
    """charon with a swanctl configuration. start(), up(), down(), rekey(), status()."""

    # "host": the system's; "6": 6.0 out of the Debian 13 root. Tests of both set it (interop/conftest.py).
    version = "host"

    def __init__(self, host, retransmit_s=1.0, retransmit_tries=4, settings="", engine=None):
        """engine: a running Cygnet on that host, whose engine it believes to be its kernel (`cygnet wrap`)."""
        self.host = host
        self.engine = engine
        self._enter = []
        plugins = PLUGINS.replace("kernel-libipsec ", "") if engine else PLUGINS
        self.dir = host.dir / "strongswan"
        self.dir.mkdir(exist_ok=True)
        self.log = self.dir / "charon.log"
        self.process = None
        self._conf = self.dir / "strongswan.conf"
        self._conf.write_text(f"""
charon-systemd {{
  load = {plugins}
  install_virtual_ip = yes
  retransmit_tries = {retransmit_tries}
  retransmit_timeout = {retransmit_s}
  retransmit_base = 1.4
  {settings}
  plugins {{
    socket-default {{ fwmark = 0x2a }}
    kernel-netlink {{ fwmark = !0x2a }}
    kernel-libipsec {{ allow_peer_ts = yes }}
  }}
  syslog {{ daemon {{ default = -1 }} auth {{ default = -1 }} }}
  filelog {{
    lab {{
      path = {self.log}
      time_format = %H:%M:%S
      flush_line = yes
      default = 1
      ike = 2
      chd = 2
      knl = 2
      cfg = 2
      enc = 1
      net = 1
    }}
  }}
}}
charon {{ load = {plugins} }}
swanctl {{ load = random openssl pem pkcs1 pkcs8 x509 }}
libtls {{ }}
""")
        if self.version != "host":
            shared = engine.lent_folders() if engine else []
            self._enter = ["chroot", enter_root(host, "guest", [self.dir, *shared])]

    def start(self):
        command = [*self._enter, CHARON]
        if self.engine:
            command = self.engine.ctl_command("wrap", *command)
        self.process = self.host.spawn(command, name="charon",
                                       env={"STRONGSWAN_CONF": str(self._conf)})
        wait_until(lambda: self._swanctl("--stats", check=False).returncode == 0, 10,
                   f"charon answers in {self.host.name}")
        return self

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def kill(self):
        """As a crash does: nothing is said to the peer."""
        self.process.send_signal(9)
        self.process.wait(5)
        # charon leaves its TUN device's routes to the kernel, which drops them with the device.
        self.process = None

    def release(self):
        return self._swanctl("--version").stdout

    def _swanctl(self, *words, check=True, timeout_s=30):
        return self.host.run([*self._enter, "swanctl", *words], check=check, timeout_s=timeout_s,
                             env={"STRONGSWAN_CONF": str(self._conf)})

    def load(self, connections, secrets=None, pools=""):
        """connections: text of swanctl.conf's `connections { ... }` inside; secrets, pools likewise.

        Certificates and keys are looked for in x509/, x509ca/, private/ … of self.dir.
        """
        secrets = secrets or f'ike-lab {{ secret = "{PSK}" }}'
        file = self.dir / "swanctl.conf"
        file.write_text(f"connections {{\n{connections}\n}}\nsecrets {{\n{secrets}\n}}\n"
                        f"pools {{\n{pools}\n}}\n")
        return self._swanctl("--load-all", "--file", file, "--noprompt")

    def up(self, child, timeout_s=20, check=True):
        """Initiates a child; returns swanctl's account of the negotiation."""
        done = self._swanctl("--initiate", "--child", child, "--timeout", timeout_s, check=False,
                             timeout_s=timeout_s + 10)
        if check and done.returncode:
            raise LabError(f"swanctl --initiate {child}:\n{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def down(self, ike=None, child=None):
        words = ["--ike", ike] if ike else ["--child", child]
        return self._swanctl("--terminate", *words, "--timeout", 10, check=False).stdout

    def rekey(self, ike=None, child=None):
        before = self.status()
        words = ["--ike", ike] if ike else ["--child", child]
        self._swanctl("--rekey", *words)
        return before

    def status(self):
        """[{name, state, spi_i, spi_r, remote_port, children: [...]}] of the IKE SAs."""
        return parse_list_sas(self._swanctl("--list-sas", check=False).stdout)

    def installed(self):
        """All installed children by name: {name: [child, ...]}."""
        found = {}
        for ike in self.status():
            for child in ike["children"]:
                if child["state"] == "INSTALLED":
                    found.setdefault(child["name"], []).append(child)
        return found

    def child(self, name):
        """The one installed child of that name, newest last."""
        children = self.installed().get(name)
        if not children:
            raise LabError(f"{self.host.name}: strongSwan has no installed child {name}:\n"
                           + self._swanctl("--list-sas", check=False).stdout)
        return children[-1]

    def read_log(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_log(self, text, timeout_s=10):
        return wait_until(lambda: next((l for l in self.read_log().splitlines() if text in l), None),
                          timeout_s, f"'{text}' in strongSwan's log on {self.host.name}")


def parse_list_sas(text):
    """swanctl --list-sas (strongSwan 5 and 6) into lists and dicts."""
    ikes, ike, child = [], None, None
    for line in text.splitlines():
        if m := re.match(r"(\S+): #(\d+), (\w+), IKEv(\d), (\w+)_i(\*?) (\w+)_r", line):
            ike = {"name": m[1], "id": int(m[2]), "state": m[3], "spi_i": m[5], "spi_r": m[7],
                   "initiator": m[6] == "*", "children": [], "text": ""}
            ikes.append(ike)
            child = None
        elif m := re.match(r"  (\S+): #(\d+), reqid (\d+)(?:, cpu (\S+))?, (\w+), (\w+?)(-in-UDP)?, ESP:(\S+)", line):
            child = {"name": m[1], "id": int(m[2]), "cpu": m[4], "state": m[5], "mode": m[6],
                     "encap": bool(m[7]), "esp": m[8], "in": {}, "out": {}}
            ike["children"].append(child)
        elif m := re.match(r"    (in|out) +([0-9a-f]{8})(?: \([^)]*\))?, +(\d+) bytes, +(\d+) packets",
                           line):
            child[m[1]] = {"spi": int(m[2], 16), "bytes": int(m[3]), "packets": int(m[4])}
        elif m := re.match(r"    (local|remote) +(.+)", line):
            child[m[1]] = m[2].split()
        elif ike is not None:
            ike["text"] += line + "\n"
    return ikes


def site_config(name="lab", local="", remote="", local_ts="", remote_ts="", esp="aes128gcm16",
                ike="aes128gcm16-prfsha256-ecp256", children=None, extra="", child_extra="",
                local_id=None, remote_id=None, remote_any=False):
    """One connection between two gateways, as text for StrongSwan.load()."""
    children = children or {"net": (local_ts, remote_ts)}
    blocks = ""
    for child, (mine, theirs) in children.items():
        blocks += f"""
      {child} {{
        local_ts = {mine}
        remote_ts = {theirs}
        esp_proposals = {esp}
        rekey_time = 0
        {child_extra}
      }}"""
    return f"""
  {name} {{
    version = 2
    local_addrs = {local}
    remote_addrs = {"%any" if remote_any else remote}
    proposals = {ike}
    rekey_time = 0
    {extra}
    local {{ auth = psk
      id = {local_id or local} }}
    remote {{ auth = psk
      id = {remote_id or remote} }}
    children {{{blocks}
    }}
  }}"""
