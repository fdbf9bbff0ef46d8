"""Fields that rows of several tables have: currencies and percentages."""

from __future__ import annotations

import re

from mubss.core.money import MICROS_PER_UNIT
from mubss.refdata.check import Row

MAX_PRICE_MICROS = 10**12  # a million: a price, setup fee, minimum or monthly fee
CURRENCY_FORM = "three capital letters of ISO 4217"

_CURRENCY = re.compile(r"[A-Z]{3}")


def currency_code(row: Row, key: str) -> str:
    """ISO 4217 letters; "" with a fault."""
    return row.form(key, _CURRENCY, CURRENCY_FORM)


def percent_ppm(row: Row, key: str) -> int:
    """A percentage of up to 4 decimals as parts per million."""
    ppm, rest = divmod(row.amount(key, 100 * MICROS_PER_UNIT), 100)
    if rest:
        row.fault(key, "more than 4 decimals; it is kept in parts per million")
    return ppm
