# SPDX-License-Identifier: Apache-2.0
"""tshark and Python decrypt a whole IKEv2 life: every message opens, every checksum is right, and what is inside is what our
own reader says."""
import hmac
import re

import pytest
import tshark
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from pipe import Pipe
from scapy.layers.inet import IP, UDP
from scapy.packet import Raw

# (our encryption, bits, integrity, prf, groups) and Wireshark's words for them.
X25519, MODP2048, MODP3072, MODP4096, ECP256, ECP384, ECP521 = 31, 14, 15, 16, 19, 20, 21
SUITES = [
    ("aes-gcm", 128, "", "sha2-256", X25519, "AES-GCM-128 with 16 octet ICV [RFC5282]", "NONE [RFC4306]"),
    ("aes-gcm", 256, "", "sha2-384", ECP384, "AES-GCM-256 with 16 octet ICV [RFC5282]", "NONE [RFC4306]"),
    ("aes-gcm", 256, "", "sha2-512", ECP521, "AES-GCM-256 with 16 octet ICV [RFC5282]", "NONE [RFC4306]"),
    ("aes-cbc", 128, "sha2-256", "sha2-256", ECP256, "AES-CBC-128 [RFC3602]", "HMAC_SHA2_256_128 [RFC4868]"),
    ("aes-cbc", 256, "sha2-256", "sha2-256", MODP2048, "AES-CBC-256 [RFC3602]", "HMAC_SHA2_256_128 [RFC4868]"),
    ("aes-cbc", 256, "sha2-384", "sha2-384", MODP3072, "AES-CBC-256 [RFC3602]", "HMAC_SHA2_384_192 [RFC4868]"),
    ("aes-cbc", 256, "sha2-512", "sha2-512", MODP4096, "AES-CBC-256 [RFC3602]", "HMAC_SHA2_512_256 [RFC4868]"),
]
EXCHANGES = {"34": "IKE_SA_INIT", "35": "IKE_AUTH", "36": "CREATE_CHILD_SA", "37": "INFORMATIONAL"}
# Payload numbers of RFC 7296 section 3.2 and our reader's names for them.
PAYLOADS = {"33": "SA", "34": "KE", "35": "IDi", "36": "IDr", "39": "AUTH", "40": "N", "41": "N", "42": "D", "43": "V", "44": "TSi",
            "45": "TSr"}


@pytest.fixture(scope="module")
def ike_process():
    pipe = Pipe("ike_oracle")
    yield pipe
    pipe.close()


def story(process, suite):
    encryption, bits, integrity, prf, group = suite[:5]
    told = process.ask(encryption=encryption, bits=bits, integrity=integrity, prf=prf, groups=[group])
    assert "error" not in told, told
    return told


def datagram(d):
    """The IP packet that carries it; port 4500 has the non-ESP marker (RFC 3948 section 2.2)."""
    body = (b"\0\0\0\0" if d["marked"] else b"") + bytes.fromhex(d["bytes"])
    return bytes(IP(src=d["source"][0], dst=d["destination"][0]) / UDP(sport=d["source"][1], dport=d["destination"][1]) / Raw(body))


def decryption_table(told, suite):
    crypt, auth = suite[5:]
    return [f'uat:ikev2_decryption_table:{k["spi_i"]},{k["spi_r"]},{k["sk_ei"]},{k["sk_er"]},"{crypt}",{k["sk_ai"]},{k["sk_ar"]},"{auth}"'
            for k in told["ike"]]


def look(told, suite, path, packets):
    tshark.write_pcap(path, packets)
    names = ["isakmp.exchangetype", "isakmp.messageid", "isakmp.typepayload", "isakmp.enc.decrypted", "isakmp.ikev2.integrity_checksum",
             "_ws.malformed"]
    return tshark.fields(path, decryption_table(told, suite), names)


