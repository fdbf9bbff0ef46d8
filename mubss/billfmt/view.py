"""What a template is given: a bill as texts in the subscriber's language. Built here and nowhere else. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any, NamedTuple

from mubss.billfmt.charges import Section, Sum, TaxRow, sections, sums, tax_rows
from mubss.billfmt.chart import Chart, bars_of, days_between
from mubss.billfmt.locales import language
from mubss.billfmt.payment import Code, epc_code, grouped
from mubss.billfmt.pdf_update import About
from mubss.billfmt.rows import History, Writer, itemised, movements
from mubss.billfmt.texts import Texts, filled, language_of
from mubss.config_billfmt import BillfmtOptions

Doc = Mapping[str, Any]
PREPAID, POSTPAID, CREDIT_NOTE = "prepaid", "postpaid", "credit_note"
TITLES = {PREPAID: "statement", POSTPAID: "invoice", CREDIT_NOTE: "credit_note"}
GROSS = {PREPAID: "gross_statement", POSTPAID: "gross", CREDIT_NOTE: "gross_credit"}
MOST_CHARTS = 3


class Operator(NamedTuple):
    """Whose bill it is."""

    name: str
    address: Sequence[str]
    tax_id: str
    email: str
    phone: str
    logo: str


class Headline(NamedTuple):
    """The one figure that matters, and what is said of it."""

    label: str
    amount: str
    note: str  # when it is due, else ""
    is_due: bool


class Payment(NamedTuple):
    """How to pay."""

    beneficiary: str
    iban: str
    bic: str
    reference: str
    link: str
    code: Code | None


class Left(NamedTuple):
    """Units that are left of what costs nothing."""

    name: str
    said: str
    until: str
    percent: int


@dataclass(frozen=True, slots=True)
class View:
    """Everything on a bill, in its order."""

    tag: str  # "de"
    direction: str  # "ltr", "rtl"
    start: str  # the side where reading begins: "left", "right"
    end: str
    texts: Texts
    bill: Doc  # as it is stored, for templates of one's own
    title: str
    number: str
    facts: Sequence[tuple[str, str]]  # the head: number, date, period, …
    operator: Operator
    customer: Sequence[str]  # the lines of its name and address; none where they aren't known
    headline: Headline
    sums: Sequence[Sum]
    sections: Sequence[Section]
    has_quantity: bool
    has_free: bool
    taxes: Sequence[TaxRow]
    payment: Payment | None
    charts: Sequence[Chart]
    left: Sequence[Left]
    left_title: str
    history: History
    truncated: str
    page: tuple[str, str, str]  # around the number of the page and of all pages
    about: About


def build(
    bill: Doc,
    usage: Sequence[Doc],
    postings: Sequence[Doc],
    facts: Doc,
    all_texts: Mapping[str, Texts],
    options: BillfmtOptions,
    zone: tzinfo,
) -> View:
    """A bill with its history (facts.py) as templates print it."""
    tag = language_of(str(bill.get("language") or "en"), all_texts)
    way, texts = language(_tag(bill, tag)), all_texts[tag]
    writer = Writer(way, texts, zone, bill["currency"], bill["decimals"], options.itemised_rows, facts)
    kind = bill["kind"]
    order = [line["code"] for line in bill["lines"] if line["kind"] == "usage"]
    history = movements(writer, postings) if kind == PREPAID else itemised(writer, usage, order)
    title = texts[TITLES[kind]]
    charges = sections(writer, bill)
    return View(
        way.tag,
        "rtl" if way.is_rtl else "ltr",
        "right" if way.is_rtl else "left",
        "left" if way.is_rtl else "right",
        texts,
        bill,
        title,
        bill["number"],
        _head(writer, bill),
        Operator(options.operator, options.address, options.tax_id, options.email, options.phone, options.logo),
        _customer(bill),
        _headline(writer, bill),
        sums(writer, bill, GROSS[kind]),
        charges,
        any(charge.quantity for section in charges for charge in section.charges),
        any(charge.free for section in charges for charge in section.charges),
        tax_rows(writer, bill),
        _payment(bill, options) if kind == POSTPAID and bill["due"] > 0 else None,
        _charts(writer, bill, usage, order),
        [_left(writer, row) for row in facts["left"]] if kind != CREDIT_NOTE else [],
        filled(texts["free_title"], day=way.long_day(_day(facts["at_s"], zone))),
        history,
        _truncated(writer, history, options.details_link),
        _page(texts),
        About(f"{title} {bill['number']}", options.operator, way.tag, way.is_rtl, bill["issued_s"]),
    )


def _customer(bill: Doc) -> list[str]:
    """Whom it is addressed to."""
    known = bill.get("customer", {})
    return [line for line in (known.get("name", ""), *known.get("address", "").split("\n")) if line]


def _tag(bill: Doc, tag: str) -> str:
    """The subscriber's own tag where its texts are ours: "de-AT" writes amounts its own way."""
    own = str(bill.get("language") or "en")
    return own if own.partition("-")[0] == tag.partition("-")[0] else tag


