# SPDX-License-Identifier: Apache-2.0
"""The tunnels that bench/tunnel.py compares: how each is brought up between two hosts."""
import subprocess

from lab import wait_until
from lab.cygnet import Cygnet, conn
from lab.strongswan import StrongSwan, fetch_root, site_config

OUTER = {"left": "192.0.2.1", "right": "192.0.2.2"}
INNER = {"left": "10.1.0.1", "right": "10.2.0.1"}
BESIDE = {"left": "10.3.0.1", "right": "10.4.0.1"}  # where another connection leads
CIPHER = "aes128gcm16"
ENDS = ("left", "right")


class Tunnel:
    """Brings one tunnel up between left and right; `programs` names the processes that are it."""

    programs: tuple = ()

    def __init__(self, left, right):
        self.left, self.right = left, right
        self.address = self.ping_address = OUTER["right"]

    def up(self):
        pass


class CygnetTunnel(Tunnel):
    programs = ("cygnetd",)
    encapsulation = "yes"
    daemon = "cygnetd"
    env: dict = {}
    setup = ""
    words: dict = {}
    names: tuple = ("lab",)

    def up(self):
        self.address = self.ping_address = INNER["right"]
        daemons = {}
        for me, peer in (("right", "left"), ("left", "right")):
            daemon = Cygnet(getattr(self, me), daemon=self.daemon)
            daemon.configure(self.conns(me, peer), setup=self.setup)
            daemons[me] = daemon.start(env=self.env)
        for name in self.names:
            daemons["left"].up(name)

    def conns(self, me, peer):
        return self.conn("lab", INNER[me], INNER[peer], me, peer, **self.words)

    def conn(self, name, from_, to, me, peer, **words):
        return conn(name, left=OUTER[me], right=OUTER[peer], leftsubnet=f"{from_}/32", rightsubnet=f"{to}/32",
                    leftsourceip=from_, esp=CIPHER, encapsulation=self.encapsulation, **words)


class CygnetPlain(CygnetTunnel):
    encapsulation = None


class CygnetXdp(CygnetPlain):
    setup = "esp-path=xdp"


class CygnetWorkers(CygnetTunnel):
    setup = "workers=2"


class CygnetBusyPoll(CygnetTunnel):
    setup = "busy-poll=200"


class CygnetCrypto(CygnetTunnel):
    setup = "crypto-threads=1"


class CygnetAnyCpu(CygnetTunnel):
    """The engines wherever the kernel puts them, idle or not."""

    setup = "worker-cpus=any"


class CygnetOneCpu(CygnetTunnel):
    """Both engines where they wake each other without another CPU's help; TCP and ping run wherever the kernel puts them."""

    setup = "worker-cpus=0"


class CygnetBeside(CygnetTunnel):
    """Ping goes through a connection of its own beside the load's, with a device of its own."""

    names = ("lab", "beside")
    beside: dict = {}

    def conns(self, me, peer):
        getattr(self, me).add_address("lo", BESIDE[me] + "/32")
        return super().conns(me, peer) + self.conn("beside", BESIDE[me], BESIDE[peer], me, peer,
                                                   **{"ipsec-interface": 5}, **self.beside)

    def up(self):
        super().up()
        self.ping_address = BESIDE["right"]


class CygnetUrgent(CygnetBeside):
    beside = {"traffic": "latency"}


class CygnetCryptoBeside(CygnetBeside):
    setup = "crypto-threads=1"


class CygnetCryptoUrgent(CygnetUrgent):
    setup = "crypto-threads=1"


class CygnetClones(CygnetWorkers):
    """RFC 9611: each worker sends on an SA of its own."""

    words = {"clones": "2"}


class CygnetNull(CygnetTunnel):
    """A program of its own, whose packets look the same and are not encrypted."""

    daemon = "cygnetd_null"
    env = {"CYGNET_BENCH_NULL_CIPHER": "this encrypts nothing"}


class StrongSwanTunnel(Tunnel):
    programs = ("charon-systemd",)

    def up(self):
        self.address = self.ping_address = INNER["right"]
        peers = {}
        for me, peer in (("right", "left"), ("left", "right")):
            charon = StrongSwan(getattr(self, me)).start()
            charon.load(site_config(local=OUTER[me], remote=OUTER[peer], esp=CIPHER,
                                    local_ts=f"{INNER[me]}/32", remote_ts=f"{INNER[peer]}/32"))
            peers[me] = charon
        peers["left"].up("net")


