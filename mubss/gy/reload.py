"""The server's certificates: read before it listens, and again at SIGHUP, for connections that come from then on."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable

import gevent

from mubss.config import Config
from mubss.core.errors import ConfigError
from mubss.gy.tls import Certificates
from mubss.services.process import nothing_to_reload

log = logging.getLogger("mubss.gy")


def load_certificates(config: Config) -> Certificates | None:
    """Those of the process that accepts; None without TLS. ConfigError where a file can't be used."""
    if not config.gy.tls_port:
        return None
    certificates = Certificates(config)
    for remark in certificates.remarks:
        log.warning("%s", remark)
    return certificates


def reload_at_sighup(certificates: Certificates | None, tell_workers: Callable[[], None] = lambda: None) -> None:
    """From now on; where there is no TLS there is nothing to read."""
    if certificates is None:
        nothing_to_reload()
    else:
        gevent.signal_handler(signal.SIGHUP, _reload, certificates, tell_workers)


def load_as_worker(config: Config) -> Certificates | None:
    """Those of a worker, whose parent has checked the files and gets the SIGHUP; it itself goes on ignoring it."""
    if not config.gy.tls_port:
        return None
    return Certificates(config)


def _reload(certificates: Certificates, tell_workers: Callable[[], None]) -> None:
    try:
        certificates.load()
    except ConfigError as error:
        log.error("SIGHUP: the certificates stay as they were: %s", error)
        return
    for remark in certificates.remarks:
        log.warning("%s", remark)
    tell_workers()
    log.info("SIGHUP: the certificates are read again, for new connections")
