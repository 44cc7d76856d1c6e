# SPDX-License-Identifier: Apache-2.0
"""IP-TFS written a second time, from RFC 9347 alone: AGGFRAG payloads to packets and packets to AGGFRAG payloads,
and around them ESP with AES-GCM (RFC 4106) by the cryptography library."""
import struct

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

AGGFRAG = 144


def length_of(packet):
    """Of the inner packet that begins here, by its own header; None while that is not all there."""
    if packet[0] >> 4 == 4:
        return struct.unpack(">H", packet[2:4])[0] if len(packet) >= 4 else None
    assert packet[0] >> 4 == 6, packet[:1].hex()
    return 40 + struct.unpack(">H", packet[4:6])[0] if len(packet) >= 6 else None


class Decoder:
    """Payloads in the order of their sequence numbers; each call gives the packets that are whole with it."""

    def __init__(self):
        self.partial = b""
        self.offsets = []

    def take(self, payload):
        sub_type, _, offset = struct.unpack(">BBH", payload[:4])
        assert sub_type in (0, 1)
        data = payload[24 if sub_type else 4:]
        if offset == 0 and data[:1] and data[0] >> 4 == 0:
            assert not any(data), "padding is zeros"
            return []
        self.offsets.append(offset)
        packets = []
        assert (offset > 0) == bool(self.partial), "BlockOffset says whether a packet goes on"
        if self.partial:
            self.partial += data[:offset]
            if offset <= len(data):
                assert length_of(self.partial) == len(self.partial)
                packets.append(self.partial)
                self.partial = b""
        data = data[offset:]
        while data and data[0] >> 4 != 0:
            length = length_of(data)
            if length is None or length > len(data):
                self.partial = data
                return packets
            packets.append(data[:length])
            data = data[length:]
        assert not any(data), "padding is zeros"
        return packets


def encode(packets, rooms):
    """Payloads whose data blocks have the sizes that rooms yields, one after the other."""
    stream = b"".join(packets)
    ends, at = [], 0
    for packet in packets:
        at += len(packet)
        ends.append(at)
    payloads, at = [], 0
    while at < len(stream):
        room = next(rooms)
        starts = [0] + ends
        offset = 0 if at in starts else min(end for end in ends if end > at) - at
        data = stream[at:at + room]
        payloads.append(struct.pack(">BBH", 0, 0, offset) + data.ljust(room, b"\0"))
        at += room
    return payloads


class Gcm:
    """One direction of an SA. The key is followed by four octets of salt."""

    def __init__(self, spi, key):
        self.spi, self.cipher, self.salt = spi, AESGCM(key[:-4]), key[-4:]

    def open(self, esp):
        spi, sequence = struct.unpack(">II", esp[:8])
        assert spi == self.spi
        clear = self.cipher.decrypt(self.salt + esp[8:16], esp[16:], esp[:8])
        return sequence, clear[-1], clear[:-2 - clear[-2]]

    def seal(self, sequence, payload, next_header=AGGFRAG):
        pad = -(len(payload) + 2) % 4
        clear = payload + bytes(range(1, pad + 1)) + bytes((pad, next_header))
        head = struct.pack(">II", self.spi, sequence)
        iv = struct.pack(">Q", sequence)
        return head + iv + self.cipher.encrypt(self.salt + iv, clear, head)
