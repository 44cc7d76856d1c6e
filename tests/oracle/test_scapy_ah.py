# SPDX-License-Identifier: Apache-2.0
"""scapy verifies the AH that the engine makes, and the engine takes what scapy signed (RFC 4302): every integrity
algorithm that both know, both modes and families, with and without ESN, with options and extension headers."""
import itertools
import random

import pytest
from esp import INNER, NETWORKS, OUTER, PORTS, SPI_IN, SPI_OUT
from scapy.layers.inet import IP, UDP, IPOption_RR, IPOption_Router_Alert
from scapy.layers.inet6 import HBHOptUnknown, IPv6, IPv6ExtHdrHopByHop, RouterAlert
from scapy.layers.ipsec import AH, IPSecIntegrityError, SecurityAssociation
from scapy.packet import Raw

# Our name, octets of the key, scapy's name.
MACS = [("sha1-96", 20, "HMAC-SHA1-96"), ("md5-96", 16, "HMAC-MD5-96"), ("sha2-256-128", 32, "SHA2-256-128"),
        ("sha2-384-192", 48, "SHA2-384-192"), ("sha2-512-256", 64, "SHA2-512-256"), ("aes-cmac-96", 16, "AES-CMAC-96")]
CASES = list(itertools.product(MACS, ("tunnel", "transport"), (4, 6), (False, True)))
every_case = pytest.mark.parametrize(
    "mac,mode,family,esn", CASES, ids=["-".join([c[0][0], c[1], f"v{c[2]}"] + (["esn"] if c[3] else [])) for c in CASES])


def key_of(mac):
    return bytes((11 * i + 5) & 255 for i in range(mac[1]))


def install(engine, mac, mode, family, esn):
    ours, theirs = OUTER[family] if mode == "transport" else NETWORKS[4]
    local, remote = OUTER[family]
    engine.must(op="policy", id=1, local=[ours], remote=[theirs], mode=mode)
    for direction, spi in (("out", SPI_OUT), ("in", SPI_IN)):
        engine.must(op="sa", direction=direction, spi=spi, child=1, policy=1, mode=mode, protocol="ah", local=[local, 0],
                    remote=[remote, 0], local_selectors=[ours], remote_selectors=[theirs], encryption="",
                    integrity=mac[0], integrity_key=key_of(mac).hex(), esn=esn)


def association(mac, mode, family, esn, outbound):
    source, destination = OUTER[family] if outbound else reversed(OUTER[family])
    ip = IP if family == 4 else IPv6
    return SecurityAssociation(AH, spi=SPI_OUT if outbound else SPI_IN, seq_num=1, auth_algo=mac[2],
                               auth_key=key_of(mac), esn_en=esn, esn=0,
                               tunnel_header=ip(src=source, dst=destination) if mode == "tunnel" else None)


def clear_packet(mode, family, outbound, front=None):
    source, destination = (OUTER[family] if mode == "transport" else INNER[4])[::1 if outbound else -1]
    v4 = family == 4 or mode == "tunnel"
    header = front or (IP(id=7, ttl=61) if v4 else IPv6(hlim=61))
    header.src, header.dst = source, destination
    packet = header / UDP(sport=PORTS[0], dport=PORTS[1]) / Raw(b"who said that, and was it so")
    return packet.__class__(bytes(packet))


def send(engine, packet):
    verdicts = engine.ask(op="out", packets=[bytes(packet).hex()])["verdicts"]
    assert [v["kind"] for v in verdicts] == ["send"] and verdicts[0]["whole_packet"], verdicts
    octets = bytes.fromhex(verdicts[0]["esp"][0])
    return (IP if octets[0] >> 4 == 4 else IPv6)(octets)


def receive(engine, family, octets):
    local, remote = OUTER[family]
    packet = dict(esp=bytes(octets).hex(), local=[local, 0], remote=[remote, 0], ah=True)
    return engine.ask(op="in", packets=[packet])["verdicts"]


@every_case
def test_scapy_verifies_what_the_engine_signs(engine, mac, mode, family, esn):
    install(engine, mac, mode, family, esn)
    scapy = association(mac, mode, family, esn, outbound=True)
    for number in (1, 2):
        clear = clear_packet(mode, family, outbound=True)
        wire = send(engine, clear)
        assert (wire[AH].spi, wire[AH].seq) == (SPI_OUT, number)
        assert bytes(scapy.decrypt(wire)) == bytes(clear)
    damaged = bytearray(bytes(send(engine, clear_packet(mode, family, outbound=True))))
    damaged[-1] ^= 1
    with pytest.raises(IPSecIntegrityError):
        scapy.decrypt(wire.__class__(bytes(damaged)))


@every_case
def test_the_engine_takes_what_scapy_signs(engine, mac, mode, family, esn):
    install(engine, mac, mode, family, esn)
    scapy = association(mac, mode, family, esn, outbound=False)
    clear = clear_packet(mode, family, outbound=False)
    signed = bytes(scapy.encrypt(clear.copy()))
    rng = random.Random(mac[0])
    for _ in range(8):
        damaged = bytearray(signed)
        damaged[rng.randrange(len(signed) - 40, len(signed))] ^= 1 << rng.randrange(8)
        assert [(v["kind"], v["reason"]) for v in receive(engine, family, damaged)] == [("drop", "integrity-failed")]
    verdicts = receive(engine, family, signed)
    assert [v["kind"] for v in verdicts] == ["deliver"], verdicts
    assert bytes.fromhex(verdicts[0]["clear"]) == bytes(clear)


@pytest.mark.parametrize("mac", MACS, ids=[m[0] for m in MACS])
def test_options_and_extension_headers(engine, mac):
    install(engine, mac, "transport", 4, False)
    front = IP(id=7, ttl=61, tos=0x28, flags="DF", options=[IPOption_RR(length=7, pointer=4, routers=["0.0.0.0"]),
                                                            IPOption_Router_Alert()])
    clear = clear_packet("transport", 4, True, front)
    wire = send(engine, clear)
    assert bytes(association(mac, "transport", 4, False, True).decrypt(wire)) == bytes(clear)
    engine.ask(op="reset")
    install(engine, mac, "transport", 6, False)
    front = IPv6(hlim=61, tc=0x28, fl=0xabcde) / IPv6ExtHdrHopByHop(
        options=[RouterAlert(), HBHOptUnknown(otype=0x3e, optlen=6, optdata=b"change")])
    clear = clear_packet("transport", 6, True, front)
    wire = send(engine, clear)
    assert wire.nh == 0 and wire[IPv6ExtHdrHopByHop].nh == 51
    assert bytes(association(mac, "transport", 6, False, True).decrypt(wire)) == bytes(clear)
