"""Reference data as immutable tables: what the rater and the ledger price with.

Built by mubss.refdata from the `ref_*` collections; never changed afterwards, only replaced whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from mubss.core.calendar import LocalQuarter, OperatorCalendar
from mubss.core.rates import Rate

ANY = "any"  # the zone and the band that stand for all others
HOLIDAY = 7  # the weekday of days that are holidays
MAX_QUARTERS_SEEN = 40_000


class Unit(StrEnum):
    """What a service is counted in."""

    OCTETS = "octets"
    SECONDS = "seconds"
    EVENTS = "events"


class FinalAction(StrEnum):
    """What a client does when its last grant is used up: Final-Unit-Action (RFC 8506 §8.35)."""

    TERMINATE = "terminate"
    REDIRECT = "redirect"
    RESTRICT = "restrict"


class Final(NamedTuple):
    """The final action and what goes with it: where to redirect to, or what stays allowed (RFC 8506 §5.6)."""

    action: FinalAction = FinalAction.TERMINATE
    redirect_address: str = ""  # a URL, a SIP URI, an IPv4 or IPv6 address
    filter_rules: tuple[str, ...] = ()  # IPFilterRules
    filter_ids: tuple[str, ...] = ()  # names of filters that the client has

    @property
    def key(self) -> str:
        """All of it as one text, a line each, as stored outcomes keep it."""
        lines = [str(self.action), *(f"to {address}" for address in [self.redirect_address] if address)]
        lines += [f"rule {rule}" for rule in self.filter_rules]
        return "\n".join(lines + [f"id {name}" for name in self.filter_ids])


@lru_cache(maxsize=1000)
def parse_final(key: str) -> Final:
    """The final action that a key stands for."""
    action, *lines = key.split("\n")
    named: dict[str, list[str]] = {"to": [], "rule": [], "id": []}
    for line in lines:
        kind, _, text = line.partition(" ")
        named[kind].append(text)
    return Final(FinalAction(action), "".join(named["to"]), tuple(named["rule"]), tuple(named["id"]))


TERMINATE = Final().key


@dataclass(frozen=True, slots=True)
class Quota:
    """The quota policy of a service, or of a service within a plan."""

    units: int  # granted where the client asks for none, or absurdly much
    limit_units: int  # the most a request can get
    validity_s: int  # Validity-Time of a grant, and half the supervision time of its session
    threshold_percent: int = 0  # of a grant, left when the client asks again; 0: the peer's profile decides
    holding_time_s: int = 0  # idle time after which a client gives a grant back; 0: the peer's profile decides
    final: str = TERMINATE  # Final.key
    pool: int | None = None  # G-S-U-Pool-Identifier: grants of one pool in a session are one credit


@dataclass(frozen=True, slots=True)
class Service:
    """A chargeable service and its quota policy."""

    code: str
    unit: Unit
    name: str
    quota: Quota
    tax: str = ""  # where it isn't the plan's


class Step(NamedTuple):
    """The rate that prices a service's units of a month after so many that weren't free."""

    after_units: int
    rate: str


@dataclass(frozen=True, slots=True)
class PlanService:
    """How one version of a plan prices one service: its rates by (zone, band), and the units free each month."""

    service: Service
    rates: Mapping[tuple[str, str], Rate]
    rate_keys: Mapping[tuple[str, str], str]
    free_units: int
    quota: Quota  # the plan's own, or the service's
    rollover_units: int = 0  # of unused free units that the next month has, too, at most
    member_limit: int = 0  # of free units and bundles a month, for each of several subscribers of an account; 0: none
    steps: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)  # by the rate that a month begins with
    tax: str = ""
    until_s: int = 0  # UTC seconds: from then on `later` prices; 0: for ever
    later: PlanService | None = None  # None: the plan doesn't sell the service any more

    def rate_key(self, zone: str, band: str) -> str | None:
        """The key of the rate for a zone and band, None: not sold there.

        The more specific zone counts first: "europe@abroad" (a call to Europe from abroad), "@abroad" (any call from
        there), "europe", "any"; and in each the band before "any".
        """
        keys = self.rate_keys
        found = keys.get((zone, band)) or keys.get((zone, ANY))
        if found is None and "@" in zone:
            called, _, network = zone.partition("@")
            abroad = f"@{network}"
            found = (
                keys.get((abroad, band))
                or keys.get((abroad, ANY))
                or keys.get((called, band))
                or keys.get((called, ANY))
            )
        return found or keys.get((ANY, band)) or keys.get((ANY, ANY))

    def at(self, time_s: int) -> PlanService | None:
        """The version that is in force at a time, which isn't before this one's."""
        found: PlanService | None = self
        while found is not None and found.until_s and time_s >= found.until_s:
            found = found.later
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    """A price plan."""

    code: str
    name: str
    type: str  # prepaid | postpaid
    currency: str  # ISO 4217 letters
    services: Mapping[str, PlanService]
    monthly_fee_micros: int = 0
    credit_limit_micros: int = 0  # for accounts opened with it
    tax: str = ""
    low_balance_micros: int = 0  # below it an answer that tells the balance says that it is low
    valid_from_s: int = 0  # UTC seconds
    fee_timing: str = "arrears"  # or "advance": when the monthly fee is charged
    activation_fee_micros: int = 0  # once, on the first bill
    minimum_bill_micros: int = 0  # the least that a period's fees, usage and bundles come to
    bill_discounts: tuple[str, ...] = ()  # codes


@dataclass(frozen=True, slots=True)
class Bundle:
    """Units of some services that are bought together."""

    code: str
    name: str
    currency: str
    price_micros: int
    services: tuple[str, ...]
    zones: tuple[str, ...]  # where they count; () everywhere
    units: int
    validity_s: int  # 0: to the end of the month
    priority: int  # the lower is drawn from first
    renews: bool = False  # is bought again when its time is over


@dataclass(frozen=True, slots=True)
class Currency:
    """ISO 4217: letters, number, and the decimals that invoices round to."""

    code: str
    numeric: int
    decimals: int


@dataclass(frozen=True, slots=True)
class BillCycle:
    """A bill cycle, named by its closing day (1 to 28): cycle 3 closes at the end of the 3rd."""

    number: int
    closing_day: int
    name: str


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax as parts per million of the net amount."""

    code: str
    name: str
    rate_ppm: int


