"""`mubss-crm`: the management interface, gRPC in native threads. Never monkey-patched: gevent isn't imported here."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from contextlib import closing
from dataclasses import replace
from types import FrameType

import click

from mubss.config import Config, load
from mubss.core.errors import MubssError
from mubss.core.notice_kinds import LICENCE
from mubss.crm.office import Office
from mubss.crm.server import CrmServer
from mubss.crm.tls import Certificates, check_plain_text
from mubss.runtime import ExitCode, on_drain, run_main, setup_logging
from mubss.services.audit_chain import seal
from mubss.services.control import CRM
from mubss.services.licence_notice import tell
from mubss.services.licensing import Gate
from mubss.services.store_wait import open_patiently
from mubss.storage import rpc_keys
from mubss.storage.database import StoreError

log = logging.getLogger("mubss.crm")

LOOK_SECONDS = 2  # for new reference data
PURGE_SECONDS = 600  # between two looks for old idempotency keys


@click.command()
@click.option("--config", "config_file", metavar="FILE", help="Configuration file.")
@click.option("--port", type=click.IntRange(0, 65_535), help="TCP port to listen on; 0: any free one.")
def cli(config_file: str | None, port: int | None) -> None:
    """Serves the CRM over gRPC (proto/crm.proto), with TLS and tokens."""

    def work() -> int:
        config = load(config_file)
        if port is not None:
            config = replace(config, crm=replace(config.crm, port=port))
        setup_logging(config.general, CRM)
        return serve(config)

    sys.exit(run_main("mubss-crm", work))


def serve(config: Config) -> int:
    """Serves until told to stop; what is under way is ended."""
    stopping, reload = threading.Event(), threading.Event()
    on_drain(stopping.set)

    def on_hangup(_number: int, _frame: FrameType | None) -> None:
        reload.set()

    signal.signal(signal.SIGHUP, on_hangup)
    with Gate(CRM, config) as gate, closing(open_patiently(CRM, config, stopping.wait)) as store:
        office = Office(config, store)
        office.gate = gate
        server = CrmServer(office)
        certificates = None
        if config.crm.plain_text:
            check_plain_text(config)
        else:
            certificates = Certificates(config)
        host = f"[{config.crm.host}]" if ":" in config.crm.host else config.crm.host
        server.listen(f"{host}:{config.crm.port}", certificates.credentials() if certificates else None)
        server.start()
        log.info("listening on %s:%d%s", host, server.port, " with TLS" if certificates else "")
        _tend(office, server, certificates, stopping, reload)
        log.info("draining")
        server.drain(config.crm.drain_seconds)
    log.info("drained")
    return ExitCode.OK


def _tend(
    office: Office,
    server: CrmServer,
    certificates: Certificates | None,
    stopping: threading.Event,
    reload: threading.Event,
) -> None:
    """What is to be done now and then, until told to stop."""
    since = PURGE_SECONDS  # at once
    while not stopping.wait(LOOK_SECONDS):
        office.refdata.poll()
        if reload.is_set():
            reload.clear()
            _reload(server, certificates)
        try:
            seal(office.store)
        except StoreError as error:
            log.info("entries of the audit are sealed later: %s", error)
        since += LOOK_SECONDS
        if since >= PURGE_SECONDS:
            since = 0
            _tell_of_licence(office)
            try:
                rpc_keys.forget(office.store, office.now_s - office.config.crm.key_hours * 3600)
            except StoreError as error:
                log.info("old idempotency keys stay for a while: %s", error)


def _tell_of_licence(office: Office) -> None:
    options = office.config.notifications
    if office.gate is None or LICENCE not in options.kinds:
        return
    try:
        tell(office.store, office.gate.standing, options.language, office.now_s)
    except StoreError as error:
        log.info("the operator is told of the licence later: %s", error)


def _reload(server: CrmServer, certificates: Certificates | None) -> None:
    try:
        server.reload()
        if certificates is not None:
            certificates.load()
        log.info("keys and certificates were read again")
    except MubssError as error:
        log.error("keys and certificates stay as they were: %s", error)


def main() -> None:
    """The console script."""
    cli(prog_name="mubss-crm")


if __name__ == "__main__":
    main()
