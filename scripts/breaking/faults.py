"""Every kind of fault: what is done, for how long (the seed says), and whether a scene has what it needs.

A fault is a generator: up to its `yield` it is done, behind it it is taken back. What lasts is held between the two.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import time
from calendar import monthrange
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import NamedTuple

from breaking.programs import Program
from breaking.proxy import Network, Way
from breaking.requests import Mischief
from breaking.scene import Scene
from mysqld.group import Group
from mysqld.server import Server as MySQL

DAY_S, HOUR_S = 86_400, 3_600
KILL_SPREAD_S = 0.3  # a moment that nothing decides but the seed
EXPELLED_S = 20  # until the others of a group have gone on without a member that stands still
BEGUN_S = 15  # until a bill run has begun


class Missed(Exception):
    """What was to be struck wasn't there: no fault was injected."""


class Kind(NamedTuple):
    """One kind of fault."""

    name: str
    strike: Callable[[Scene, random.Random], Iterator[None]]
    hold_s: tuple[float, float] = (0.0, 0.0)
    is_possible: Callable[[Scene], bool] = lambda _: True
    is_alone: bool = False  # no other fault may be there meanwhile

    @property
    def sort(self) -> str:
        """What it is done to or with."""
        return self.name.partition(":")[0]


# ── processes ──────────────────────────────────────────────────────────────────────────────────────


def killed(*names: str) -> Callable[[Scene, random.Random], Iterator[None]]:
    """Programs that serve are killed at one moment, and started again."""

    def strike(scene: Scene, rng: random.Random) -> Iterator[None]:
        time.sleep(rng.uniform(0, KILL_SPREAD_S))
        programs = [program for program in scene.lasting if program.name in names]
        for program in programs:
            program.signal(signal.SIGKILL)
        for program in programs:
            program.kill()
        yield
        for program in programs:
            program.start()

    return strike


def kill_worker(scene: Scene, rng: random.Random) -> Iterator[None]:
    """One process that serves peers; its parent starts another."""
    try:
        os.kill(_worker(scene, rng), signal.SIGKILL)
    except ProcessLookupError:
        raise Missed from None
    yield


def _worker(scene: Scene, rng: random.Random) -> int:
    workers = scene.gy.workers()
    if not workers:
        raise Missed
    return rng.choice(workers)


def kill_parent(scene: Scene, rng: random.Random) -> Iterator[None]:
    """The parent of the processes that serve peers alone; they must end by themselves, and free the port."""
    time.sleep(rng.uniform(0, KILL_SPREAD_S))
    scene.gy.kill_leader()
    yield
    scene.gy.start()


def freeze_parent(scene: Scene, _: random.Random) -> Iterator[None]:
    """The parent stands still, which accepts connections for all; those that it has given out are served."""
    scene.gy.signal_leader(signal.SIGSTOP)
    yield
    scene.gy.signal_leader(signal.SIGCONT)


def kill_run(name: str) -> Callable[[Scene, random.Random], Iterator[None]]:
    """A bill run, or the making of its PDFs, is killed within; it is begun again by who began it."""

    def strike(scene: Scene, rng: random.Random) -> Iterator[None]:
        program = _begun(scene, name)
        time.sleep(rng.uniform(0, 2.5))  # a start takes the most of it
        if not program.is_running:
            raise Missed
        program.kill()
        yield

    return strike


def _begun(scene: Scene, name: str) -> Program:
    """The next part of the bill cycle comes; the program that is asked for, once it runs."""
    program = next(one for one in scene.programs if one.name == name)
    scene.cycle.turn.set()
    end_s = time.monotonic() + BEGUN_S
    while not program.is_running:
        if time.monotonic() > end_s or not scene.cycle.is_alive():
            raise Missed
        time.sleep(0.02)
    return program


def kill_all(scene: Scene, rng: random.Random) -> Iterator[None]:
    """Everything at once."""
    scene.cycle.turn.set()
    time.sleep(rng.uniform(0, 1))
    for program in scene.programs:
        program.signal(signal.SIGKILL)
    for program in scene.programs:
        program.kill()
    yield
    for program in scene.lasting:
        program.start()


