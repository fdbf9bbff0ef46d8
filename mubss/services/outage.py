"""Store outage mode: as the configuration wants it, and what came of past outages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mubss.charging.engine import Engine, wall_clock_ms
from mubss.charging.journal import DAMAGED, SUFFIX
from mubss.charging.journal import records as journal_records
from mubss.charging.outage import Outage, Risk
from mubss.charging.replay import Replay
from mubss.config import Config
from mubss.core.model import Rules
from mubss.core.outage import CHARGED, FAILED, REFUSED, REPEAT
from mubss.core.tariff import Tables, Unit
from mubss.storage import outage as storage
from mubss.storage.database import Doc, Store

STATES = (CHARGED, REFUSED, REPEAT, FAILED)


def risk_of(config: Config) -> Risk:
    """What the configuration lets be granted by one of its workers."""
    outage = config.outage
    units = {
        Unit.OCTETS.value: outage.octets_at_once,
        Unit.SECONDS.value: outage.seconds_at_once,
        Unit.EVENTS.value: outage.events_at_once,
    }
    for text in outage.services_at_once:
        code, _, count = text.rpartition(":")
        units[code] = int(count)
    return Risk(
        config.resolve(outage.folder),
        outage.account_cap_micros,
        outage.total_cap_micros // config.gy.workers,
        outage.currency,
        outage.known_seconds,
        outage.known_accounts,
        units,
        outage.journal_records,
    )


def set_up(
    config: Config,
    engine: Engine,
    store: Store,
    rules: Rules,
    tables: Callable[[], Tables],
    offload: Callable[[Callable[[], Any]], Any],
) -> Replay | None:
    """Gives an engine its outage mode, where the configuration wants it; None where it doesn't."""
    if not config.outage.enabled:
        return None
    engine.outage = Outage(risk_of(config), rules, tables, wall_clock_ms, offload)
    return Replay(engine.outage, engine, store)


def report(store: Store, *, since_s: int = 0, journal: str = "") -> list[dict[str, Any]]:
    """A row for each journal and currency, the earliest first: what was granted, and what became of it. Micros."""
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for doc in records(store, since_s=since_s, journal=journal):
        row = rows.setdefault(
            (doc["journal"], doc["currency"]),
            {
                "journal": doc["journal"],
                "from_s": doc["at_s"],
                "until_s": doc["at_s"],
                "replayed_s": 0,
                "currency": doc["currency"],
                "requests": 0,
                **dict.fromkeys(STATES, 0),
                "granted_micros": 0,
                "charged_micros": 0,
                "refused_micros": 0,
                "short_micros": 0,
                "suspended": 0,
            },
        )
        row["from_s"], row["until_s"] = min(row["from_s"], doc["at_s"]), max(row["until_s"], doc["at_s"])
        row["replayed_s"] = max(row["replayed_s"], doc["replayed_s"])
        row["requests"] += 1
        row[doc["state"]] += 1
        for name in ("granted_micros", "charged_micros", "short_micros", "suspended"):
            row[name] += doc[name]
        if doc["state"] in (REFUSED, FAILED):
            row["refused_micros"] += doc["granted_micros"]
    for row in rows.values():
        row["difference_micros"] = row["granted_micros"] - row["charged_micros"] - row["refused_micros"]
    return sorted(rows.values(), key=lambda row: (row["from_s"], row["journal"], row["currency"]))


def records(store: Store, *, since_s: int = 0, journal: str = "", state: str = "") -> list[Doc]:
    """The requests themselves: those answered from then on, of one journal, in one state."""
    return [
        doc
        for doc in storage.scan(store)
        if doc["at_s"] >= since_s and journal in ("", doc["journal"]) and state in ("", doc["state"])
    ]


def waiting(config: Config) -> list[dict[str, Any]]:
    """The journals on this machine that aren't done, with how many requests each holds; OSError where it can't be read.

    Some of them may be in the store already: they count until the journal is gone.
    """
    folder = config.resolve(config.outage.folder)
    rows = []
    for path in sorted((*folder.glob("*" + SUFFIX), *folder.glob("*" + DAMAGED))):
        try:
            found = journal_records(path.read_bytes())
        except FileNotFoundError:  # it has just been done
            continue
        rows.append(
            {
                "journal": path.stem,
                "requests": len(found.payloads),
                "damaged_octets": found.lost,
                "is_kept": path.suffix == DAMAGED,
            }
        )
    return rows
