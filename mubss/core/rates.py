"""A rate: what units of one service cost in one zone and band. Pure arithmetic on integers.

A rate is written as text, its key, into open sessions and usage records: what was sold outlives the tables it was sold
by. Most rates are plain: a price for each started block. The others have Terms.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from mubss.core.errors import InputError

PPM = 1_000_000


class Tier(NamedTuple):
    """What a block costs after so many units of a session."""

    after_units: int
    price_micros: int


class Terms(NamedTuple):
    """What a rate may have beside its price; 0 and () are none."""

    first_units: int = 0  # the least that is counted; 0: as next_units
    next_units: int = 0  # what is counted in after that; 0: a block
    maximum_micros: int = 0  # a session's most charge for the service
    discount_ppm: int = 0  # off the price of units; setup fee, minimum and maximum stay
    tiers: tuple[Tier, ...] = ()  # by after_units; below the first the rate's own price counts
    by_volume: bool = False  # the tier that a session reaches prices all its units; else each tier prices its own


class Rate(NamedTuple):
    """What the units of one service cost in one zone and band; `key` is the rate itself as text."""

    service: str
    zone: str
    band: str
    price_micros: int  # per block: for each started one, unless the terms count smaller steps
    block_units: int
    setup_micros: int  # once per session and service, with its first charged unit
    minimum_micros: int  # a session's least charge for the service, once a unit is charged
    terms: Terms | None = None

    @property
    def key(self) -> str:
        """`VOICE/any/peak/90000/60/0/0`, and with terms `…/i60+1/x5000000/d50000/g6000=80000,12000=60000`."""
        plain = "/".join(map(str, self[:7]))
        return plain if self.terms is None else plain + "".join(_written(self.terms))

    def cost_micros(self, units: int) -> int:
        """What so many units of a session cost, without setup fee, minimum and maximum."""
        if self.terms is None:
            return -(-units // self.block_units) * self.price_micros
        return self._discounted(self._by_tiers(self._counted(units), self.terms))

    def worst_micros(self, units: int, used_units: int) -> int:
        """The most that any number of units from those used to so many may cost.

        Where a tier prices all units, fewer of them may cost more.
        """
        terms = self.terms
        if terms is None or not terms.by_volume:
            return self.cost_micros(units)
        low, high = self._counted(used_units), self._counted(units)
        ends = [tier.after_units for tier in terms.tiers if low < tier.after_units < high]
        ends += [low, high]
        return max(self._discounted(self._by_tiers(end, terms)) for end in ends)

    def _counted(self, units: int) -> int:
        """Units as they are counted: "60/1" counts 60 for 1 to 60, then each one."""
        if not units:
            return 0
        terms = self.terms or Terms()
        step = terms.next_units or self.block_units
        first = terms.first_units or step
        return first if units <= first else first - (first - units) // step * step

    def _by_tiers(self, counted: int, terms: Terms) -> int:
        """Micros times block_units, so that nothing is rounded yet."""
        if terms.by_volume:
            price = self.price_micros
            for tier in terms.tiers:
                if counted > tier.after_units:
                    price = tier.price_micros
            return counted * price
        total, price, since = 0, self.price_micros, 0
        for tier in terms.tiers:
            if counted <= tier.after_units:
                break
            total += (tier.after_units - since) * price
            since, price = tier
        return total + (counted - since) * price

    def _discounted(self, product: int) -> int:
        """The product as whole micros, rounded up once."""
        ppm = PPM - (self.terms or Terms()).discount_ppm
        return -(-product * ppm // (self.block_units * PPM))


def _written(terms: Terms) -> list[str]:
    parts = []
    if terms.first_units or terms.next_units:
        parts.append(f"/i{terms.first_units}+{terms.next_units}")
    if terms.maximum_micros:
        parts.append(f"/x{terms.maximum_micros}")
    if terms.discount_ppm:
        parts.append(f"/d{terms.discount_ppm}")
    if terms.tiers:
        tiers = ",".join(f"{tier.after_units}={tier.price_micros}" for tier in terms.tiers)
        parts.append(f"/{'v' if terms.by_volume else 'g'}{tiers}")
    return parts


@lru_cache(maxsize=10_000)
def parse_rate(key: str) -> Rate:
    """The rate that a key stands for; InputError for what is none."""
    service, zone, band, *numbers = parts = (key.split("/") + [""] * 7)[: max(7, key.count("/") + 1)]
    try:
        price, block, setup, minimum = map(int, numbers[:4])
        return Rate(service, zone, band, price, block, setup, minimum, _read(parts[7:]))
    except ValueError:
        raise InputError(f"rate: {key[:80]!r}; expected service/zone/band/price/block/setup/minimum[/terms]") from None


def _read(parts: list[str]) -> Terms | None:
    terms = Terms()
    for part in parts:
        mark, text = part[:1], part[1:]
        if mark == "i":
            first, following = map(int, text.split("+"))
            terms = terms._replace(first_units=first, next_units=following)
        elif mark == "x":
            terms = terms._replace(maximum_micros=int(text))
        elif mark == "d":
            terms = terms._replace(discount_ppm=int(text))
        elif mark in ("g", "v"):
            tiers = (tier.split("=") for tier in text.split(","))
            terms = terms._replace(tiers=tuple(Tier(int(after), int(price)) for after, price in tiers))
            terms = terms._replace(by_volume=mark == "v")
        else:
            raise ValueError(part)
    return terms if parts else None
