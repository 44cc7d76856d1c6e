# SPDX-License-Identifier: Apache-2.0
"""scapy opens what the engine seals, and the engine opens what scapy seals: every algorithm, mode, pair of address
families, with and without ESN and UDP encapsulation. Tampering is noticed by both."""
import random
import struct

import pytest
from esp import ALGORITHMS, SPI_IN, SPI_OUT, Case, cases, esp_octets, sealed_sequence
from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP, IPSecIntegrityError

SIZES = [0, 1, 2, 3, 4, 11, 12, 13, 14, 15, 16, 17, 31, 32, 33, 200, 1000, 1300]
every_case = pytest.mark.parametrize("case", list(cases()), ids=str)
every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda a: a.name)


def send(engine, case, packet):
    """What the engine puts on the wire for one clear packet."""
    verdicts = engine.ask(op="out", packets=[bytes(packet).hex()])["verdicts"]
    assert [v["kind"] for v in verdicts] == ["send"], verdicts
    assert verdicts[0]["udp"] == case.udp
    wire = case.on_the_wire(verdicts[0])
    assert len(wire) == 1
    return wire[0]


def deliver(verdicts):
    assert [v["kind"] for v in verdicts] == ["deliver"], verdicts
    return bytes.fromhex(verdicts[0]["clear"])


def parse_like(packet, octets):
    return packet.__class__(octets)


def same_above_ip(one, other):
    """Transport mode: the IP header is rebuilt at the receiver, all above it travels."""
    assert (one.src, one.dst) == (other.src, other.dst)
    assert bytes(one[UDP]) == bytes(other[UDP])


def check_checksum(packet):
    """The UDP checksum that scapy would write is the one that is there."""
    again = packet.copy()
    del again[UDP].chksum
    assert parse_like(packet, bytes(again))[UDP].chksum == packet[UDP].chksum


@every_case
def test_scapy_opens_what_the_engine_seals(engine, case):
    case.install(engine)
    association = case.association(outbound=True)
    for number in (1, 2, 3):
        clear = case.inner_packet(outbound=True)
        wire = send(engine, case, clear)
        assert wire[ESP].spi == SPI_OUT
        assert wire[ESP].seq == number
        opened = association.decrypt(wire)
        if case.mode == "tunnel":
            assert bytes(opened) == bytes(clear)
        else:
            same_above_ip(opened, clear)


@every_case
def test_the_engine_opens_what_scapy_seals(engine, case):
    case.install(engine)
    association = case.association(outbound=False)
    for number in (1, 2, 3):
        clear = case.inner_packet(outbound=False)
        sealed = esp_octets(association.encrypt(clear.copy()))
        assert sealed_sequence(sealed) == number
        received = deliver(case.receive(engine, sealed))
        if case.mode == "tunnel":
            assert received == bytes(clear)
        else:
            packet = parse_like(clear, received)
            same_above_ip(packet, clear)
            check_checksum(packet)


@every_algorithm
@pytest.mark.parametrize("size", [1, 2, 3, 31, 32, 33, 64])
def test_bursts_of_every_size(engine, algorithm, size):
    """Packets that go through the engine together are sealed and opened as they are alone. Their lengths differ."""
    case = Case(algorithm, "tunnel", 4, 4, True, False)
    case.install(engine)
    clear = [case.inner_packet(outbound=True, payload=bytes([n]) * (n * 37 % 1200)) for n in range(size)]
    verdicts = engine.ask(op="out", packets=[bytes(packet).hex() for packet in clear])["verdicts"]
    wire = [packet for verdict in verdicts for packet in case.on_the_wire(verdict)]
    assert [packet[ESP].seq for packet in wire] == list(range(1, size + 1))
    association = case.association(outbound=True)
    assert [bytes(association.decrypt(packet)) for packet in wire] == [bytes(packet) for packet in clear]
    association = case.association(outbound=False)
    clear = [case.inner_packet(outbound=False, payload=bytes([n]) * (n * 53 % 1200)) for n in range(size)]
    sealed = [esp_octets(association.encrypt(packet.copy())) for packet in clear]
    verdicts = case.receive(engine, *sealed)
    assert [(v["kind"], v.get("clear")) for v in verdicts] == [("deliver", bytes(packet).hex()) for packet in clear]


