# SPDX-License-Identifier: Apache-2.0
"""OpenIKED in a guest made with root="openiked": SAs and policies go to the guest's kernel over PF_KEY."""
from .net import LabError, wait_until
from .strongswan import PSK

_CONF = "/etc/iked.conf"
_STATE = "/lab/iked.log"


class GuestOpenIked:
    """load() takes the words of iked.conf; one daemon a configuration, as iked cannot be asked to initiate."""

    def __init__(self, guest, files=None):
        """files: {path under /etc/iked: text}: certificates and keys."""
        self.guest = guest
        # Its own folder over that of the root, which other guests share.
        guest.run("cp -a /etc/iked /tmp/iked && mount -t tmpfs none /etc/iked && cp -a /tmp/iked/. /etc/iked/")
        for path, text in (files or {}).items():
            guest.write(f"/etc/iked/{path}", text)
        guest.run("chmod 600 /etc/iked/private/*; chown root:_iked /etc/iked/private", check=False)

    def load(self, policy, settings=""):
        self.loaded = policy, settings
        self.stop()
        self.guest.write(_CONF, f"{settings}\n{policy}\n")
        self.guest.run(f"chmod 600 {_CONF} && : >{_STATE} && "
                       f"(setsid /usr/sbin/iked -dv -f {_CONF} >{_STATE} 2>&1 & echo $! >/run/iked.lab) ; "
                       "for i in $(seq 400); do ikectl show sa >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1",
                       timeout_s=90)

    def again(self):
        """As if it had been started afresh."""
        self.load(*self.loaded)

    def stop(self):
        # Its children end with it; what it left in the kernel goes too.
        self.guest.run("[ -f /run/iked.lab ] || exit 0; kill $(cat /run/iked.lab) 2>/dev/null; "
                       "for i in $(seq 200); do kill -0 $(cat /run/iked.lab) 2>/dev/null || break; sleep 0.1; done; "
                       "rm -f /run/iked.lab; ip xfrm state flush; ip xfrm policy flush", timeout_s=60)

    def show(self):
        return self.guest.run("ikectl show sa", check=False)

    def wait_up(self, timeout_s=20):
        wait_until(lambda: "ESTABLISHED" in self.show(), timeout_s, "OpenIKED has an IKE SA")

    def read_log(self):
        log = self.guest.mailbox / "iked.log"
        return log.read_text(errors="replace") if log.exists() else ""


def policy(mode, ours, theirs, our_lan, their_lan, proof=f'psk "{PSK}"', more=""):
    """A policy of iked.conf; ours, our_lan: of the guest."""
    return (f'ikev2 "lab" {mode} esp from {our_lan} to {their_lan} local {ours} peer {theirs} '
            "ikesa enc aes-256 prf hmac-sha2-256 auth hmac-sha2-256 group curve25519 "
            "childsa enc aes-256 auth hmac-sha2-512 noesn "
            f"srcid theirs.example.org dstid ours.example.org {more} {proof}")
