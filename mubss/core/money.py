"""Money as integers: millionths of the currency's main unit, and the one function that rounds.

Amounts are `_micros` everywhere; text forms exist only at the edges (files, terminals, invoices).
"""

from __future__ import annotations

import re
from enum import Enum

from mubss.core.errors import InputError

MICROS_PER_UNIT = 1_000_000
MAX_MICROS = 10**15  # a milliard of the main unit: no amount or balance may leave ±this
_AMOUNT = re.compile(r"([+-]?)(\d+)(?:\.(\d+))?", re.ASCII)


class Rounding(Enum):
    """Which way a quotient that isn't whole goes."""

    DOWN = "down"  # towards minus infinity
    UP = "up"  # towards plus infinity
    HALF_UP = "half_up"  # nearest, a half away from zero
    HALF_EVEN = "half_even"  # nearest, a half to the even neighbour


def divide(numerator: int, denominator: int, rounding: Rounding) -> int:
    """The quotient as an integer; the only place in the system where an amount is rounded."""
    if denominator <= 0:
        raise InputError(f"denominator: {denominator}; expected a positive integer")
    if rounding is Rounding.DOWN:
        return numerator // denominator
    if rounding is Rounding.UP:
        return -(-numerator // denominator)
    quotient, remainder = divmod(abs(numerator), denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and (rounding is Rounding.HALF_UP or quotient & 1)):
        quotient += 1
    return quotient if numerator >= 0 else -quotient


def parse_amount(text: str, field: str = "amount", decimals: int = 6) -> int:
    """'10', '-0.5' or '10.000001' as micros: up to MAX_MICROS either way, at most `decimals` (0 to 6) decimals."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is not None:
        sign, units, fraction = match.group(1), match.group(2).lstrip("0"), (match.group(3) or "").rstrip("0")
        if len(fraction) <= decimals and len(units) <= 12:
            micros = int(units or "0") * MICROS_PER_UNIT + int(fraction.ljust(6, "0"))
            if micros <= MAX_MICROS:
                return -micros if sign == "-" else micros
    example = "10 or 10.50" if decimals > 1 else "10 or 10.5" if decimals else "10"
    places = f"at most {decimals} decimals" if decimals else "without decimals"
    most = f"up to {format_amount(MAX_MICROS, 0)}"
    raise InputError(f"{field}: {text[:40]!r}; expected an amount like {example}, {places}, {most}")


def format_amount(micros: int, decimals: int = 2) -> str:
    """'10.00' from 10_000_000: at least `decimals` places, more where the amount has them; exact."""
    units, fraction = divmod(abs(micros), MICROS_PER_UNIT)
    digits = f"{fraction:06d}".rstrip("0").ljust(decimals, "0")
    sign = "-" if micros < 0 else ""
    return f"{sign}{units}.{digits}" if digits else f"{sign}{units}"
