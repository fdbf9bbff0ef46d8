"""What a subscriber owes for a period: fees by the day, usage by service, bundles, adjustments, taxes, payments. Pure.

Each line is rounded once to the currency's minor unit, and totals are sums of lines; a tax is reckoned on the sum of
the lines that it is on, and rounded once. Where the ledger has fractions of the minor unit, a posting of its own brings
it to what the bill says, so a balance after its bills and payments is whole.

Usage that began before the period's end, and isn't on a bill yet, is on this one: what comes late is on the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

from mubss.core.bill_period import Period, start_of
from mubss.core.history import find_range
from mubss.core.model import ACTIVE, POSTPAID, Account, Billing
from mubss.core.money import Rounding, divide
from mubss.core.tariff import Tables

PAYMENTS = ("opening", "topup", "payment")
BUNDLES = ("bundle", "renewal")
ADJUSTMENT = "adjustment"
Record = Mapping[str, Any]


class Computed(NamedTuple):
    """A bill as it would be issued: `doc` has amounts in minor units; the rest is what the ledger needs."""

    doc: dict[str, Any]
    fees_micros: int  # to be posted, and so are taxes
    taxes_micros: int
    rounding_micros: int  # what the lines say more than was posted
    usage: list[list[int]]  # sequences of all usage that is on a bill, as closed ranges


def compute(
    account: Account, usage: Sequence[Record], postings: Sequence[Record], tables: Tables, period: Period, cycle: int
) -> Computed:
    """The bill of an account; `usage` and `postings` are at least those that no bill has."""
    currency = tables.currencies[account["currency"]]
    scale = 10 ** (6 - currency.decimals)  # micros of a minor unit
    nothing: Billing = {"bill": "", "period": "", "due": 0, "sequence": 0, "usage": []}
    billing = account.get("billing", nothing)
    chosen = [
        one for one in usage if one["from_s"] < period.end_s and find_range(billing["usage"], one["sequence"]) is None
    ]
    moved = [one for one in postings if one["sequence"] > billing["sequence"]]
    own_tax = plan.tax if (plan := tables.plans.get(account["plan"])) is not None else ""
    fees = _fees(account, tables, period, scale)
    others = [*_usage(chosen, scale), *_bundles(moved, own_tax, scale), *_adjustments(moved, scale)]
    rounding_micros = sum(line["amount"] * scale - line.pop("exact_micros") for line in others)
    lines = [*fees, *others]
    taxes = _taxes(lines, tables)
    payments = [one["amount_micros"] for one in moved if one["cause"]["kind"] in PAYMENTS]
    paid = sum(_minor(micros, scale) for micros in payments)
    rounding_micros -= paid * scale - sum(payments)
    net, tax = sum(line["amount"] for line in lines), sum(one["amount"] for one in taxes)
    doc = {
        "kind": POSTPAID,
        "account": account["_id"],
        "cycle": cycle,
        "period": period.label,
        "from_day": period.first.isoformat(),
        "until_day": period.last.isoformat(),
        "plan": account["plan"],
        "currency": account["currency"],
        "decimals": currency.decimals,
        "lines": lines,
        "usage": with_sequences((), (one["sequence"] for one in chosen)),  # whose records are on it
        "postings": [billing["sequence"], account["sequence"]],  # those behind the first, up to the second
        "taxes": taxes,
        "net": net,
        "tax": tax,
        "total": net + tax,
        "previous_due": billing["due"],
        "paid": paid,
        "due": billing["due"] + net + tax - paid,
    }
    ranges = with_sequences(billing["usage"], (one["sequence"] for one in chosen))
    fees_micros = sum(line["amount"] for line in fees) * scale
    return Computed(doc, fees_micros, tax * scale, rounding_micros, ranges)


def _minor(micros: int, scale: int) -> int:
    return divide(micros, scale, Rounding.HALF_UP)


def _fees(account: Account, tables: Tables, period: Period, scale: int) -> list[dict[str, Any]]:
    """Monthly fees in arrears: each day belongs to the plan in force at its end, if the subscriber is active then."""
    lines: list[dict[str, Any]] = []
    day = period.first
    while day <= period.last:
        end_s = start_of(day + timedelta(1), tables.calendar.zone) - 1
        code, state = plan_and_state(account, end_s)
        if state == ACTIVE and code:
            if lines and lines[-1]["code"] == code and lines[-1]["until_day"] == (day - timedelta(1)).isoformat():
                lines[-1]["until_day"] = day.isoformat()
                lines[-1]["days"] += 1
            else:
                lines.append(
                    {"kind": "fee", "code": code, "from_day": day.isoformat(), "until_day": day.isoformat(), "days": 1}
                )
        day += timedelta(1)
    found = []
    for line in lines:
        plan = tables.plan_at(line["code"], period.end_s - 1) or tables.plans.get(line["code"])
        if plan is not None and plan.monthly_fee_micros:
            micros = divide(plan.monthly_fee_micros * line["days"], period.days, Rounding.HALF_UP)
            found.append({**line, "of_days": period.days, "tax": plan.tax, "amount": _minor(micros, scale)})
    return found


def plan_and_state(account: Account, at_s: int) -> tuple[str, str]:
    """The plan and state of an account at a time; ("", "") before it was opened."""
    if at_s < account.get("since_s", 0):
        return "", ""
    history = account.get("history")
    if not history:
        return account["plan"], account["state"]
    past = [entry for entry in history if entry[0] <= at_s]
    _, plan, state = past[-1] if past else history[0]
    return str(plan), str(state)


def _usage(records: Iterable[Record], scale: int) -> list[dict[str, Any]]:
    """A line for each service and tax; what re-rating corrected is in it."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for one in records:
        tax = one.get("tax", "")
        line = lines.setdefault(
            (one["service"], tax),
            {
                "kind": "usage",
                "code": one["service"],
                "records": 0,
                "units": 0,
                "free_units": 0,
                "bundle_units": 0,
                "tax": tax,
                "exact_micros": 0,
            },
        )
        line["records"] += "corrects" not in one
        line["units"] += one["units"]
        line["free_units"] += one["free_units"]
        line["bundle_units"] += one.get("bundle_units", 0)
        line["exact_micros"] += one["charge_micros"]
    return [_rounded(lines[at], scale) for at in sorted(lines)]


