# SPDX-License-Identifier: Apache-2.0
"""Certificates for bench/ike.py: an authority, a gateway, and clients."""
import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


def new_key(kind):
    if kind == "rsa2048":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


class Certificates:
    """`kind` of every key: ecdsa (P-256) or rsa2048."""

    def __init__(self, kind):
        self.kind = kind
        self.root_key, self.gateway_key = new_key(kind), new_key(kind)
        self.root_name = self._name("bench root")
        self.root = self._sign("bench root", self.root_key, authority=True)
        self.gateway = self._sign("gateway", self.gateway_key)

    @staticmethod
    def _name(common):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])

    def client(self, number):
        """(certificate, key)"""
        key = new_key(self.kind)
        return self._sign(f"c{number}.test", key), key

    def _sign(self, name, key, authority=False):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(self._name(name)).issuer_name(self.root_name)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=30))
                   .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(
                       self.root_key.public_key()), False))
        if not authority:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), False)
        return builder.sign(self.root_key, hashes.SHA256()).public_bytes(
            serialization.Encoding.PEM).decode()
