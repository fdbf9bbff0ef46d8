"""A private authority, a server's certificate and clients', for a start: ECDSA on P-256."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mubss.core.errors import ConfigError, InputError

CA_DAYS, DAYS = 3650, 397
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_EARLY = timedelta(minutes=5)  # clocks differ


class Made(NamedTuple):
    """The files of an authority, and of a certificate that it signed."""

    ca: Path
    certificate: Path
    key: Path


def make_server(folder: Path, names: list[str], now_s: int) -> Made:
    """Makes an authority, unless it is there, and a certificate for a server of these names and addresses."""
    if not names or any(not name or len(name) > 253 or not name.isascii() for name in names):
        raise InputError(f"name: {names}; expected host names and addresses that clients call the server by")
    more = x509.SubjectAlternativeName(list(map(_general_name, names)))
    return _make(folder, "crm", names[0], ExtendedKeyUsageOID.SERVER_AUTH, now_s, more)


def make_client(folder: Path, name: str, now_s: int) -> Made:
    """Makes a certificate that a client shows, NAME.pem, by the authority that signed the server's."""
    if not _NAME.fullmatch(name) or name in ("ca", "crm"):
        raise InputError(f"name: {name[:70]!r}; expected up to 64 letters, digits, points and dashes, not ca nor crm")
    return _make(folder, name, name, ExtendedKeyUsageOID.CLIENT_AUTH, now_s)


def _make(
    folder: Path, file: str, name: str, usage: x509.ObjectIdentifier, now_s: int, more: x509.ExtensionType | None = None
) -> Made:
    now = datetime.fromtimestamp(now_s, UTC)
    made = Made(folder / "ca.pem", folder / f"{file}.pem", folder / f"{file}.key")
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        ca, ca_key = _known_authority(folder, now)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])
        builder = (
            _builder(subject, ca.subject, key, now, DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        )
        if more is not None:
            builder = builder.add_extension(more, critical=False)
        certificate = builder.sign(ca_key, hashes.SHA256())
        _write(made.key, _pem(key), 0o600)
        _write(made.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{folder}: {error}; expected a folder to write certificates to") from None
    return made


def _known_authority(folder: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """The authority of a folder; a new one where there is none."""
    file, key_file = folder / "ca.pem", folder / "ca.key"
    if file.exists() and key_file.exists():
        key = serialization.load_pem_private_key(key_file.read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise ConfigError(f"{key_file}: expected the key that `mubss tls init` made")
        return x509.load_pem_x509_certificate(file.read_bytes()), key
    certificate, key = _authority(now)
    _write(key_file, _pem(key), 0o600)
    _write(file, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return certificate, key


def _authority(now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mubss private authority")])
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    made = (
        _builder(name, name, key, now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return made, key


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(file: Path, content: bytes, mode: int) -> None:
    """Whole or not at all, and never readable by others meanwhile."""
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    new.rename(file)