def frozen(*names: str) -> Callable[[Scene, random.Random], Iterator[None]]:
    """Programs stand still (SIGSTOP) and go on."""

    def strike(scene: Scene, rng: random.Random) -> Iterator[None]:
        if "mubss-billing" in names:
            _begun(scene, "mubss-billing")
            time.sleep(rng.uniform(0, 2))
        programs = [program for program in scene.programs if program.name in names]
        for program in programs:
            program.signal(signal.SIGSTOP)
        yield
        for program in programs:
            program.signal(signal.SIGCONT)

    return strike


def freeze_worker(scene: Scene, rng: random.Random) -> Iterator[None]:
    """One process that serves peers stands still, the others don't."""
    chosen = _worker(scene, rng)
    with suppress(ProcessLookupError):
        os.kill(chosen, signal.SIGSTOP)
    yield
    with suppress(ProcessLookupError):
        os.kill(chosen, signal.SIGCONT)


# ── networks ───────────────────────────────────────────────────────────────────────────────────────


def network(which: str, way: Way) -> Callable[[Scene, random.Random], Iterator[None]]:
    """The way of clients, or that to the store."""

    def strike(scene: Scene, rng: random.Random) -> Iterator[None]:
        one = _network(scene, which)
        one.set(way, rng.uniform(0.05, 1.0) if way is Way.SLOW else 0.0)
        yield
        one.set(Way.OPEN)

    return strike


def reset(which: str) -> Callable[[Scene, random.Random], Iterator[None]]:
    """Every connection ends with a reset."""

    def strike(scene: Scene, rng: random.Random) -> Iterator[None]:
        time.sleep(rng.uniform(0, KILL_SPREAD_S))
        _network(scene, which).reset()
        yield

    return strike


def flapping(which: str) -> Callable[[Scene, random.Random], Iterator[None]]:
    """It comes and goes."""

    def strike(scene: Scene, rng: random.Random) -> Iterator[None]:
        one = _network(scene, which)
        for _ in range(rng.randrange(4, 10)):
            one.set(rng.choice([Way.CUT, Way.FROZEN, Way.DEAF, Way.MUTE]))
            time.sleep(rng.uniform(0.05, 0.3))
            one.set(Way.OPEN)
            time.sleep(rng.uniform(0.05, 0.3))
        yield

    return strike


def _network(scene: Scene, which: str) -> Network:
    return scene.clients if which == "clients" else scene.store_way


# ── messages and peers ─────────────────────────────────────────────────────────────────────────────


def messages(mischief: Mischief) -> Callable[[Scene, random.Random], Iterator[None]]:
    """What clients send meets it."""

    def strike(scene: Scene, _: random.Random) -> Iterator[None]:
        _mischief(scene, mischief)
        yield
        _mischief(scene, Mischief.NONE)

    return strike


def _mischief(scene: Scene, mischief: Mischief) -> None:
    for element in scene.elements:
        element.mischief = mischief


def peers_flap(scene: Scene, _: random.Random) -> Iterator[None]:
    """Peers connect, send a few requests, and drop, again and again."""
    for element in scene.elements:
        element.is_flapping = True
    yield
    for element in scene.elements:
        element.is_flapping = False


def twin(way: str) -> Callable[[Scene, random.Random], Iterator[None]]:
    """A second connection of an Origin-Host whose first lives, or is silent."""

    def strike(scene: Scene, rng: random.Random) -> Iterator[None]:
        rng.choice(scene.elements).wants_twin = way
        yield

    return strike


def copied_file(scene: Scene, _: random.Random) -> Iterator[None]:
    """A CDR file comes again under another name."""
    end_s = time.monotonic() + BEGUN_S
    while not scene.mediation.copy():
        if time.monotonic() > end_s:
            raise Missed
        time.sleep(0.1)
    yield


# ── the store, its disk, the clock ─────────────────────────────────────────────────────────────────


def slow_disk(scene: Scene, rng: random.Random) -> Iterator[None]:
    """Each fsync of every program, and of the server, takes longer."""
    slower_ms = rng.randrange(20, 400)
    for shim in scene.shims:
        shim.set(fsync_ms=slower_ms)
    yield
    for shim in scene.shims:
        shim.set()


