"""Lines of bills from usage records and postings, discounts on lines, and the taxes on all of them. Pure.

A line's `amount` is in minor units, rounded once; `exact_micros`, which no bill has, is what was posted for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mubss.core.money import Rounding, divide
from mubss.core.tariff import BillDiscount, Tables

BUNDLES = ("bundle", "renewal")
ADJUSTMENT, DUNNING = "adjustment", "dunning"
PPM = 1_000_000
# What a discount may be on → the kinds of lines that this is.
DISCOUNTED = {"fees": ("fee", "fee_correction"), "usage": ("usage",)}
Record = Mapping[str, Any]
Line = dict[str, Any]


def minor_of(micros: int, scale: int) -> int:
    """Micros as minor units of `scale` micros each."""
    return divide(micros, scale, Rounding.HALF_UP)


def usage_lines(records: Iterable[Record], scale: int) -> list[Line]:
    """A line for each service and tax; what re-rating corrected is in it."""
    lines: dict[tuple[str, str], Line] = {}
    for one in records:
        tax = one.get("tax", "")
        at = one["service"], tax
        line = lines.get(at)
        if line is None:
            zeros = dict.fromkeys(("records", "units", "free_units", "bundle_units"), 0)
            line = lines[at] = {"kind": "usage", "code": at[0], **zeros, "tax": tax, "exact_micros": 0}
        line["records"] += "corrects" not in one
        line["units"] += one["units"]
        line["free_units"] += one["free_units"]
        line["bundle_units"] += one.get("bundle_units", 0)
        line["exact_micros"] += one["charge_micros"]
    return [rounded(lines[at], scale) for at in sorted(lines)]


def bundle_lines(postings: Iterable[Record], tax: str, scale: int) -> list[Line]:
    """A line for each bundle that was bought, with how often."""
    lines: dict[str, Line] = {}
    for one in postings:
        cause = one["cause"]
        if cause["kind"] in BUNDLES and one["amount_micros"]:
            code = cause["bundle"]
            line = lines.setdefault(code, {"kind": "bundle", "code": code, "records": 0, "tax": tax, "exact_micros": 0})
            line["records"] += 1
            line["exact_micros"] -= one["amount_micros"]
    return [rounded(lines[code], scale) for code in sorted(lines)]


def adjustment_lines(postings: Iterable[Record], scale: int) -> list[Line]:
    """A line for each adjustment, with its reference, and for each fee of a reminder, with the bill that it is for."""
    found = []
    for one in postings:
        cause = one["cause"]
        if cause["kind"] in (ADJUSTMENT, DUNNING):
            code = cause.get("reference", "")
            line = {"kind": cause["kind"], "code": code, "tax": "", "exact_micros": -one["amount_micros"]}
            found.append(rounded(line, scale))
    return found


def rounded(line: Line, scale: int) -> Line:
    """A line with the amount that its exact one is."""
    return {**line, "amount": minor_of(line["exact_micros"], scale)}


def discount_lines(lines: Sequence[Mapping[str, Any]], discounts: Sequence[BillDiscount]) -> list[Line]:
    """What discounts take off fees and usage: a line for each discount and tax; together never more than there is.

    Each is reckoned on the full amounts; of several, those that come first count first.
    """
    left_ppm = dict.fromkeys(DISCOUNTED, PPM)
    taken: dict[str, int] = {}  # by tax, in millionths of minor units, so that rounding never adds up
    found = []
    for discount in discounts:
        ppm = {what: min(discount.rate_ppm, left_ppm[what]) for what in discount.on}
        for what in discount.on:
            left_ppm[what] -= ppm[what]
        bases: dict[str, int] = {}
        exact: dict[str, int] = {}
        for line in lines:
            for what in discount.on:
                if line["kind"] in DISCOUNTED[what]:
                    tax = line["tax"]
                    bases[tax] = bases.get(tax, 0) + line["amount"]
                    exact[tax] = exact.get(tax, 0) + line["amount"] * ppm[what]
        for tax in sorted(bases):
            before = taken.get(tax, 0)
            taken[tax] = before + exact[tax]
            amount = divide(before, PPM, Rounding.HALF_UP) - divide(taken[tax], PPM, Rounding.HALF_UP)
            line = {"kind": "discount", "code": discount.code, "rate_ppm": discount.rate_ppm, "base": bases[tax]}
            if amount:
                found.append({**line, "tax": tax, "amount": amount})
    return found


def tax_lines(lines: Iterable[Mapping[str, Any]], tables: Tables) -> list[Line]:
    """Each tax on the sum of the lines that it is on, rounded once."""
    nets: dict[str, int] = {}
    for line in lines:
        if line["tax"]:
            nets[line["tax"]] = nets.get(line["tax"], 0) + line["amount"]
    found = []
    for code, net in sorted(nets.items()):
        tax = tables.taxes[code]
        amount = divide(net * tax.rate_ppm, PPM, Rounding.HALF_UP)
        found.append({"code": code, "name": tax.name, "rate_ppm": tax.rate_ppm, "net": net, "amount": amount})
    return found


def with_sequences(ranges: Sequence[Sequence[int]], more: Iterable[int]) -> list[list[int]]:
    """Closed ranges with more numbers in them, sorted and joined; exact, however many there are."""
    runs: list[list[int]] = []
    for number in sorted(more):
        if runs and number - 1 <= runs[-1][1]:  # nearly always: a bill's records follow each other
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return joined([*ranges, *runs])


def joined(ranges: Iterable[Sequence[int]]) -> list[list[int]]:
    """Closed ranges of whole numbers, sorted, those that touch or overlap as one."""
    found: list[list[int]] = []
    for low, high in sorted(map(list, ranges)):
        if found and low <= found[-1][1] + 1:
            found[-1][1] = max(found[-1][1], high)
        else:
            found.append([low, high])
    return found
