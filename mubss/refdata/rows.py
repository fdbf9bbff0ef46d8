"""Rows of files as documents, one function per table; each row is checked alone here, and against others in build.

A document is what the store keeps: its code as `_id`, money in micros, times of day in quarters of an hour.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from mubss.core.tariff import ANY, Unit
from mubss.refdata.bill_rows import bill_discount, dunning, dunning_step
from mubss.refdata.check import Faults, Row, one_of, rows_of, shown
from mubss.refdata.form import Source
from mubss.refdata.plan_fields import currency_code, percent_ppm
from mubss.refdata.plan_rows import bundle, plan, plan_key
from mubss.refdata.quota_rows import MAX_UNSIGNED32, service_quota
from mubss.storage.database import Doc
from mubss.storage.refdata import TABLES, Documents

MAX_PREFIXES = 300_000  # of all zones
MAX_NUMBERS = 1_000  # of one zone, given whole; ported ones by the thousand can be prefixes
MAX_NETWORKS = 2_000  # MCCs and MNCs of one zone; the world has some 240 and 1,500
MAX_RANGES = 100  # of one row of the service map
QUARTERS_A_DAY = 96
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")
NONE = "none"  # among rating groups: a request without any

_TIME = re.compile(r"(?:[01][0-9]|2[0-3]):(?:00|15|30|45)|24:00")
_PREFIX = re.compile(r"\+?([0-9]{1,15})")
_NETWORK = re.compile(r"[0-9]{3}([0-9]{2,3})?")
_RANGE = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?")
_HOLIDAY = re.compile(r"(?:20[0-9]{2}-)?(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
_CONTEXT = re.compile(r"[A-Za-z0-9._-]{1,32}")


class Named(NamedTuple):
    """What files name: documents, where each stands, and the keys of rows too broken to be documents."""

    documents: Documents
    origins: dict[tuple[str, str], str]  # (table, key) → "tariffs.toml: price_plans[basic]"
    broken: set[tuple[str, str]]


def read_rows(sources: Sequence[Source], faults: Faults) -> Named:
    """Every row of every file; faults are noted with file, table and key."""
    named = Named({table: {} for table in TABLES}, {}, set())
    for source in sources:
        for fault in source.faults:
            faults.add(source.name, fault)
        for table, values in source.tables.items():
            rows = rows_of(faults, f"{source.name}: {table}", values, "#")
            if table == "service_map":
                _read_service_map(f"{source.name}: {table}", list(rows), named, faults)
                continue
            for row in rows:
                _read_row(f"{source.name}: {table}", table, row, named, faults)
    return named


def _read_row(where: str, table: str, row: Row, named: Named, faults: Faults) -> None:
    before = faults.count
    key_name, read_key, read = _READERS[table]
    key = read_key(row, key_name)
    if key:
        row.where = f"{where}[{key}]"
    document = {"_id": key, **read(row)}
    row.done()
    if key:
        _keep(named, table, document, row.where, faults, before)


def _read_service_map(where: str, rows: Sequence[Row], named: Named, faults: Faults) -> None:
    """The rows of one context are one document, in their order: the first that fits a request is its service."""
    before = faults.count
    rules: dict[str, list[Doc]] = {}
    for row in rows:
        context = row.form("context", _CONTEXT, 'the end of a Service-Context-Id like "32251"')
        known = rules.setdefault(context, [])
        if context:
            row.where = f"{where}[{context}][{len(known) + 1}]"
        known.append(_rule(row))
        row.done()
    for context, found in rules.items():
        _keep(named, "service_map", {"_id": context, "rules": found}, f"{where}[{context}]", faults, before)


def _keep(named: Named, table: str, document: Doc, where: str, faults: Faults, before: int) -> None:
    """Adds a document whose key is new, unless faults were found since there were `before`."""
    key = document["_id"]
    first = named.origins.setdefault((table, key), where)
    if first is not where:
        faults.add(where, f"given twice; the first is {first}")
    elif faults.count > before:
        named.broken.add((table, key))
    else:
        named.documents[table][key] = document


def _code(row: Row, key: str) -> str:
    code = row.code(key)
    if code == ANY:
        row.fault(key, f"{ANY!r} stands for all of them; expected another code")
    return code


def _cycle_number(row: Row, key: str) -> str:
    number = row.integer(key, 1, 999)
    return "" if row.faulty else str(number)


def _currency(row: Row) -> Doc:
    return {"name": row.name(), "numeric": row.integer("numeric", 1, 999), "decimals": row.integer("decimals", 0, 4)}


def _tax(row: Row) -> Doc:
    return {"name": row.name(), "rate_ppm": percent_ppm(row, "rate_percent")}


def _bill_cycle(row: Row) -> Doc:
    return {"name": row.name(), "closing_day": row.integer("closing_day", 1, 28)}


def _service(row: Row) -> Doc:
    name, unit = row.name(), row.choice("unit", list(Unit))
    service = {"name": name, "unit": unit, **service_quota(row, unit)}
    if tax := row.code("tax", ""):
        service["tax"] = tax
    return service


def _band(row: Row) -> Doc:
    days = row.texts("weekdays", len(WEEKDAYS), ", ".join(WEEKDAYS))
    for number, day in enumerate(days, 1):
        if day not in WEEKDAYS or day in days[: number - 1]:
            row.fault(f"weekdays[{number}]", f"{shown(day)}; {one_of(WEEKDAYS)}, each once")
    start, end = _quarter(row, "from"), _quarter(row, "until")
    if not row.faulty and start in (end, QUARTERS_A_DAY):
        row.fault("until", 'no time lies between from and until; a whole day is "00:00" to "24:00"')
    weekdays = sorted(WEEKDAYS.index(day) for day in days if day in WEEKDAYS)
    return {"name": row.name(), "weekdays": weekdays, "from_quarter": start, "until_quarter": end}


def _quarter(row: Row, key: str) -> int:
    """A time of day as a quarter of it, 0 to 96."""
    text = row.form(key, _TIME, 'a quarter of an hour like "08:15", up to "24:00"')
    return int(text[:2]) * 4 + int(text[3:]) // 15 if text else 0


def _destination(row: Row) -> Doc:
    numbers = row.texts("numbers", MAX_NUMBERS, 'whole numbers as they are dialled, like "112"', ())
    for number, text in enumerate(numbers, 1):
        if not _PREFIX.fullmatch(text) or text in numbers[: number - 1]:
            row.refuse(f"numbers[{number}]", text, '1 to 15 digits, like "112", each once')
    form = 'the first 1 to 15 digits of international numbers, like "49170"'
    texts = row.texts("prefixes", MAX_PREFIXES, form, () if numbers else None)
    matches = [_PREFIX.fullmatch(text) for text in texts]
    prefixes = {match[1] for match in matches if match}
    if len(prefixes) < len(texts):
        seen: set[str] = set()
        for number, match in enumerate(matches, 1):
            if match is None:
                row.refuse(f"prefixes[{number}]", texts[number - 1], '1 to 15 digits, like "49170"')
            elif match[1] in seen:
                row.fault(f"prefixes[{number}]", f"{match[1]!r} is there twice")
            else:
                seen.add(match[1])
    doc: Doc = {"name": row.name(), "prefixes": sorted(prefixes)}
    if numbers:
        doc["numbers"] = sorted(text.removeprefix("+") for text in numbers)
    if row.boolean("blocked"):
        doc["blocked"] = True
    return doc


def _network(row: Row) -> Doc:
    codes = row.texts("codes", MAX_NETWORKS, 'an MCC like "262", or an MCC and MNC like "26201"')
    for number, code in enumerate(codes, 1):
        if not _NETWORK.fullmatch(code) or code in codes[: number - 1]:
            row.refuse(f"codes[{number}]", code, 'an MCC like "262", or an MCC and MNC like "26201", each once')
    return {"name": row.name(), "codes": sorted(codes)}


def _holiday_key(row: Row, key: str) -> str:
    return row.form(key, _HOLIDAY, 'a day like "2026-12-25", or "12-25" for each year\'s')


def _holiday(row: Row) -> Doc:
    return {"name": row.name()}


def _rule(row: Row) -> Doc:
    """Ranges of numbers, None for any number; `absent`: also a request without a Rating-Group."""
    form = '"7" or "1-99"'
    groups = row.texts("rating_groups", MAX_RANGES, f'{form}, "{ANY}" or "{NONE}"', (NONE, ANY))
    identifiers = row.texts("service_identifiers", MAX_RANGES, f"{form}; leave the key out for any", (ANY,))
    return {
        "absent": NONE in groups,
        "rating_groups": _ranges(row, "rating_groups", [text for text in groups if text != NONE]),
        "service_identifiers": _ranges(row, "service_identifiers", identifiers),
        "service": row.code("service"),
    }


def _ranges(row: Row, key: str, texts: Sequence[str]) -> list[list[int]] | None:
    if ANY in texts:
        return None
    ranges = []
    for text in texts:
        match = _RANGE.fullmatch(text)
        low, high = (int(match[1]), int(match[2] or match[1])) if match else (1, 0)
        if not low <= high <= MAX_UNSIGNED32:
            row.refuse(key, text, f'a number or range like "1-99", up to {MAX_UNSIGNED32}')
        ranges.append([low, high])
    return ranges


# Table → the key's name, and the functions that read the key and the rest of a row.
_READERS: dict[str, tuple[str, Callable[[Row, str], str], Callable[[Row], Doc]]] = {
    "currencies": ("code", currency_code, _currency),
    "taxes": ("code", _code, _tax),
    "services": ("code", _code, _service),
    "holidays": ("day", _holiday_key, _holiday),
    "bands": ("code", _code, _band),
    "destinations": ("zone", _code, _destination),
    "networks": ("zone", _code, _network),
    "price_plans": ("code", plan_key, plan),
    "bundles": ("code", _code, bundle),
    "bill_discounts": ("code", _code, bill_discount),
    "bill_cycles": ("number", _cycle_number, _bill_cycle),
    "dunning": ("step", dunning_step, dunning),
}