def full_disk(scene: Scene, _: random.Random) -> Iterator[None]:
    """No room for the store, be it a file or a server's, CDR files, bills."""
    scene.cycle.turn.set()
    scene.disk.fill()
    yield
    scene.disk.free()


def locked_store(scene: Scene, _: random.Random) -> Iterator[None]:
    """Another process holds the embedded store's lock."""
    with closing(sqlite3.connect(scene.place / "mubss.db", timeout=20, isolation_level=None)) as held:
        held.execute("BEGIN IMMEDIATE")
        yield
        held.execute("ROLLBACK")


def clock(seconds: int) -> Callable[[Scene, random.Random], Iterator[None]]:
    """The wall clock of mubss-gy and mubss-cdr leaps, and comes back.

    What was answered before comes again meanwhile. mubss-crm's gRPC waits by the kernel's clock, which none may move.
    """

    def strike(scene: Scene, _: random.Random) -> Iterator[None]:
        _mischief(scene, Mischief.ECHOED)
        time.sleep(1)  # so that something is there to come again
        for program in (scene.gy, scene.cdr):
            if program.shim is not None:
                program.shim.set(clock_s=seconds)
        yield
        for program in (scene.gy, scene.cdr):
            if program.shim is not None:
                program.shim.set()
        _mischief(scene, Mischief.NONE)

    return strike


def mysql_killed(scene: Scene, rng: random.Random) -> Iterator[None]:
    """kill -9 of the server, which is started again."""
    assert isinstance(scene.mysql, MySQL)
    time.sleep(rng.uniform(0, KILL_SPREAD_S))
    scene.mysql.kill()
    yield
    scene.mysql.start()


def mysql_frozen(scene: Scene, _: random.Random) -> Iterator[None]:
    """It stands still, and goes on."""
    assert isinstance(scene.mysql, MySQL)
    scene.mysql.freeze()
    yield
    scene.mysql.thaw()


def mysql_stutters(scene: Scene, rng: random.Random) -> Iterator[None]:
    """It stands still most of the time: what a slow disk under it looks like from outside."""
    assert isinstance(scene.mysql, MySQL)
    for _ in range(rng.randrange(8, 16)):
        scene.mysql.freeze()
        time.sleep(rng.uniform(0.05, 0.4))
        scene.mysql.thaw()
        time.sleep(rng.uniform(0.02, 0.1))
    yield


def failover(*, freeze: bool) -> Callable[[Scene, random.Random], Iterator[None]]:
    """A group's primary is killed, or stands still; another takes over, clients are served, and then it joins again."""

    def strike(scene: Scene, rng: random.Random) -> Iterator[None]:
        assert isinstance(scene.mysql, Group)
        time.sleep(rng.uniform(0, KILL_SPREAD_S))
        victim = scene.mysql.primary()
        struck_s = time.monotonic()
        if freeze:
            victim.freeze()
        else:
            victim.kill()
        scene.go_on("the primary was lost")
        if freeze:
            time.sleep(max(0.0, struck_s + EXPELLED_S - time.monotonic()))
        yield
        if freeze:
            victim.thaw()
        scene.mysql.start()

    return strike


def _has_shim(scene: Scene) -> bool:
    return scene.gy.shim is not None


def _may_leap_ahead(scene: Scene) -> bool:
    """Not into another month: it has free units and prices of its own, and sessions would cost more."""
    today = time.gmtime()
    return _has_shim(scene) and today.tm_mday < monthrange(today.tm_year, today.tm_mon)[1]


def _is_embedded(scene: Scene) -> bool:
    return scene.mysql is None


def _has_mysql(scene: Scene) -> bool:
    return isinstance(scene.mysql, MySQL)


def _has_group(scene: Scene) -> bool:
    return isinstance(scene.mysql, Group)


