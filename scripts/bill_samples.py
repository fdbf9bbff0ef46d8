"""Bills to look at and to measure with: a month of a postpaid subscriber, a prepaid statement, a credit note.

All of it is made by arithmetic from nothing, so that it is the same each time.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from mubss.billfmt.render import Renderer
from mubss.config_billfmt import BillfmtOptions

ROOT = Path(__file__).parents[1]
ZONE = ZoneInfo("Europe/Berlin")
START_S = 1_791_064_800  # 4 October 2026 in Berlin
DAY_S = 86_400
OPTIONS = BillfmtOptions(
    operator="µBSS Mobile",
    address=("1 Signal Street", "10115 Berlin", "Germany"),
    tax_id="DE123456789",
    iban="DE89370400440532013000",
    bic="COBADEFFXXX",
    payment_link="https://my.mubss.example/pay",
    details_link="https://my.mubss.example/usage",
    email="care@mubss.example",
    phone="+49 30 555 0100",
)
NAMES = {
    "en": ("Mobile data", "Calls", "Text messages", "Family", "VAT", "5 GB for three days"),
    "de": ("Mobile Daten", "Gespräche", "Kurznachrichten", "Familie", "USt.", "5 GB für drei Tage"),
    "fr": ("Données mobiles", "Appels", "SMS", "Famille", "TVA", "5 Go pour trois jours"),
    "es": ("Datos móviles", "Llamadas", "Mensajes", "Familia", "IVA", "5 GB para tres días"),
    "ar": (
        "بيانات الهاتف",
        "المكالمات",
        "الرسائل القصيرة",
        "العائلة",
        "ضريبة القيمة المضافة",
        "5 غيغابايت لثلاثة أيام",
    ),
}


CUSTOMERS = {
    "en": {"name": "Jane Doe", "address": "Flat 3, 12 Harbour Road\nLeith, Edinburgh EH6 6JQ\nUnited Kingdom"},
    "de": {"name": "Erika Mustermann", "address": "Lindenallee 7\n20357 Hamburg"},
    "ar": {"name": "ليلى منصور", "address": "شارع الزيتون 12\nعمّان 11118\nالأردن"},
}


def renderer(**options: Any) -> Renderer:
    """The program's own templates, with an operator's details."""
    return Renderer(replace(OPTIONS, **options), ROOT / "templates", None, ZONE)


def usage(count: int) -> list[dict[str, Any]]:
    """So many records over 31 days: half are calls, a third data, the rest messages."""
    found = []
    for number in range(count):
        mixed = number * 7919 % 1009
        at_s = START_S + number * (31 * DAY_S) // max(1, count) + mixed
        service = ("VOICE", "DATA", "VOICE", "SMS", "DATA", "VOICE")[number % 6]
        units = {"VOICE": 20 + mixed, "DATA": mixed * 650_000 + 1_234, "SMS": 1}[service]
        free = units if mixed % 5 < 3 else 0
        price = {"VOICE": -(-units // 60) * 70_000, "DATA": -(-units // 1_000_000) * 20_000, "SMS": 50_000}[service]
        one = {"sequence": number + 1, "service": service, "from_s": at_s, "until_s": at_s + 60, "units": units}
        one |= {"free_units": free, "charge_micros": 0 if free else price, "zone": "any", "tax": "VAT20"}
        if service == "DATA":
            one["apn"] = "internet"
        else:
            one["called"] = "112" if mixed % 97 == 0 else f"49170{mixed:03}{number % 10000:04}"
        found.append(one)
    return found


def usage_lines(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of a bill that these records make."""
    lines: dict[str, dict[str, Any]] = {}
    for one in records:
        line = lines.setdefault(
            one["service"],
            {"kind": "usage", "code": one["service"], "records": 0, "units": 0, "free_units": 0, "bundle_units": 0},
        )
        line["records"] += 1
        line["units"] += one["units"]
        line["free_units"] += one["free_units"]
        line["amount"] = line.get("amount", 0) + one["charge_micros"]
    return [{**lines[code], "tax": "VAT20", "amount": lines[code]["amount"] // 10_000} for code in sorted(lines)]


def facts(language: str = "en") -> dict[str, Any]:
    """The names that reference data would give, and what is left of free units."""
    data, voice, sms, plan, _, bundle = NAMES[language]
    return {
        "plans": {"family": plan, "start": plan},
        "services": {"DATA": [data, "octets"], "VOICE": [voice, "seconds"], "SMS": [sms, "events"]},
        "bundles": {"WEEKEND-DATA": bundle},
        "discounts": {},
        "left": [
            {"kind": "free", "code": "DATA", "services": ["DATA"], "left": 3_270_000_000, "units": 5_000_000_000,
             "until_day": "2026-11-30"},
            {"kind": "free", "code": "VOICE", "services": ["VOICE"], "left": 9_480, "units": 12_000,
             "until_day": "2026-11-30"},
            {"kind": "bundle", "code": "WEEKEND-DATA", "services": ["DATA"], "left": 1_120_000_000,
             "units": 5_000_000_000, "until_day": "2026-11-06"},
        ],
        "at_s": START_S + 31 * DAY_S + 10_000,
    }  # fmt: skip


def head(kind: str, language: str, number: str) -> dict[str, Any]:
    """What all documents have."""
    return {
        "_id": f"{kind}{language}".ljust(32, "0"),
        "version": 1,
        "kind": kind,
        "number": number,
        "state": "BILL_STATUS_NEW",
        "issued_s": START_S + 31 * DAY_S + 7_200,
        "due_day": "2026-11-18",
        "account": "account-1",
        "msisdn": "4917012345678",
        "language": language,
        "customer": CUSTOMERS.get(language, CUSTOMERS["en"]),
        "cycle": 3,
        "period": "2026-11",
        "from_day": "2026-10-04",
        "until_day": "2026-11-03",
        "plan": "family",
        "currency": "EUR",
        "decimals": 2,
    }


def with_sums(bill: dict[str, Any], lines: list[dict[str, Any]], tax_name: str) -> dict[str, Any]:
    """The bill with its lines, taxes and sums."""
    net = sum(line["amount"] for line in lines)
    taxed = sum(line["amount"] for line in lines if line["tax"])
    tax = taxed // 5
    taxes = [{"code": "VAT20", "name": tax_name, "rate_ppm": 200_000, "net": taxed, "amount": tax}] if taxed else []
    return {**bill, "lines": lines, "taxes": taxes, "net": net, "tax": tax, "total": net + tax}


def postpaid(language: str = "en", count: int = 60) -> tuple[dict[str, Any], list[dict[str, Any]], list[Any]]:
    """A bill with so many records; its usage, and no postings."""
    records = usage(count)
    lines: list[dict[str, Any]] = [
        {"kind": "fee", "code": "family", "from_day": "2026-10-04", "until_day": "2026-11-03", "days": 31,
         "of_days": 31, "tax": "VAT20", "amount": 2_500},
        {"kind": "bundle", "code": "WEEKEND-DATA", "records": 2, "tax": "VAT20", "amount": 800},
        *usage_lines(records),
        {"kind": "discount", "code": "LOYAL", "rate_ppm": 100_000, "tax": "VAT20", "amount": -250},
        {"kind": "adjustment", "code": "CASE-4711", "tax": "", "amount": -500},
    ]  # fmt: skip
    bill = with_sums(head("postpaid", language, "INV-2026-0000042"), lines, NAMES[language][4])
    previous = 3_180
    bill |= {"previous_due": previous, "paid": previous, "due": bill["total"]}
    bill |= {"usage": [[1, count]] if count else [], "postings": [0, 0]}
    return bill, records, []


def prepaid(language: str = "en", count: int = 36) -> tuple[dict[str, Any], list[dict[str, Any]], list[Any]]:
    """A statement with so many movements."""
    records = [{**one, "tax": "", "free_units": 0, "charge_micros": 50_000 + 40_000 * (one["sequence"] % 9)}
               for one in usage(count - 4)]  # fmt: skip
    causes: list[tuple[int, dict[str, Any], int, str]] = [
        (one["from_s"], {"kind": "session"}, -one["charge_micros"], one["service"]) for one in records
    ]
    causes += [(START_S + day * DAY_S + 33_000, {"kind": "topup", "reference": f"APP-{day:04}"}, 10_000_000, "")
               for day in (1, 12, 24)]  # fmt: skip
    causes.append((START_S + 13 * DAY_S, {"kind": "bundle", "bundle": "WEEKEND-DATA"}, -4_000_000, ""))
    balance, postings = 2_350_000, []
    for sequence, (at_s, cause, amount, service) in enumerate(sorted(causes, key=lambda row: row[0]), 1):
        balance += amount
        one = {"sequence": sequence, "at_ms": at_s * 1000, "cause": cause, "amount_micros": amount}
        postings.append({**one, "balance_micros": balance, **({"service": service} if service else {})})
    lines = [{**line, "tax": "", "free_units": 0} for line in usage_lines(records)]
    lines.append({"kind": "bundle", "code": "WEEKEND-DATA", "records": 1, "tax": "", "amount": 400})
    bill = with_sums({**head("prepaid", language, "STM-2026-0000007"), "plan": "start"}, lines, "")
    bill |= {"topups": [1000, 1000, 1000], "opening_balance": 235, "closing_balance": balance // 10_000}
    bill |= {"usage": [[1, len(records)]], "postings": [0, len(postings)]}
    return bill, records, postings


def credit_note(language: str = "en") -> tuple[dict[str, Any], list[Any], list[Any]]:
    """What gives a part of a bill back."""
    lines = [{"kind": "fee", "code": "family", "tax": "VAT20", "amount": -1_250},
             {"kind": "one_off", "code": "family", "tax": "VAT20", "amount": -500}]  # fmt: skip
    bill = with_sums(head("credit_note", language, "CRN-2026-0000003"), lines, NAMES[language][4])
    bill["taxes"][0]["amount"] = bill["tax"]
    bill |= {"credits": "INV-2026-0000042", "reason": "Two weeks without network", "usage": [], "postings": [0, 0]}
    return bill, [], []