def payload_names(arrow):
    """What our reader saw inside: "A -> B IKE_AUTH request 1: IDi AUTH N(...)" gives IDi AUTH N."""
    listed = arrow.split(": ", 1)[1] if ": " in arrow else ""
    words = re.sub(r"\([^)]*\)", "", listed).split()
    return ["N" if word in ("Ni", "Nr") else word for word in words]


@pytest.mark.parametrize("suite", SUITES, ids=lambda s: f"{s[0]}{s[1]}-{s[2] or 'aead'}-prf-{s[3]}-group{s[4]}")
def test_every_message_decrypts(ike_process, suite, tmp_path):
    told = story(ike_process, suite)
    assert told["through"], "the tunnel carried a packet each way"
    assert len(told["ike"]) == 2, "the IKE SA and its successor"
    rows = look(told, suite, tmp_path / "ike.pcap", [datagram(d) for d in told["datagrams"]])
    assert len(rows) == len(told["datagrams"]) >= 14
    for d, row in zip(told["datagrams"], rows):
        exchange, message, payloads, decrypted, wrong_checksum, malformed = row
        assert f" {EXCHANGES[exchange]} " in d["arrow"] and f" {int(message, 0)}" in d["arrow"], row
        assert not wrong_checksum and not malformed, d["arrow"]
        assert bool(decrypted) == (EXCHANGES[exchange] != "IKE_SA_INIT"), d["arrow"]
        inside = [PAYLOADS[number] for number in payloads.split(",") if number not in ("46", "2", "3")]
        assert inside == payload_names(d["arrow"]), d["arrow"]


@pytest.mark.parametrize("suite", SUITES, ids=lambda s: f"{s[0]}{s[1]}-{s[2] or 'aead'}-prf-{s[3]}-group{s[4]}")
def test_a_damaged_message_is_noticed(ike_process, suite, tmp_path):
    """The check above can fail: with the last octet changed the checksum is called incorrect."""
    told = story(ike_process, suite)
    packets = [datagram(d)[:-1] + bytes([datagram(d)[-1] ^ 1]) for d in told["datagrams"]]
    for d, row in zip(told["datagrams"], look(told, suite, tmp_path / "ike.pcap", packets)):
        if "IKE_SA_INIT" not in d["arrow"]:
            assert row[4], d["arrow"]


@pytest.mark.parametrize("suite", SUITES[:1] + SUITES[3:4], ids=lambda s: s[0])
def test_both_sides_have_the_same_child_keys(ike_process, suite):
    told = story(ike_process, suite)
    by_spi = {}
    for child in told["children"]:
        by_spi.setdefault(child["spi"], []).append(child)
    assert len(by_spi) >= 4, "two of the first child, two of its successor"
    for spi, ends in by_spi.items():
        assert {(e["side"], e["direction"]) for e in ends} in ({("A", "out"), ("B", "in")}, {("A", "in"), ("B", "out")}), spi
        assert len({(e["encryption_key"], e["integrity_key"]) for e in ends}) == 1, spi
    assert len({ends[0]["encryption_key"] for ends in by_spi.values()}) == len(by_spi), "no key is used twice"


def open_with_python(message, keys, suite):
    """The plaintext of an SK payload as Python's cryptography package opens it (RFC 7296 section 3.14, RFC 5282, RFC 7634).

    The SK payload is alone behind the IKE header in every message of ours."""
    encryption, bits, integrity = suite[:3]
    assert message[16] == 46, "next payload: Encrypted and Authenticated"
    by_initiator = bool(message[19] & 0x08)
    sk_e = bytes.fromhex(keys["sk_ei" if by_initiator else "sk_er"])
    sk_a = bytes.fromhex(keys["sk_ai" if by_initiator else "sk_ar"])
    header, body = message[:32], message[32:]
    if integrity:
        octets = int(integrity.split("-")[1]) // 16
        body, icv = body[:-octets], body[-octets:]
        assert hmac.new(sk_a, header + body, integrity.replace("sha2-", "sha")).digest()[:octets] == icv
        opener = Cipher(algorithms.AES(sk_e), modes.CBC(body[:16])).decryptor()
        padded = opener.update(body[16:]) + opener.finalize()
    else:
        assert sk_a == b""
        cipher = {"aes-gcm": AESGCM, "chacha20-poly1305": ChaCha20Poly1305}[encryption](sk_e[:-4])
        padded = cipher.decrypt(sk_e[-4:] + body[:8], body[8:], header)
    assert bits == 0 or len(sk_e) == bits // 8 + (0 if integrity else 4)
    return padded[: len(padded) - 1 - padded[-1]]


