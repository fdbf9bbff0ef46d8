"""TLS of the management interface: certificates out of PEM files, read again at SIGHUP."""

from __future__ import annotations

import logging
import ssl
import threading
from ipaddress import ip_address
from pathlib import Path

import grpc

from mubss.config import Config
from mubss.core.errors import ConfigError

log = logging.getLogger("mubss.crm")


class Certificates:
    """The certificate in use; new connections get the one that was read last."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._lock = threading.Lock()
        self._fresh: grpc.ServerCertificateConfiguration | None = None
        self._first = self._read()

    def credentials(self) -> grpc.ServerCredentials:
        """What a port is opened with."""
        return grpc.dynamic_ssl_server_credentials(
            self._first, self._take, require_client_authentication=bool(self._config.crm.tls_client_ca)
        )

    def load(self) -> None:
        """Reads the files again; ConfigError, with all as it was, where they can't be used."""
        fresh = self._read()
        with self._lock:
            self._fresh = fresh

    def _take(self) -> grpc.ServerCertificateConfiguration | None:
        with self._lock:
            fresh, self._fresh = self._fresh, None
        return fresh

    def _read(self) -> grpc.ServerCertificateConfiguration:
        options = self._config.crm
        certificate = self._file("tls_certificate", options.tls_certificate)
        key = self._file("tls_key", options.tls_key)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ValueError) as error:
            text = f"crm.tls_certificate, crm.tls_key: {certificate}, {key}"
            raise ConfigError(f"{text}: expected a certificate and its own key in PEM ({error})") from None
        authorities = None
        if options.tls_client_ca:
            file = self._file("tls_client_ca", options.tls_client_ca)
            try:
                ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_verify_locations(cafile=file)
            except OSError:
                raise ConfigError(f"crm.tls_client_ca: {file}: expected certificates of authorities in PEM") from None
            authorities = file.read_bytes()
        pair = [(key.read_bytes(), certificate.read_bytes())]
        return grpc.ssl_server_certificate_configuration(pair, authorities)

    def _file(self, option: str, path: str) -> Path:
        file = self._config.resolve(path)
        try:
            file.open("rb").close()
        except OSError as error:
            raise ConfigError(
                f"crm.{option}: {file}: {error.strerror}; expected a PEM file: `mubss tls init` makes one"
            ) from None
        return file


def check_plain_text(config: Config) -> None:
    """ConfigError where tokens would go over a network in plain text."""
    host = config.crm.host
    try:
        is_loopback = ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback:
        raise ConfigError(f"crm.plain_text: true with crm.host {host!r}; expected TLS, or a loopback address")
    log.warning("without TLS: tokens and personal data are in plain text on %s", host)


def _no_password() -> str:
    raise ValueError("the key is encrypted; expected one without a pass phrase")