SHORT, LONG = (0.5, 2.5), (2.0, 7.0)
KINDS = [
    Kind("kill: mubss-gy", killed("mubss-gy")),
    Kind("kill: a worker of mubss-gy", kill_worker),
    Kind("kill: the parent of mubss-gy alone", kill_parent),
    Kind("kill: mubss-crm", killed("mubss-crm")),
    Kind("kill: mubss-cdr", killed("mubss-cdr")),
    Kind("kill: mubss-billing", kill_run("mubss-billing")),
    Kind("kill: mubss-billfmt", kill_run("mubss-billfmt")),
    Kind("kill: all of them at once", kill_all),
    Kind("freeze: mubss-gy", frozen("mubss-gy"), LONG),
    Kind("freeze: a worker of mubss-gy", freeze_worker, LONG),
    Kind("freeze: the parent of mubss-gy", freeze_parent, LONG),
    Kind("freeze: mubss-crm and mubss-cdr", frozen("mubss-crm", "mubss-cdr"), LONG),
    Kind("freeze: mubss-billing past its lease", frozen("mubss-billing"), (2.5, 5.0)),
    Kind("clients' network: split", network("clients", Way.CUT), SHORT),
    Kind("clients' network: frozen", network("clients", Way.FROZEN), LONG),
    Kind("clients' network: answers lost", network("clients", Way.DEAF), LONG),
    Kind("clients' network: requests lost", network("clients", Way.MUTE), LONG),
    Kind("clients' network: late", network("clients", Way.SLOW), SHORT),
    Kind("clients' network: reset", reset("clients")),
    Kind("clients' network: flapping", flapping("clients")),
    Kind("messages: twice", messages(Mischief.TWICE), SHORT),
    Kind("messages: another order", messages(Mischief.SWAPPED), SHORT),
    Kind("messages: after the session's end", messages(Mischief.LATE), SHORT),
    Kind("messages: again past Tx", messages(Mischief.ECHOED), LONG),
    Kind("peers: flapping", peers_flap, (1.5, 4.0)),
    Kind("peers: a twin, the first lives", twin("heard"), (0.5, 1.0)),
    Kind("peers: a twin, the first is silent", twin("deaf"), (2.5, 3.0)),
    Kind("CDR file: twice", copied_file),
    Kind("clock: an hour back", clock(-HOUR_S), LONG, _has_shim),
    Kind("clock: a day forward", clock(DAY_S), (4.0, 8.0), _may_leap_ahead),
    Kind("disk: slow", slow_disk, LONG, lambda scene: _has_shim(scene) and not _has_group(scene)),
    Kind("disk: full", full_disk, SHORT, lambda scene: bool(scene.disk.kind) and not _has_group(scene)),
    Kind("store: locked by another", locked_store, LONG, _is_embedded),
    Kind("store: killed", mysql_killed, SHORT, _has_mysql),
    Kind("store: frozen", mysql_frozen, LONG, _has_mysql),
    Kind("store: stutters", mysql_stutters, (0.0, 0.0), _has_mysql),
    Kind("store: a group's primary killed", failover(freeze=False), is_possible=_has_group, is_alone=True),
    Kind("store: a group's primary frozen", failover(freeze=True), is_possible=_has_group, is_alone=True),
    Kind("store's network: split", network("store", Way.CUT), SHORT, _has_mysql),
    Kind("store's network: frozen", network("store", Way.FROZEN), LONG, _has_mysql),
    Kind("store's network: answers lost", network("store", Way.DEAF), LONG, _has_mysql),
    Kind("store's network: requests lost", network("store", Way.MUTE), LONG, _has_mysql),
    Kind("store's network: late", network("store", Way.SLOW), SHORT, _has_mysql),
    Kind("store's network: reset", reset("store"), (0.0, 0.0), _has_mysql),
    Kind("store's network: flapping", flapping("store"), (0.0, 0.0), _has_mysql),
]


def drawn(rng: random.Random, possible: list[Kind], together: float) -> Iterator[list[Kind]]:
    """Faults without end: each kind comes once before one comes again; that share of them two at a time."""
    waiting: list[Kind] = []

    def following() -> Kind:
        if not waiting:
            waiting.extend(rng.sample(possible, len(possible)))
        return waiting.pop()

    while True:
        kinds = [following()]
        if rng.random() < together:
            kinds.append(following())
        one, *others = kinds
        if others and (one.sort == others[0].sort or one.is_alone or others[0].is_alone):
            yield [one]
            yield others
        else:
            yield kinds


@contextmanager
def struck(kind: Kind, scene: Scene, rng: random.Random) -> Iterator[None]:
    """The fault is there within the block, and taken back behind it, whatever happens."""
    fault = kind.strike(scene, rng)
    next(fault)
    try:
        yield
    finally:
        next(fault, None)
