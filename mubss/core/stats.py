"""What is counted of this system's documents, and how documents come to figures. Pure.

A metric has figures (whole numbers) for each period and each combination of its dimensions. One that counts what
happened adds up: its day is the sum of its hours, its month that of its days, and a document counts in the period of
its own time, however late it comes. A level says how things stood when they were last looked at in a period.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

from mubss.core.model import ACTIVE, BARRED, MAIN_BUCKET, SUSPENDED, TERMINATED, Account, state_of
from mubss.core.periods import DAY, HOUR, MONTH, Periods

Doc = Mapping[str, Any]
Dims = tuple[str, ...]
History = list[list[Any]]  # [since when, plan, state]


class Metric(NamedTuple):
    """One metric; the unit is the last word of a figure's name, those without one are plain counts."""

    name: str
    text: str
    dims: tuple[str, ...]
    figures: tuple[str, ...]
    is_level: bool = False


USAGE = Metric(
    "usage",
    "what was used, by when it was: octets, seconds or events of the service, and what they cost",
    ("service", "plan", "zone", "currency"),
    ("records", "units", "free_units", "bundle_units", "charge_micros"),
)
MONEY = Metric(
    "money",
    "what moved balances beside usage: top-ups, vouchers, payments, bundles, fees, corrections",
    ("kind", "what", "plan", "currency"),
    ("count", "amount_micros"),
)
BILLS = Metric(
    "bills",
    "bills, statements and credit notes as they were issued",
    ("kind", "cycle", "currency"),
    ("count", "net_micros", "tax_micros", "total_micros"),
)
CHANGES = Metric(
    "changes", "accounts opened, suspended, reactivated, terminated, given another plan", ("change", "plan"), ("count",)
)
ANSWERS = Metric("answers", "what Gy requests were answered with", ("request", "result"), ("count",))
SUBSCRIBERS = Metric("subscribers", "how many there are", ("state", "plan", "type"), ("count",), is_level=True)
BALANCES = Metric(
    "balances",
    "what accounts hold",
    ("type", "currency"),
    ("accounts", "balance_micros", "reserved_micros"),
    is_level=True,
)
RECEIVABLES = Metric(
    "receivables",
    "what is open of bills, by how long it has been due",
    ("age", "currency"),
    ("bills", "open_micros"),
    is_level=True,
)
KEPT = {metric.name: metric for metric in (USAGE, MONEY, BILLS, CHANGES, ANSWERS, SUBSCRIBERS, BALANCES, RECEIVABLES)}
LEVELS = tuple(metric.name for metric in KEPT.values() if metric.is_level)
COUNTED_AGAIN = (USAGE.name, MONEY.name, BILLS.name, CHANGES.name)  # out of documents that the store still has

# Postings beside usage that are sold services, without taxes; of a bill's only what is on the right.
SALES = frozenset(("bundle", "renewal", "dunning"))
_BUNDLED = frozenset(("bundle", "renewal", "voucher"))  # postings of units, beside those of their price
BILLED_SALES = frozenset(("fees", "one-off", "minimum", "discounts"))
AGES = (("31-60 days", 31), ("61-90 days", 61), ("over 90 days", 91))
_CHANGE_OF_STATE = {ACTIVE: "reactivated", SUSPENDED: "suspended", BARRED: "barred", TERMINATED: "terminated"}
REQUESTS = {"1": "initial", "2": "update", "3": "termination", "4": "event", "none": "other", "-": "any"}


class Row(NamedTuple):
    """Figures of one metric in one period for one combination of dimensions."""

    id: str
    metric: str
    period: str
    start_s: int
    dims: dict[str, str]
    figures: dict[str, int]


FOR_EVER_S = -(1 << 40)  # before all times: local days may begin before 1970


class Horizon(NamedTuple):
    """Hours and days that begin before these seconds aren't kept."""

    hour_s: int = FOR_EVER_S
    day_s: int = FOR_EVER_S


def row_id(metric: str, period: str, start_s: int, dims: Dims) -> str:
    """The `_id` of a row: there is one of each."""
    return blake2b("\0".join((metric, period, str(start_s), *dims)).encode(), digest_size=16).hexdigest()


class Tally:
    """Figures that are to be added, by metric, dimensions and hour."""

    def __init__(self, periods: Periods) -> None:
        self._periods = periods
        self._sums: dict[tuple[str, Dims, int], list[int]] = {}

    def add(self, metric: Metric, dims: Dims, at_s: int, figures: Sequence[int]) -> None:
        """Counts figures at a time; TypeError, and nothing is counted, where they aren't whole numbers."""
        _check(dims, figures)
        key = metric.name, dims, self._periods.start(HOUR, at_s)
        sums = self._sums.get(key)
        if sums is None:
            self._sums[key] = list(figures)
        else:
            for place, figure in enumerate(figures):
                sums[place] += figure

    def rows(self, horizon: Horizon) -> list[Row]:
        """The sums by hour, day and month, without those that aren't kept any more and those of nothing."""
        sums: dict[tuple[str, Dims, str, int], list[int]] = {}
        for (metric, dims, hour_s), figures in self._sums.items():
            day_s, month_s = self._periods.start(DAY, hour_s), self._periods.start(MONTH, hour_s)
            for period, start_s, first_s in (
                (HOUR, hour_s, horizon.hour_s),
                (DAY, day_s, horizon.day_s),
                (MONTH, month_s, month_s),
            ):
                if start_s >= first_s:
                    there = sums.setdefault((metric, dims, period, start_s), [0] * len(figures))
                    for place, figure in enumerate(figures):
                        there[place] += figure
        return [
            _row(KEPT[metric], dims, period, start_s, figures)
            for (metric, dims, period, start_s), figures in sums.items()
            if any(figures)
        ]


