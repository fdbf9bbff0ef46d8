"""TLS as Gy has it, direct on a port of its own (RFC 6733 §13): contexts out of PEM files, and what is wrong there.

Of both sides; the sockets are in tls_socket.py (the server's) and client.py.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

from mubss.config import Config
from mubss.core.errors import ConfigError

_ASKED = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}


class Certificates:
    """The server's certificate and the authorities of its peers', as they were when last read.

    ConfigError names option and file. `remarks` are what an operator should know of files that can be used.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self.load()

    def load(self) -> None:
        """Reads the files (again); where that fails all stays as it was."""
        gy = self._config.gy
        if not gy.tls_certificate:
            raise ConfigError("gy.tls_certificate: missing; expected a PEM file, since gy.tls_port is set")
        certificate = self._file("tls_certificate", gy.tls_certificate, "the server's certificate in PEM")
        key = self._file("tls_key", gy.tls_key, "its key in PEM") if gy.tls_key else certificate
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Connections live for days: resuming saves nothing, and would let in whom a new authority no longer knows.
        context.num_tickets = 0
        context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
        _load_chain(context, certificate, key, ("gy.tls_certificate", "gy.tls_key" if gy.tls_key else ""))
        remarks = _ages("gy.tls_certificate", certificate)
        context.verify_mode = _ASKED[gy.tls_client_certificates]
        if context.verify_mode is not ssl.CERT_NONE:
            remarks += self._load_authorities(context)
        self.context, self.remarks = context, remarks

    def _load_authorities(self, context: ssl.SSLContext) -> list[str]:
        gy = self._config.gy
        if not gy.tls_client_ca:
            asked = gy.tls_client_certificates
            raise ConfigError(
                "gy.tls_client_ca: missing; expected a PEM file of the authorities that sign peers' certificates, "
                f'since gy.tls_client_certificates is "{asked}"; "none" lets peers in without'
            )
        file = self._file("tls_client_ca", gy.tls_client_ca, "certificates of authorities in PEM")
        _load_authorities(context, file, "gy.tls_client_ca")
        return _ages("gy.tls_client_ca", file)

    def _file(self, option: str, path: str, wanted: str) -> Path:
        file = self._config.resolve(path)
        try:
            file.open("rb").close()
        except OSError as error:
            raise ConfigError(f"gy.{option}: {file}: can't be read: {error.strerror}; expected {wanted}") from None
        return file


def client_context(ca: str, certificate: str | None = None, key: str | None = None) -> ssl.SSLContext:
    """A client's: it trusts the authorities in `ca` alone, and shows its certificate if it has one.

    The name isn't checked here: a server's certificate names its Origin-Host, which it says in the CEA.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    _load_authorities(context, Path(ca), "--tls-ca")
    if certificate:
        named = "--tls-certificate", "--tls-key" if key else ""
        _load_chain(context, Path(certificate), Path(key or certificate), named)
    return context


def why(error: OSError) -> str:
    """What went wrong, without OpenSSL's letters and line numbers."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    reason = getattr(error, "reason", None)
    return str(reason).replace("_", " ").lower() if reason else error.strerror or str(error)


def _load_chain(context: ssl.SSLContext, certificate: Path, key: Path, options: tuple[str, str]) -> None:
    """Certificate and key; `options` name both, the second is empty where the key is in the certificate's file."""
    try:
        context.load_cert_chain(certificate, key, password=_no_password)
    except (OSError, ValueError) as error:  # SSLError is an OSError
        option, key_option = options
        if getattr(error, "reason", "") == "KEY_VALUES_MISMATCH":
            text = f"{key_option or option}: {key}: not the key of {certificate}; expected the one it was made with"
        else:
            named = f"{option}, {key_option}: {certificate}, {key}" if key_option else f"{option}: {certificate}"
            reason = why(error) if isinstance(error, OSError) else str(error)
            text = f"{named}: expected a certificate and its key in PEM ({reason})"
        raise ConfigError(text) from None


def _load_authorities(context: ssl.SSLContext, file: Path, option: str) -> None:
    try:
        context.load_verify_locations(cafile=file)
    except OSError as error:
        raise ConfigError(f"{option}: {file}: expected certificates of authorities in PEM ({why(error)})") from None
    if not context.get_ca_certs():
        raise ConfigError(f"{option}: {file}: expected certificates of authorities in PEM; there are others only")


def _no_password() -> str:
    raise ValueError("the key is encrypted; expected one without a pass phrase")


def _ages(option: str, file: Path) -> list[str]:
    """Which certificates in a file aren't valid now; one that only OpenSSL can read isn't looked at."""
    from cryptography import x509  # a process without TLS never loads it

    now = datetime.now(UTC)
    try:
        found = x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError:
        return []
    over = [f"has expired, {one.not_valid_after_utc}" for one in found if one.not_valid_after_utc < now]
    early = [f"isn't valid before {one.not_valid_before_utc}" for one in found if one.not_valid_before_utc > now]
    return [f"{option}: {file}: a certificate {fault}" for fault in over + early]
