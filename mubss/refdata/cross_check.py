"""Whether documents are right about each other: names that must be there, what must be the same or unique."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from mubss.core.tariff import ANY
from mubss.refdata.check import Faults, one_of
from mubss.refdata.plan_build import plan_code
from mubss.refdata.rows import MAX_PREFIXES
from mubss.storage.database import Doc
from mubss.storage.refdata import Documents


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
        for code, service in self._documents["services"].items():
            self._check_name(f"{self._where('services', code)}.tax", "taxes", service.get("tax", ""))
        for code, plan in self._documents["price_plans"].items():
            self._check_plan(self._where("price_plans", code), plan)
        self._check_versions()
        self._check_dunning()
        for code, bundle in self._documents["bundles"].items():
            self._check_bundle(self._where("bundles", code), bundle)
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
        for number, code in enumerate(plan.get("bill_discounts", ()), 1):
            self._check_name(f"{where}.bill_discounts[{number}]", "bill_discounts", code)
        zones = [ANY, *self._names["networks"]]
        seen: dict[tuple[str, ...], int] = {}
        for number, rate in enumerate(plan["rates"], 1):
            place = f"{where}.rates[{number}]"
            self._check_name(f"{place}.service", "services", rate["service"])
            self._check_name(f"{place}.zone", "destinations", rate["zone"], zones)
            self._check_name(f"{place}.band", "bands", rate["band"], [ANY])
            self._check_name(f"{place}.network", "networks", rate.get("network", ""))
            first = seen.setdefault((rate["service"], rate["zone"], rate.get("network", ""), rate["band"]), number)
            if first != number:
                self._faults.add(place, f"the same service, zone, network and band as rates[{first}]")
        sold = {rate["service"] for rate in plan["rates"]}
        for service in plan["free_units"]:
            if service not in sold:
                self._faults.add(f"{where}.free_units.{service}", f"no rate prices it; {one_of(sorted(sold))}")
        for service in plan.get("rollover_units", ()):
            if service not in plan["free_units"]:
                self._faults.add(f"{where}.rollover_units.{service}", f"none is free; {one_of(plan['free_units'])}")
        for service in plan.get("member_limits", ()):
            if service not in sold:
                self._faults.add(f"{where}.member_limits.{service}", f"no rate prices it; {one_of(sorted(sold))}")
        for number, discount in enumerate(plan.get("discounts", ()), 1):
            if discount["service"] not in sold:
                place = f"{where}.discounts[{number}].service"
                self._faults.add(place, f"no rate prices it; {one_of(sorted(sold))}")
            self._check_name(f"{where}.discounts[{number}].zone", "destinations", discount["zone"], zones)
        self._check_quotas(where, plan, sold)

    def _check_versions(self) -> None:
        """A plan's type and currency are its accounts', so they are the same in all of its versions."""
        first: dict[str, str] = {}
        plans = self._documents["price_plans"]
        for key, plan in plans.items():
            other = plans[first.setdefault(plan_code(key), key)]
            for name in ("type", "currency"):
                if plan[name] != other[name]:
                    text = f"{plan[name]}; it is {other[name]} in {self._where('price_plans', other['_id'])}"
                    self._faults.add(f"{self._where('price_plans', key)}.{name}", text)

    def _check_dunning(self) -> None:
        """Each step comes later than the one before."""
        before = ("", 0)
        for key, step in sorted(self._documents["dunning"].items(), key=lambda item: int(item[0])):
            where = self._where("dunning", key)
            self._check_name(f"{where}.currency", "currencies", step.get("currency", ""))
            if step["days"] <= before[1]:
                self._faults.add(
                    f"{where}.days", f"{step['days']}; expected more than the {before[1]} of step {before[0]}"
                )
            before = (key, step["days"])

    def _check_bundle(self, where: str, bundle: Doc) -> None:
        self._check_name(f"{where}.currency", "currencies", bundle["currency"])
        units: set[str] = set()
        for number, service in enumerate(bundle["services"], 1):
            self._check_name(f"{where}.services[{number}]", "services", service)
            if service in self._documents["services"]:
                units.add(self._documents["services"][service]["unit"])
        if len(units) > 1:
            self._faults.add(f"{where}.services", f"counted in {' and '.join(sorted(units))}; expected one unit")
        for number, zone in enumerate(bundle["zones"], 1):
            self._check_name(f"{where}.zones[{number}]", "destinations", zone, [ANY, *self._names["networks"]])

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
        for field in ("prefixes", "numbers"):
            owners: dict[str, str] = {}
            for zone, destination in self._documents["destinations"].items():
                texts = destination.get(field, [])
                for text in sorted(owners.keys() & texts):
                    # The row that a file names is the one to mend.
                    here, there = zone, owners[text]
                    if ("destinations", here) not in self._origins:
                        here, there = there, here
                    place = f"{self._where('destinations', here)}.{field}"
                    self._faults.add(place, f"{text!r} is in {self._where('destinations', there)} too")
                owners.update(dict.fromkeys(texts, zone))
            if len(owners) > MAX_PREFIXES:
                self._faults.add("destinations", f"{len(owners)} {field} together; expected up to {MAX_PREFIXES}")
