# SPDX-License-Identifier: Apache-2.0
"""IP-TFS (RFC 9347) against a second reading of the RFC (aggfrag.py): any packets, any cuts."""
import itertools
import random

import pytest
from aggfrag import AGGFRAG, Decoder, Gcm, encode
from esp import INNER, NETWORKS, OUTER, SPI_IN, SPI_OUT
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Raw

KEY = bytes(range(3, 39))
FIXED = {600: 600, 0: 1500}


def install(engine, **iptfs):
    engine.must(op="policy", id=1, local=[NETWORKS[4][0], NETWORKS[6][0]], remote=[NETWORKS[4][1], NETWORKS[6][1]],
                mode="tunnel")
    local, remote = OUTER[4]
    for direction, spi in (("out", SPI_OUT), ("in", SPI_IN)):
        engine.must(op="sa", direction=direction, spi=spi, child=1, policy=1, mode="tunnel", local=[local, 0],
                    remote=[remote, 0], local_selectors=[NETWORKS[4][0], NETWORKS[6][0]],
                    remote_selectors=[NETWORKS[4][1], NETWORKS[6][1]], encryption="aes-gcm", bits=256,
                    encryption_key=KEY.hex(), iptfs=iptfs)


def packets(chance, count, outbound, most=1400):
    out = []
    for _ in range(count):
        family = chance.choice((4, 6))
        source, destination = INNER[family][::1 if outbound else -1]
        header = IP(src=source, dst=destination) if family == 4 else IPv6(src=source, dst=destination)
        out.append(bytes(header / UDP(sport=40001, dport=40002) / Raw(chance.randbytes(chance.randrange(most)))))
    return out


@pytest.mark.parametrize("size,fragment,reports", itertools.product((0, 600), (True, False), (True, False)))
def test_what_the_engine_sends_is_read(engine, size, fragment, reports):
    install(engine, packet_octets=size, fragment=fragment, reports=reports)
    chance, decoder, gcm, expected = random.Random(9347), Decoder(), Gcm(SPI_OUT, KEY), 1
    for _ in range(20):
        sent = packets(chance, chance.randrange(1, 8), True, most=1400 if fragment else 450)
        verdicts = engine.ask(op="out", packets=[p.hex() for p in sent])["verdicts"]
        got = []
        for esp in (bytes.fromhex(esp) for v in verdicts for esp in v["esp"]):
            assert FIXED[size] - 3 <= len(esp) + 20 <= FIXED[size], "one size, whatever is inside"
            sequence, next_header, payload = gcm.open(esp)
            assert (sequence, next_header, payload[0]) == (expected, AGGFRAG, 1 if reports else 0)
            expected += 1
            got += decoder.take(payload)
        assert got == sent
    assert any(decoder.offsets) == fragment


def test_what_others_send_is_put_together(engine):
    install(engine, reorder_window=4)
    chance, gcm = random.Random(1), Gcm(SPI_IN, KEY)
    local, remote = OUTER[4]
    sequence = 0
    for _ in range(30):
        sent = packets(chance, chance.randrange(1, 12), False)
        rooms = iter(lambda: chance.randrange(1, 1500), None)
        esp = []
        for payload in encode(sent, rooms):
            sequence += 1
            esp.append(gcm.seal(sequence, payload))
            if chance.random() < 0.2:
                sequence += 1
                esp.append(gcm.seal(sequence, bytes(4) + bytes(chance.randrange(1, 100))))  # all padding
        for i in range(0, len(esp) - 4, 4):
            esp[i:i + 4] = chance.sample(esp[i:i + 4], 4)
        got = []
        for start in range(0, len(esp), 16):
            asked = [dict(esp=e.hex(), local=[local, 0], remote=[remote, 0]) for e in esp[start:start + 16]]
            verdicts = engine.ask(op="in", packets=asked)["verdicts"]
            assert {v["kind"] for v in verdicts} <= {"deliver"}, verdicts
            got += [bytes.fromhex(v["clear"]) for v in verdicts]
        assert got == sent
