# SPDX-License-Identifier: Apache-2.0
"""Diet-ESP (draft-ietf-ipsecme-diet-esp-04): Python's `cryptography` opens what the engine sends and makes what it
opens. The rules are written down a second time here: SPI, the low octets of the sequence number, IV, the sealed inner
packet without trailer, ICV; sealed as the ESP packet that it stands for."""
import struct

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from esp import NETWORKS, OUTER, SPI_IN, SPI_OUT
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

KEY, SALT = bytes(range(1, 17)), bytes.fromhex("a0a1a2a3")


def install(engine, octets, family, esn):
    ours, theirs = NETWORKS[family]
    local, remote = OUTER[4]
    engine.must(op="policy", id=1, local=[ours], remote=[theirs], mode="tunnel")
    for direction, spi in (("out", SPI_OUT), ("in", SPI_IN)):
        engine.must(op="sa", direction=direction, spi=spi, child=1, policy=1, mode="tunnel", local=[local, 0],
                    remote=[remote, 0], local_selectors=[ours], remote_selectors=[theirs], encryption="aes-gcm", bits=128,
                    encryption_key=(KEY + SALT).hex(), integrity="", integrity_key="", esn=esn, diet=octets,
                    replay_window=64)


def aad(spi, sequence, esn):
    return struct.pack("!IQ", spi, sequence) if esn else struct.pack("!II", spi, sequence & 0xffffffff)


def inner(family, outbound, octets):
    from esp import INNER
    source, destination = INNER[family][::1 if outbound else -1]
    ip = IP(src=source, dst=destination, id=7) if family == 4 else IPv6(src=source, dst=destination)
    packet = ip / UDP(sport=40001, dport=40002) / Raw(bytes(octets))
    return bytes(packet)


@pytest.mark.parametrize("esn", (False, True), ids=("32", "esn"))
@pytest.mark.parametrize("family", (4, 6))
@pytest.mark.parametrize("octets", (1, 2, 3, 4))
def test_both_ways(engine, octets, family, esn):
    install(engine, octets, family, esn)
    for number in range(1, 6):
        clear = inner(family, True, number)
        verdicts = engine.ask(op="out", packets=[clear.hex()])["verdicts"]
        wire = bytes.fromhex(verdicts[0]["esp"][0])
        assert len(wire) == 4 + octets + 8 + len(clear) + 16
        assert wire[:4] == struct.pack("!I", SPI_OUT) and wire[4:4 + octets] == number.to_bytes(octets, "big")
        iv, sealed = wire[4 + octets:12 + octets], wire[12 + octets:]
        assert AESGCM(KEY).decrypt(SALT + iv, sealed, aad(SPI_OUT, number, esn)) == clear
    # In, with gaps: all that is less than half of what the octets tell apart from the last one.
    sequence = 0
    for step in (1, 2, 60, 100):
        sequence += step
        clear = inner(family, False, step)
        iv = struct.pack("!Q", sequence ^ 0xdeadbeef)
        sealed = AESGCM(KEY).encrypt(SALT + iv, clear, aad(SPI_IN, sequence, esn))
        wire = struct.pack("!I", SPI_IN) + (sequence & (256 ** octets - 1)).to_bytes(octets, "big") + iv + sealed
        packet = dict(esp=wire.hex(), local=[OUTER[4][0], 0], remote=[OUTER[4][1], 0], udp=False)
        verdicts = engine.ask(op="in", packets=[packet])["verdicts"]
        assert [v["kind"] for v in verdicts] == ["deliver"], (step, verdicts)
        assert bytes.fromhex(verdicts[0]["clear"]) == clear
        again = engine.ask(op="in", packets=[packet])["verdicts"]
        assert [v["reason"] for v in again] == ["replay-seen"]
