"""Documents as the rater's tables, once they are right about each other."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from mubss.core.calendar import OperatorCalendar
from mubss.core.errors import RefdataError
from mubss.core.tariff import (
    HOLIDAY,
    Band,
    BillCycle,
    Currency,
    Service,
    ServiceRule,
    Tables,
    Tax,
    Unit,
)
from mubss.refdata.bill_rows import build_bill_discount, build_dunning
from mubss.refdata.check import Faults
from mubss.refdata.cross_check import Checker
from mubss.refdata.plan_build import build_bundle, build_plans
from mubss.refdata.quota_rows import build_quota
from mubss.refdata.rows import QUARTERS_A_DAY
from mubss.storage.database import Doc
from mubss.storage.refdata import Documents, Snapshot, join

_NO_GROUP = (1, 0)  # a range that holds no number: requests without a Rating-Group only


def build_tables(documents: Documents, version: int, calendar: OperatorCalendar) -> Tables:
    """Tables of documents that passed the Checker."""
    services = {code: _service(doc) for code, doc in documents["services"].items()}
    plans = build_plans(documents["price_plans"], services, calendar.zone)
    bands = tuple(band for doc in documents["bands"].values() for band in _bands(doc))
    destinations, prefixes = documents["destinations"], dict[str, str]()
    for zone, doc in destinations.items():
        prefixes.update(dict.fromkeys(doc["prefixes"], zone))
    return Tables(
        version=version,
        calendar=calendar,
        services=services,
        plans=plans.plans,
        versions=plans.versions,
        bundles={code: build_bundle(doc) for code, doc in documents["bundles"].items()},
        bands=bands,
        holidays=frozenset(documents["holidays"] if any(HOLIDAY in band.weekdays for band in bands) else ()),
        prefixes=prefixes,
        numbers={number: zone for zone, doc in destinations.items() for number in doc.get("numbers", ())},
        blocked=frozenset(zone for zone, doc in destinations.items() if doc.get("blocked")),
        longest_prefix=max(map(len, prefixes), default=0),
        networks={code: zone for zone, doc in documents["networks"].items() for code in doc["codes"]},
        service_rules=_service_rules(documents["service_map"]),
        currencies={
            code: Currency(code, doc["numeric"], doc["decimals"]) for code, doc in documents["currencies"].items()
        },
        bill_cycles={
            int(key): BillCycle(int(key), doc["closing_day"], doc["name"])
            for key, doc in documents["bill_cycles"].items()
        },
        taxes={code: Tax(code, doc["name"], doc["rate_ppm"]) for code, doc in documents["taxes"].items()},
        bill_discounts={code: build_bill_discount(doc) for code, doc in documents["bill_discounts"].items()},
        dunning=build_dunning(documents["dunning"]),
    )


def read_stored(snapshot: Snapshot, calendar: OperatorCalendar) -> Tables:
    """Tables of what lies in the store; RefdataError if it isn't what this system writes."""
    faults = Faults()
    try:
        documents = join(snapshot.stored)
        Checker(documents, faults, {}, ()).check()
        faults.raise_any()
        return build_tables(documents, snapshot.version.number, calendar)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RefdataError([f"stored: version {snapshot.version.number}: {type(error).__name__} {error}"]) from error


def _service(doc: Doc) -> Service:
    return Service(doc["_id"], Unit(doc["unit"]), doc["name"], build_quota(doc), doc.get("tax", ""))


def _bands(doc: Doc) -> list[Band]:
    """A band that ends past midnight is two: its evening, and the morning after each of its weekdays."""
    code, start, end = doc["_id"], doc["from_quarter"], doc["until_quarter"]
    days = frozenset(doc["weekdays"])
    if start < end:
        return [Band(code, days, start, end)]
    evening = Band(code, days, start, QUARTERS_A_DAY)
    return [evening, Band(code, days, 0, end, is_morning_after=True)] if end else [evening]


def _service_rules(service_map: Mapping[str, Doc]) -> tuple[ServiceRule, ...]:
    """Rules in their order, those of a longer context first: 8.32251 before 32251, which it ends with."""
    rules = []
    for context in sorted(service_map, key=lambda context: (-len(context), context)):
        for rule in service_map[context]["rules"]:
            groups = _ranges(rule["rating_groups"]) or [_NO_GROUP]
            for group, identifier in product(groups, _ranges(rule["service_identifiers"])):
                rules.append(ServiceRule(context, group, identifier, rule["absent"], rule["service"]))
    return tuple(rules)


def _ranges(stored: list[list[int]] | None) -> list[tuple[int, int] | None]:
    return [None] if stored is None else [(low, high) for low, high in stored]
