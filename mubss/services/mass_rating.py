"""MASS_PREPAID_RATING: sessions of real prepaid subscribers through the charging engine, without a network.

For developers: it shows what charging and the store can do alone, and charges real accounts for nothing they used.
Each session is three requests (I, U, T) of data and is charged at its second and third.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

from mubss.charging.engine import Engine
from mubss.charging.order import Order
from mubss.core.errors import InputError
from mubss.core.identity import session_hash
from mubss.core.model import PREPAID, CreditControl, RequestType, UnitRequest
from mubss.core.tariff import Tables
from mubss.services.audit_ledger import check_one
from mubss.storage import subscribers
from mubss.storage.database import Store

USED_UNITS = {"octets": 1_000_000, "seconds": 60, "events": 1}  # that each report reports
REPORT_EVERY = 1000  # requests
_REQUESTS = (RequestType.INITIAL, RequestType.UPDATE, RequestType.TERMINATION)
Spread = Callable[[Callable[[int], list["Played"]], Iterable[int]], Iterable[list["Played"]]]


class Player(NamedTuple):
    """A subscriber who plays, and the service that is charged."""

    account: str
    identity: str
    service: str
    units: int


class Played(NamedTuple):
    """One request: its Result-Code, and how long it took from the queue to the answer."""

    result: int
    us: int


def find_players(store: Store, tables: Tables, first: str, last: str, limit: int = 100_000) -> list[Player]:
    """The prepaid subscribers with numbers from `first` to `last`, that their plan sells something."""
    players = []
    for identity in subscribers.identities_between(store, f"e164:{first}", f"e164:{last}", limit):
        account = subscribers.get_account(store, identity["account"])
        plan = tables.plans.get(account["plan"]) if account is not None else None
        if plan is None or plan.type != PREPAID or not plan.services:
            continue
        service = plan.services.get("DATA") or next(iter(plan.services.values()))
        units = USED_UNITS[service.service.unit]
        players.append(Player(identity["account"], identity["_id"], service.service.code, units))
    if not players:
        raise InputError(f"first, last: no prepaid subscriber from {first} to {last}; expected some")
    return players


def play(
    engine: Engine,
    tables: Tables,
    players: list[Player],
    charges: int,
    name: str,
    spread: Spread,
    is_stopping: Callable[[], bool],
    report: Callable[[int], None],
) -> dict[str, Any]:
    """Plays so many requests; their rate per second, latencies and Result-Codes. The engine must be started."""

    def sessions() -> Iterator[int]:
        for number in range(-(-charges // len(_REQUESTS))):
            if is_stopping():
                return
            yield number

    results: Counter[int] = Counter()
    latencies: list[int] = []
    told = 0
    started = time.perf_counter()
    for played in spread(lambda number: _session(engine, tables, players, name, number), sessions()):
        results.update(one.result for one in played)
        latencies += [one.us for one in played]
        if len(latencies) >= told + REPORT_EVERY:
            told = len(latencies)
            report(told)
    seconds = time.perf_counter() - started
    latencies.sort()
    return {
        "rate_per_s": int(len(latencies) / seconds),
        "latency_us": {name: _at(latencies, share) for name, share in (("p50", 50), ("p99", 99), ("max", 100))},
        "results": {str(result): count for result, count in sorted(results.items())},
        "progress": {"done": len(latencies), "of": charges},
    }


def _session(engine: Engine, tables: Tables, players: list[Player], name: str, number: int) -> list[Played]:
    player = players[number % len(players)]
    session_id = f"{name};{number}"
    key = session_hash(session_id)
    played = []
    for place, kind in enumerate(_REQUESTS):
        used = player.units if place else None
        wants = kind is not RequestType.TERMINATION
        request = UnitRequest("1", player.service, 1, wants_grant=wants, used_units=used)
        command = CreditControl(kind, session_id, key, place, [player.identity], tables, [request], peer=name)
        answered = threading.Event()
        order = Order(command, identities=[player.identity], done=partial(_wake, answered))
        started = time.perf_counter()
        engine.submit(order)
        answered.wait()
        if order.error is not None:
            raise order.error
        assert order.outcome is not None
        played.append(Played(int(order.outcome.result), int((time.perf_counter() - started) * 1e6)))
    return played


def _wake(answered: threading.Event, _order: Order) -> None:
    answered.set()


def _at(latencies: list[int], percent: int) -> int:
    return latencies[min(len(latencies) * percent // 100, len(latencies) - 1)] if latencies else 0


def findings(store: Store, players: list[Player]) -> list[str]:
    """What the ledger check finds wrong with the accounts that played; empty if nothing is."""
    accounts = sorted({player.account for player in players})
    return [f"{finding.account}: {finding.fault}" for one in accounts for finding in check_one(store, one)]
