"""The statement of a prepaid subscriber: balance before, top-ups, charges, balance after. It moves no money. Pure.

It has the postings from the last statement's end to the period's: what is posted later is on the next one. Balances and
lines are rounded each, to minor units; a line of its own brings them together, so that
`opening_balance` + `topped_up` − `total` is `closing_balance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any

from mubss.core.bill import Computed, head, no_billing
from mubss.core.bill_lines import (
    BUNDLES,
    Line,
    Record,
    adjustment_lines,
    bundle_lines,
    minor_of,
    rounded,
    usage_lines,
    with_sequences,
)
from mubss.core.bill_period import Period
from mubss.core.history import find_range
from mubss.core.model import PREPAID, Account, Billing
from mubss.core.settling import PAYMENTS
from mubss.core.tariff import Tables


def compute_statement(
    account: Account, usage: Sequence[Record], postings: Sequence[Record], tables: Tables, period: Period, cycle: int
) -> Computed:
    """The statement of an account; `usage` and `postings` are at least those that no statement has."""
    currency = tables.currencies[account["currency"]]
    scale = 10 ** (6 - currency.decimals)
    billing = account.get("billing") or no_billing()
    behind = [one for one in postings if one["sequence"] > billing["sequence"]]
    first = behind[0]["sequence"] - 1 if behind else billing["sequence"]  # those before may be archived
    last = max((one["sequence"] for one in behind if one["at_ms"] < period.end_s * 1000), default=first)
    if not billing["bill"]:  # what was before the first statement's period is in its opening balance
        first = max((one["sequence"] for one in behind if one["at_ms"] < period.start_s * 1000), default=first)
    moved = [one for one in behind if first < one["sequence"] <= last]
    chosen = [
        one for one in usage if one["from_s"] < period.end_s and find_range(billing["usage"], one["sequence"]) is None
    ]
    shown = [one for one in chosen if billing["bill"] or one["from_s"] >= period.start_s]
    before_micros, after_micros = _balances(account, behind, first, last)
    opening, closing = minor_of(before_micros, scale), minor_of(after_micros, scale)
    topups = _topups(moved, scale, tables.calendar.zone)
    topped_up = sum(one["amount"] for one in topups)
    lines = _lines(shown, moved, scale)
    total = opening + topped_up - closing
    if rest := total - sum(line["amount"] for line in lines):
        lines.append({"kind": "rounding", "code": "", "tax": "", "amount": rest})
    doc = {
        "kind": PREPAID,
        **head(account, period, cycle, currency.decimals),
        "opening_balance": opening,
        "closing_balance": closing,
        "topups": topups,
        "topped_up": topped_up,
        "lines": lines,
        "usage": with_sequences((), (one["sequence"] for one in shown)),
        "postings": [first, last],
        "taxes": [],  # prepaid prices are what is paid
        "net": total,
        "tax": 0,
        "total": total,
        "previous_due": 0,
        "paid": 0,
        "credited": 0,
        "due": 0,
        "settled": {"paid": 0, "credited": 0, "open": 0},
        "posted": {},
        "before": dict(billing),
    }
    new: Billing = {
        "bill": "",
        "period": period.label,
        "due": 0,
        "sequence": last,
        "usage": with_sequences(billing["usage"], (one["sequence"] for one in chosen)),
    }
    return Computed(doc, {}, new, 0, billing["bill"])


def _balances(account: Account, behind: Sequence[Record], first: int, last: int) -> tuple[int, int]:
    """The balance after two postings of an account; `behind` are all those from before the first one on."""
    after = {one["sequence"]: one["balance_micros"] for one in behind}
    if behind:  # before the first of them
        after.setdefault(behind[0]["sequence"] - 1, behind[0]["balance_micros"] - behind[0]["amount_micros"])
    return after.get(first, account["balance_micros"]), after.get(last, account["balance_micros"])


def _topups(moved: Sequence[Record], scale: int, zone: tzinfo) -> list[dict[str, Any]]:
    """What was paid in, by day, with its reference."""
    return [
        {
            "day": datetime.fromtimestamp(one["at_ms"] // 1000, zone).date().isoformat(),
            "kind": one["cause"]["kind"],
            "reference": one["cause"].get("reference", ""),
            "amount": minor_of(one["amount_micros"], scale),
        }
        for one in moved
        if one["cause"]["kind"] in PAYMENTS
    ]


def _lines(usage: Sequence[Record], moved: Sequence[Record], scale: int) -> list[Line]:
    """Charges by service, as they were posted, with the units of the records; bundles, adjustments, anything else."""
    found = usage_lines(({**one, "tax": ""} for one in usage), scale)
    lines: dict[str, Line] = {line["code"]: {**line, "exact_micros": 0} for line in found}
    others: dict[str, Line] = {}
    for one in moved:
        kind, micros = one["cause"]["kind"], one["amount_micros"]
        if "service" in one:
            new: Line = {"kind": "usage", "code": one["service"], "records": 0, "units": 0, "free_units": 0}
            new |= {"bundle_units": 0, "tax": "", "exact_micros": 0}
            lines.setdefault(one["service"], new)["exact_micros"] -= micros
        elif micros and kind not in (*PAYMENTS, *BUNDLES, "adjustment", "dunning"):
            other = {"kind": "other", "code": kind, "tax": "", "exact_micros": 0}
            others.setdefault(kind, other)["exact_micros"] -= micros
    known = [rounded(lines[code], scale) for code in sorted(lines)]
    rest = [rounded(others[kind], scale) for kind in sorted(others)]
    whole = [*known, *bundle_lines(moved, "", scale), *adjustment_lines(moved, scale), *rest]
    return [{name: value for name, value in line.items() if name != "exact_micros"} for line in whole]