@every_case
def test_tampering_is_noticed_by_both(engine, case):
    case.install(engine)
    wire = send(engine, case, case.inner_packet(outbound=True))
    sealed = esp_octets(case.association(outbound=False).encrypt(case.inner_packet(outbound=False)))
    rng = random.Random(str(case))
    for _ in range(4):
        damaged = bytearray(sealed)
        damaged[rng.randrange(8, len(damaged))] ^= 1 << rng.randrange(8)
        verdicts = case.receive(engine, bytes(damaged))
        assert [(v["kind"], v["reason"]) for v in verdicts] == [("drop", "integrity-failed")]
    octets = bytearray(bytes(wire))
    octets[rng.randrange(len(octets) - len(bytes(wire[ESP])) + 8, len(octets))] ^= 0x20
    with pytest.raises(IPSecIntegrityError):
        case.association(outbound=True).decrypt(parse_like(wire, bytes(octets)))
    assert deliver(case.receive(engine, sealed)), "the untouched packet still opens: forged ones moved no window"


@every_algorithm
@pytest.mark.parametrize("esn", [False, True], ids=["32-bit", "esn"])
def test_every_octet_of_a_packet_is_protected(engine, algorithm, esn):
    case = Case(algorithm, "tunnel", 4, 4, esn, False)
    case.install(engine)
    sealed = esp_octets(case.association(outbound=False).encrypt(case.inner_packet(outbound=False)))
    for position in range(4, len(sealed)):  # before that stands the SPI: another one is another SA
        damaged = bytearray(sealed)
        damaged[position] ^= 0x01
        verdicts = case.receive(engine, bytes(damaged))
        # Sequence octets: with ESN a changed one may also fall left of the window.
        assert verdicts[0]["kind"] == "drop" and verdicts[0]["reason"] in ("integrity-failed", "replay-old"), position
    assert deliver(case.receive(engine, sealed))


@every_algorithm
def test_every_padding_length(engine, algorithm):
    case = Case(algorithm, "tunnel", 4, 4, False, False)
    case.install(engine)
    outbound, inbound = case.association(outbound=True), case.association(outbound=False)
    for size in SIZES:
        clear = case.inner_packet(outbound=True, payload=b"x" * size)
        assert bytes(outbound.decrypt(send(engine, case, clear))) == bytes(clear), size
        clear = case.inner_packet(outbound=False, payload=b"y" * size)
        assert deliver(case.receive(engine, esp_octets(inbound.encrypt(clear.copy())))) == bytes(clear), size


@pytest.mark.parametrize("size", SIZES)
def test_padding_counts_up_from_one(engine, size):
    """RFC 4303 section 2.4: "The first padding byte appended to the plaintext is numbered 1"."""
    null = next(a for a in ALGORITHMS if a.encryption == "null")
    case = Case(null, "tunnel", 4, 4, False, False)
    case.install(engine)
    clear = bytes(case.inner_packet(outbound=True, payload=b"z" * size))
    body = bytes(send(engine, case, clear)[ESP])[8:-null.icv_octets]
    assert body.startswith(clear)
    trailer = body[len(clear):]
    pad = trailer[:-2]
    assert trailer[-2] == len(pad) < 4
    assert pad == bytes(range(1, len(pad) + 1))
    assert trailer[-1] == 4, "next header: IPv4"
    assert len(body) % 4 == 0


@every_algorithm
def test_a_replayed_packet_is_refused(engine, algorithm):
    case = Case(algorithm, "tunnel", 4, 4, True, True)
    case.install(engine)
    association = case.association(outbound=False)
    packets = [esp_octets(association.encrypt(case.inner_packet(outbound=False))) for _ in range(3)]
    for packet in (packets[2], packets[0], packets[1]):
        assert deliver(case.receive(engine, packet))
    for packet in packets:
        assert [v["reason"] for v in case.receive(engine, packet)] == ["replay-seen"]


@every_algorithm
def test_extended_sequence_numbers_wrap_inbound(engine, algorithm):
    """RFC 4303 appendix A: the receiver infers the high word, across several wraps of the low one."""
    case = Case(algorithm, "tunnel", 4, 4, True, False)
    case.install(engine)
    association = case.association(outbound=False)
    clear = case.inner_packet(outbound=False)
    steps = [(0, 0x7FFFFFF0), (0, 0xFFFFFFFE), (1, 2), (0, 0xFFFFFFFF), (1, 0x80000000), (1, 0xFFFFFFFF), (2, 1)]
    for high, low in steps:
        sealed = esp_octets(association.encrypt(clear.copy(), seq_num=low, esn_en=True, esn=high))
        assert deliver(case.receive(engine, sealed)) == bytes(clear), (high, low)
    wrong = esp_octets(association.encrypt(clear.copy(), seq_num=5, esn_en=True, esn=1))
    assert [v["reason"] for v in case.receive(engine, wrong)] == ["integrity-failed"], "the wrong high word"


