# SPDX-License-Identifier: Apache-2.0
"""Which processes of a Cygnet hold a secret: their memory is read, as root."""
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

# Run in the host: prints which of the octet strings (hexadecimal) the memory of a process holds.
_SEARCH = """
import re, sys
pid, texts = sys.argv[1], [bytes.fromhex(word) for word in sys.argv[2:]]
found = set()
with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", 0) as memory:
    for line in maps:
        area = re.match(r"([0-9a-f]+)-([0-9a-f]+) r", line)
        if not area or "[v" in line:
            continue
        first, last = (int(x, 16) for x in area.groups())
        try:
            memory.seek(first)
            octets = memory.read(last - first)
            found.update(text.hex() for text in texts if text in octets)
        except OSError:
            pass  # a guard page, or a device
print(*found)
"""


def holders(daemon, *texts):
    """The roles in whose memory any of these octet strings stands."""
    return {role for role in sorted(file.stem for file in daemon.run_dir.glob("*.pid"))
            if daemon.host.out(["/usr/bin/python3", "-c", _SEARCH, daemon.pid(role), *(t.hex() for t in texts)]).strip()}


def private_octets(issued):
    """The secret numbers of an Issued's key as OpenSSL keeps them (words of the machine, the lowest first) and as they
    are written."""
    key = issued.key
    if isinstance(key, rsa.RSAPrivateKey):
        numbers = key.private_numbers()
        written = [n.to_bytes((n.bit_length() + 7) // 8, "big") for n in (numbers.p, numbers.q, numbers.d)]
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        written = [key.private_numbers().private_value.to_bytes((key.key_size + 7) // 8, "big")]
    else:
        raw = serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption()
        written = [key.private_bytes(*raw)]
    return [octets[::step] for octets in written for step in (1, -1)]


def text_octets(issued):
    """The lines of the key's file."""
    return [line.encode() for line in issued.key_pem().splitlines()[1:-1] if len(line) >= 32]
