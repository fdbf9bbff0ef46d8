"""A working copy of one account under one command: copies what it touches, collects what must be written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mubss.core.allowance import KEPT_MONTHS, Allowance, Cap, Sources, Usage, is_drawable, rolled_units, sums
from mubss.core.identity import sequence_id
from mubss.core.model import MAIN_BUCKET, Account, Applied, SessionRecord, UsagePart
from mubss.core.money import MAX_MICROS
from mubss.core.tariff import PlanService, Tables

_SELDOM = ("bundle_units", "paid_units", "at_s")  # what most usage records have none of
MAX_HISTORY = 100  # changes of plan or state that an account remembers: no bill period has more
Counters = dict[str, dict[str, int]]  # month → service → units


class Drawn(NamedTuple):
    """What a service cost within one command, and what it drew."""

    micros: int = 0
    free_units: Mapping[str, int] = {}  # by month
    bundle_units: Mapping[str, int] = {}  # by bucket
    paid_units: Mapping[str, int] = {}  # by month
    member_units: Mapping[str, int] = {}  # by month

    def plus(self, usage: Usage) -> Drawn:
        """With more of the same service."""
        return Drawn(
            self.micros + usage.charge_micros,
            sums(self.free_units, usage.free_units),
            sums(self.bundle_units, usage.bundle_units),
            sums(self.paid_units, usage.paid_units),
            sums(self.member_units, usage.member_units) if usage.member_units else self.member_units,
        )


def _of_month(drawn: Drawn, month: str) -> dict[str, Any]:
    """The fields of a posting that say what was drawn in a month."""
    fields: dict[str, Any] = {"month": month}
    if month in drawn.free_units:
        fields["free_units"] = drawn.free_units[month]
    if month in drawn.paid_units:
        fields["paid_units"] = drawn.paid_units[month]
    if month in drawn.member_units:
        fields["member_units"] = drawn.member_units[month]
    return fields


class Draft:
    """One account being changed; `original` stays as it was.

    `member` is whose request it is, where several subscribers share the account; else "".
    """

    __slots__ = (
        "account",
        "member",
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
        self.member = ""
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

    def note_history(self, at_s: int) -> None:
        """Notes that the plan or the state has changed at a time: bills reckon by the day what was in force."""
        account, before = self.account, self.original
        history = before.get("history") or [[before.get("since_s", 0), before["plan"], before["state"]]]
        account["history"] = [*history, [at_s, account["plan"], account["state"]]][-MAX_HISTORY:]

    def plan_service(self, service: str | None, at_s: int = 0) -> PlanService | None:
        """How the account's plan prices a service, now or at a time; None where it doesn't."""
        plan = self.tables.plan_at(self.account["plan"], at_s or self.now_s)
        return None if plan is None or service is None else plan.services.get(service)

    def post(self, amount_micros: int, cause: dict[str, Any], **more: Any) -> None:
        """Changes the balance, with the posting that says why."""
        account = self.account
        sequence = account["sequence"] = account["sequence"] + 1
        balance = account["balance_micros"] = account["balance_micros"] + amount_micros
        self.postings.append(_posting(account["_id"], sequence, self.now_ms, cause, amount_micros, balance) | more)

    def post_usage(self, cause: dict[str, Any], service: str, drawn: Drawn) -> None:
        """One posting for what a service cost, one more for each further month that it drew on, one for each bundle."""
        more: dict[str, Any] = {"service": service}
        if self.member:
            more["member"] = self.member
        whose = more.copy()
        micros = drawn.micros
        overrun_micros = micros - max(0, self.available_micros)
        if overrun_micros > 0:
            more["overrun_micros"] = overrun_micros
        months = [_of_month(drawn, month) for month in {**drawn.free_units, **drawn.paid_units, **drawn.member_units}]
        if micros or months:
            self.post(-micros, cause, **more, **(months[0] if months else {}))
        for fields in months[1:]:
            self.post(0, cause, **whose, **fields)
        for bucket, units in drawn.bundle_units.items():
            self.post(0, cause, **whose, bucket=bucket, units=-units)

    def allowance(self, service: str) -> Allowance:
        """What the account may draw on for a service."""
        account = self.account
        used = {month: counters.get(service, 0) for month, counters in account["counters"].items()}
        paid, buckets = account.get("paid"), account.get("buckets")
        return Allowance(
            used,
            {month: counters.get(service, 0) for month, counters in paid.items()} if paid else {},
            [bucket for bucket in buckets if service in bucket["services"]] if buckets else (),
            account.get("since_s", 0),
            self._drawn_by(self.member, service) if self.member else None,
        )

    def _drawn_by(self, member: str, service: str) -> dict[str, int]:
        """What a subscriber of several drew of a service, by month."""
        key = member_key(member, service)
        return {month: counters.get(key, 0) for month, counters in self.account.get("drawn", {}).items()}

    def cap(self, member: str, service: str, at_s: int) -> Cap | None:
        """What a subscriber may still draw in the month; None where there is no limit."""
        plan = self.plan_service(service, at_s) if member else None
        if plan is None or not plan.member_limit:
            return None
        month, key = self.tables.calendar.at(at_s).month, member_key(member, service)
        return f"{key}/{month}", plan.member_limit - self.account.get("drawn", {}).get(month, {}).get(key, 0)

    def sources(self, service: str, zone: str, at_s: int) -> Sources:
        """What there is now of units that cost nothing; those promised to grants count as left."""
        account = self.account
        plan = self.plan_service(service, at_s)
        if plan is None:
            return ()
        found: list[tuple[str, int]] = []
        if plan.free_units:
            month, free = self.tables.calendar.at(at_s).month, plan.free_units
            if plan.rollover_units:
                since_month = self.tables.calendar.at(account.get("since_s", 0)).month
                free += rolled_units(plan, month, self.allowance(service).free_used, since_month)
            found.append((f"{month}/{service}", free - account["counters"].get(month, {}).get(service, 0)))
        for bucket in account.get("buckets", ()):
            if service in bucket["services"] and is_drawable(bucket, zone, at_s):
                found.append((bucket["id"], bucket["left"]))
        return found

    def draw(self, service: str, usage: Usage) -> None:
        """Counts what usage drew as used."""
        for month, drawn in usage.free_units.items():
            self.draw_free(service, drawn, month)
        for month, paid in usage.paid_units.items():
            self.account["paid"] = self._counted(self.account.get("paid", {}), service, paid, month)
        for month, drawn in usage.member_units.items():
            self.draw_member(service, drawn, month)
        if usage.bundle_units:
            self.account["buckets"] = [
                {**bucket, "left": bucket["left"] - usage.bundle_units.get(bucket["id"], 0)}
                for bucket in self.account["buckets"]
            ]

    def draw_free(self, service: str, units: int, month: str) -> None:
        """Counts free units as used (or given back, if negative)."""
        self.account["counters"] = self._counted(self.account["counters"], service, units, month)

    def draw_member(self, service: str, units: int, month: str) -> None:
        """Counts units as drawn by the member (or given back, if negative)."""
        key = member_key(self.member, service)
        self.account["drawn"] = self._counted(self.account.get("drawn", {}), key, units, month)

    def _counted(self, months: Counters, service: str, units: int, month: str) -> Counters:
        counters = months.get(month, {}).copy()
        counters[service] = counters.get(service, 0) + units
        months = {**months, month: counters}
        if len(months) > KEPT_MONTHS:
            this_month = self.tables.calendar.at(self.now_s).month  # seconds may lie ahead, in a month more
            for old in sorted(known for known in months if known <= this_month)[:-KEPT_MONTHS]:
                del months[old]
        return months

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
        more: dict[str, Any] = {name: part[name] for name in _SELDOM if part.get(name)}  # type: ignore[literal-required]
        plan = self.plan_service(service)
        if plan is not None and plan.tax:
            more["tax"] = plan.tax
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
                **more,
            }
        )


def member_key(member: str, service: str) -> str:
    """What a member's units of a service are counted under."""
    return f"{member}/{service}"


def new_part(now_s: int) -> UsagePart:
    """What a session used of a service since its last usage record: nothing yet."""
    return {"since_s": now_s, "units": 0, "free_units": 0, "charge_micros": 0}


def whole_part(since_s: int, units: int, usage: Usage) -> UsagePart:
    """What was used at once."""
    part: UsagePart = {
        "since_s": since_s,
        "units": units,
        "free_units": sum(usage.free_units.values()),
        "charge_micros": usage.charge_micros,
    }
    if usage.bundle_units:
        part["bundle_units"] = sum(usage.bundle_units.values())
    if usage.paid_units:
        part["paid_units"] = sum(usage.paid_units.values())
    return part


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
