"""Certificates, contexts and ports for tests of Gy over TLS."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from certificates import OVER, Authority
from gy_wire import Raw
from gy_world import GyServer, World
from ports import free_port

HOST = "pgw.example"


def make_certificates(folder: Path) -> Authority:
    """An authority with the certificates of a server and of peers, and beside it one that nobody here knows."""
    made = Authority(folder, "ca")
    made.issue("ocs", "ocs.mubss.example")
    made.issue("pgw", HOST)
    made.issue("wild", "*.example")
    made.issue("common", HOST, by_common_name=True)
    made.issue("old", HOST, OVER)
    other = Authority(folder, "other-ca")
    other.issue("stranger", HOST)
    other.issue("ocs-again", "ocs.mubss.example")
    return made


def client(folder: Path, certificate: str = "pgw", ca: str = "ca") -> ssl.SSLContext:
    """A peer's context, with that certificate or ("") none."""
    context = ssl.create_default_context(cafile=folder / f"{ca}.pem")
    context.check_hostname = False
    if certificate:
        context.load_cert_chain(folder / f"{certificate}.pem", folder / f"{certificate}.key")
    return context


def files(folder: Path, certificate: str = "ocs", ca: str = "ca") -> dict[str, str]:
    """The options that name the files."""
    return {
        "tls_certificate": f"{folder}/{certificate}.pem",
        "tls_key": f"{folder}/{certificate}.key",
        "tls_client_ca": f"{folder}/{ca}.pem",
    }


class TlsServer(GyServer):
    """A mubss-gy that listens for TLS, too, on `tls_port`."""

    def __init__(self, world: World, folder: Path, *arguments: str, **options: Any) -> None:
        self.folder = folder
        self.tls_port = free_port()
        super().__init__(world, *arguments, **{**files(folder), "tls_port": self.tls_port, **options})
        self.wait_for(rf"listening on 127\.0\.0\.1:{self.tls_port}, TLS$|listening on .*, TLS\"")

    def peer(self, certificate: str = "pgw", ca: str = "ca") -> Raw:
        """A connection in TLS with that certificate; its CER isn't sent yet."""
        return Raw(self.tls_port, tls=client(self.folder, certificate, ca))
