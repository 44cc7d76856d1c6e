# SPDX-License-Identifier: Apache-2.0
"""A guest with Debian's newest kernel, in QEMU without help of the hardware: what User-Mode Linux has not (XFRM
interfaces, SAs for single CPUs).

    host ---- tap0 ---- guest (vec0)     inner0: the guest's inner addresses

Everything else is as in uml.py: its tree is the host's, over virtiofs, and commands go through files in it. Boots in
about 15 s on a slow machine.
"""
import pathlib

from .net import wait_until
from .strongswan import fetch_root
from .uml import Uml


class Machine(Uml):
    # Beside those that uml_init.sh loads.
    MODULES = "virtio_net xfrm_interface"

    def __init__(self, host, addresses, gateways, inner, tap="tap0", memory="384M", root="guest", prepare=None,
                 cpus=1, modules=""):
        """modules: beside MODULES."""
        self.make_mailbox(host, "machine")
        machine, guest = fetch_root("machine"), fetch_root(root)
        tree = self.dir / "root"
        host.run(f"""set -e
            mkdir -p {tree} {self.dir}/layer
            mount -t tmpfs tmpfs {self.dir}/layer
            mkdir -p {tree}/guest {self.dir}/layer/upper {self.dir}/layer/work
            mount -t overlay overlay -o lowerdir={guest},upperdir={self.dir}/layer/upper,workdir={self.dir}/layer/work {tree}/guest
            mkdir -p {tree}/guest/lab {tree}/guest/usr/lib/uml/modules
            mount --bind {machine}/usr/lib/modules {tree}/guest/usr/lib/uml/modules
            mount --bind {self.mailbox} {tree}/guest/lab
            ip tuntap add {tap} mode tap
            ip link set {tap} up gso_max_size 1500 gso_max_segs 1""")
        if prepare:
            prepare(host, tree)
        libraries = f"{machine}/usr/lib/x86_64-linux-gnu"
        loader = [f"{machine}/usr/lib64/ld-linux-x86-64.so.2", "--library-path", libraries]
        # Only in the mailbox does the host change anything.
        shared = {"tree": (f"{tree}/guest", "always"), "mailbox": (self.mailbox, "never")}
        devices = []
        for name, (folder, cache) in shared.items():
            socket = self.dir / f"{name}.sock"
            host.spawn(loader + [f"{machine}/usr/libexec/virtiofsd", "--socket-path", socket, "--shared-dir", folder,
                                 "--sandbox", "none", "--cache", cache], name=name)
            wait_until(socket.exists, 10, "virtiofsd listens", interval_s=0.02)
            devices += ["-chardev", f"socket,id={name},path={socket}",
                        "-device", f"vhost-user-fs-pci,chardev={name},tag={name}"]
        kernel = next(pathlib.Path(machine).glob("usr/lib/modules/*/vmlinuz"))
        words = ["console=ttyS0", "quiet", "panic=-1", "root=tree", "rootfstype=virtiofs", "rw", "init=/lab/init",
                 "mitigations=off", f"LAB_ADDRESSES={','.join(addresses)}", f"LAB_GATEWAYS={','.join(gateways)}",
                 f"LAB_INNER={','.join(inner)}", f"LAB_MODULES={','.join(f'{self.MODULES} {modules}'.split())}", "LAB_MAILBOX=mailbox"]
        self.process = host.spawn(
            loader + [f"{machine}/usr/bin/qemu-system-x86_64", "-L", f"{machine}/usr/share/seabios", "-L",
                      f"{machine}/usr/share/qemu", "-M", "q35,accel=tcg", "-cpu", "max", "-smp", str(cpus), "-m",
                      memory, "-object", f"memory-backend-memfd,id=memory,size={memory},share=on", "-numa",
                      "node,memdev=memory", "-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio",
                      "-no-reboot", "-kernel", kernel, "-append", " ".join(words),
                      *devices, "-netdev",
                      f"tap,id=wire,ifname={tap},script=no,downscript=no", "-device",
                      "virtio-net-pci,netdev=wire,romfile="], name="machine")
        self.process.wait_log("lab: guest ready", 120)

    def poweroff(self):
        (self.mailbox / "poweroff").touch()
        self.process.wait(30)
