"""A store in memory round the ledger: what the charging engine does with each command, checked at every step.

Between any two commands every document goes through JSON and comes back with its keys in MySQL's order (shorter
ones first), so nothing can hide in an object, and nothing may hang on the order of a document's keys.
"""

from __future__ import annotations

import copy
from typing import Any

import orjson

from core_builders import NOW_S
from mubss.core import ledger
from mubss.core.allowance import rolled_units
from mubss.core.cdr import CALLS, RECORDS
from mubss.core.draft import opening_posting
from mubss.core.meter import charge
from mubss.core.model import (
    Account,
    Applied,
    Beside,
    ChargeSuspense,
    Command,
    CreditControl,
    EndSession,
    Grant,
    Outcome,
    RequestType,
    Rules,
    Session,
    SessionRecord,
    SetPlan,
)
from mubss.core.rates import parse_rate
from mubss.core.tariff import PlanService, Tables

RULES = Rules()
PLAIN = (dict, list, str, int, bool, type(None))


def stored(document: Any) -> Any:
    """A document as it comes back from MySQL."""
    return _reordered(orjson.loads(orjson.dumps(document)))


def _reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _reordered(value[key]) for key in sorted(value, key=lambda key: (len(key), key))}
    if isinstance(value, list):
        return [_reordered(item) for item in value]
    return value


