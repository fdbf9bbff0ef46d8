"""What a subscriber owes for a period: fees by the day, usage by service, bundles, adjustments, taxes, payments. Pure.

Each line is rounded once to the currency's minor unit, and totals are sums of lines; a tax is reckoned on the sum of
the lines that it is on, and rounded once. Where the ledger has fractions of the minor unit, a posting of its own brings
it to what the bill says, so a balance after its bills and payments is whole.

Usage that began before the period's end, and isn't on a bill yet, is on this one: what comes late is on the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mubss.core.bill_fees import Fees, activation_fee, least_bill, monthly_fees, plan_and_state
from mubss.core.bill_lines import (
    Line,
    Record,
    adjustment_lines,
    bundle_lines,
    discount_lines,
    minor_of,
    tax_lines,
    usage_lines,
    with_sequences,
)
from mubss.core.bill_period import Period
from mubss.core.history import find_range
from mubss.core.issuing import IssueBill
from mubss.core.model import POSTPAID, Account, Billing
from mubss.core.settling import PAYMENTS, credit_and_open, unlooked
from mubss.core.tariff import Tables

CREDIT = "credit"  # what a credit note gave back
# What lines are posted as: usage, bundles and adjustments were, when they happened.
POSTED = {"fee": "fees", "fee_correction": "fees", "one_off": "one-off", "minimum": "minimum", "discount": "discounts"}


class Computed(NamedTuple):
    """A bill as it would be issued: `doc` has amounts in minor units; the rest is what the ledger needs."""

    doc: dict[str, Any]
    posted: dict[str, int]  # micros that the bill adds to what is owed, by what they are for
    billing: Billing  # the account's, once it is issued
    version: int  # the account's; 0: whichever, as long as its last bill is `previous`
    previous: str

    @property
    def is_zero(self) -> bool:
        """Whether nothing is on it: no amount, nothing paid, nothing due before or after."""
        doc = self.doc
        amounts = [line["amount"] for line in doc["lines"]]
        return not any(
            [*amounts, doc["previous_due"], doc["due"], doc["paid"], doc["credited"], *doc.get("topups", ())]
        )

    @property
    def has_nothing_new(self) -> bool:
        """Whether nothing happened in its period, though something may be due."""
        doc = self.doc
        return not any(
            [*(line["amount"] for line in doc["lines"]), doc["paid"], doc["credited"], *doc.get("topups", ())]
        )

    def command(self, bill_id: str) -> IssueBill:
        """What issues it under an id."""
        return IssueBill(bill_id, self.version, self.previous, self.posted, {**self.billing, "bill": bill_id})


def no_billing() -> Billing:
    """What an account without a bill has settled: nothing."""
    return {"bill": "", "period": "", "due": 0, "sequence": 0, "usage": []}


def compute(
    account: Account, usage: Sequence[Record], postings: Sequence[Record], tables: Tables, period: Period, cycle: int
) -> Computed:
    """The bill of an account; `usage` and `postings` are at least those that no bill has."""
    currency = tables.currencies[account["currency"]]
    scale = 10 ** (6 - currency.decimals)  # micros of a minor unit
    billing = account.get("billing") or no_billing()
    chosen = [
        one for one in usage if one["from_s"] < period.end_s and find_range(billing["usage"], one["sequence"]) is None
    ]
    behind = [one for one in postings if one["sequence"] > billing["sequence"]]
    closed = (one["sequence"] for one in behind if one["at_ms"] < period.end_s * 1000)
    last = max(closed, default=billing["sequence"])  # what was posted after the close is on the next bill
    moved = [one for one in behind if one["sequence"] <= last]
    since = billing.get("payments", billing["sequence"])  # payments are those until the bill is issued
    received = [one for one in postings if one["sequence"] > since]
    fees = monthly_fees(account, billing, tables, period, scale)
    posted_before = _posted_before(account, chosen, moved, tables, period, scale)
    exact = sum(line.pop("exact_micros") for line in posted_before)
    rounding = sum(line["amount"] for line in posted_before) * scale - exact
    lines = _lines(account, billing, fees, posted_before, tables, period, scale)
    taxes = tax_lines(lines, tables)
    payments = [one["amount_micros"] for one in received if one["cause"]["kind"] in PAYMENTS]
    credits = [one["amount_micros"] for one in received if one["cause"]["kind"] == CREDIT]
    paid, credited = (sum(minor_of(micros, scale) for micros in found) for found in (payments, credits))
    rounding -= (paid + credited) * scale - sum(payments) - sum(credits)
    net, tax = sum(line["amount"] for line in lines), sum(one["amount"] for one in taxes)
    due = billing["due"] + net + tax - paid - credited
    posted = dict.fromkeys(POSTED.values(), 0)
    for line in lines:
        if line["kind"] in POSTED:
            posted[POSTED[line["kind"]]] += line["amount"] * scale
    posted |= {"taxes": tax * scale, "rounding": rounding}
    settled, after = _settled(billing, postings, net + tax, scale)
    doc = {
        "kind": POSTPAID,
        **head(account, period, cycle, currency.decimals),
        "lines": lines,
        "usage": with_sequences((), (one["sequence"] for one in chosen)),  # whose records are on it
        "postings": [billing["sequence"], last],  # those behind the first, up to the second
        "taxes": taxes,
        "net": net,
        "tax": tax,
        "total": net + tax,
        "previous_due": billing["due"],
        "paid": paid,
        "credited": credited,
        "due": due,
        "settled": settled,
        "posted": {what: micros for what, micros in posted.items() if micros},
        "before": dict(billing),
    }
    new: Billing = {
        "bill": "",
        "period": period.label,
        "due": due,
        "sequence": last,
        "usage": with_sequences(billing["usage"], (one["sequence"] for one in chosen)),
        "days": fees.days,
        "looked": account["sequence"],
        "payments": account["sequence"],
        **after,
    }
    if fees.advance:
        new["advance"] = fees.advance
    if billing.get("activated") or account.get("since_s", 0) < period.end_s:
        new["activated"] = True
    return Computed(doc, posted, new, account["version"], billing["bill"])


def head(account: Account, period: Period, cycle: int, decimals: int) -> dict[str, Any]:
    """What a bill says of whose it is and when; its plan is that in force at the close."""
    return {
        "account": account["_id"],
        "cycle": cycle,
        "period": period.label,
        "from_day": period.first.isoformat(),
        "until_day": period.last.isoformat(),
        "plan": plan_and_state(account, period.end_s - 1)[0] or account["plan"],
        "currency": account["currency"],
        "decimals": decimals,
    }


def _posted_before(
    account: Account, usage: Sequence[Record], moved: Sequence[Record], tables: Tables, period: Period, scale: int
) -> list[Line]:
    """Lines of what the ledger has already."""
    plan = tables.plans.get(plan_and_state(account, period.end_s - 1)[0])
    own_tax = plan.tax if plan is not None else ""
    return [*usage_lines(usage, scale), *bundle_lines(moved, own_tax, scale), *adjustment_lines(moved, scale)]


def _lines(
    account: Account,
    billing: Billing,
    fees: Fees,
    others: Sequence[Line],
    tables: Tables,
    period: Period,
    scale: int,
) -> list[Line]:
    """All lines: fees, what was posted, then discounts on both and what brings the bill to its minimum."""
    code, _ = plan_and_state(account, period.end_s - 1)
    plan = tables.plan_at(code, period.end_s - 1) or tables.plans.get(code)
    codes = dict.fromkeys([*(plan.bill_discounts if plan is not None else ()), *account.get("discounts", ())])
    discounts = [tables.bill_discounts[one] for one in codes if one in tables.bill_discounts]
    once = activation_fee(account, billing, tables, period, scale)
    lines = [*fees.lines, *once, *others, *discount_lines([*fees.lines, *others], discounts)]
    least, last_plan = least_bill(account, billing, tables, period, scale)
    if least and last_plan is not None:
        # What is charged for the next period, and what the last one's fee turned out too high, aren't this period's.
        own = [*fees.own, *(line for line in others if line["kind"] in ("usage", "bundle"))]
        counted = sum(line["amount"] for line in [*own, *discount_lines(own, discounts)])
        if counted < least:
            line = {"kind": "minimum", "code": last_plan.code, "minimum": least, "counted": counted}
            lines.append({**line, "tax": last_plan.tax, "amount": least - counted})
    return lines


def _settled(billing: Billing, moved: Sequence[Record], total: int, scale: int) -> tuple[dict[str, int], Billing]:
    """How much of a new bill is settled as it is issued, by what was paid before and isn't owed for older ones.

    With it what the account has open, and credit, after it (settling.py).
    """
    credit, still_open = credit_and_open(billing)
    credit += sum(minor_of(one["amount_micros"], scale) for one in unlooked(billing, moved))
    credit -= min(total, 0)
    used = min(max(total, 0), max(0, credit - still_open))
    settled = {"paid": used, "credited": 0, "open": max(total, 0) - used}
    after: Any = {"open": still_open + settled["open"], "credit": credit - used}
    return settled, after
