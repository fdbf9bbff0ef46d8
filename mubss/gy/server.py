"""A worker of mubss-gy: its peers' connections, the charging engine behind them, and the timers beside them."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import gevent
from gevent.event import Event
from gevent.socket import socket

from mubss import metrics
from mubss.charging.engine import Engine, Limits, wall_clock_ms
from mubss.config import Config
from mubss.core.model import Rules
from mubss.core.wording import counted
from mubss.gy.answer_minutes import AnswerMinutes
from mubss.gy.connection import BRAKE, Connection
from mubss.gy.message import Identity
from mubss.gy.outbox import Outbox
from mubss.gy.pcap import Ends
from mubss.gy.peer import REBOOTING, Peer, Settings
from mubss.gy.peer_options import peer_table
from mubss.gy.presence import Presence
from mubss.gy.reboots import Reboots
from mubss.gy.registry import Registry, Tell
from mubss.gy.routing import Routing
from mubss.gy.tls import Certificates
from mubss.gy.trace import Tracer, Traces
from mubss.gy.traced import TracedConnection
from mubss.gy.transport import Transport, prepare, remote_port
from mubss.refdata.live import Refdata
from mubss.services import outage
from mubss.services.control import GY
from mubss.services.depths import of_gy
from mubss.services.licensing import Gate
from mubss.services.outbox import forget_old
from mubss.services.peers import NOTE_SECONDS, forget_stale
from mubss.services.process import Process
from mubss.services.spans import open_spans
from mubss.services.stores import open_made
from mubss.services.sweep import Leaps, sweep
from mubss.services.watch import Watch
from mubss.storage.database import StoreError, open_database

log = logging.getLogger(__name__)

JITTER_S = -2, 2  # RFC 3539 §3.4.1: keeps watchdogs from ticking together
DAY_S = 86_400
LEARNING_PAUSE_S = 0.01  # between pages of identities: requests come first
MAX_PENDING_OCTETS = 64 << 20  # of requests under way; 32,768 of the usual size have 24 MB


def offload(work: Callable[[], object]) -> object:
    """Runs blocking work in gevent's pool of native threads, so that the other peers are served meanwhile."""
    return gevent.get_hub().threadpool.apply(work)


