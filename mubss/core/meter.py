"""What the charged units of a session cost together, and how many more a balance covers. Pure arithmetic on integers.

A session's charge for a service is a function of its cumulative charged units by rate (`rates`: rate key → units, in
order of first use), so it is the same in whatever steps the units were reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from mubss.core.rates import parse_rate

UNLIMITED = 1 << 62  # units: more than any request can ask for


Pairs = Iterable[Iterable[Any]]  # (rate key, units), as meters keep them


def charge(rates: Mapping[str, int], used: Pairs | None = None) -> int:
    """What these units (each above 0) cost together, in micros; setup, minimum and maximum are those of the first rate.

    With `used`, those of them that were used: the most that the session can cost on the way from these to all, which is
    what must be there for them. Where a tier prices all units of a session, fewer may cost more.
    """
    total = least = most = 0
    first = True
    for key, units in rates.items():
        rate = parse_rate(key)
        if first:
            total, least, first = rate.setup_micros, rate.minimum_micros, False
            if rate.terms is not None:
                most = rate.terms.maximum_micros
        if rate.terms is None:
            total += -(-units // rate.block_units) * rate.price_micros
        else:
            total += rate.cost_micros(units) if used is None else rate.worst_micros(units, _units_of(used, key))
    if most and total > most:
        return most
    return max(least, total)


def _units_of(used: Pairs, key: str) -> int:
    return next((units for known, units in used if known == key), 0)


def covered_units(
    rates: Mapping[str, int], key: str, budget_micros: int, wanted_units: int = UNLIMITED, used: Pairs = ()
) -> int:
    """The most units at rate `key` that, after `rates`, cost no more than `budget_micros` on top of them.

    `rates` are the units used and those granted; with terms no more are looked for than those wanted.
    """
    held = rates.get(key, 0)
    limit_micros = charge(rates, used) + budget_micros
    if budget_micros < 0 or charge({**rates, key: held + 1}, used) > limit_micros:
        return 0
    rate, first = parse_rate(key), parse_rate(next(iter(rates), key))
    if rate.terms is not None or (first.terms is not None and first.terms.maximum_micros):
        return _search(rates, key, wanted_units, limit_micros, used)
    if rate.price_micros == 0:
        return UNLIMITED
    fixed_micros = first.setup_micros
    for other, units in rates.items():
        if other != key:
            fixed_micros += parse_rate(other).worst_micros(units, _units_of(used, other))
    # What was spent on this rate's blocks may reach up to here; the units left in the last one are paid for.
    return (limit_micros - fixed_micros) // rate.price_micros * rate.block_units - held


def _search(rates: Mapping[str, int], key: str, wanted_units: int, limit_micros: int, used: Pairs) -> int:
    """By halves: the worst charge never falls as units grow. Some 2 µs a step, and only where a balance ends."""
    held, low, high = rates.get(key, 0), 1, wanted_units
    while low < high:
        middle = (low + high + 1) // 2
        if charge({**rates, key: held + middle}, used) <= limit_micros:
            low = middle
        else:
            high = middle - 1
    return low


class Cover(NamedTuple):
    """A grant that a balance covers: `free_units` of `units` cost nothing; the rest costs `micros`."""

    units: int
    free_units: int
    micros: int
    rates: dict[str, int]  # with the units that cost


def cover(
    rate: str, wanted_units: int, rates: dict[str, int], free_left: int, budget_micros: int, used: Pairs = ()
) -> Cover:
    """As many of the wanted units as the free units left and the budget cover.

    `rates` are the session's units `used` and all its grants'.

    Units that cost nothing (a price of 0, the rest of a started block) are covered whatever the balance.
    """
    free = max(0, min(wanted_units, free_left))
    paid = wanted_units - free
    if not paid:
        return Cover(free, free, 0, rates)
    before_micros = charge(rates, used)
    after = {**rates, rate: rates.get(rate, 0) + paid}
    micros = charge(after, used) - before_micros
    if micros > budget_micros and micros > 0:
        paid = covered_units(rates, rate, max(0, budget_micros), paid, used)
        if not paid:
            return Cover(free, free, 0, rates)
        after[rate] = rates.get(rate, 0) + paid
        micros = charge(after, used) - before_micros
    return Cover(free + paid, free, micros, after)
