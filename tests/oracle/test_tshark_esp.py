# SPDX-License-Identifier: Apache-2.0
"""tshark decrypts captures of the engine's ESP, all integrity values good."""
import pytest
import tshark
from esp import ALGORITHMS, PORTS, SPI_OUT, Case

PREFERENCES = ["esp.enable_encryption_decode:TRUE", "esp.enable_authentication_check:TRUE"]
NAMES = ["esp.sequence", "esp.icv_good", "esp.icv_bad", "udp.dstport"]


def cases():
    for algorithm in ALGORITHMS:
        if not algorithm.wireshark_crypt:
            continue  # Wireshark does not know ChaCha20-Poly1305 in ESP
        for mode, inner, outer in (("tunnel", 4, 4), ("tunnel", 6, 4), ("tunnel", 4, 6), ("tunnel", 6, 6), ("transport", 4, 4),
                                   ("transport", 6, 6)):
            for udp in (False, True):
                yield Case(algorithm, mode, inner, outer, False, udp)


def capture(engine, case, path, count=5, damage=False):
    """A capture of `count` packets of the engine, of different sizes."""
    case.install(engine)
    clear = [bytes(case.inner_packet(outbound=True, payload=bytes([65 + n]) * (n * 37))).hex() for n in range(count)]
    verdicts = engine.ask(op="out", packets=clear)["verdicts"]
    packets = [bytearray(bytes(packet)) for verdict in verdicts for packet in case.on_the_wire(verdict)]
    assert len(packets) == count
    if damage:
        for packet in packets:
            packet[-1] ^= 1
    tshark.write_pcap(path, packets)


def association(case, esn_high=None):
    a = case.algorithm
    source, destination = case.outer_addresses
    return tshark.esp_sa(case.outer, source, destination, SPI_OUT, a.wireshark_crypt, a.encryption_key, a.wireshark_auth,
                         a.integrity_key, esn_high)


def look(case, path, esn_high=None):
    return tshark.fields(path, PREFERENCES + [association(case, esn_high)], NAMES)


def check_all_good(rows, case, count):
    assert len(rows) == count
    for number, (sequence, good, bad, ports) in enumerate(rows, start=1):
        assert sequence == str(number)
        assert tshark.is_true(good) and not tshark.is_true(bad), rows
        # The inner packet was found: behind the encapsulation's own port, if there is one.
        assert ports.split(",") == (["4500"] if case.udp else []) + [str(PORTS[1])]


@pytest.mark.parametrize("case", list(cases()), ids=str)
def test_every_integrity_value_is_good(engine, case, tmp_path):
    capture(engine, case, tmp_path / "esp.pcap")
    check_all_good(look(case, tmp_path / "esp.pcap"), case, 5)


@pytest.mark.parametrize("case", [c for c in cases() if (c.inner, c.outer, c.udp, c.mode) == (4, 4, False, "tunnel")], ids=str)
def test_tshark_notices_a_damaged_packet(engine, case, tmp_path):
    """The check above can fail: with the last octet changed it does."""
    capture(engine, case, tmp_path / "esp.pcap", damage=True)
    for _, good, bad, _ in look(case, tmp_path / "esp.pcap"):
        assert tshark.is_true(bad) and not tshark.is_true(good)


@pytest.mark.skipif(not tshark.verifies_esn(), reason="this tshark takes every ICV with ESN for bad")
@pytest.mark.parametrize("algorithm", [a for a in ALGORITHMS if a.wireshark_crypt], ids=lambda a: a.name)
def test_extended_sequence_numbers(engine, algorithm, tmp_path):
    case = Case(algorithm, "tunnel", 4, 4, True, False)
    capture(engine, case, tmp_path / "esp.pcap")
    check_all_good(look(case, tmp_path / "esp.pcap", esn_high=0), case, 5)