class Server:
    """Serves the connections it is given until it is drained."""

    def __init__(self, config: Config, origin_state_id: int, gate: Gate, leader: int = 0) -> None:
        self.gate = gate
        self.options = config.gy
        self._match_s = config.cdr.match_days * DAY_S
        self._leaps = Leaps()
        self.identity = Identity(config.gy.origin_host, config.gy.origin_realm, origin_state_id)
        self.routing = Routing(
            config.gy.origin_host, config.gy.origin_realm, config.gy.served_hosts, config.gy.served_realms
        )
        self.peers = peer_table(config.gy)
        self.pending = 0  # requests under way
        self.pending_octets = 0  # their size
        self.answered = 0
        self.is_draining = False
        self.registry: Registry  # set by whoever accepts connections
        self.certificates: Certificates | None = None  # likewise, where there is TLS
        self.tracer: Tracer | None = None  # while somebody wants to see messages
        self.traces = Traces(self)
        self._connections: dict[int, Connection] = {}
        self._settings = Settings(
            self.identity,
            config.gy.product_name,
            config.gy.vendor_id,
            watchdog_s=config.gy.watchdog_seconds,
            cer_timeout_s=config.gy.cer_timeout_seconds,
            peers=self.peers,
        )
        # A lock that can't be had must be given up while a 3004 is still in time.
        wait_ms = min(config.store.busy_timeout_ms, config.gy.deadline_ms // 3)
        url = replace(config, store=replace(config.store, busy_timeout_ms=wait_ms)).store_url
        self._store = open_made(url, partial(open_database, offload=offload))
        self.refdata = Refdata(self._store, config.general.timezone)
        charging = config.charging
        rules = Rules(
            charging.outcome_history,
            charging.session_supervision_seconds,
            refund_limit_micros=charging.refund_limit_micros,
            match_s=self._match_s,
            notices=config.notifications.rules,
        )
        self.engine = Engine(
            self._store,
            lambda: self.refdata.tables,
            rules,
            Limits(
                charging.lanes,
                charging.batch_limit,
                charging.queue_limit,
                patience_ms=config.gy.deadline_ms * 2 // 3,
            ),
        )
        self._replay = outage.set_up(config, self.engine, self._store, rules, lambda: self.refdata.tables, offload)
        self.spans = open_spans(GY, config)
        self._connection: Callable[..., Connection] = Connection
        if self.spans is not None:
            self._connection = partial(TracedConnection, self.spans)
            self.engine.notes_stages = True
        self.outbox = Outbox(self._store, self.identity, self._connections.values)
        self.process = self._make_process(config, leader)
        self.presence = Presence(self._store, self._connections.values)
        self.reboots = Reboots(self.engine, self._store)
        self._minutes = AnswerMinutes(self._store, wall_clock_ms() // 1000)
        self._timers = self._begin_timers(config)

    def _begin_timers(self, config: Config) -> list[gevent.Greenlet]:
        """What is to be done now and then."""
        return [
            gevent.spawn(every, 1, "watching peers", self._watch_peers),
            gevent.spawn(
                every, config.license.look_seconds, "looking at the licence", partial(offload, self.gate.look)
            ),
            gevent.spawn(
                every, config.gy.outbox_seconds, "telling sessions' clients", self.outbox.poll, self.outbox.woken
            ),
            gevent.spawn(every, 5, "ending sessions of peers that rebooted", self.reboots.look, self.reboots.woken),
            gevent.spawn(every, NOTE_SECONDS, "noting peers", self.presence.note, self.presence.changed),
            gevent.spawn(every, config.charging.refdata_poll_seconds, "looking for new tariffs", self._poll_refdata),
            gevent.spawn(every, 1, "writing what was answered", self._look_at_minutes),
            gevent.spawn(every, config.charging.sweep_seconds, "looking for abandoned sessions", self._sweep),
        ]

    def start(self) -> None:
        """Loads the reference data and starts charging; raises what the operator must mend."""
        self._load_refdata()
        if self._replay is not None:
            self._replay.start()
        self.engine.start()
        self._timers.append(gevent.spawn(self._learn_identities))
        self.process.start()

    def _learn_identities(self) -> None:
        """Bit by bit, beside the first requests."""
        try:
            after = self.engine.learn("")
            while after:
                gevent.sleep(LEARNING_PAUSE_S)
                after = self.engine.learn(after)
        except StoreError as error:
            log.info("identities are looked up when they come, since they couldn't be read: %s", error)

    def _make_process(self, config: Config, leader: int) -> Process:
        """What it is to `mubss status` and to monitoring."""
        watch = Watch(
            self._store,
            config,
            of_gy,
            partial(open_database, offload=offload),
            ccr=lambda: self.answered,
        )
        process = Process(GY, config, self._facts, lambda: self.is_draining, watch=watch, leader=leader)
        process.control.handlers |= {"nudge": self._nudge, "trace": self.traces.follow}
        process.inside.offload = offload  # with many peers a page takes 90 ms
        return process

    def _load_refdata(self) -> None:
        self.refdata.load()
        self.currency_numbers = {code: one.numeric for code, one in self.refdata.tables.currencies.items()}
        if not self.refdata.tables.plans:
            log.warning("there is no price plan: every request will be refused; load some with `mubss ref load`")

    @property
    def connection_count(self) -> int:
        """Connections of this process."""
        return len(self._connections)

    # ── connections ────────────────────────────────────────────────────────────────────────────────

    @property
    def is_full(self) -> bool:
        """Nothing more is read from any peer for now."""
        return self.pending >= BRAKE * self.options.max_pending_requests or self.pending_octets >= MAX_PENDING_OCTETS

    def make_room(self) -> bool:
        """Closes the connection that has been silent for longest without saying who it is, if there is one."""
        for connection in self._connections.values():
            if connection.close_if_silent("room is needed for others"):
                return True
        return False

    def adopt(self, number: int, sock: socket, remote: str, transport: Transport = Transport.TCP) -> Connection:
        """Serves one connection, in a greenlet of its own."""
        local = plain_address(sock.getsockname()[0])
        peer = Peer(
            self._settings,
            local,
            remote,
            int(time.monotonic()),
            random.randint(*JITTER_S),
        )
        connection = self._connection(self, number, prepare(sock, transport, self.certificates), remote, peer)
        connection.ends = Ends(local, remote, remote_port(sock))
        self._connections[number] = connection
        metrics.GY_PEERS.set(len(self._connections))
        gevent.spawn(connection.serve)
        return connection

    def forget(self, connection: Connection) -> None:
        """A connection ended."""
        self._connections.pop(connection.number, None)
        metrics.GY_PEERS.set(len(self._connections))
        self.registry.release(connection.number)
        if connection.since_s:  # else nobody noted it
            self.presence.changed.set()

    def tell(self, number: int, what: Tell) -> None:
        """The registry asks something of a connection; one that is gone needs no answer but its release."""
        connection = self._connections.get(number)
        if connection is None:
            return
        if what is Tell.PROBE:
            connection.probe()
        else:
            connection.close("another connection takes its place")

    # ── the control socket ─────────────────────────────────────────────────────────────────────────

    def _facts(self) -> Mapping[str, Any]:
        """How it does."""
        return {
            **self.gate.facts(),
            "connections": len(self._connections),
            "pending": self.pending,
            "queue": self.engine.depth,
            "answered": self.answered,
        }

    def _nudge(self, _arguments: dict[str, Any]) -> Generator[dict[str, Any], None, None]:
        """There may be something in the outbox: look now."""
        self.outbox.woken.set()
        yield {}

    # ── timers ─────────────────────────────────────────────────────────────────────────────────────

    def _watch_peers(self) -> None:
        now_s = int(time.monotonic())
        pending: dict[tuple[str, ...], int] = {}
        for connection in list(self._connections.values()):
            connection.perform(connection.peer.tick(now_s, random.randint(*JITTER_S)))
            if connection.label:
                pending[connection.label,] = pending.get((connection.label,), 0) + connection.pending
        metrics.GY_PENDING.set_all(pending)
        metrics.GY_QUEUE.set(self.engine.depth)

    def _look_at_minutes(self) -> None:
        self._minutes.look(wall_clock_ms() // 1000)

    def _poll_refdata(self) -> None:
        if self.refdata.poll():
            self.currency_numbers = {code: one.numeric for code, one in self.refdata.tables.currencies.items()}

    def _sweep(self) -> None:
        if self.engine.outage is not None and self.engine.outage.is_on:
            return  # what looks abandoned may have gone on in a journal
        now_s = wall_clock_ms() // 1000
        forget_old(self._store, now_s)
        forget_stale(self._store, now_s)
        if self._leaps.rests(now_s, int(time.monotonic())):
            return
        ended, _ = sweep(self.engine, self._store, now_s, self._match_s)
        if ended:
            log.info("%s ended: supervision time ran out", counted(ended, "session"))

    # ── the end ────────────────────────────────────────────────────────────────────────────────────

    def drain(self) -> None:
        """Says goodbye to every peer, answers what is under way, and closes; bounded by `gy.drain_seconds`."""
        connections = list(self._connections.values())
        log.info("draining: %s, %s under way", counted(len(connections), "peer"), counted(self.pending, "request"))
        gevent.killall(self._timers)
        self.is_draining = True
        for connection in connections:
            connection.perform(connection.peer.disconnect(REBOOTING))
        with gevent.Timeout(self.options.drain_seconds, False):
            for connection in connections:
                connection.closed.wait()
            self.engine.stop()
            if self._replay is not None:
                self._replay.stop()
            self._leave()
        for connection in connections:  # past the time: what can't be stored any more isn't answered either
            if not connection.closed.is_set():
                connection.abandon()
        self._store.close()
        if self.spans is not None:
            self.spans.close()
        self.process.stop()
        log.info("drained")

    def _leave(self) -> None:
        try:
            self.presence.leave()
            self._minutes.finish()
        except StoreError as error:
            log.info("which peers were connected stays noted for a while, the last answers aren't: %s", error)


def plain_address(address: str) -> str:
    """Without an IPv6 zone or the prefix of a mapped IPv4 address."""
    address = address.partition("%")[0]
    return address.removeprefix("::ffff:") if address.startswith("::ffff:") and "." in address else address


def every(seconds: int, what: str, work: Callable[[], None], woken: Event | None = None) -> None:
    """Calls `work` again and again, sooner when `woken` is set.

    What goes wrong is tried again; that the store is away is logged once.
    """
    waits = False
    while True:
        if woken is None or waits:
            gevent.sleep(seconds)
        else:
            woken.wait(seconds)
            woken.clear()
        try:
            work()
        except StoreError as error:
            if not waits:
                log.warning("%s waits for the store: %s", what, error)
            waits = True
        except Exception:
            log.exception("%s failed", what)
        else:
            if waits:
                log.info("%s goes on", what)
            waits = False
