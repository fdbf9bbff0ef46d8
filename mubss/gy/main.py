"""`mubss-gy`: the DIAMETER Gy server."""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402
import logging  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from dataclasses import replace  # noqa: E402
from itertools import count  # noqa: E402

import click  # noqa: E402
import gevent  # noqa: E402
from gevent import socket  # noqa: E402
from gevent.event import Event  # noqa: E402
from gevent.server import StreamServer  # noqa: E402

from mubss import metrics  # noqa: E402
from mubss.config import Config, load, with_profile  # noqa: E402
from mubss.core.errors import ConfigError  # noqa: E402
from mubss.gy.link import Link  # noqa: E402
from mubss.gy.registry import LocalRegistry  # noqa: E402
from mubss.gy.server import Server, plain_address  # noqa: E402
from mubss.gy.workers import Parent, Worker  # noqa: E402
from mubss.runtime import on_drain, run_main, setup_logging  # noqa: E402
from mubss.services.stores import open_made  # noqa: E402

log = logging.getLogger("mubss.gy")

BACKLOG = 1024


@click.command()
@click.option("--config", "config_file", metavar="FILE", help="Configuration file.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), help="TCP port to listen on; 0: any free one.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that serve peers.")
@click.option("--profile", metavar="NAME", help="How peers are spoken to that the configuration doesn't name.")
@click.option("--worker-link", nargs=3, type=int, hidden=True)
def cli(
    config_file: str | None,
    host: str | None,
    port: int | None,
    workers: int | None,
    profile: str | None,
    worker_link: tuple[int, int, int] | None,
) -> None:
    """Charges prepaid sessions over DIAMETER Gy (RFC 6733, RFC 8506)."""

    def work() -> int:
        config = load(config_file)
        gy = config.gy
        port_given = gy.port if port is None else port
        config = replace(config, gy=replace(gy, host=host or gy.host, port=port_given, workers=workers or gy.workers))
        if profile:
            config = with_profile(config, profile)
        setup_logging(config.general)
        if worker_link:
            return serve_as_worker(config, *worker_link)
        return serve_alone(config) if config.gy.workers == 1 else serve_with_workers(config, config_file)

    sys.exit(run_main("mubss-gy", work))


def serve_alone(config: Config) -> int:
    """Accepts and serves in this process."""
    drained = _drained_by_signal()
    listener = listen(config)
    server = Server(config, int(time.time()))
    server.registry = LocalRegistry(server.tell)
    start(server, config, 0)
    acceptor = accept(listener, config, server)
    drained.wait()
    acceptor.close()
    server.drain()
    return 0


def serve_with_workers(config: Config, config_file: str | None) -> int:
    """Accepts in this process, serves in others."""
    drained = _drained_by_signal()
    open_made(config.store_url).close()  # or each worker would say what is wrong with it
    listener = listen(config)
    state_id = int(time.time())
    named = ["--profile", config.gy.profile, *(["--config", config_file] if config_file else [])]

    def command(index: int, descriptor: int) -> list[str]:
        link = map(str, (index, descriptor, state_id))
        return [sys.executable, "-m", "mubss.gy.main", *named, "--worker-link", *link]

    parent = Parent(config.gy.workers, command)
    if not parent.wait_until_ready():
        parent.drain(config.gy.drain_seconds)
        raise ConfigError("a worker didn't start; it has said why")
    acceptor = accept(listener, config, parent)
    drained.wait()
    acceptor.close()
    parent.drain(config.gy.drain_seconds)
    return 0


def serve_as_worker(config: Config, index: int, descriptor: int, state_id: int) -> int:
    """Serves what the parent hands over."""
    drained = _drained_by_signal()
    server = Server(config, state_id)
    worker = Worker(Link.inherited(descriptor), server)
    start(server, config, index)
    worker.run(drained)
    return 0


def start(server: Server, config: Config, index: int) -> None:
    """Brings a server up in this process."""
    server.start()
    if config.metrics.enabled:
        wanted = config.metrics.port + index if config.metrics.port else 0
        log.info("metrics on %s:%d", config.metrics.host, metrics.serve(config.metrics.host, wanted))
    # What lives for ever needn't be looked at by every collection.
    gc.collect()
    gc.freeze()
    # Requests and documents have no cycles, and the default of 700 objects starts a collection every few requests.
    gc.set_threshold(50_000, 20, 20)


def listen(config: Config) -> socket.socket:
    """The listening socket; ConfigError where the address can't be had."""
    host, port = config.gy.host, config.gy.port
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        raise ConfigError(f"gy.host, gy.port: {host} port {port} can't be listened on: {error.strerror}") from error
    return listener


class Acceptor(StreamServer):  # type: ignore[misc]
    """A StreamServer whose sockets are closed by whoever adopts them."""

    def do_close(self, *_args: object) -> None:
        """Not here."""


def accept(listener: socket.socket, config: Config, server: Server | Parent) -> StreamServer:
    """Accepts connections and hands them over, numbered. Where there are too many a silent one makes room."""
    numbers = count(1)

    def handle(sock: socket.socket, address: tuple[str, int]) -> None:
        remote = plain_address(address[0])
        if server.connection_count >= config.gy.max_peers and not server.make_room():
            log.warning("%s is closed: %d peers are connected, gy.max_peers", remote, config.gy.max_peers)
            sock.close()
            return
        server.adopt(next(numbers), sock, remote)

    acceptor = Acceptor(listener, handle)
    acceptor.start()
    host, port = listener.getsockname()[:2]
    log.info("listening on %s:%d", host, port)
    return acceptor


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
