"""What costs nothing: a service's free units of the month, with those left over from the months before, and bundles.

Drawn in this order, raw, as usage is reported: the month's free units, then bundles by their priority and their end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, NotRequired, TypedDict

from mubss.core.calendar import OperatorCalendar
from mubss.core.tariff import PlanService

KEPT_MONTHS = 3  # of counters: this one and those that late usage may still fall into


class Bucket(TypedDict):
    """Units of a bundle that an account has. What was sold outlives the tables it was sold by."""

    id: str  # the bundle's code, and the sequence of the posting that brought it: "DAY1GB:17"
    services: list[str]
    zones: list[str]  # where they count; [] everywhere
    units: int
    left: int
    from_s: int
    until_s: int
    priority: int
    renews: NotRequired[bool]  # its bundle is bought again when its time is over


class Allowance(NamedTuple):
    """What an account may draw on for one service; `draw` says what is drawn meanwhile."""

    free_used: Mapping[str, int] = {}  # units by month
    paid_used: Mapping[str, int] = {}  # units by month that weren't free, of services whose price depends on them
    buckets: Sequence[Bucket] = ()  # in the order they are drawn from
    since_s: int = 0  # when the account was opened
    member_used: Mapping[str, int] | None = None  # units by month that its subscriber drew; None: it is the only one

    def after(self, usage: Usage) -> Allowance:
        """What is left for more usage behind some."""
        return Allowance(
            sums(self.free_used, usage.free_units),
            sums(self.paid_used, usage.paid_units),
            [{**bucket, "left": bucket["left"] - usage.bundle_units.get(bucket["id"], 0)} for bucket in self.buckets],
            self.since_s,
            None if self.member_used is None else sums(self.member_used, usage.member_units),
        )


def sums(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Both together, key by key."""
    return {key: one.get(key, 0) + other.get(key, 0) for key in {**one, **other}}


class Usage(NamedTuple):
    """Usage priced: the meter's rates after it, what it costs on top of them, and what it drew."""

    rates: dict[str, int]
    charge_micros: int
    free_units: dict[str, int]  # by month
    unpriced_units: int
    bundle_units: dict[str, int]  # by bucket
    paid_units: dict[str, int]  # by month, of services whose price depends on them
    member_units: Mapping[str, int] = {}  # by month, free and of bundles, where several subscribers share them


class Draws:
    """What usage drew of an allowance so far."""

    __slots__ = ("_allowance", "_calendar", "bundles", "free", "member", "paid")

    def __init__(self, allowance: Allowance, calendar: OperatorCalendar) -> None:
        self._allowance = allowance
        self._calendar = calendar
        self.free: dict[str, int] = {}  # units by month
        self.paid: dict[str, int] = {}  # the same
        self.bundles: dict[str, int] = {}  # units by bucket
        self.member: dict[str, int] = {}  # both by month, where several subscribers share them

    def draw(self, plan: PlanService, month: str, units: int, zone: str, at_s: int) -> int:
        """Draws of what there is for units at a time and in a zone; returns how many are left to pay."""
        used = self._allowance.member_used
        if used is None:
            return self._draw(plan, month, units, zone, at_s)
        drawn = self.member.get(month, 0)
        within = min(units, max(0, plan.member_limit - used.get(month, 0) - drawn)) if plan.member_limit else units
        left = self._draw(plan, month, within, zone, at_s)
        if left < within:
            self.member[month] = drawn + within - left
        return units - within + left

    def _draw(self, plan: PlanService, month: str, units: int, zone: str, at_s: int) -> int:
        allowance = self._allowance
        free = plan.free_units
        if free:
            if plan.rollover_units:
                used = sums(allowance.free_used, self.free) if self.free else allowance.free_used
                free += rolled_units(plan, month, used, self._calendar.at(allowance.since_s).month)
            drawn = min(units, free - allowance.free_used.get(month, 0) - self.free.get(month, 0))
            if drawn > 0:
                self.free[month] = self.free.get(month, 0) + drawn
                units -= drawn
        for bucket in allowance.buckets:
            if not units:
                break
            if is_drawable(bucket, zone, at_s):
                drawn = min(units, bucket["left"] - self.bundles.get(bucket["id"], 0))
                if drawn > 0:
                    self.bundles[bucket["id"]] = self.bundles.get(bucket["id"], 0) + drawn
                    units -= drawn
        return units

    def climb(self, plan: PlanService, month: str, rate: str, units: int) -> Iterable[tuple[str, int]]:
        """Units to pay, as (rate, units): where a price depends on the month's units, by its steps."""
        if not plan.steps:
            return ((rate, units),)
        before = self._allowance.paid_used.get(month, 0) + self.paid.get(month, 0)
        self.paid[month] = self.paid.get(month, 0) + units
        steps = plan.steps.get(rate)
        if steps is None:
            return ((rate, units),)
        found = []
        ends = [step.after_units for step in steps[1:]]
        for step, end in zip(steps, [*ends, before + units], strict=True):
            inside = min(end, before + units) - max(step.after_units, before)
            if inside > 0:
                found.append((step.rate, inside))
        return found


