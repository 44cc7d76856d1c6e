# SPDX-License-Identifier: Apache-2.0
"""AES-GMAC in AH (RFC 4543 section 4), which scapy does not know: Python's `cryptography` makes the tags, scapy says
which fields of the headers are mutable."""
import itertools
import struct

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from esp import OUTER, SPI_IN, SPI_OUT
from scapy.layers.inet import IP, IPOption_RR, IPOption_Router_Alert
from scapy.layers.inet6 import HBHOptUnknown, IPv6, IPv6ExtHdrHopByHop, RouterAlert
from scapy.layers.ipsec import AH, zero_mutable_fields
from scapy.packet import Raw
from test_scapy_ah import clear_packet, install, key_of, receive, send

# As test_scapy_ah has them; the key is followed by four octets of salt.
MACS = [("aes128-gmac", 20), ("aes192-gmac", 28), ("aes256-gmac", 36)]
IV_OCTETS, TAG_OCTETS = 8, 16
CASES = list(itertools.product(MACS, ("tunnel", "transport"), (4, 6), (False, True)))
every_case = pytest.mark.parametrize(
    "mac,mode,family,esn", CASES, ids=["-".join([c[0][0], c[1], f"v{c[2]}"] + (["esn"] if c[3] else [])) for c in CASES])


def field_octets(family):
    # Erratum 3643: in IPv6 four octets of padding, in IPv4 none.
    return IV_OCTETS + TAG_OCTETS + (4 if family == 6 else 0)


def tag_of(packet, mac, esn_high):
    """What RFC 4302 section 3.3.3 has the ICV cover: mutable fields and the ICV field zero, the high word behind."""
    key, packet = key_of(mac), packet.copy()
    iv = packet[AH].icv[:IV_OCTETS]
    covered = bytes(zero_mutable_fields(packet, sending=False))
    at = covered.index(bytes(packet[AH])[:12])
    covered = covered[:at + 12] + bytes(field_octets(packet.version)) + covered[at + 12 + field_octets(packet.version):]
    if esn_high is not None:
        covered += struct.pack("!I", esn_high)
    return AESGCM(key[:-4]).encrypt(key[-4:] + iv, b"", covered)


def read(octets):
    """A whole packet; scapy does not know how long the field is, so the octets of AH are cut by hand."""
    packet = (IP if octets[0] >> 4 == 4 else IPv6)(octets)
    raw = bytes(packet[AH])
    field = (raw[1] + 2) * 4 - 12
    packet[AH].remove_payload()
    packet[AH].icv = raw[12:12 + IV_OCTETS + TAG_OCTETS]
    packet[AH].padding = raw[12 + IV_OCTETS + TAG_OCTETS:12 + field]
    packet[AH].add_payload(Raw(raw[12 + field:]))
    return packet


@every_case
def test_cryptography_verifies_what_the_engine_signs(engine, mac, mode, family, esn):
    install(engine, mac, mode, family, esn)
    for number in (1, 2):
        clear = clear_packet(mode, family, outbound=True)
        wire = read(bytes(send(engine, clear)))
        assert (wire[AH].spi, wire[AH].seq) == (SPI_OUT, number)
        assert wire[AH].payloadlen == (12 + field_octets(family)) // 4 - 2
        assert wire[AH].icv[:IV_OCTETS] == struct.pack("!Q", number) and not any(wire[AH].padding)
        assert wire[AH].icv[IV_OCTETS:] == tag_of(wire, mac, 0 if esn else None)
        inside = bytes(wire[AH].payload)
        assert inside == (bytes(clear) if mode == "tunnel" else bytes(clear.payload))


@every_case
def test_the_engine_takes_what_cryptography_signs(engine, mac, mode, family, esn):
    install(engine, mac, mode, family, esn)
    clear = clear_packet(mode, family, outbound=False)
    source, destination = reversed(OUTER[family])
    inside = bytes(clear) if mode == "tunnel" else bytes(clear.payload)
    header = IP(src=source, dst=destination, id=77) if family == 4 else IPv6(src=source, dst=destination)
    if mode == "transport":
        header = clear.copy()
        header.remove_payload()
        if family == 4:
            header.len = header.chksum = None
            header.proto = 51
        else:
            header.plen = None
            header.nh = 51
    iv = bytes.fromhex("a1b2c3d4e5f60718")  # the receiver takes any
    wire = header / AH(nh=4 if mode == "tunnel" else 17, spi=SPI_IN, seq=5, icv=iv + bytes(TAG_OCTETS),
                       payloadlen=(12 + field_octets(family)) // 4 - 2,
                       padding=bytes(field_octets(family) - IV_OCTETS - TAG_OCTETS)) / Raw(inside)
    wire = read(bytes(wire))
    wire[AH].icv = iv + tag_of(wire, mac, 0 if esn else None)
    signed = bytes(wire)
    at = signed.index(iv)
    for place in (at, at + 7, at + 8, at + 23, len(signed) - 1):
        damaged = bytearray(signed)
        damaged[place] ^= 0x10
        assert [(v["kind"], v["reason"]) for v in receive(engine, family, damaged)] == [("drop", "integrity-failed")]
    verdicts = receive(engine, family, signed)
    assert [v["kind"] for v in verdicts] == ["deliver"], verdicts
    assert bytes.fromhex(verdicts[0]["clear"]) == bytes(clear)


@pytest.mark.parametrize("mac", MACS, ids=[m[0] for m in MACS])
def test_options_and_extension_headers(engine, mac):
    install(engine, mac, "transport", 4, False)
    front = IP(id=7, ttl=61, tos=0x28, flags="DF", options=[IPOption_RR(length=7, pointer=4, routers=["0.0.0.0"]),
                                                            IPOption_Router_Alert()])
    wire = read(bytes(send(engine, clear_packet("transport", 4, True, front))))
    assert wire[AH].icv[IV_OCTETS:] == tag_of(wire, mac, None)
    engine.ask(op="reset")
    install(engine, mac, "transport", 6, False)
    front = IPv6(hlim=61, tc=0x28, fl=0xabcde) / IPv6ExtHdrHopByHop(
        options=[RouterAlert(), HBHOptUnknown(otype=0x3e, optlen=6, optdata=b"change")])
    wire = read(bytes(send(engine, clear_packet("transport", 6, True, front))))
    assert wire[AH].icv[IV_OCTETS:] == tag_of(wire, mac, None)


def test_another_key_makes_another_tag():
    with pytest.raises(InvalidTag):
        key = key_of(MACS[0])
        AESGCM(key[:-4]).decrypt(key[-4:] + bytes(8), bytes(16), b"")
