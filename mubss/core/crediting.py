"""Credit notes: what of a bill's net amounts and taxes goes back. Pure.

What is credited of a bill so far is split over its taxes by one function of the sum; a note has the difference that it
makes. So however a bill is credited, in one note or in many, all notes together never have more of any tax than it, and
when all of it is credited they have just its lines' sums and its taxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mubss.core.bill_lines import Line
from mubss.core.money import Rounding, divide

KIND = "credit_note"
_COPIED = ("account", "cycle", "period", "from_day", "until_day", "plan", "currency", "decimals", "msisdn", "language")


def credit_note(bill: Mapping[str, Any], amount: int) -> dict[str, Any]:
    """The note that gives `amount` of a bill back (minor units, with taxes): 1 to what isn't credited yet.

    All of it at once has the bill's lines; a part, a line for each tax.
    """
    before, total = bill["settled"]["credited"], bill["total"]
    given, after = _split(bill, before), _split(bill, before + amount)
    nets = {code: after[code][0] - given[code][0] for code in after}
    taxes = [
        {**tax, "net": -nets[tax["code"]], "amount": given[tax["code"]][1] - after[tax["code"]][1]}
        for tax in bill["taxes"]
    ]
    if amount == total:
        lines: list[Line] = [{**line, "amount": -line["amount"]} for line in bill["lines"] if line["amount"]]
    else:
        lines = [
            {"kind": "credit", "code": bill["number"], "tax": code, "amount": -net}
            for code, net in sorted(nets.items())
            if net
        ]
    tax = sum(one["amount"] for one in taxes)
    still_open = bill["settled"]["open"]
    return {
        "kind": KIND,
        **{name: bill[name] for name in (*_COPIED, "customer") if name in bill},
        "credits": bill["number"],
        "lines": lines,
        "usage": [],
        "taxes": [one for one in taxes if one["net"] or one["amount"]],
        "net": -amount - tax,
        "tax": tax,
        "total": -amount,
        "previous_due": still_open,  # of the bill
        "paid": 0,
        "credited": 0,
        "due": still_open - amount,  # below 0: that much is the account's credit
        "settled": {"paid": 0, "credited": 0, "open": 0},
    }


def _split(bill: Mapping[str, Any], amount: int) -> dict[str, tuple[int, int]]:
    """Net and tax by tax code ("" for what has none) of so much of a bill."""
    nets: dict[str, int] = {}
    for line in bill["lines"]:
        nets[line["tax"]] = nets.get(line["tax"], 0) + line["amount"]
    taxes = {one["code"]: one["amount"] for one in bill["taxes"]}
    found: dict[str, tuple[int, int]] = {}
    summed = edge = 0
    for code in sorted(nets):
        gross = nets[code] + taxes.get(code, 0)
        summed += gross
        before, edge = edge, divide(amount * summed, bill["total"], Rounding.HALF_UP)
        share = edge - before
        tax = (
            divide(share * taxes.get(code, 0) * (1 if gross > 0 else -1), abs(gross), Rounding.HALF_UP) if gross else 0
        )
        found[code] = (share - tax, tax)
    return found
