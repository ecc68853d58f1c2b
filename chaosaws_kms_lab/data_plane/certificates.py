"""The lab's own certificate authority, and the certificate that its servers show."""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Certificates"]

VALID = timedelta(days=365)
"""Longer than a lab lives."""
BEFORE = timedelta(hours=1)
"""For clients whose clock is behind, in a virtual machine, say."""

ALPN = "postgresql"
"""PostgreSQL manual, "SSL Session Encryption": what a client of version 17 or later asks for."""


@dataclass(frozen=True)
class Certificates:
    """Where the certificates are: the authority for clients, the server's with its key."""

    ca: Path
    """For `sslrootcert`; as on RDS, where it is a bundle that AWS publishes."""
    server: Path
    key: Path

    @classmethod
    def make(cls, folder: Path, names: Iterable[str]) -> Certificates:
        """Makes `folder`, a new authority and a certificate for `names`.

        These are IP addresses and DNS names, under which every server may be connected to.
        """
        made = cls(folder / "ca.pem", folder / "server.pem", folder / "server.key")
        ca_key, server_key = _new_key(), _new_key()
        ca_name = _name("chaosaws-kms lab, certificate authority")
        ca = (
            _certificate(ca_name, ca_key, ca_name, ca_key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(key_cert_sign=True, crl_sign=True), critical=True)
            .sign(ca_key, hashes.SHA256())
        )
        server = (
            _certificate(_name("chaosaws-kms lab, server"), server_key, ca_name, ca_key)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName(map(_general_name, names)), critical=False)
            .sign(ca_key, hashes.SHA256())
        )
        folder.mkdir()
        folder.chmod(0o755)  # whatever the umask
        _write(made.ca, ca.public_bytes(serialization.Encoding.PEM), 0o644)
        _write(made.server, server.public_bytes(serialization.Encoding.PEM), 0o644)
        _write(made.key, _pem(server_key), 0o600)
        return made

    def context(self) -> ssl.SSLContext:
        """A server's side of TLS, version 1.3 only."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(self.server, self.key)
        context.set_alpn_protocols([ALPN])
        context.num_tickets = 0  # as PostgreSQL: no session is resumed
        return context


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _certificate(
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Name,
    issuer_key: ec.EllipticCurvePrivateKey,
) -> x509.CertificateBuilder:
    """What both have; Python 3.13 requires the key identifiers (VERIFY_X509_STRICT)."""
    now = datetime.now(UTC)
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BEFORE)
        .not_valid_after(now + VALID)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority, critical=False)
    )


def _key_usage(
    digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with open(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask
        file.write(content)
