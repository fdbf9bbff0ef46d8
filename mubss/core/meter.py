"""What the charged units of a session cost together, and how many more a balance covers. Pure arithmetic on integers.

A session's charge for a service is a function of its cumulative charged units by rate (`rates`: rate key → units, in
order of first use), so it is the same in whatever steps the units were reported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mubss.core.rates import parse_rate

UNLIMITED = 1 << 62  # units: more than any request can ask for


def charge(rates: Mapping[str, int], *, worst: bool = False) -> int:
    """What these units (each above 0) cost together, in micros; setup, minimum and maximum are those of the first rate.

    `worst` is what must be reserved for them: where a tier prices all units of a session, fewer may cost more.
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
            total += rate.worst_micros(units) if worst else rate.cost_micros(units)
    if most and total > most:
        return most
    return max(least, total)


def covered_units(rates: Mapping[str, int], key: str, budget_micros: int, wanted_units: int = UNLIMITED) -> int:
    """The most units at rate `key` that, after `rates`, cost no more than `budget_micros` on top of them.

    With terms no more are looked for than those wanted.
    """
    used = rates.get(key, 0)
    limit_micros = charge(rates, worst=True) + budget_micros
    if budget_micros < 0 or charge({**rates, key: used + 1}, worst=True) > limit_micros:
        return 0
    rate, first = parse_rate(key), parse_rate(next(iter(rates), key))
    if rate.terms is not None or (first.terms is not None and first.terms.maximum_micros):
        return _search(rates, key, wanted_units, limit_micros)
    if rate.price_micros == 0:
        return UNLIMITED
    fixed_micros = first.setup_micros
    for other, units in rates.items():
        if other != key:
            fixed_micros += parse_rate(other).worst_micros(units)
    # What was spent on this rate's blocks may reach up to here; the units left in the last one are paid for.
    return (limit_micros - fixed_micros) // rate.price_micros * rate.block_units - used


def _search(rates: Mapping[str, int], key: str, wanted_units: int, limit_micros: int) -> int:
    """By halves: the worst charge never falls as units grow. Some 2 µs a step, and only where a balance ends."""
    used, low, high = rates.get(key, 0), 1, wanted_units
    while low < high:
        middle = (low + high + 1) // 2
        if charge({**rates, key: used + middle}, worst=True) <= limit_micros:
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


def cover(rate: str, wanted_units: int, rates: dict[str, int], free_left: int, budget_micros: int) -> Cover:
    """As many of the wanted units as the free units left and the budget cover; `rates` with all grants in them.

    Units that cost nothing (a price of 0, the rest of a started block) are covered whatever the balance.
    """
    free = max(0, min(wanted_units, free_left))
    paid = wanted_units - free
    if not paid:
        return Cover(free, free, 0, rates)
    before_micros = charge(rates, worst=True)
    after = {**rates, rate: rates.get(rate, 0) + paid}
    micros = charge(after, worst=True) - before_micros
    if micros > budget_micros and micros > 0:
        paid = covered_units(rates, rate, max(0, budget_micros), paid)
        if not paid:
            return Cover(free, free, 0, rates)
        after[rate] = rates.get(rate, 0) + paid
        micros = charge(after, worst=True) - before_micros
    return Cover(free + paid, free, micros, after)