def assert_plain(value: Any, where: str = "document") -> None:
    """Nothing but what JSON has, in the exact types that it comes back as, within 64 bits."""
    assert type(value) in PLAIN, f"{where}: {type(value)}"
    if isinstance(value, dict):
        for key, item in value.items():
            assert type(key) is str, f"{where}: key {key!r}"
            assert_plain(item, f"{where}.{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            assert_plain(item, f"{where}[{number}]")
    elif type(value) is int:
        assert -(2**63) <= value < 2**63, f"{where}: {value}"


class World:
    """Accounts with all that was written of them; `do` applies one command and keeps what comes of it."""

    def __init__(self, tables: Tables, *accounts: Account, rules: Rules = RULES, through_json: bool = True) -> None:
        self.tables = tables
        self.rules = rules
        self.now_s = NOW_S
        self.through_json = through_json
        self.accounts = {account["_id"]: account for account in accounts}
        self.records: dict[str, SessionRecord] = {}
        self.postings: dict[str, list[dict[str, Any]]] = {account["_id"]: [] for account in accounts}
        self.usage: list[dict[str, Any]] = []
        self.suspense: dict[str, dict[str, Any]] = {}
        self.outbox: dict[str, dict[str, Any]] = {}
        self.cdrs: dict[str, dict[str, dict[str, Any]]] = {RECORDS: {}, CALLS: {}}
        for account in accounts:
            if account["balance_micros"]:
                posting = opening_posting(account["_id"], account["balance_micros"], NOW_S * 1000)
                self.postings[account["_id"]].append(posting)

    @property
    def account(self) -> Account:
        """The first account."""
        return next(iter(self.accounts.values()))

    @property
    def available_micros(self) -> int:
        """What is left of the first account's balance and credit."""
        return available(self.account)

    def session(self, key: str | None = None) -> Session:
        """A session of the first account; the only one unless told which."""
        sessions = self.account["sessions"]
        return sessions[key or next(iter(sessions))]

    def do(self, command: Command, account_id: str = "", now_s: int | None = None) -> Applied:
        """Applies a command at `now_s`, with every check that holds for all commands."""
        if now_s is not None:
            self.now_s = now_s
        before = self.accounts[account_id or self.account["_id"]]
        key = command.session_hash if isinstance(command, CreditControl | EndSession | ChargeSuspense) else ""
        record = self.records.get(key)
        seen = copy.deepcopy((before, record))
        beside = Beside(self.cdrs[RECORDS], self.cdrs[CALLS], self.records)
        applied = ledger.apply(before, command, record, self.now_s * 1000, self.rules, self.tables, beside)
        assert (before, record) == seen, "an input document was changed in place"
        self._keep(before, applied)
        after = applied.account
        if after is not None and _reserves(command, before, after):
            assert_reserved(after, self.tables, self.now_s)
        return applied

    def ask(self, command: CreditControl, account_id: str = "", now_s: int | None = None) -> Outcome:
        """The outcome of a request."""
        outcome = self.do(command, account_id, now_s).outcome
        assert outcome is not None
        return outcome

    def _keep(self, before: Account, applied: Applied) -> None:
        written: list[Any] = [
            *applied.postings,
            *applied.usage,
            *applied.suspense,
            *applied.records,
            *applied.outbox,
        ]
        for document in written:
            assert_plain(document)
            orjson.dumps(document)
        after = applied.account
        if after is None:
            assert not applied.postings and not applied.usage and not applied.records, "writes without an account"
        else:
            assert_plain(after)
            assert after["version"] == before["version"] + 1
            self.accounts[after["_id"]] = stored(after) if self.through_json else after
        self.postings[before["_id"]] += applied.postings
        self.usage += applied.usage
        for record in applied.records:
            self.records[record["_id"]] = stored(record) if self.through_json else record
        for collection, document, must_be_new in applied.noted:
            assert_plain(document)
            assert not must_be_new or document["_id"] not in self.cdrs[collection]
            self.cdrs[collection][document["_id"]] = stored(document)
        keys = [entry["_id"] for entry in applied.suspense]
        assert len(set(keys)) == len(keys), "two suspense documents of one _id: one would be lost"
        self.suspense.update((entry["_id"], entry) for entry in applied.suspense)
        self.outbox.update((entry["_id"], stored(entry)) for entry in applied.outbox)
        if applied.outcome is not None:
            written_form = applied.outcome.to_list()
            assert_plain(written_form)
            assert Outcome.from_list(stored(written_form)) == applied.outcome
        if after is not None:
            assert ledger.check_account(after, self.postings[after["_id"]]) == []


def _reserves(command: Command, before: Account, after: Account) -> bool:
    """Whether a command looks at the reservations: of events, those alone that move free units.

    A change to the plan in force calls off one that waits, and is no change.
    """
    if isinstance(command, CreditControl):
        return command.type is not RequestType.EVENT or before["counters"] != after["counters"]
    return isinstance(command, EndSession) or (isinstance(command, SetPlan) and before["plan"] != after["plan"])


def available(account: Account) -> int:
    """balance + credit limit − reserved, in micros."""
    return account["balance_micros"] + account["credit_limit_micros"] - account["reserved_micros"]


def price(rates: list[list[Any]], used: list[list[Any]] | None = None) -> int:
    """What a session's charged units cost, written anew: blocks at each rate, setup and minimum of the first.

    Rates with terms are the meter's to price: test_core_rates.py holds it to account.
    """
    if not rates:
        return 0
    if any(parse_rate(key).terms is not None for key, _ in rates):
        return charge(dict(map(tuple, rates)), used)
    first = parse_rate(rates[0][0])
    blocks = 0
    for key, units in rates:
        rate = parse_rate(key)
        full, rest = divmod(units, rate.block_units)
        blocks += (full + (1 if rest else 0)) * rate.price_micros
    return max(first.minimum_micros, first.setup_micros + blocks)


def _free_units(account: Account, plan: PlanService, month: str, tables: Tables) -> int:
    """Free units of a month, with what rolls over into it."""
    if not plan.rollover_units:
        return plan.free_units
    used = {known: services.get(plan.service.code, 0) for known, services in account["counters"].items()}
    since_month = tables.calendar.at(account.get("since_s", 0)).month
    return plan.free_units + rolled_units(plan, month, used, since_month)


def assert_reserved(account: Account, tables: Tables, now_s: int) -> None:
    """reserved_micros is the sum of the sessions' and each is price(used + all grants outstanding) − price(used).

    Free units go to grants in the order of sessions and grants, as far as the month, and then bundles, still have them,
    and its limit leaves them to the subscriber.
    """
    promises = _Promises(account, tables)
    total = 0
    for key in sorted(account["sessions"]):
        session = account["sessions"][key]
        used = {code: meter["rates"] for code, meter in session["services"].items()}
        with_grants = {code: [list(entry) for entry in rates] for code, rates in used.items()}
        granted = {grant["service"] for grant in session["grants"]}
        for grant in session["grants"]:
            code = grant["service"]
            # Seconds lie end to end, whenever they are used: in the month where those before them ended.
            at_s = session["services"][code]["cursor_s"] or now_s
            paid = grant["units"] - promises.take(session, grant, at_s)
            entry = next((entry for entry in with_grants[code] if entry[0] == grant["rate"]), None)
            if paid and entry is None:
                with_grants[code].append([grant["rate"], paid])
            elif entry is not None:
                entry[1] += paid
        expected = sum(price(with_grants[code], used[code]) - price(used[code]) for code in granted)
        assert session["reserved_micros"] == expected, f"session {key}"
        total += expected
    assert account["reserved_micros"] == total


class _Promises:
    """What of an account costs nothing and isn't promised to a grant yet."""

    def __init__(self, account: Account, tables: Tables) -> None:
        self.account = account
        self.tables = tables
        self.free: dict[tuple[str, str], int] = {}  # units by service and month
        self.caps: dict[tuple[str, str, str], int] = {}  # units by subscriber, service and month
        self.buckets = {bucket["id"]: bucket["left"] for bucket in account.get("buckets", ())}

    def take(self, session: Session, grant: Grant, at_s: int) -> int:
        """How many of a grant's free units there are."""
        account, code, month = self.account, grant["service"], self.tables.calendar.at(at_s).month
        plan = self.tables.plans[account["plan"]].services.get(code)  # a plan that the account had may sell more
        if plan is None:
            return 0
        whose = session.get("member", account["_id"])
        cap = 1 << 60
        if "members" in account and plan.member_limit:
            drawn = account.get("drawn", {}).get(month, {}).get(f"{whose}/{code}", 0)
            cap = self.caps.setdefault((whose, code, month), max(0, plan.member_limit - drawn))
        used = account["counters"].get(month, {}).get(code, 0)
        left = self.free.setdefault((code, month), max(0, _free_units(account, plan, month, self.tables) - used))
        promised = min(grant["free_units"], cap)
        free = min(promised, left)
        self.free[code, month] = left - free
        zone = session["services"][code]["zone"]
        for bucket in account.get("buckets", ()):
            is_valid = bucket["from_s"] <= at_s < bucket["until_s"] and zone in (bucket["zones"] or [zone])
            if is_valid and code in bucket["services"]:
                given = min(promised - free, self.buckets[bucket["id"]])
                self.buckets[bucket["id"]] -= given
                free += given
        if (whose, code, month) in self.caps:
            self.caps[whose, code, month] -= free
        return free