def _day(time_s: int, zone: tzinfo) -> date:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time_s)).astimezone(zone).date()


def _head(writer: Writer, bill: Doc) -> list[tuple[str, str]]:
    texts, way = writer.texts, writer.language
    found = [(texts["number"], str(bill["number"]))]
    found.append((texts["issued"], way.long_day(_day(bill["issued_s"], writer.zone))))
    if bill.get("credits"):
        found.append((texts["credits"], str(bill["credits"])))
    if bill.get("reason"):
        found.append((texts["reason"], str(bill["reason"])))
    if bill.get("from_day") and bill.get("until_day"):
        first, last = date.fromisoformat(bill["from_day"]), date.fromisoformat(bill["until_day"])
        found.append((texts["period"], way.between(first, last)))
    found.append((texts["subscriber"], f"\u200e+{bill['msisdn']}"))  # left to right, whatever stands around it
    if bill.get("plan"):
        found.append((texts["plan"], writer.facts["plans"].get(bill["plan"], bill["plan"])))
    return found


def _headline(writer: Writer, bill: Doc) -> Headline:
    texts, way = writer.texts, writer.language

    def said(name: str, minor: int, note: str = "", is_due: bool = False) -> Headline:
        return Headline(texts[name], way.money(minor, writer.currency, writer.decimals), note, is_due)

    if bill["kind"] == PREPAID:
        return said("balance_now", bill["closing_balance"])
    if bill["kind"] == CREDIT_NOTE:
        return said("credited", -bill["total"])
    if bill["due"] > 0:
        day = way.long_day(date.fromisoformat(bill["due_day"]))
        return said("amount_due", bill["due"], f"{texts['due_day']} {day}", True)
    return (
        said("credit_left", -bill["due"], texts["pay_nothing"])
        if bill["due"] < 0
        else said("nothing_due", 0, texts["pay_nothing"])
    )


def _payment(bill: Doc, options: BillfmtOptions) -> Payment | None:
    if not options.iban and not options.payment_link:
        return None
    code = None
    if bill["currency"] == "EUR" and bill["decimals"] == 2:
        code = epc_code(options.operator, options.iban, options.bic, bill["due"], bill["number"])
    return Payment(options.operator, grouped(options.iban), options.bic, bill["number"], options.payment_link, code)


def _charts(writer: Writer, bill: Doc, usage: Sequence[Doc], order: Sequence[str]) -> list[Chart]:
    """Usage of the period's days, of the services with a line; what came late is on no day of it."""
    if bill["kind"] == CREDIT_NOTE or not bill.get("from_day"):
        return []
    days = days_between(date.fromisoformat(bill["from_day"]), date.fromisoformat(bill["until_day"]))
    by_service: dict[str, dict[date, int]] = {}
    for one in usage:
        of_service = by_service.setdefault(one["service"], {})
        day = _day(one["from_s"], writer.zone)
        of_service[day] = of_service.get(day, 0) + one["units"]
    way = writer.language
    found: list[Chart] = []
    for code in dict.fromkeys([*order, *sorted(by_service)]):
        units = by_service.get(code, {})
        bars = bars_of(units, days, way.is_rtl)
        if bars and len(found) < MOST_CHARTS:
            name, unit = writer.service(code)
            most = max(days, key=lambda day, units=units: units.get(day, 0))  # type: ignore[misc]
            peak = f"{way.month_day(most)}: {way.units(units[most], unit)}"
            total = way.units(sum(units.values()), unit)
            found.append(Chart(name, total, bars, way.month_day(days[0]), way.month_day(days[-1]), peak))
    return found


def _left(writer: Writer, row: Doc) -> Left:
    texts, way = writer.texts, writer.language
    _, unit = writer.service(row["services"][0]) if row["services"] else ("", "")
    names = " + ".join(writer.service(code)[0] for code in row["services"])
    name = names if row["kind"] == "free" else writer.facts["bundles"].get(row["code"], row["code"])
    until = filled(
        texts["free_month" if row["kind"] == "free" else "free_bundle"],
        day=way.long_day(date.fromisoformat(row["until_day"])),
    )
    said = filled(texts["free_of"], left=way.units(row["left"], unit), all=way.units(row["units"], unit))
    return Left(name, said, until, min(100, row["left"] * 100 // row["units"]) if row["units"] else 0)


def _truncated(writer: Writer, history: History, link: str) -> str:
    if history.shown >= history.all:
        return ""
    way, texts = writer.language, writer.texts
    said = filled(texts["truncated"], shown=way.number(history.shown), all=way.number(history.all))
    return f"{said} {filled(texts['truncated_link'], link=link)}" if link else said


def _page(texts: Texts) -> tuple[str, str, str]:
    before, _, rest = texts["page"].partition("{page}")
    between, _, after = rest.partition("{pages}")
    return before, between, after
