"""Documents as the rater's tables, once they are right about each other."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from itertools import product

from mubss.core.calendar import OperatorCalendar
from mubss.core.errors import RefdataError
from mubss.core.tariff import (
    ANY,
    Band,
    BillCycle,
    Currency,
    Plan,
    PlanService,
    Rate,
    Service,
    ServiceRule,
    Tables,
    Tax,
    Unit,
)
from mubss.refdata.check import Faults, one_of
from mubss.refdata.quota_rows import build_quota
from mubss.refdata.rows import MAX_PREFIXES, QUARTERS_A_DAY
from mubss.storage.database import Doc
from mubss.storage.refdata import Documents, Snapshot, join

_NO_GROUP = (1, 0)  # a range that holds no number: requests without a Rating-Group only


class Checker:
    """Checks documents against each other; `origins` says where one stands, `broken` which names to let pass."""

    def __init__(
        self,
        documents: Documents,
        faults: Faults,
        origins: Mapping[tuple[str, str], str],
        broken: Collection[tuple[str, str]],
    ) -> None:
        self._documents = documents
        self._faults = faults
        self._origins = origins
        self._names = {table: list(rows) for table, rows in documents.items()}
        for table, key in broken:
            self._names[table].append(key)

    def check(self) -> None:
        """Notes every fault."""
        self._check_prefixes()
        self._check_networks()
        for code, plan in self._documents["price_plans"].items():
            self._check_plan(self._where("price_plans", code), plan)
        for context, rules in self._documents["service_map"].items():
            for number, rule in enumerate(rules["rules"], 1):
                where = f"{self._where('service_map', context)}[{number}]"
                self._check_name(f"{where}.service", "services", rule["service"])

    def _where(self, table: str, key: str) -> str:
        return self._origins.get((table, key), f"stored: {table}[{key}]")

    def _check_name(self, where: str, table: str, name: str, extra: Iterable[str] = ()) -> None:
        names = self._names[table]
        if name and name not in names and name not in extra:
            self._faults.add(where, f"{name!r}; {one_of([*extra, *names])}")

    def _check_plan(self, where: str, plan: Doc) -> None:
        self._check_name(f"{where}.currency", "currencies", plan["currency"])
        self._check_name(f"{where}.tax", "taxes", plan["tax"])
        seen: dict[tuple[str, str, str], int] = {}
        for number, rate in enumerate(plan["rates"], 1):
            place = f"{where}.rates[{number}]"
            self._check_name(f"{place}.service", "services", rate["service"])
            self._check_name(f"{place}.zone", "destinations", rate["zone"], [ANY, *self._names["networks"]])
            self._check_name(f"{place}.band", "bands", rate["band"], [ANY])
            first = seen.setdefault((rate["service"], rate["zone"], rate["band"]), number)
            if first != number:
                self._faults.add(place, f"the same service, zone and band as rates[{first}]")
        sold = {rate["service"] for rate in plan["rates"]}
        for service in plan["free_units"]:
            if service not in sold:
                self._faults.add(f"{where}.free_units.{service}", f"no rate prices it; {one_of(sorted(sold))}")
        self._check_quotas(where, plan, sold)

    def _check_quotas(self, where: str, plan: Doc, sold: set[str]) -> None:
        seen: dict[str, int] = {}
        for number, quota in enumerate(plan.get("quotas", ()), 1):
            service = quota["service"]
            first = seen.setdefault(service, number)
            if service not in sold:
                self._faults.add(f"{where}.quotas[{number}].service", f"no rate prices it; {one_of(sorted(sold))}")
            elif first != number:
                self._faults.add(f"{where}.quotas[{number}]", f"the same service as quotas[{first}]")
            elif service in self._documents["services"]:
                whole = self._documents["services"][service] | quota
                if whole["quota_limit_units"] < whole["quota_units"]:
                    units = f"{whole['quota_limit_units']} is less than the quota_units, {whole['quota_units']}"
                    self._faults.add(f"{where}.quotas[{number}].quota_limit_units", units)

    def _check_networks(self) -> None:
        owners: dict[str, str] = {}
        for zone, network in self._documents["networks"].items():
            for code in network["codes"]:
                other = owners.setdefault(code, zone)
                if other != zone:
                    there = self._where("networks", other)
                    self._faults.add(f"{self._where('networks', zone)}.codes", f"{code!r} is in {there} too")

    def _check_prefixes(self) -> None:
        owners: dict[str, str] = {}
        for zone, destination in self._documents["destinations"].items():
            prefixes = destination["prefixes"]
            for prefix in sorted(owners.keys() & prefixes):
                # The row that a file names is the one to mend.
                here, there = zone, owners[prefix]
                if ("destinations", here) not in self._origins:
                    here, there = there, here
                place = f"{self._where('destinations', here)}.prefixes"
                self._faults.add(place, f"{prefix!r} is in {self._where('destinations', there)} too")
            owners.update(dict.fromkeys(prefixes, zone))
        if len(owners) > MAX_PREFIXES:
            self._faults.add("destinations", f"{len(owners)} prefixes together; expected up to {MAX_PREFIXES}")


def build_tables(documents: Documents, version: int, calendar: OperatorCalendar) -> Tables:
    """Tables of documents that passed the Checker."""
    services = {code: _service(doc) for code, doc in documents["services"].items()}
    prefixes: dict[str, str] = {}
    for zone, doc in documents["destinations"].items():
        prefixes.update(dict.fromkeys(doc["prefixes"], zone))
    return Tables(
        version=version,
        calendar=calendar,
        services=services,
        plans={code: _plan(doc, services) for code, doc in documents["price_plans"].items()},
        bands=tuple(band for doc in documents["bands"].values() for band in _bands(doc)),
        prefixes=prefixes,
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
    return Service(doc["_id"], Unit(doc["unit"]), doc["name"], build_quota(doc))


def _plan(doc: Doc, services: Mapping[str, Service]) -> Plan:
    rates: dict[str, dict[tuple[str, str], Rate]] = {}
    for row in doc["rates"]:
        rate = Rate(
            row["service"],
            row["zone"],
            row["band"],
            row["price_micros"],
            row["block_units"],
            row["setup_micros"],
            row["minimum_micros"],
        )
        rates.setdefault(rate.service, {})[rate.zone, rate.band] = rate
    quotas = {quota["service"]: quota for quota in doc.get("quotas", ())}
    priced = {
        code: PlanService(
            services[code],
            by_place,
            {place: rate.key for place, rate in by_place.items()},
            doc["free_units"].get(code, 0),
            build_quota(quotas[code], services[code].quota) if code in quotas else services[code].quota,
        )
        for code, by_place in rates.items()
    }
    return Plan(
        code=doc["_id"],
        name=doc["name"],
        type=doc["type"],
        currency=doc["currency"],
        services=priced,
        monthly_fee_micros=doc["monthly_fee_micros"],
        credit_limit_micros=doc["credit_limit_micros"],
        tax=doc["tax"],
        low_balance_micros=doc.get("low_balance_micros", 0),
    )


def _bands(doc: Doc) -> list[Band]:
    """A band that ends past midnight is two: its evening, and the morning after each of its weekdays."""
    code, start, end = doc["_id"], doc["from_quarter"], doc["until_quarter"]
    days = frozenset(doc["weekdays"])
    if start < end:
        return [Band(code, days, start, end)]
    evening = Band(code, days, start, QUARTERS_A_DAY)
    return [evening, Band(code, frozenset((day + 1) % 7 for day in days), 0, end)] if end else [evening]


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