class WireGuardTunnel(Tunnel):
    programs = ("wireguard-go",)

    def up(self):
        self.address = self.ping_address = INNER["right"]
        # Today's, which takes several packets a system call: Debian 12's does not.
        daemon = fetch_root("wireguard") / "usr/bin/wireguard-go"
        ends = ("left", "right")
        private, public = {}, {}
        for me in ends:
            private[me] = subprocess.run(["wg", "genkey"], capture_output=True, text=True,
                                         check=True).stdout
            public[me] = subprocess.run(["wg", "pubkey"], input=private[me], capture_output=True,
                                        text=True, check=True).stdout.strip()
        for me, peer in (ends, ends[::-1]):
            host = getattr(self, me)
            key = host.dir / "wg.key"
            key.write_text(private[me])
            host.spawn([daemon, "--foreground", "wg0"], name="wireguard-go",
                       env={"WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD": "1"})
            wait_until(lambda h=host: h.run(["wg", "show", "wg0"], check=False).returncode == 0, 5,
                       "wireguard-go answers")
            host.run(["wg", "set", "wg0", "listen-port", 51820, "private-key", key, "peer",
                      public[peer], "allowed-ips", f"{INNER[peer]}/32", "endpoint",
                      f"{OUTER[peer]}:51820"])
            host.run(["ip", "link", "set", "wg0", "up"])
            host.run(["ip", "route", "add", INNER[peer], "dev", "wg0", "src", INNER[me]])


class OpenVpnTunnel(Tunnel):
    """In user space (no kernel module), with the same cipher; its two ends know each other's certificate."""

    programs = ("openvpn",)

    def up(self):
        self.address = self.ping_address = INNER["right"]
        fingerprint = {}
        for me in ENDS:
            folder = getattr(self, me).dir
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
                            "-nodes", "-days", "2", "-subj", f"/CN={me}", "-keyout", folder / "vpn.key", "-out",
                            folder / "vpn.crt"], capture_output=True, check=True)
            shown = subprocess.run(["openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", folder / "vpn.crt"],
                                   capture_output=True, text=True, check=True).stdout
            fingerprint[me] = shown.strip().partition("=")[2]
        processes = []
        for me, peer in (ENDS[::-1], ENDS):
            host = getattr(self, me)
            processes.append(host.spawn(
                ["openvpn", "--dev", "vpn0", "--dev-type", "tun", "--proto", "udp4", "--local", OUTER[me], "--remote",
                 OUTER[peer], "--port", "1194", "--ifconfig", INNER[me], INNER[peer], "--tls-server" if me == "right"
                 else "--tls-client", "--dh", "none", "--cert", host.dir / "vpn.crt", "--key", host.dir / "vpn.key",
                 "--peer-fingerprint", fingerprint[peer], "--data-ciphers", "AES-128-GCM", "--disable-dco",
                 "--fast-io", "--txqueuelen", "1000"], name="openvpn"))
        for process in processes:
            process.wait_log("Initialization Sequence Completed", 20)


KINDS = {"veth": Tunnel, "cygnet-null": CygnetNull, "cygnet-udp": CygnetTunnel, "cygnet-esp": CygnetPlain,
         "cygnet-esp-xdp": CygnetXdp,
         "strongswan-libipsec": StrongSwanTunnel, "wireguard-go": WireGuardTunnel, "openvpn": OpenVpnTunnel,
         "cygnet-workers": CygnetWorkers, "cygnet-busy-poll": CygnetBusyPoll, "cygnet-crypto": CygnetCrypto,
         "cygnet-clones": CygnetClones, "cygnet-one-cpu": CygnetOneCpu, "cygnet-any-cpu": CygnetAnyCpu, "cygnet-beside": CygnetBeside,
         "cygnet-urgent": CygnetUrgent, "cygnet-crypto-beside": CygnetCryptoBeside,
         "cygnet-crypto-urgent": CygnetCryptoUrgent}
TITLES = {"veth": "plain veth (no tunnel)", "cygnet-null": "Cygnet without its cipher, in UDP",
          "cygnet-udp": "Cygnet, ESP in UDP", "cygnet-esp": "Cygnet, plain ESP",
          "cygnet-esp-xdp": "Cygnet, plain ESP past the stack (esp-path=xdp)",
          "strongswan-libipsec": "strongSwan 5.9 kernel-libipsec", "wireguard-go": "wireguard-go (2025)",
          "openvpn": "OpenVPN 2.6", "cygnet-workers": "Cygnet, ESP in UDP, two workers",
          "cygnet-busy-poll": "Cygnet, ESP in UDP, busy-poll=200",
          "cygnet-crypto": "Cygnet, ESP in UDP, one crypto thread",
          "cygnet-clones": "Cygnet, ESP in UDP, two workers, two clones",
          "cygnet-one-cpu": "Cygnet, ESP in UDP, both engines on one CPU",
          "cygnet-any-cpu": "Cygnet, ESP in UDP, engines wherever the kernel puts them",
          "cygnet-beside": "Cygnet, ESP in UDP, ping by a connection and device of its own",
          "cygnet-urgent": "Cygnet, ESP in UDP, ping likewise, with traffic=latency",
          "cygnet-crypto-beside": "Cygnet, ESP in UDP, one crypto thread, ping by a connection and device of its own",
          "cygnet-crypto-urgent": "Cygnet, ESP in UDP, one crypto thread, ping likewise, with traffic=latency"}
# What a run compares unless told otherwise.
ON_REQUEST = ("cygnet-workers", "cygnet-busy-poll", "cygnet-crypto", "cygnet-clones", "cygnet-one-cpu", "cygnet-any-cpu",
              "cygnet-beside", "cygnet-urgent", "cygnet-crypto-beside", "cygnet-crypto-urgent")
TUNNELS = tuple(name for name in KINDS if name not in ON_REQUEST)
