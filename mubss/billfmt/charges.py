"""The charges, taxes and sums of a bill as texts. Pure.

Any kind of line is printed: by the texts of the language where they know it, else by its code.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

from mubss.billfmt.rows import Writer
from mubss.billfmt.texts import filled

Doc = Mapping[str, Any]
FEES = ("fee", "fee_correction", "once", "one_off", "bundle", "minimum")
USAGE = ("usage",)


class Charge(NamedTuple):
    """One line."""

    name: str
    detail: str
    quantity: str
    free: str
    tax: str
    amount: str


class Section(NamedTuple):
    """Lines that belong together, and their sum."""

    title: str
    charges: list[Charge]
    subtotal: str


class TaxRow(NamedTuple):
    """One tax."""

    name: str
    rate: str
    net: str
    amount: str


class Sum(NamedTuple):
    """A line of the summary; `weight` is "", "sub" or "total"."""

    name: str
    amount: str
    weight: str = ""


def sections(writer: Writer, bill: Doc) -> list[Section]:
    """Subscription, usage, then all else."""
    texts = writer.texts
    rates = {tax["code"]: writer.language.percent(tax["rate_ppm"]) for tax in bill["taxes"]}
    found = []
    for title, kinds in (("section_fee", FEES), ("section_usage", USAGE), ("section_other", ())):
        wanted = [line for line in bill["lines"] if _place(line["kind"]) == kinds]
        if wanted:
            charges = [_charge(writer, line, rates) for line in wanted]
            subtotal = _money(writer, sum(line["amount"] for line in wanted))
            found.append(Section(texts[title], charges, subtotal))
    return found


def _place(kind: str) -> tuple[str, ...]:
    return FEES if kind in FEES else USAGE if kind in USAGE else ()


def _money(writer: Writer, minor: int) -> str:
    return writer.language.money(minor, writer.currency, writer.decimals)


def _charge(writer: Writer, line: Doc, rates: Mapping[str, str]) -> Charge:
    language, facts = writer.language, writer.facts
    code = str(line.get("code") or "")
    unit = ""
    if line["kind"] == "usage":
        name, unit = writer.service(code)
    else:
        name = next(
            (facts[kind][code] for kind in ("plans", "bundles", "discounts") if code in facts.get(kind, {})), code
        )
    of_balance = line["kind"] == "other"  # a statement's: its code is what moved the balance
    pattern = writer.texts["causes"].get(code) if of_balance else writer.texts["kinds"].get(line["kind"])
    fallback = name if of_balance else f"{line['kind']} {name}".strip()
    said = filled(pattern, name="" if of_balance else name) if pattern is not None else fallback
    free = line.get("free_units", 0) + line.get("bundle_units", 0)
    units = line.get("units")
    tax = line.get("tax") or ""
    return Charge(
        said,
        _detail(writer, line),
        language.units(units, unit) if units is not None else "",
        language.units(free, unit) if free else "",
        rates.get(tax, tax),
        _money(writer, line["amount"]),
    )


def _detail(writer: Writer, line: Doc) -> str:
    """What a line is for: its days, how many records, what a discount is on."""
    language, texts = writer.language, writer.texts
    if "from_day" in line and "until_day" in line:
        first, last = date.fromisoformat(line["from_day"]), date.fromisoformat(line["until_day"])
        said = language.between(first, last)
        days, of_days = line.get("days"), line.get("of_days")
        if days and of_days and days != of_days:
            said += " · " + filled(texts["days"], days=language.number(days), of=language.number(of_days))
        return said
    if "rate_ppm" in line:
        return language.percent(line["rate_ppm"])
    if line["kind"] == "usage":
        return f"{language.number(line.get('records', 0))} {texts['entries']}"
    if line.get("records", 1) > 1:
        return filled(texts["times"], count=language.number(line["records"]))
    return ""


def tax_rows(writer: Writer, bill: Doc) -> list[TaxRow]:
    """The table of taxes."""
    return [
        TaxRow(
            str(tax.get("name") or tax["code"]),
            writer.language.percent(tax["rate_ppm"]),
            _money(writer, tax["net"]),
            _money(writer, tax["amount"]),
        )
        for tax in bill["taxes"]
    ]


def sums(writer: Writer, bill: Doc, gross: str) -> list[Sum]:
    """The summary: what this bill comes to, and with what was before it what is due; a statement's balances."""
    texts = writer.texts
    found: list[Sum] = []

    def add(name: str, minor: int, weight: str = "") -> None:
        found.append(Sum(texts[name], _money(writer, minor), weight))

    if bill["kind"] == "prepaid":
        add("opening", bill["opening_balance"])
        if topups := _topups(bill):
            add("topups", topups)
    if bill["kind"] != "prepaid":
        add("net", bill["net"])
    for tax in bill["taxes"] if bill["kind"] != "prepaid" else ():
        rate = writer.language.percent(tax["rate_ppm"])
        name = str(tax.get("name") or tax["code"])
        said = name if "".join(rate.split()) in "".join(name.split()) else f"{name} {rate}"
        found.append(Sum(said, _money(writer, tax["amount"])))
    add(gross, -bill["total"] if bill["kind"] == "prepaid" else bill["total"], "sub")
    if bill["kind"] == "prepaid":
        add("closing", bill["closing_balance"], "total")
    elif bill["kind"] == "postpaid":
        before = (("previous", bill.get("previous_due", 0)), ("paid", -bill.get("paid", 0)))
        for name, minor in (*before, ("credited_since", -bill.get("credited", 0))):
            if minor:
                add(name, minor)
        add("due", bill["due"], "total")
    return found


def _topups(bill: Doc) -> int:
    """What was topped up in the period, whether the statement has it as amounts or as lines of their own."""
    return sum(one if isinstance(one, int) else one["amount"] for one in bill.get("topups", ()))