def _check(dims: Dims, figures: Sequence[int]) -> None:
    """What a document says must be text and whole numbers, or its sums could never be written."""
    for value in dims:
        if type(value) is not str:
            raise TypeError(f"{str(value)[:40]!r}; expected text")
    for figure in figures:
        if type(figure) is not int:
            raise TypeError(f"{str(figure)[:40]!r}; expected a whole number")


def _row(metric: Metric, dims: Dims, period: str, start_s: int, figures: Sequence[int]) -> Row:
    return Row(
        row_id(metric.name, period, start_s, dims),
        metric.name,
        period,
        start_s,
        dict(zip(metric.dims, dims, strict=True)),
        dict(zip(metric.figures, figures, strict=True)),
    )


def count_usage(tally: Tally, account: Doc, record: Doc) -> None:
    """One usage record, at the time at which it began; a correction is of the time of what it corrects."""
    dims = (record["service"], record["plan"], record["zone"], account["currency"])
    figures = (
        1,
        record["units"],
        record["free_units"],
        record.get("bundle_units", 0),
        record["charge_micros"],
    )
    tally.add(USAGE, dims, record["from_s"], figures)


def count_posting(tally: Tally, account: Doc, posting: Doc) -> None:
    """One posting, unless it is of usage, which has its record. What a bundle costs and its units are two postings."""
    if "service" in posting:
        return
    cause, at_s = posting["cause"], posting["at_ms"] // 1000
    kind, what = cause["kind"], str(cause.get("what") or cause.get("bundle") or "")
    is_price = kind in _BUNDLED and "bundle" in cause and posting["bucket"] == MAIN_BUCKET
    dims = (kind, what, plan_at(account, at_s), account["currency"])
    tally.add(MONEY, dims, at_s, (0 if is_price else 1, posting["amount_micros"]))


def plan_at(account: Doc, at_s: int) -> str:
    """The plan that an account had then, as far as it remembers."""
    found = str(account["plan"])
    for since_s, plan, _ in reversed(account.get("history") or ()):
        found = str(plan)
        if since_s <= at_s:
            break
    return found


def count_bill(tally: Tally, bill: Doc) -> None:
    """One bill, statement or credit note, when it was issued."""
    scale = 10 ** (6 - bill["decimals"])
    dims = (bill["kind"], str(bill["cycle"]), bill["currency"])
    tally.add(BILLS, dims, bill["issued_s"], (1, *(bill[name] * scale for name in ("net", "tax", "total"))))


def history_of(account: Doc) -> History:
    """All changes of plan and state that an account remembers, its opening first."""
    return account.get("history") or [[account.get("since_s", 0), account["plan"], account["state"]]]


def count_changes(tally: Tally, account: Doc, last: Sequence[Any] | None) -> None:
    """The changes behind `last`, the newest that was counted; None: none was."""
    history = history_of(account)
    if last is None:
        first, before = 1, history[0]
        tally.add(CHANGES, ("opened", str(before[1])), before[0], (1,))
    else:
        before = list(last)
        places = [place for place, entry in enumerate(history) if entry == before]
        # an account that forgot it has had more changes since than it remembers: all that it knows are new
        first = places[-1] + 1 if places else 0
    for entry in history[first:]:
        at_s, plan, state = entry
        if plan != before[1]:
            tally.add(CHANGES, ("plan", str(plan)), at_s, (1,))
        if state != before[2]:
            tally.add(CHANGES, (_CHANGE_OF_STATE[state], str(plan)), at_s, (1,))
        before = entry


def count_answers(tally: Tally, minute: Doc) -> None:
    """What a process of mubss-gy answered within a minute: "1 2001" → how often."""
    for key, count in minute["counts"].items():
        request, _, result = key.partition(" ")
        tally.add(ANSWERS, (REQUESTS.get(request, request), result), minute["minute_s"], (count,))


class Levels:
    """How things stand, summed over accounts and bills."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, Dims], list[int]] = {}

    def add(self, metric: Metric, dims: Dims, figures: Sequence[int]) -> None:
        """Adds figures of one thing; TypeError, and nothing is added, where they aren't whole numbers."""
        _check(dims, figures)
        sums = self._sums.setdefault((metric.name, dims), [0] * len(figures))
        for place, figure in enumerate(figures):
            sums[place] += figure

    def rows(self, starts: Mapping[str, int]) -> Iterator[Row]:
        """As they stand in periods that begin then: period → UTC second."""
        for period, start_s in starts.items():
            for (metric, dims), figures in self._sums.items():
                yield _row(KEPT[metric], dims, period, start_s, figures)


def level_account(levels: Levels, account: Any) -> None:
    """An account and the subscribers that it is of."""
    stored: Account = account
    figures = (1, stored["balance_micros"], stored["reserved_micros"])
    levels.add(BALANCES, (stored["type"], stored["currency"]), figures)
    for member in dict.fromkeys(stored.get("members", {}).values()) or (stored["_id"],):
        levels.add(SUBSCRIBERS, (state_of(stored, member), stored["plan"], stored["type"]), (1,))


def level_bill(levels: Levels, bill: Doc, today: int) -> None:
    """A bill of which something is open; `today` and its due day are ordinals of dates."""
    late = today - bill["due"]
    age = "not due" if late <= 0 else "1-30 days"
    for name, days in AGES:
        age = name if late >= days else age
    levels.add(RECEIVABLES, (age, bill["currency"]), (1, bill["open"] * 10 ** (6 - bill["decimals"])))
