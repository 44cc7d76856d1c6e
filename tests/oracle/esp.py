# SPDX-License-Identifier: Apache-2.0
"""One ESP SA seen from both sides: as the engine's SaSpec and as scapy's SecurityAssociation.

    gateway 192.0.2.1 ======= ESP ======= gateway 192.0.2.2
      10.1.0.0/24  (engine)                 10.2.0.0/24  (scapy)
"""
import dataclasses
import itertools
import struct

from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.packet import Raw

SPI_OUT = 0x1000
SPI_IN = 0x2000
NAT_T_PORT = 4500
# Ports that no dissector claims: one that throws would hide the lines about ESP.
PORTS = (40001, 40002)


@dataclasses.dataclass(frozen=True)
class Algorithm:
    name: str
    encryption: str
    bits: int
    salt: int
    integrity: str
    integrity_octets: int
    scapy_crypt: str
    scapy_auth: str
    wireshark_crypt: str
    wireshark_auth: str
    integrity_icv: int = 0  # where it is not half of the key
    seldom: bool = False    # fewer combinations are tried

    @property
    def encryption_key(self):
        octets = {"null": 0, "chacha20-poly1305": 32, "3des": 24}.get(self.encryption, self.bits // 8) + self.salt
        return bytes((7 * i + 1) & 255 for i in range(octets))

    @property
    def integrity_key(self):
        return bytes((11 * i + 5) & 255 for i in range(self.integrity_octets))

    @property
    def iv_octets(self):
        return {"null": 0, "aes-cbc": 16}.get(self.encryption, 8)

    @property
    def icv_octets(self):
        return self.integrity_icv or (self.integrity_octets // 2 if self.integrity else 16)


def _hmac(encryption, bits, hash_bits):
    octets = hash_bits // 8
    name = f"{encryption}{bits or ''}-sha{hash_bits}"
    crypt = {"null": ("NULL", "NULL"), "aes-cbc": ("AES-CBC", "AES-CBC [RFC3602]")}[encryption]
    return Algorithm(name, encryption, bits, 0, f"sha2-{hash_bits}-{hash_bits // 2}", octets, crypt[0],
                     f"SHA2-{hash_bits}-{hash_bits // 2}", crypt[1], f"HMAC-SHA-{hash_bits}-{hash_bits // 2} [RFC4868]")


def _aead(name, encryption, bits, scapy_crypt, wireshark_crypt):
    return Algorithm(name, encryption, bits, 4, "", 0, scapy_crypt, "NULL", wireshark_crypt, "NULL")


def _seldom(encryption, bits, salt, integrity, octets, scapy_crypt, scapy_auth, wireshark_crypt, wireshark_auth):
    name = "-".join(part for part in (f"{encryption}{bits or ''}", integrity) if part)
    return Algorithm(name, encryption, bits, salt, integrity, octets, scapy_crypt, scapy_auth, wireshark_crypt,
                     wireshark_auth, 12 if integrity.endswith("-96") else 0, True)


MD5 = ("HMAC-MD5-96", "HMAC-MD5-96 [RFC2403]")
SHA1 = ("HMAC-SHA1-96", "HMAC-SHA-1-96 [RFC2404]")
SHA2 = ("SHA2-256-128", "HMAC-SHA-256-128 [RFC4868]")
CMAC = ("AES-CMAC-96", "")  # tshark does not check it
NONE = ("NULL", "NULL")

ALGORITHMS = [
    _aead("aes-gcm128", "aes-gcm", 128, "AES-GCM", "AES-GCM with 16 octet ICV [RFC4106]"),
    _aead("aes-gcm256", "aes-gcm", 256, "AES-GCM", "AES-GCM with 16 octet ICV [RFC4106]"),
    _aead("chacha20-poly1305", "chacha20-poly1305", 0, "CHACHA20-POLY1305", ""),
    _hmac("aes-cbc", 128, 256),
    _hmac("aes-cbc", 256, 256),
    _hmac("aes-cbc", 256, 384),
    _hmac("aes-cbc", 256, 512),
    _hmac("null", 0, 256),
    _hmac("null", 0, 384),
    _hmac("null", 0, 512),
    _seldom("aes-ctr", 128, 4, "sha2-256-128", 32, "AES-CTR", SHA2[0], "AES-CTR [RFC3686]", SHA2[1]),
    _seldom("aes-ctr", 256, 4, "sha1-96", 20, "AES-CTR", SHA1[0], "AES-CTR [RFC3686]", SHA1[1]),
    _seldom("aes-cbc", 128, 0, "md5-96", 16, "AES-CBC", MD5[0], "AES-CBC [RFC3602]", MD5[1]),
    _seldom("aes-cbc", 256, 0, "aes-cmac-96", 16, "AES-CBC", CMAC[0], "", CMAC[1]),
    _seldom("3des", 0, 0, "sha1-96", 20, "3DES", SHA1[0], "TripleDES-CBC [RFC2451]", SHA1[1]),
    _seldom("aes-ccm", 128, 3, "", 0, "AES-CCM", NONE[0], "", NONE[1]),
    _seldom("aes-ccm", 256, 3, "", 0, "AES-CCM", NONE[0], "", NONE[1]),
    _seldom("aes-gmac", 128, 4, "", 0, "AES-NULL-GMAC", NONE[0], "", NONE[1]),
    _seldom("aes-gmac", 256, 4, "", 0, "AES-NULL-GMAC", NONE[0], "", NONE[1]),
]

OUTER = {4: ("192.0.2.1", "192.0.2.2"), 6: ("2001:db8:ffff::1", "2001:db8:ffff::2")}
INNER = {4: ("10.1.0.5", "10.2.0.7"), 6: ("2001:db8:1::5", "2001:db8:2::7")}
NETWORKS = {4: ("10.1.0.0/24", "10.2.0.0/24"), 6: ("2001:db8:1::/64", "2001:db8:2::/64")}


@dataclasses.dataclass(frozen=True)
class Case:
    algorithm: Algorithm
    mode: str
    inner: int
    outer: int
    esn: bool
    udp: bool

    def __str__(self):
        parts = [self.algorithm.name, self.mode, f"v{self.inner}in{self.outer}"]
        return "-".join(parts + (["esn"] if self.esn else []) + (["udp"] if self.udp else []))

    # ---- addresses
    @property
    def outer_addresses(self):
        return OUTER[self.outer]

    @property
    def inner_addresses(self):
        return OUTER[self.outer] if self.mode == "transport" else INNER[self.inner]

    @property
    def selectors(self):
        return OUTER[self.outer] if self.mode == "transport" else NETWORKS[self.inner]

    # ---- the engine's side
    def algorithm_fields(self):
        a = self.algorithm
        return dict(encryption=a.encryption, bits=a.bits, integrity=a.integrity, encryption_key=a.encryption_key.hex(),
                    integrity_key=a.integrity_key.hex(), esn=self.esn)

    def install(self, engine):
        """Both directions, and the policy that leads into the tunnel."""
        local, remote = self.outer_addresses
        port = NAT_T_PORT if self.udp else 0
        ours, theirs = self.selectors
        engine.must(op="policy", id=1, local=[ours], remote=[theirs], mode=self.mode)
        for direction, spi in (("out", SPI_OUT), ("in", SPI_IN)):
            engine.must(op="sa", direction=direction, spi=spi, child=1, policy=1, mode=self.mode, local=[local, port],
                        remote=[remote, port], udp=self.udp, local_selectors=[ours], remote_selectors=[theirs],
                        **self.algorithm_fields())

    def receive(self, engine, *esp_packets):
        """Hands ESP packets to the engine as if they came from the other gateway; gives its verdicts."""
        local, remote = self.outer_addresses
        port = NAT_T_PORT if self.udp else 0
        packets = [dict(esp=esp.hex(), local=[local, port], remote=[remote, port], udp=self.udp) for esp in esp_packets]
        return engine.ask(op="in", packets=packets)["verdicts"]

    # ---- scapy's side
    def association(self, outbound):
        """outbound: from the engine's side. The other direction is what scapy sends."""
        a = self.algorithm
        source, destination = self.outer_addresses if outbound else reversed(self.outer_addresses)
        ip = IP if self.outer == 4 else IPv6
        return SecurityAssociation(
            ESP, spi=SPI_OUT if outbound else SPI_IN, seq_num=1, crypt_algo=a.scapy_crypt, crypt_key=a.encryption_key or None,
            auth_algo=a.scapy_auth, auth_key=a.integrity_key or None,
            tunnel_header=ip(src=source, dst=destination) if self.mode == "tunnel" else None,
            nat_t_header=UDP(sport=NAT_T_PORT, dport=NAT_T_PORT) if self.udp else None, esn_en=self.esn, esn=0)

    def inner_packet(self, outbound, payload=b"hello from one side to the other"):
        source, destination = self.inner_addresses if outbound else reversed(self.inner_addresses)
        family = self.inner if self.mode == "tunnel" else self.outer
        ip = IP(src=source, dst=destination, id=7, ttl=61) if family == 4 else IPv6(src=source, dst=destination, hlim=61)
        ports = PORTS if outbound else PORTS[::-1]
        packet = ip / UDP(sport=ports[0], dport=ports[1]) / Raw(payload)
        return packet.__class__(bytes(packet))  # lengths and checksums filled in

    def on_the_wire(self, verdict):
        """The IP packets that the kernel would make of a SendToPeer."""
        ip = IP if self.outer == 4 else IPv6
        source, destination = verdict["local"][0], verdict["remote"][0]
        packets = []
        for esp in verdict["esp"]:
            below = bytes.fromhex(esp)
            if verdict["udp"]:
                below = bytes(UDP(sport=verdict["local"][1], dport=verdict["remote"][1], len=8 + len(below), chksum=0)) + below
            protocol = 17 if verdict["udp"] else 50
            header = ip(src=source, dst=destination, proto=protocol) if self.outer == 4 else ip(src=source, dst=destination, nh=protocol)
            packets.append(ip(bytes(header / Raw(below))))
        return packets


def esp_octets(packet):
    """The ESP part of what scapy's encrypt() made."""
    return bytes(packet[ESP])


def sealed_sequence(esp):
    return struct.unpack("!I", esp[4:8])[0]


def cases():
    for algorithm, esn, udp in itertools.product(ALGORITHMS, (False, True), (False, True)):
        if algorithm.seldom and udp:
            continue
        for inner, outer in itertools.product((4, 6), (4, 6)):
            if algorithm.seldom and inner != outer:
                continue
            yield Case(algorithm, "tunnel", inner, outer, esn, udp)
        for family in (4, 6):
            yield Case(algorithm, "transport", family, family, esn, udp)