def payload_numbers(first, octets):
    """The chain of payloads, whose lengths must end exactly where the plaintext does."""
    numbers = []
    while first:
        numbers.append(str(first))
        length = int.from_bytes(octets[2:4], "big")
        assert 4 <= length <= len(octets)
        first, octets = octets[0], octets[length:]
    assert octets == b""
    return numbers


CHACHA = ("chacha20-poly1305", 0, "", "sha2-512", X25519)


@pytest.mark.parametrize("suite", SUITES + [CHACHA], ids=lambda s: f"{s[0]}{s[1] or ''}-{s[2] or 'aead'}-prf-{s[3]}-group{s[4]}")
def test_python_opens_every_message(ike_process, suite):
    """A second witness, and the only one for ChaCha20-Poly1305, which tshark does not know in IKE."""
    told = story(ike_process, suite)
    by_spi = {(k["spi_i"], k["spi_r"]): k for k in told["ike"]}
    opened = 0
    for d in told["datagrams"]:
        message = bytes.fromhex(d["bytes"])
        if "IKE_SA_INIT" in d["arrow"]:
            continue
        plain = open_with_python(message, by_spi[message[:8].hex(), message[8:16].hex()], suite)
        assert [PAYLOADS[n] for n in payload_numbers(message[28], plain)] == payload_names(d["arrow"]), d["arrow"]
        opened += 1
    assert opened >= 12


def notifications(first, octets):
    """(type, data) of each Notify payload (RFC 7296 section 3.10)."""
    found = []
    while first:
        length = int.from_bytes(octets[2:4], "big")
        if first == 41:
            spi = octets[5]
            found.append((int.from_bytes(octets[6:8], "big"), octets[8 + spi:length]))
            assert (octets[4], spi) == (0, 0) or found[-1][0] == 16393, "only REKEY_SA names an SA here"
        first, octets = octets[0], octets[length:]
    return found


def test_sas_for_single_threads(ike_process):
    """RFC 9611 section 5.1: SA_RESOURCE_INFO (16444) without data for the first child, with a number for each clone, in both
    directions, and again in each rekey."""
    suite = SUITES[0]
    told = ike_process.ask(encryption=suite[0], bits=suite[1], integrity=suite[2], prf=suite[3], groups=[suite[4]], clones=2)
    assert "error" not in told, told
    by_spi = {(k["spi_i"], k["spi_r"]): k for k in told["ike"]}
    said = []
    for d in told["datagrams"]:
        message = bytes.fromhex(d["bytes"])
        if "IKE_SA_INIT" in d["arrow"]:
            continue
        plain = open_with_python(message, by_spi[message[:8].hex(), message[8:16].hex()], suite)
        said += [data.hex() for kind, data in notifications(message[28], plain) if kind == 16444]
    each_way = ["", "", "00000000", "00000000", "00000001", "00000001"]
    assert said == each_way * 2, said


def test_initialization_vectors_never_repeat(ike_process):
    """RFC 5282 section 4 and RFC 7296 section 3.14: not under one key, in any suite."""
    for suite in SUITES + [CHACHA]:
        told = story(ike_process, suite)
        seen = set()
        for d in told["datagrams"]:
            message = bytes.fromhex(d["bytes"])
            if "IKE_SA_INIT" not in d["arrow"]:
                iv = message[32:48 if suite[2] else 40]
                key = (message[:16], message[19] & 0x08, iv)
                assert key not in seen, d["arrow"]
                seen.add(key)