@dataclass(frozen=True, slots=True)
class BillDiscount:
    """What is taken off a bill's fees, its usage or both."""

    code: str
    name: str
    on: tuple[str, ...]  # "fees", "usage"
    rate_ppm: int


REMIND, WARN, SUSPEND = "remind", "warn", "suspend"
ACTIONS = (REMIND, WARN, SUSPEND)


@dataclass(frozen=True, slots=True)
class DunningStep:
    """What happens so many days after a bill was due: a message, and for SUSPEND the account's suspension."""

    step: int
    name: str
    days: int
    action: str
    fee_micros: int = 0  # for bills in its currency
    currency: str = ""


@dataclass(frozen=True, slots=True)
class Band:
    """A time band: weekdays (Monday 0, HOLIDAY 7) and quarters of the day [from_quarter, until_quarter)."""

    code: str
    weekdays: frozenset[int]
    from_quarter: int
    until_quarter: int
    is_morning_after: bool = False  # the weekdays are those of the evening before

    def holds(self, at: LocalQuarter, holidays: frozenset[str] = frozenset()) -> bool:
        """Whether a local quarter of an hour lies in the band."""
        if not self.from_quarter <= at.quarter < self.until_quarter:
            return False
        if not holidays:
            return (at.weekday - self.is_morning_after) % 7 in self.weekdays
        day = date.fromisoformat(at.day) - timedelta(days=self.is_morning_after)
        text = day.isoformat()
        weekday = HOLIDAY if text in holidays or text[5:] in holidays else day.weekday()
        return weekday in self.weekdays


class ServiceRule(NamedTuple):
    """One row of `ref_service_map`: which requests are which service.

    A request matches if its Service-Context-Id ends with `context` (before the @), and its Rating-Group and
    Service-Identifier lie in the ranges, None meaning "any, or none at all".
    """

    context: str  # "32251"
    rating_groups: tuple[int, int] | None
    service_identifiers: tuple[int, int] | None
    absent_rating_group: bool  # also matches a request without a Rating-Group
    service: str