def _bundles(postings: Iterable[Record], tax: str, scale: int) -> list[dict[str, Any]]:
    lines: dict[str, dict[str, Any]] = {}
    for one in postings:
        cause = one["cause"]
        if cause["kind"] in BUNDLES and one["amount_micros"]:
            code = cause["bundle"]
            line = lines.setdefault(code, {"kind": "bundle", "code": code, "records": 0, "tax": tax, "exact_micros": 0})
            line["records"] += 1
            line["exact_micros"] -= one["amount_micros"]
    return [_rounded(lines[code], scale) for code in sorted(lines)]


def _adjustments(postings: Iterable[Record], scale: int) -> list[dict[str, Any]]:
    found = [one for one in postings if one["cause"]["kind"] == ADJUSTMENT]
    return [
        _rounded(
            {
                "kind": ADJUSTMENT,
                "code": one["cause"].get("reference", ""),
                "tax": "",
                "exact_micros": -one["amount_micros"],
            },
            scale,
        )
        for one in found
    ]


def _rounded(line: dict[str, Any], scale: int) -> dict[str, Any]:
    return {**line, "amount": _minor(line["exact_micros"], scale)}


def _taxes(lines: Iterable[Mapping[str, Any]], tables: Tables) -> list[dict[str, Any]]:
    nets: dict[str, int] = {}
    for line in lines:
        if line["tax"]:
            nets[line["tax"]] = nets.get(line["tax"], 0) + line["amount"]
    found = []
    for code, net in sorted(nets.items()):
        tax = tables.taxes[code]
        amount = divide(net * tax.rate_ppm, 1_000_000, Rounding.HALF_UP)
        found.append({"code": code, "name": tax.name, "rate_ppm": tax.rate_ppm, "net": net, "amount": amount})
    return found


def with_sequences(ranges: Sequence[Sequence[int]], more: Iterable[int]) -> list[list[int]]:
    """Closed ranges with more numbers in them, sorted and joined; exact, however many there are."""
    found = sorted([*map(list, ranges), *([one, one] for one in more)])
    joined: list[list[int]] = []
    for low, high in found:
        if joined and low <= joined[-1][1] + 1:
            joined[-1][1] = max(joined[-1][1], high)
        else:
            joined.append([low, high])
    return joined
