"""Price plans and bundles as the rater's tables, of documents that passed the Checker."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from mubss.core.rates import PPM, Rate, Terms, Tier
from mubss.core.tariff import ANY, Bundle, Plan, PlanService, Service, Step
from mubss.refdata.bill_rows import build_plan_bill
from mubss.refdata.quota_rows import build_quota
from mubss.storage.database import Doc

Place = tuple[str, str]  # zone, band


class Plans(NamedTuple):
    """Every plan by its code, its first version where it has several, and those that do."""

    plans: dict[str, Plan]
    versions: dict[str, tuple[Plan, ...]]


def build_plans(documents: Mapping[str, Doc], services: Mapping[str, Service], zone: tzinfo) -> Plans:
    """The versions of each plan, each leading to the next."""
    chains: dict[str, list[Doc]] = {}
    for key, doc in documents.items():
        chains.setdefault(plan_code(key), []).append(doc)
    found = Plans({}, {})
    for code, docs in chains.items():
        docs.sort(key=lambda doc: valid_from(doc["_id"]))
        starts = [_midnight_s(valid_from(doc["_id"]), zone) for doc in docs]
        versions: list[Plan] = []
        for doc, start_s, end_s in reversed(list(zip(docs, starts, [*starts[1:], 0], strict=True))):
            versions.insert(0, _plan(doc, code, services, start_s, end_s, versions[0] if versions else None))
        found.plans[code] = versions[0]
        if len(versions) > 1:
            found.versions[code] = tuple(versions)
    return found


def plan_code(key: str) -> str:
    """The plan that a version's key is of."""
    return key.partition("@")[0]


def valid_from(key: str) -> str:
    """The day that a version is in force from; "" for ever."""
    return key.partition("@")[2]


def _midnight_s(day: str, zone: tzinfo) -> int:
    """UTC seconds of a local day's beginning (the first quarter of an hour that has its date); 0 for no day."""
    if not day:
        return 0
    at = datetime.fromisoformat(day).replace(tzinfo=zone).astimezone(UTC)
    while (before := at - timedelta(minutes=15)).astimezone(zone).date().isoformat() >= day:
        at = before
    while at.astimezone(zone).date().isoformat() < day:
        at += timedelta(minutes=15)
    return int(at.timestamp())


def _plan(
    doc: Doc, code: str, services: Mapping[str, Service], start_s: int, end_s: int, following: Plan | None
) -> Plan:
    rates: dict[str, list[Doc]] = {}
    for row in doc["rates"]:
        rates.setdefault(row["service"], []).append(row)
    quotas = {quota["service"]: quota for quota in doc.get("quotas", ())}
    priced = {}
    for name, rows in rates.items():
        service = services[name]
        discounts = [discount for discount in doc.get("discounts", ()) if discount["service"] == name]
        ladders = {_place(row): _ladder(row, discounts) for row in rows}
        priced[name] = PlanService(
            service=service,
            rates={place: ladder[0][1] for place, ladder in ladders.items()},
            rate_keys={place: ladder[0][1].key for place, ladder in ladders.items()},
            free_units=doc["free_units"].get(name, 0),
            quota=build_quota(quotas[name], service.quota) if name in quotas else service.quota,
            rollover_units=doc.get("rollover_units", {}).get(name, 0),
            member_limit=doc.get("member_limits", {}).get(name, 0),
            steps={
                ladder[0][1].key: tuple(Step(after, rate.key) for after, rate in ladder)
                for ladder in ladders.values()
                if len(ladder) > 1
            },
            tax=service.tax or doc["tax"],
            until_s=end_s,
            later=None if following is None else following.services.get(name),
        )
    return Plan(
        code=code,
        name=doc["name"],
        type=doc["type"],
        currency=doc["currency"],
        services=priced,
        monthly_fee_micros=doc["monthly_fee_micros"],
        credit_limit_micros=doc["credit_limit_micros"],
        tax=doc["tax"],
        low_balance_micros=doc.get("low_balance_micros", 0),
        valid_from_s=start_s,
        **build_plan_bill(doc),
    )


def _place(row: Doc) -> Place:
    """Where a rate holds: its zone; as seen from a visited network "europe@abroad", any call from there "@abroad"."""
    zone = row["zone"]
    if "network" in row:
        zone = f"{'' if zone == ANY else zone}@{row['network']}"
    return zone, row["band"]


def _ladder(row: Doc, discounts: Iterable[Doc]) -> list[tuple[int, Rate]]:
    """A rate as the month's units climb: tiers of the month and discounts for volume, each from its units on."""
    monthly = row.get("tiers", []) if row.get("tiers_by") == "month" else []
    discounts = [one for one in discounts if one["zone"] in (ANY, row["zone"])]
    edges = {0, *(tier["after_units"] for tier in monthly), *(one["after_units"] for one in discounts)}
    ladder: list[tuple[int, Rate]] = []
    for after in sorted(edges):
        price = row["price_micros"]
        for tier in monthly:
            if tier["after_units"] <= after:
                price = tier["price_micros"]
        kept_ppm = PPM
        for one in discounts:
            if one["after_units"] <= after:
                kept_ppm = min(kept_ppm, PPM - one["ppm"])  # the best that is reached
        rate = _rate(row, price, PPM - kept_ppm)
        if not ladder or ladder[-1][1] != rate:
            ladder.append((after, rate))
    return ladder


def _rate(row: Doc, price_micros: int, discount_ppm: int) -> Rate:
    first, following = row.get("increments", (0, 0))
    tiers = row.get("tiers", []) if row.get("tiers_by") != "month" else []
    terms = Terms(
        first,
        following,
        row.get("maximum_micros", 0),
        discount_ppm,
        tuple(Tier(tier["after_units"], tier["price_micros"]) for tier in tiers),
        row.get("tiers_by") == "volume",
    )
    return Rate(
        row["service"],
        _place(row)[0],
        row["band"],
        price_micros,
        row["block_units"],
        row["setup_micros"],
        row["minimum_micros"],
        None if terms == Terms() else terms,
    )


def build_bundle(doc: Doc) -> Bundle:
    """One bundle."""
    return Bundle(
        code=doc["_id"],
        name=doc["name"],
        currency=doc["currency"],
        price_micros=doc["price_micros"],
        services=tuple(doc["services"]),
        zones=tuple(doc["zones"]),
        units=doc["units"],
        validity_s=doc["validity_s"],
        priority=doc["priority"],
        renews=doc.get("renews", False),
    )
