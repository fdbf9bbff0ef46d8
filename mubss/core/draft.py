"""A working copy of one account under one command: copies what it touches, collects what must be written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mubss.core.identity import sequence_id
from mubss.core.model import MAIN_BUCKET, Account, Applied, SessionRecord, UsagePart
from mubss.core.money import MAX_MICROS
from mubss.core.tariff import PlanService, Tables

KEPT_MONTHS = 3  # of free-unit counters: this one and those that late usage may still fall into


class Draft:
    """One account being changed; `original` stays as it was."""

    __slots__ = (
        "account",
        "now_ms",
        "now_s",
        "original",
        "outbox",
        "postings",
        "records",
        "suspense",
        "tables",
        "usage",
    )

    def __init__(self, account: Account, tables: Tables, now_ms: int) -> None:
        self.original = account
        self.account: Account = account.copy()
        self.account["sessions"] = account["sessions"].copy()
        self.tables = tables
        self.now_ms = now_ms
        self.now_s = now_ms // 1000
        self.postings: list[dict[str, Any]] = []
        self.usage: list[dict[str, Any]] = []
        self.suspense: list[dict[str, Any]] = []
        self.records: list[SessionRecord] = []
        self.outbox: list[dict[str, Any]] = []

    def applied(self) -> Applied:
        """What came of it, without an outcome."""
        self.account["version"] += 1
        return Applied(self.account, None, self.postings, self.usage, self.suspense, self.records, self.outbox)

    @property
    def available_micros(self) -> int:
        """What new grants may draw on."""
        account = self.account
        return account["balance_micros"] + account["credit_limit_micros"] - account["reserved_micros"]

    def can_hold(self, amount_micros: int) -> bool:
        """Whether the balance stays within what an account can hold, so that no store ever meets a 65th bit."""
        return abs(self.account["balance_micros"] + amount_micros) <= MAX_MICROS

    def plan_service(self, service: str | None) -> PlanService | None:
        """How the account's plan prices a service; None where it doesn't."""
        plan = self.tables.plans.get(self.account["plan"])
        return None if plan is None or service is None else plan.services.get(service)

    def post(self, amount_micros: int, cause: dict[str, Any], **more: Any) -> None:
        """Changes the balance, with the posting that says why."""
        account = self.account
        sequence = account["sequence"] = account["sequence"] + 1
        balance = account["balance_micros"] = account["balance_micros"] + amount_micros
        self.postings.append(_posting(account["_id"], sequence, self.now_ms, cause, amount_micros, balance) | more)

    def post_usage(self, cause: dict[str, Any], service: str, micros: int, free_units: Mapping[str, int]) -> None:
        """One posting for what a service cost, and one more for each further month that free units were drawn from."""
        more: dict[str, Any] = {"service": service}
        overrun_micros = micros - max(0, self.available_micros)
        if overrun_micros > 0:
            more["overrun_micros"] = overrun_micros
        months = list(free_units.items())
        if months:
            more["month"], more["free_units"] = months[0]
        if micros or months:
            self.post(-micros, cause, **more)
        for month, drawn in months[1:]:
            self.post(0, cause, service=service, month=month, free_units=drawn)

    def free_used(self, service: str) -> dict[str, int]:
        """Free units used of a service, by month."""
        return {month: counters.get(service, 0) for month, counters in self.account["counters"].items()}

    def draw_free(self, service: str, units: int, month: str) -> None:
        """Counts free units as used (or given back, if negative)."""
        months = self.account["counters"]
        counters = months.get(month, {}).copy()
        counters[service] = counters.get(service, 0) + units
        months = {**months, month: counters}
        if len(months) > KEPT_MONTHS:
            this_month = self.tables.calendar.at(self.now_s).month  # seconds may lie ahead, in a month more
            for old in sorted(known for known in months if known <= this_month)[:-KEPT_MONTHS]:
                del months[old]
        self.account["counters"] = months

    def record_usage(
        self,
        source: dict[str, Any],
        service: str,
        zone: str,
        rates: Mapping[str, int],
        part: UsagePart,
        until_s: int | None = None,
    ) -> None:
        """Writes a usage record; `source` says which session it belongs to, with the facts kept of it.

        `until_s` is when the usage ended, by default now.
        """
        account = self.account
        account["usage_sequence"] += 1
        self.usage.append(
            {
                "_id": sequence_id(account["_id"], account["usage_sequence"]),
                "account": account["_id"],
                "sequence": account["usage_sequence"],
                **source,
                "plan": account["plan"],
                "service": service,
                "zone": zone,
                "from_s": part["since_s"],
                "until_s": self.now_s if until_s is None else until_s,
                "units": part["units"],
                "free_units": part["free_units"],
                "charge_micros": part["charge_micros"],
                "rates": list(rates),
            }
        )


def new_part(now_s: int) -> UsagePart:
    """What a session used of a service since its last usage record: nothing yet."""
    return {"since_s": now_s, "units": 0, "free_units": 0, "charge_micros": 0}


def opening_posting(account_id: str, balance_micros: int, now_ms: int) -> dict[str, Any]:
    """The first posting of an account that opens with a balance."""
    return _posting(account_id, 1, now_ms, {"kind": "opening"}, balance_micros, balance_micros)


def _posting(
    account_id: str, sequence: int, at_ms: int, cause: dict[str, Any], amount_micros: int, balance_micros: int
) -> dict[str, Any]:
    return {
        "_id": sequence_id(account_id, sequence),
        "account": account_id,
        "sequence": sequence,
        "at_ms": at_ms,
        "cause": cause,
        "bucket": MAIN_BUCKET,
        "amount_micros": amount_micros,
        "balance_micros": balance_micros,
    }
