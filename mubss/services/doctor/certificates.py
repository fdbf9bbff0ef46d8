"""TLS of mubss-gy and mubss-crm: files that can be read, a key that is its certificate's, days that are left."""

from __future__ import annotations

import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from mubss.core.wording import counted
from mubss.services.doctor.scene import Finding, Scene, fail, ok, warn

_DAY_S = 86_400


def check(scene: Scene) -> Iterator[Finding]:
    """Those of the interfaces that have TLS."""
    gy, crm = scene.config.gy, scene.config.crm
    if gy.tls_port:
        yield from _pair(scene, "gy", gy.tls_certificate, gy.tls_key or gy.tls_certificate, "set it to a PEM file")
        if gy.tls_client_certificates != "none":
            yield from _authorities(scene, "gy.tls_client_ca", gy.tls_client_ca)
    if crm.plain_text:
        yield warn(f"crm.plain_text: tokens go to {crm.host} unencrypted", "`mubss tls init`, and plain_text = false")
        return
    if not scene.config.resolve(crm.tls_certificate).exists():
        do = "`mubss tls init` makes it; with no management interface it isn't needed"
        yield warn(f"crm.tls_certificate: there is no {scene.config.resolve(crm.tls_certificate)}", do)
        return
    yield from _pair(scene, "crm", crm.tls_certificate, crm.tls_key, "`mubss tls init --again` makes another")
    if crm.tls_client_ca:
        yield from _authorities(scene, "crm.tls_client_ca", crm.tls_client_ca)


def _pair(scene: Scene, section: str, certificate: str, key: str, do: str) -> Iterator[Finding]:
    option, file, key_file = f"{section}.tls_certificate", *map(scene.config.resolve, (certificate, key))
    if not certificate:
        yield fail(f"{option}: missing, though there is a port for TLS", do)
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(file, key_file, password=_no_password)
        mode = stat.S_IMODE(key_file.stat().st_mode)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        reason = str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)
        yield fail(f"{option}: {file} and its key {key_file}: {reason.replace('_', ' ').lower()}", do)
        return
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        yield fail(f"{section}.tls_key: {key_file} has mode {mode:03o}: others may use it", f"chmod 600 {key_file}")
    yield from _days(scene, option, file, do)


def _authorities(scene: Scene, option: str, path: str) -> Iterator[Finding]:
    file = scene.config.resolve(path)
    if not path:
        yield fail(f"{option}: missing, though peers must show certificates", "set it to a PEM file of authorities")
        return
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cafile=file)
    except OSError as error:
        text = f"{option}: {file}: {error.strerror or 'no certificates in PEM'}"
        yield fail(text, "set it to a PEM file of authorities")
        return
    yield from _days(scene, option, file, "ask the authority for its new certificate")


def _days(scene: Scene, option: str, file: Path, do: str) -> Iterator[Finding]:
    """How long the certificates of a file are good for: the first to end, and the first that isn't good yet."""
    from cryptography import x509  # a command that looks at no certificate never loads it

    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError:
        yield warn(f"{option}: {file}: its days can't be read", do)  # OpenSSL can, so it is in use
        return
    now = datetime.fromtimestamp(scene.now_s, UTC)
    first, early = min(one.not_valid_after_utc for one in found), max(one.not_valid_before_utc for one in found)
    days = int((first - now).total_seconds()) // _DAY_S
    if first <= now:
        yield fail(f"{option}: {file} has expired, {first:%Y-%m-%d %H:%M}Z", do)
    elif early > now:
        yield fail(f"{option}: {file} isn't good before {early:%Y-%m-%d %H:%M}Z", "look at the clock; else " + do)
    elif days < scene.config.doctor.certificate_warn_days:
        yield warn(f"{option}: {file} ends {first:%Y-%m-%d}, in {counted(days, 'day')}", do)
    else:
        yield ok(f"{option}: {file}, {counted(days, 'day')} left")


def _no_password() -> str:
    raise ValueError("the key is encrypted; expected one without a pass phrase")