@every_algorithm
@pytest.mark.parametrize("provider", ["best", "openssl"])
def test_high_sequence_words_at_the_cipher(esp_process, algorithm, provider):
    """The engine counts from 1; far up in the sequence space its cipher is asked alone."""
    case = Case(algorithm, "tunnel", 4, 4, True, False)
    association = case.association(outbound=True)
    clear = bytes(case.inner_packet(outbound=True))
    block = 16 if algorithm.encryption == "aes-cbc" else 4
    pad = -(len(clear) + 2) % block
    body = clear + bytes(range(1, pad + 1)) + bytes([pad, 4])
    for sequence in (0x1_00000000 + 7, 0x89ABCDEF_FFFFFFFF, 0xFFFFFFFF_FFFFFFFE):
        header = struct.pack("!II", SPI_OUT, sequence & 0xFFFFFFFF)
        packet = header + bytes(algorithm.iv_octets) + body + bytes(algorithm.icv_octets)
        fields = dict(case.algorithm_fields(), provider=provider, sequence=str(sequence))
        sealed = bytes.fromhex(esp_process.ask(op="seal", packet=packet.hex(), **fields)["packet"])
        (wire,) = case.on_the_wire(dict(esp=[sealed.hex()], udp=False, local=["192.0.2.1", 0], remote=["192.0.2.2", 0]))
        opened = association.decrypt(wire.copy(), esn_en=True, esn=sequence >> 32)
        assert bytes(opened) == clear
        with pytest.raises(IPSecIntegrityError):
            association.decrypt(wire.copy(), esn_en=True, esn=(sequence >> 32) - 1)
        again = esp_process.ask(op="open", packet=sealed.hex(), **fields)
        assert again["packet"][16 + 2 * algorithm.iv_octets:].startswith(body.hex())


def test_encryption_without_integrity_is_refused(engine):
    case = Case(next(a for a in ALGORITHMS if a.encryption == "aes-cbc"), "tunnel", 4, 4, False, False)
    fields = dict(case.algorithm_fields(), integrity="", integrity_key="")
    local, remote = case.outer_addresses
    ours, theirs = case.selectors
    answer = engine.ask(op="sa", direction="out", spi=SPI_OUT, child=1, policy=1, local=[local, 0], remote=[remote, 0],
                        local_selectors=[ours], remote_selectors=[theirs], **fields)
    assert not answer["ok"] and "integrity" in answer["error"]


def test_inner_packet_outside_the_selectors_is_refused(engine):
    """Sealed with the right key, but from an address that the SA was not made for (RFC 4301 section 5.2)."""
    case = Case(ALGORITHMS[0], "tunnel", 4, 4, False, False)
    case.install(engine)
    foreign = IP(src="10.3.0.1", dst="10.1.0.5") / UDP(sport=1, dport=2) / b"x"
    sealed = esp_octets(case.association(outbound=False).encrypt(foreign))
    assert [v["reason"] for v in case.receive(engine, sealed)] == ["selector-mismatch"]


@every_algorithm
@pytest.mark.parametrize("next_header,pad_length,reason", [(41, 0, "inner-malformed"), (6, 0, "bad-next-header"), (59, 0, "dummy"),
                                                           (4, 255, "bad-padding")])
def test_trailers_that_contradict_the_packet(engine, algorithm, next_header, pad_length, reason):
    """Sealed with the right key all the same: what is inside is still not believed."""
    case = Case(algorithm, "tunnel", 4, 4, False, False)
    case.install(engine)
    clear = bytes(case.inner_packet(outbound=False, payload=b"0123456789")) + b"\x01" * 8
    body = clear + bytes([pad_length, next_header])
    assert len(body) % 16 == 0
    packet = struct.pack("!II", SPI_IN, 1) + bytes(algorithm.iv_octets) + body + bytes(algorithm.icv_octets)
    sealed = engine.ask(op="seal", packet=packet.hex(), sequence="1", **case.algorithm_fields())["packet"]
    assert [(v["kind"], v["reason"]) for v in case.receive(engine, bytes.fromhex(sealed))] == [("drop", reason)]