def is_drawable(bucket: Bucket, zone: str, at_s: int) -> bool:
    """Whether a bucket's units count for usage in a zone ("europe", or "europe@abroad") at a time."""
    if not bucket["from_s"] <= at_s < bucket["until_s"]:
        return False
    zones = bucket["zones"]
    return not zones or zone in zones or zone.partition("@")[0] in zones


Sources = Sequence[tuple[str, int]]  # what there is: the service for its free units or a bucket, and units left


Cap = tuple[str, int]  # what a subscriber of several may still draw: a name to note promises under, and units


def left(sources: Sources, promised: Mapping[str, int], cap: Cap | None = None) -> int:
    """Units that aren't promised to anybody yet."""
    units = sum(max(0, units - promised.get(source, 0)) for source, units in sources)
    return units if cap is None else max(0, min(units, cap[1] - promised.get(cap[0], 0)))


def promise(sources: Sources, promised: dict[str, int], wanted_units: int, cap: Cap | None = None) -> int:
    """Promises units, in the order in which they are drawn; returns how many there were."""
    if cap is not None:
        wanted_units = max(0, min(wanted_units, cap[1] - promised.get(cap[0], 0)))
    wanted = wanted_units
    for source, units in sources:
        given = min(wanted, units - promised.get(source, 0))
        if given > 0:
            promised[source] = promised.get(source, 0) + given
            wanted -= given
    if cap is not None:
        promised[cap[0]] = promised.get(cap[0], 0) + wanted_units - wanted
    return wanted_units - wanted


def edges(buckets: Iterable[Bucket]) -> list[int]:
    """When buckets begin and end: usage of time is cut there."""
    return sorted({at_s for bucket in buckets for at_s in (bucket["from_s"], bucket["until_s"])})


def rolled_units(plan: PlanService, month: str, used: Mapping[str, int], since_month: str) -> int:
    """Free units of the months before that a month has, too: what wasn't used of them, up to the plan's limit.

    Nothing comes from before the account was, nor from months whose counters are forgotten.
    """
    rolled = 0
    for earlier in _before(month):
        if earlier >= since_month:
            rolled = min(plan.rollover_units, max(0, plan.free_units + rolled - used.get(earlier, 0)))
    return rolled


def _before(month: str) -> list[str]:
    """The months before one whose counters are kept, in order."""
    number = int(month[:4]) * 12 + int(month[5:]) - 1
    return [f"{one // 12:04}-{one % 12 + 1:02}" for one in range(number - KEPT_MONTHS + 1, number)]


def in_order(buckets: Iterable[Bucket]) -> list[Bucket]:
    """Buckets as they are drawn from."""
    return sorted(buckets, key=lambda bucket: (bucket["priority"], bucket["until_s"], bucket["id"]))
