# SPDX-License-Identifier: Apache-2.0
"""Authorities, certificates, CRLs and OCSP responses, made while a test runs; and a web server for them."""
import datetime
import ipaddress
import json
import pathlib
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

from .net import wait_until

KINDS = ("rsa2048", "ecdsa256", "ed25519")
_PORT = 8080


def _now():
    return datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None, microsecond=0)


def new_key(kind):
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, int(kind[3:]))
    if kind.startswith("ecdsa"):
        return ec.generate_private_key({256: ec.SECP256R1, 384: ec.SECP384R1, 521: ec.SECP521R1}[int(kind[5:])]())
    return (ed448.Ed448PrivateKey if kind == "ed448" else ed25519.Ed25519PrivateKey).generate()


def key_pem(key):
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                             serialization.NoEncryption()).decode()


def public_pem(key):
    return key.public_key().public_bytes(serialization.Encoding.PEM,
                                         serialization.PublicFormat.SubjectPublicKeyInfo).decode()


def pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _hash_for(key):
    return None if isinstance(key, (ed448.Ed448PrivateKey, ed25519.Ed25519PrivateKey)) else hashes.SHA256()


def _general_name(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.RFC822Name(text) if "@" in text else x509.DNSName(text)


class Issued:
    """A certificate and its key."""

    def __init__(self, certificate, key):
        self.certificate, self.key = certificate, key

    def pem(self):
        return pem(self.certificate)

    def key_pem(self):
        return key_pem(self.key)

    def pkcs12(self, passphrase, authorities=(), name="lab"):
        return pkcs12.serialize_key_and_certificates(
            name.encode(), self.key, self.certificate, list(authorities),
            serialization.BestAvailableEncryption(passphrase.encode()))


class Authority:
    """Signs itself, or is signed by `issuer`."""

    def __init__(self, name, issuer=None, kind="ecdsa256"):
        self.key = new_key(kind)
        self.name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Cygnet Lab"),
                               x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = _now()
        signer = issuer or self
        builder = (x509.CertificateBuilder().subject_name(self.name).issuer_name(signer.name)
                   .public_key(self.key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now - datetime.timedelta(days=1))
                   .not_valid_after(now + datetime.timedelta(days=3650))
                   .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
                   .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), True)
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False))
        self.certificate = builder.sign(signer.key, _hash_for(signer.key))

    def pem(self):
        return pem(self.certificate)

    def issue(self, name, kind="ecdsa256", sans=None, days=(-1, 365), crl_url=None, ocsp_url=None, unit=None):
        """A certificate for CN=name, whose subjectAltName is the name (or sans)."""
        key, now = new_key(kind), _now()
        attributes = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Cygnet Lab")]
        if unit:
            attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit))
        attributes.append(x509.NameAttribute(NameOID.COMMON_NAME, name))
        builder = (x509.CertificateBuilder().subject_name(x509.Name(attributes)).issuer_name(self.name)
                   .public_key(key.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now + datetime.timedelta(days=days[0]))
                   .not_valid_after(now + datetime.timedelta(days=days[1]))
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                   .add_extension(x509.SubjectAlternativeName([_general_name(s) for s in sans or [name]]), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False))
        if crl_url:
            builder = builder.add_extension(x509.CRLDistributionPoints([x509.DistributionPoint(
                [x509.UniformResourceIdentifier(crl_url)], None, None, None)]), False)
        if ocsp_url:
            builder = builder.add_extension(x509.AuthorityInformationAccess([x509.AccessDescription(
                AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(ocsp_url))]), False)
        return Issued(builder.sign(self.key, _hash_for(self.key)), key)

    def crl(self, revoked=(), days=1):
        """PEM of the list."""
        now = _now()
        builder = (x509.CertificateRevocationListBuilder().issuer_name(self.name)
                   .last_update(now - datetime.timedelta(minutes=1))
                   .next_update(now + datetime.timedelta(days=days))
                   .add_extension(x509.CRLNumber(int(now.timestamp() * 1000)), False)
                   # RFC 5280 section 5.2.1; strongSwan finds a CRL by it.
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), False))
        for one in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number)
                .revocation_date(now - datetime.timedelta(minutes=1)).build())
        return pem(builder.sign(self.key, _hash_for(self.key)))

    def crl_der(self, revoked=()):
        return x509.load_pem_x509_crl(self.crl(revoked).encode()).public_bytes(serialization.Encoding.DER)

    def ocsp(self, one, revoked=False):
        """DER of the response about one certificate."""
        now = _now()
        status = ocsp.OCSPCertStatus.REVOKED if revoked else ocsp.OCSPCertStatus.GOOD
        builder = ocsp.OCSPResponseBuilder().add_response(
            cert=one.certificate, issuer=self.certificate, algorithm=hashes.SHA1(), cert_status=status,
            this_update=now, next_update=now + datetime.timedelta(days=1),
            revocation_time=now if revoked else None, revocation_reason=None)
        builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, self.certificate)
        return builder.sign(self.key, _hash_for(self.key)).public_bytes(serialization.Encoding.DER)


class Web:
    """A web server in a host: put() says what a path answers, to GET and POST alike."""

    def __init__(self, host, address):
        self.host = host
        self.dir = host.dir / "web"
        self.dir.mkdir(exist_ok=True)
        self.base = f"http://{address}:{_PORT}"
        self.process = host.spawn([sys.executable, pathlib.Path(__file__).with_name("web_server.py"),
                                   str(_PORT), self.dir], name="web")
        wait_until(lambda: (self.dir / "ready").exists(), 10, f"the web server in {host.name}")

    def put(self, path, content):
        """Returns the URL."""
        data = content.encode() if isinstance(content, str) else content
        (self.dir / path).write_bytes(data)
        return self.url(path)

    def url(self, path):
        return f"{self.base}/{path}"

    def requests(self):
        """["GET crl.pem", …] as they came."""
        log = self.dir / "requests"
        return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
