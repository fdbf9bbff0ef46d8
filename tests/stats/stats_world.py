"""A store with documents that a test writes as the ledger would, and passes of statistics over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from mubss.config_stats import StatsOptions
from mubss.core.calendar import OperatorCalendar
from mubss.core.identity import sequence_id
from mubss.core.periods import Periods
from mubss.core.stats import KEPT
from mubss.services.stats_pass import Counter, Passed
from mubss.storage.database import Store, create_collections, open_database

ZONE = "Europe/Berlin"
PERIODS = Periods(OperatorCalendar(ZoneInfo(ZONE)))


class StatsWorld:
    """The store, and accounts with postings, usage and bills in it; `now_s` stands until a test moves it."""

    def __init__(self, url: str, now_s: int) -> None:
        self.store: Store = open_database(url)
        create_collections(self.store)
        self.now_s = now_s
        self._accounts: dict[str, dict[str, Any]] = {}

    def account(self, key: str, since_s: int, plan: str = "P", **more: Any) -> str:
        """Opens one."""
        self._accounts[key] = {
            "_id": key,
            "type": "prepaid",
            "plan": plan,
            "state": "active",
            "currency": "EUR",
            "since_s": since_s,
            "sequence": 0,
            "usage_sequence": 0,
            "balance_micros": 0,
            "reserved_micros": 0,
            **more,
        }
        self.put("accounts", [self._accounts[key]])
        return key

    def change(self, key: str, at_s: int, plan: str = "", state: str = "") -> None:
        """Another plan or state, as the ledger notes it."""
        account = self._accounts[key]
        history = account.get("history") or [[account["since_s"], account["plan"], account["state"]]]
        account |= {"plan": plan or account["plan"], "state": state or account["state"]}
        account["history"] = [*history, [at_s, account["plan"], account["state"]]]
        self.put("accounts", [account])

    def post(self, key: str, at_s: int, amount: int, kind: str = "topup", bucket: str = "main", **more: Any) -> None:
        """A posting; fields of its cause are given as `cause_…`."""
        account = self._accounts[key]
        number = account["sequence"] = account["sequence"] + 1
        account["balance_micros"] += amount
        cause = {"kind": kind} | {name[6:]: more.pop(name) for name in list(more) if name.startswith("cause_")}
        doc = {"_id": sequence_id(key, number), "account": key, "sequence": number, "at_ms": at_s * 1000 + 1}
        self.put("postings", [{**doc, "cause": cause, "bucket": bucket, "amount_micros": amount, **more}])
        self.put("accounts", [account])

    def use(self, key: str, from_s: int, units: int, charge: int, service: str = "DATA", **more: Any) -> None:
        """A usage record."""
        account = self._accounts[key]
        number = account["usage_sequence"] = account["usage_sequence"] + 1
        doc = {"_id": sequence_id(key, number), "account": key, "sequence": number, "service": service}
        doc |= {"plan": account["plan"], "zone": "home", "from_s": from_s, "until_s": from_s + 9, "free_units": 0}
        self.put("usage", [{**doc, "units": units, "charge_micros": charge, **more}])
        self.put("accounts", [account])

    def put(self, collection: str, docs: Sequence[Mapping[str, Any]]) -> None:
        """Writes documents past everything."""
        self.store.run(lambda session: session.collection(collection).put_many([dict(doc) for doc in docs]))

    def counter(self, **options: Any) -> Counter:
        """Who counts, with options of [stats]."""
        more = {name: options.pop(name) for name in ("is_stopping",) if name in options}
        timezone, periods = options.pop("timezone", ZONE), options.pop("periods", PERIODS)
        return Counter(self.store, periods, timezone, StatsOptions(**options), lambda: self.now_s, **more)

    def run(self, **options: Any) -> Passed:
        """One pass."""
        return self.counter(**options).run(self.now_s)

    def figures(self, *metrics: str) -> dict[tuple[Any, ...], dict[str, int]]:
        """(metric, period, its label, dimensions …) → figures."""
        docs = self.store.run(lambda session: session.collection("stats").scan(limit=100_000))
        found = {}
        for one in docs:
            if one["metric"] in metrics:
                dims = (one["dims"][name] for name in KEPT[one["metric"]].dims)  # MySQL's JSON sorts its keys
                label = PERIODS.label(one["period"], one["start_s"])
                found[one["metric"], one["period"], label, *dims] = one["figures"]
        return found

    def close(self) -> None:
        self.store.close()
