"""`mubss-gy`: the DIAMETER Gy server."""

from gevent import monkey

monkey.patch_all()

import gc  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
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
from mubss.gy.listen import Acceptors, Adopter, Listener, listen  # noqa: E402
from mubss.gy.registry import LocalRegistry  # noqa: E402
from mubss.gy.reload import load_as_worker, load_certificates, reload_at_sighup  # noqa: E402
from mubss.gy.server import Server  # noqa: E402
from mubss.gy.takeover import Offer, Running, TakeOver, find  # noqa: E402
from mubss.gy.trace import start_capture  # noqa: E402
from mubss.gy.workers import Parent, Worker  # noqa: E402
from mubss.runtime import on_drain, run_main, setup_logging  # noqa: E402
from mubss.services.control import GY  # noqa: E402
from mubss.services.licensing import Gate  # noqa: E402
from mubss.services.store_wait import open_patiently  # noqa: E402

log = logging.getLogger("mubss.gy")


@click.command()
@click.option("--config", "config_file", metavar="FILE", help="Configuration file.")
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), help="TCP port to listen on; 0: any free one.")
@click.option("--tls-port", type=click.IntRange(0, 65_535), help="TCP port for TLS; 0: none.")
@click.option("--workers", type=click.IntRange(1, 64), help="Processes that serve peers.")
@click.option("--profile", metavar="NAME", help="How peers are spoken to that the configuration doesn't name.")
@click.option(
    "--take-over",
    metavar="[PID]",
    type=int,
    is_flag=False,
    flag_value=0,
    help="Take the listening sockets over from the mubss-gy that runs, which then drains; PID: from which of several.",
)
@click.option("--worker-link", nargs=3, type=int, hidden=True)
def cli(
    config_file: str | None,
    host: str | None,
    port: int | None,
    tls_port: int | None,
    workers: int | None,
    profile: str | None,
    take_over: int | None,
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
        running = None if take_over is None else find(config, take_over)
        if take_over is not None and running is None:
            log.warning("--take-over: no mubss-gy runs on this data folder: there is nobody to take over from")
        if config.gy.workers == 1:
            return serve_alone(config, running)
        return serve_with_workers(config, config_file, running)

    sys.exit(run_main("mubss-gy", work))


def serve_alone(config: Config, running: Running | None) -> int:
    """Accepts and serves in this process."""
    drained = _drained_by_signal()
    gate = Gate(GY, config)
    open_patiently(GY, config, drained.wait).close()  # nobody is let in before there is one
    certificates = load_certificates(config)
    reload_at_sighup(certificates)  # before anybody can ask for it by the control socket
    listeners = None if running else listen(config.gy)
    state_id = _state_id(config, running)
    server = Server(config, state_id, gate)
    server.registry = LocalRegistry(server.tell)
    server.certificates = certificates
    start_capture(server, config, by_itself=running is None)  # else both would write one file
    server.process.is_patient = running is not None
    start(server)
    try:
        _accept(config, server, listeners, running, state_id, drained)
    finally:
        server.drain()
    return 0


def _accept(
    config: Config,
    adopter: Adopter,
    listeners: list[Listener] | None,
    running: Running | None,
    state_id: int,
    drained: Event,
) -> None:
    """Accepts connections until `drained`, on sockets of its own or those of the one that runs."""
    over = TakeOver(config, running) if running else None
    taken = over.take() if over else []
    if listeners is None:
        listeners = listen(config.gy, taken)
    for one in taken:  # we listen elsewhere than the running one did
        log.warning("not listened on any more: %s port %d", *one.sock.getsockname()[:2])
        one.sock.close()
    offer = Offer(config, listeners, state_id, drained)
    if over is None:
        offer.start()
    acceptors = Acceptors(listeners, config, adopter)
    try:
        if over is not None:
            over.confirm()
            over.close()
            offer.start()  # not sooner: the running one still has its own, and two are one too many
        if isinstance(adopter, Server):  # workers are ready by themselves
            adopter.process.is_ready = True
        drained.wait()
    finally:
        acceptors.close()
        offer.stop()
        gevent.sleep(0)  # what was accepted just now is adopted, and drained with the others


def _state_id(config: Config, running: Running | None) -> int:
    """Origin-State-Id: who takes over keeps the number, since no session is lost by it (RFC 6733 §8.16)."""
    same = running is not None and running.origin_host.lower() == config.gy.origin_host.lower()
    return running.state_id if running is not None and same else int(time.time())


def serve_with_workers(config: Config, config_file: str | None, running: Running | None) -> int:
    """Accepts in this process, serves in others."""
    drained = _drained_by_signal()
    gate = Gate(GY, config)  # before each worker says what is wrong with it
    open_patiently(GY, config, drained.wait).close()  # or each worker would say what is wrong with it
    certificates = load_certificates(config)
    listeners = None if running else listen(config.gy)
    state_id = _state_id(config, running)
    named = ["--profile", config.gy.profile, "--tls-port", str(config.gy.tls_port)]
    named += ["--config", config_file] if config_file else []

    def command(index: int, descriptor: int) -> list[str]:
        link = map(str, (index, descriptor, state_id))
        return [sys.executable, "-m", "mubss.gy.main", *named, "--worker-link", *link]

    gather = Gather(config)
    gather.inside.start(is_patient=running is not None)
    parent = Parent(config.gy.workers, command)
    gather.follow(parent)
    reload_at_sighup(certificates, parent.reload_certificates)  # before a worker can be asked for it
    if not parent.wait_until_ready():
        parent.drain(config.gy.drain_seconds)
        raise ConfigError("a worker didn't start; it has said why")
    try:
        with gate:  # it has but its metric to keep true: workers have a gate each
            _accept(config, parent, listeners, running, state_id, drained)
    finally:
        parent.drain(config.gy.drain_seconds)
        gather.inside.stop()
    return 0


def serve_as_worker(config: Config, index: int, descriptor: int, state_id: int) -> int:
    """Serves what the parent hands over."""
    drained = _drained_by_signal()
    server = Server(config, state_id, Gate(GY, config), leader=os.getppid())
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
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nothing is read yet that could be read again; it would end us
    drained = Event()
    hub = gevent.get_hub()
    on_drain(lambda: hub.loop.run_callback_threadsafe(drained.set))
    return drained


def main() -> None:
    """The console script."""
    cli(prog_name="mubss-gy")


if __name__ == "__main__":
    main()