@dataclass(frozen=True, slots=True)
class Tables:
    """One version of all reference data."""

    version: int
    calendar: OperatorCalendar
    services: Mapping[str, Service]
    plans: Mapping[str, Plan]
    bands: tuple[Band, ...] = ()
    holidays: frozenset[str] = frozenset()  # "2026-12-25", or each year's "12-25"; empty where no band names them
    prefixes: Mapping[str, str] = field(default_factory=dict)  # E.164 prefix → zone
    numbers: Mapping[str, str] = field(default_factory=dict)  # a whole number as it is dialled → zone
    blocked: frozenset[str] = frozenset()  # zones that nobody may call
    versions: Mapping[str, tuple[Plan, ...]] = field(default_factory=dict)  # of plans with more than one, in order
    bundles: Mapping[str, Bundle] = field(default_factory=dict)
    longest_prefix: int = 0
    networks: Mapping[str, str] = field(default_factory=dict)  # MCC, or MCC and MNC, of a visited network → zone
    service_rules: tuple[ServiceRule, ...] = ()
    currencies: Mapping[str, Currency] = field(default_factory=dict)
    bill_cycles: Mapping[int, BillCycle] = field(default_factory=dict)
    taxes: Mapping[str, Tax] = field(default_factory=dict)
    bill_discounts: Mapping[str, BillDiscount] = field(default_factory=dict)
    dunning: tuple[DunningStep, ...] = ()  # in their order
    changes: dict[tuple[str, str, str, int], int] = field(default_factory=dict, compare=False)  # rater.next_change's
    _bands_seen: dict[LocalQuarter, str] = field(default_factory=dict, compare=False)
    _services_seen: dict[tuple[str, int | None, int | None], str | None] = field(default_factory=dict, compare=False)

    def zone(self, number: str) -> str:
        """The zone of a number (digits only): its own, or that of its longest known prefix; ANY where none fits."""
        if number in self.numbers:
            return self.numbers[number]
        prefixes = self.prefixes
        for length in range(min(len(number), self.longest_prefix), 0, -1):
            zone = prefixes.get(number[:length])
            if zone is not None:
                return zone
        return ANY

    def zone_from(self, zone: str, network_zone: str) -> str:
        """A called zone as it is priced from a visited network: "europe@abroad"; a blocked one stays what it is."""
        return zone if network_zone == ANY or zone in self.blocked else f"{zone}@{network_zone}"

    def usage_zone(self, called: str, network: str) -> str:
        """The zone that prices usage: of the party called, or where nobody is called, of the serving network.

        "europe@abroad" is a call to Europe from a network of the zone "abroad".
        """
        there = self.network_zone(network) if network else ANY
        return self.zone_from(self.zone(called), there) if called else there

    def network_zone(self, mcc_mnc: str) -> str:
        """The zone of a visited network by its MCC and MNC ("26201"), else by its MCC; ANY where none is named."""
        return self.networks.get(mcc_mnc) or self.networks.get(mcc_mnc[:3]) or ANY

    def band(self, at: LocalQuarter) -> str:
        """The first band that holds a local quarter of an hour; ANY where none does."""
        if not self.holidays:
            for band in self.bands:
                if band.holds(at):
                    return band.code
            return ANY
        found = self._bands_seen.get(at)
        if found is None:
            found = next((band.code for band in self.bands if band.holds(at, self.holidays)), ANY)
            if len(self._bands_seen) < MAX_QUARTERS_SEEN:
                self._bands_seen[at] = found
        return found

    def plan_at(self, code: str, time_s: int) -> Plan | None:
        """The version of a plan that is in force at a time (UTC seconds); None for one that isn't sold then."""
        versions = self.versions.get(code)
        if versions is None:
            plan = self.plans.get(code)
            return plan if plan is not None and plan.valid_from_s <= time_s else None
        return next((plan for plan in reversed(versions) if plan.valid_from_s <= time_s), None)

    def service_of(self, context: str, rating_group: int | None, service_identifier: int | None) -> str | None:
        """The service code of a request by its context (without what follows the @); None: nobody sells that."""
        wanted = (context, rating_group, service_identifier)
        seen = self._services_seen
        if wanted in seen:
            return seen[wanted]
        found = next((rule.service for rule in self.service_rules if _matches(rule, *wanted)), None)
        if len(seen) < 10_000 and len(context) <= 64:  # what a peer sends must not grow it for ever
            seen[wanted] = found
        return found


def _matches(rule: ServiceRule, context: str, rating_group: int | None, service_identifier: int | None) -> bool:
    if context != rule.context and not context.endswith("." + rule.context):
        return False
    if rating_group is None:
        if not rule.absent_rating_group:
            return False
    elif rule.rating_groups is not None and not rule.rating_groups[0] <= rating_group <= rule.rating_groups[1]:
        return False
    if rule.service_identifiers is None:
        return True
    low, high = rule.service_identifiers
    return service_identifier is not None and low <= service_identifier <= high
