"""The store of load and torture before, and the torture's reckoning after: used against charged.

Every session's charge must be what its units cost, every balance the sum of its postings, and no reservation may be
left.
"""

from __future__ import annotations

import time
from typing import Any

from gy_play import Play
from mubss.config import data_path
from mubss.refdata.form import read_files
from mubss.refdata.live import Refdata, operator_calendar
from mubss.refdata.load import load
from mubss.services.audit_ledger import check
from mubss.services.lifecycle import NewSubscriber, create
from mubss.storage.database import Store, create_collections, open_database

FIRST = 999_700_000_001
OPENING_MICROS = 1_000_000_000


def make_store(url: str, accounts: int) -> Store:
    """A store with so many prepaid subscribers of the demo plan."""
    store = open_database(url)
    create_collections(store)
    calendar = operator_calendar("UTC")
    load(store, read_files([data_path("conf/refdata/demo.toml")]), calendar, int(time.time()), replace=False)
    tables = Refdata(store, "UTC").load()
    people = [
        NewSubscriber(str(FIRST + n), f"{FIRST * 1000 + n}", "prepaid", "demo-prepaid", OPENING_MICROS)
        for n in range(accounts)
    ]
    create(store, tables, people, int(time.time() * 1000))
    return store


def compare(store: Store, plays: list[Play], accounts: int) -> dict[str, Any]:
    """Holds the store against what the client knows it used."""

    def everything(name: str) -> list[dict[str, Any]]:
        return store.run(lambda session: session.collection(name).scan(limit=10_000_000))

    usage: dict[str, list[dict[str, Any]]] = {}
    for record in everything("usage"):
        usage.setdefault(record["session_id"], []).append(record)
    lost = doubled = 0
    owed = dict.fromkeys(range(FIRST, FIRST + accounts), OPENING_MICROS)
    for play in plays:
        owed[play.msisdn] -= play.cost_micros
        records = usage.pop(play.session_id, [])
        charged = sum(record["charge_micros"] for record in records)
        units = sum(record["units"] for record in records)
        lost += charged < play.cost_micros or units < play.used
        doubled += charged > play.cost_micros or units > play.used or len(records) > 1
    wrong = 0
    for account in everything("accounts"):
        msisdn = int(account["identities"][0].removeprefix("e164:"))
        left_over = account["reserved_micros"] or account["sessions"]
        wrong += bool(account["balance_micros"] != owed[msisdn] or left_over)
    refused = sum(result != 2001 for play in plays for result in play.results)
    checked, findings = check(store)
    return {
        "sessions": len(plays),
        "lost": lost,
        "doubled": doubled,
        "unknown_usage": len(usage),
        "wrong_accounts": wrong,
        "refused": refused,
        "suspense": len(everything("suspense")),
        "accounts_checked": checked,
        "ledger_findings": [finding._asdict() for finding in findings[:10]],
    }


def is_clean(figures: dict[str, Any]) -> bool:
    """Nothing lost, nothing doubled, nothing else wrong."""
    names = ("lost", "doubled", "unknown_usage", "wrong_accounts", "refused", "suspense", "exit_code", "tracebacks")
    return not any(figures[name] for name in names) and not figures["ledger_findings"]
