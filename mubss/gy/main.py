"""`mubss-gy`: the DIAMETER Gy server."""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from dataclasses import replace  # noqa: E402
from typing import Any  # noqa: E402

import click  # noqa: E402
import gevent  # noqa: E402
from gevent.event import Event  # noqa: E402

from mubss.config import Config, load, with_profile  # noqa: E402
from mubss.core.errors import ConfigError  # noqa: E402
from mubss.gy.gather import Gather  # noqa: E402
from mubss.gy.link import Link  # noqa: E402
from mubss.gy.listen import Acceptors, listen  # noqa: E402
from mubss.gy.registry import LocalRegistry  # noqa: E402
from mubss.gy.reload import load_as_worker, load_certificates, reload_at_sighup  # noqa: E402
from mubss.gy.server import Server  # noqa: E402
from mubss.gy.trace import start_capture  # noqa: E402
from mubss.gy.workers import Parent, Worker  # noqa: E402
from mubss.runtime import on_drain, run_main, setup_logging  # noqa: E402
from mubss.services.control import GY  # noqa: E402
from mubss.services.stores import open_made  # noqa: E402

log = logging.getLogger("mubss.gy")


@click.command()
@click.option("--config", "config_file", metavar="FILE", help="Configuration file.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), help="TCP port to listen on; 0: any free one.")
@click.option("--tls-port", type=click.IntRange(0, 65_535), help="TCP port for TLS; 0: none.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that serve peers.")
@click.option("--profile", metavar="NAME", help="How peers are spoken to that the configuration doesn't name.")
@click.option("--worker-link", nargs=3, type=int, hidden=True)
def cli(
    config_file: str | None,
    host: str | None,
    port: int | None,
    tls_port: int | None,
    workers: int | None,
    profile: str | None,
    worker_link: tuple[int, int, int] | None,
) -> None:
    """Charges prepaid sessions over DIAMETER Gy (RFC 6733, RFC 8506)."""

    def work() -> int:
        config = load(config_file)
        given: dict[str, Any] = {"host": host or None, "port": port, "tls_port": tls_port, "workers": workers}
        given = {name: value for name, value in given.items() if value is not None}
        config = replace(config, gy=replace(config.gy, **given))
        if profile:
            config = with_profile(config, profile)
        setup_logging(config.general, GY)
        if worker_link:
            return serve_as_worker(config, *worker_link)
        return serve_alone(config) if config.gy.workers == 1 else serve_with_workers(config, config_file)

    sys.exit(run_main("mubss-gy", work))


def serve_alone(config: Config) -> int:
    """Accepts and serves in this process."""
    drained = _drained_by_signal()
    certificates = load_certificates(config)
    reload_at_sighup(certificates)  # before anybody can ask for it by the control socket
    listeners = listen(config.gy)
    server = Server(config, int(time.time()))
    server.registry = LocalRegistry(server.tell)
    server.certificates = certificates
    start_capture(server, config)
    start(server)
    acceptors = Acceptors(listeners, config, server)
    server.process.is_ready = True
    drained.wait()
    acceptors.close()
    server.drain()
    return 0


def serve_with_workers(config: Config, config_file: str | None) -> int:
    """Accepts in this process, serves in others."""
    drained = _drained_by_signal()
    open_made(config.store_url).close()  # or each worker would say what is wrong with it
    certificates = load_certificates(config)
    listeners = listen(config.gy)
    state_id = int(time.time())
    named = ["--profile", config.gy.profile, "--tls-port", str(config.gy.tls_port)]
    named += ["--config", config_file] if config_file else []

    def command(index: int, descriptor: int) -> list[str]:
        link = map(str, (index, descriptor, state_id))
        return [sys.executable, "-m", "mubss.gy.main", *named, "--worker-link", *link]

    gather = Gather(config)
    gather.inside.start()
    parent = Parent(config.gy.workers, command)
    gather.follow(parent)
    reload_at_sighup(certificates, parent.reload_certificates)  # before a worker can be asked for it
    if not parent.wait_until_ready():
        parent.drain(config.gy.drain_seconds)
        raise ConfigError("a worker didn't start; it has said why")
    acceptors = Acceptors(listeners, config, parent)
    drained.wait()
    acceptors.close()
    parent.drain(config.gy.drain_seconds)
    gather.inside.stop()
    return 0


def serve_as_worker(config: Config, index: int, descriptor: int, state_id: int) -> int:
    """Serves what the parent hands over."""
    drained = _drained_by_signal()
    server = Server(config, state_id, leader=os.getppid())
    server.certificates = load_as_worker(config)
    worker = Worker(Link.inherited(descriptor), server)
    start_capture(server, config, by_itself=False)
    if index and server.process.watch is not None:
        server.process.watch.depths = None  # one of them counts for all
    start(server)
    server.process.is_ready = True
    worker.run(drained)
    return 0


def start(server: Server) -> None:
    """Brings a server up in this process."""
    server.start()
    # What lives for ever needn't be looked at by every collection.
    gc.collect()
    gc.freeze()
    # Requests and documents have no cycles, and the default of 700 objects starts a collection every few requests.
    gc.set_threshold(50_000, 20, 20)


def _drained_by_signal() -> Event:
    drained = Event()
    hub = gevent.get_hub()
    on_drain(lambda: hub.loop.run_callback_threadsafe(drained.set))
    return drained


def main() -> None:
    """The console script."""
    cli(prog_name="mubss-gy")


if __name__ == "__main__":
    main()
