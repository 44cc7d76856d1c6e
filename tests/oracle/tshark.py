# SPDX-License-Identifier: Apache-2.0
"""Captures for tshark, and what it says about them."""
import functools
import re
import struct
import subprocess

LINKTYPE_RAW = 101  # IPv4 or IPv6, no link header


def write_pcap(path, packets):
    """packets: octets from the IP header on."""
    with open(path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINKTYPE_RAW))
        for number, packet in enumerate(packets):
            out.write(struct.pack("<IIII", 1_700_000_000 + number, 0, len(packet), len(packet)) + packet)


@functools.cache
def version():
    text = subprocess.run(["tshark", "--version"], check=True, capture_output=True, text=True).stdout
    return tuple(int(part) for part in re.search(r"(\d+)\.(\d+)", text).groups())


def verifies_esn():
    """4.0 (Debian 12) decrypts packets with extended sequence numbers but takes their ICVs for bad."""
    return version() >= (4, 4)


def esp_sa(family, source, destination, spi, crypt, crypt_key, auth, auth_key, esn_high=None):
    """A line of Wireshark's esp_sa table. Newer versions have two more columns, about sequence numbers."""
    columns = [f"IPv{family}", source, destination, f"0x{spi:08x}", crypt, "0x" + crypt_key.hex() if crypt_key else "", auth,
               "0x" + auth_key.hex() if auth_key else ""]
    if version() >= (4, 4):
        columns += ["32-bit", ""] if esn_high is None else ["64-bit", f"0x{esn_high:08x}"]
    return "uat:esp_sa:" + ",".join(f'"{column}"' for column in columns)


def fields(pcap, preferences, names, display_filter=None):
    """One list of strings a packet (a field that occurs several times: comma-separated)."""
    command = ["tshark", "-n", "-r", str(pcap), "-T", "fields"]
    for preference in preferences:
        command += ["-o", preference]
    for name in names:
        command += ["-e", name]
    if display_filter:
        command += ["-Y", display_filter]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


def is_true(value):
    return value in ("1", "True")
