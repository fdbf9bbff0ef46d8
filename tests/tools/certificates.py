"""A certificate authority for tests."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

FROM, TO = datetime(2020, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
OVER = datetime(2021, 1, 1, tzinfo=UTC)


class Authority:
    """Makes certificates in one folder: NAME.pem and NAME.key."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        extension = x509.BasicConstraints(ca=True, path_length=None)
        builder = self._builder(self.name, self.key, TO).add_extension(extension, critical=True)
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM))

    def issue(self, file: str, host: str, end: datetime = TO, *, by_common_name: bool = False) -> None:
        """A certificate that names `host`, as certificates do now or as they once did."""
        key = ec.generate_private_key(ec.SECP256R1())
        if by_common_name:
            builder = self._builder(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)]), key, end)
        else:
            names = x509.SubjectAlternativeName([x509.DNSName(host)])
            builder = self._builder(x509.Name([]), key, end).add_extension(names, critical=True)
        (self.folder / f"{file}.pem").write_bytes(builder.sign(self.key, SHA256()).public_bytes(Encoding.PEM))
        for suffix, encryption in ((".key", NoEncryption()), (".secret", BestAvailableEncryption(b"pass phrase"))):
            octets = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
            (self.folder / f"{file}{suffix}").write_bytes(octets)

    def _builder(self, name: x509.Name, key: ec.EllipticCurvePrivateKey, end: datetime) -> x509.CertificateBuilder:
        builder = x509.CertificateBuilder(subject_name=name, issuer_name=self.name, public_key=key.public_key())
        return builder.serial_number(x509.random_serial_number()).not_valid_before(FROM).not_valid_after(end)
