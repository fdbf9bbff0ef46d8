"""Amounts, numbers, units and dates as a language writes them, by Babel's data.

Babel's own functions take 30 to 60 µs for an amount, and a bill may have thousands: what they do with one is learnt
once for each language and currency, and done here with integers; a test compares the two. Digits are Latin ones in
every language, as on keypads and in account numbers.
"""

from __future__ import annotations

from copy import copy
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_interval, format_skeleton
from babel.numbers import get_currency_symbol
from babel.units import format_unit

from mubss.core.money import Rounding, divide

FALLBACK = "en"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STEPS = (
    (10**12, "digital-terabyte"),
    (10**9, "digital-gigabyte"),
    (10**6, "digital-megabyte"),
    (10**3, "digital-kilobyte"),
)


class Signs(NamedTuple):
    """What a language puts around digits, and between them."""

    point: str
    group: str
    sizes: tuple[int, int]  # of the last group of digits, and of those before it
    minus: str


class Money(NamedTuple):
    """How amounts of a currency are written: what stands before and behind the digits, of negative ones too."""

    before: str
    after: str
    negative_before: str
    negative_after: str


class Language:
    """One language's way of writing."""

    def __init__(self, locale: Locale) -> None:
        self.locale = locale
        self.tag = str(locale).replace("_", "-")
        self.is_rtl = locale.character_order == "right-to-left"
        symbols: Any = locale.number_symbols.get("latn") or locale.number_symbols
        pattern: Any = locale.decimal_formats[None]
        self.signs = Signs(symbols["decimal"], symbols["group"], tuple(pattern.grouping), symbols["minusSign"])
        self._days: dict[date, str] = {}

    def number(self, value: int, decimals: int = 0) -> str:
        """An integer whose last `decimals` digits stand behind the point."""
        text = digits(value, decimals, self.signs)
        return f"{self.signs.minus}{text}" if value < 0 else text

    def money(self, value: int, currency: str, decimals: int) -> str:
        """An amount in 10**-decimals of the currency."""
        way = _money(self.locale, currency)
        text = digits(value, decimals, self.signs)
        if value < 0:
            return f"{way.negative_before}{text}{way.negative_after}"
        return f"{way.before}{text}{way.after}"

    def percent(self, ppm: int) -> str:
        """A rate in millionths: "20 %", "7.7 %"."""
        decimals = 4
        while decimals and ppm % 10 == 0:
            ppm, decimals = ppm // 10, decimals - 1
        pattern: Any = self.locale.percent_formats[None]
        return f"{pattern.prefix[0]}{self.number(ppm, decimals)}{pattern.suffix[0]}"

    def octets(self, value: int) -> str:
        """A volume: "1.25 GB", decimal as tariffs are."""
        size, unit = next((step for step in _STEPS if abs(value) >= step[0]), _STEPS[-1])
        hundredths = divide(value * 100, size, Rounding.HALF_UP)
        return _unit(self.locale, unit).format(self.number(hundredths, 2))

    def seconds(self, value: int) -> str:
        """A duration: "3:05 min"."""
        sign = self.signs.minus if value < 0 else ""
        minutes, rest = divmod(abs(value), 60)
        return _unit(self.locale, "duration-minute").format(f"{sign}{self.number(minutes)}:{rest:02}")

    def units(self, value: int, unit: str) -> str:
        """Units of a service, counted in "octets", "seconds" or else."""
        if unit == "octets":
            return self.octets(value)
        return self.seconds(value) if unit == "seconds" else self.number(value)

    def day(self, day: date) -> str:
        """A day in short: "3 Nov 2026"."""
        found = self._days.get(day)
        if found is None:
            if len(self._days) > 4000:
                self._days.clear()
            found = self._days[day] = format_skeleton("yMMMd", day, locale=self.locale)
        return found

    def long_day(self, day: date) -> str:
        """A day in full: "3 November 2026"."""
        return format_date(day, "long", locale=self.locale)

    def between(self, first: date, last: date) -> str:
        """From a day to another: "4 Oct – 3 Nov 2026"."""
        return str(format_interval(first, last, "yMMMd", locale=self.locale))

    def month_day(self, day: date) -> str:
        """A day of a year that everybody knows: "3 Nov"."""
        return format_skeleton("MMMd", day, locale=self.locale)

    def at(self, time_s: int, zone: tzinfo) -> tuple[str, str]:
        """A time by the operator's clock: its day, and "14:05:00"."""
        local = (_EPOCH + timedelta(seconds=time_s)).astimezone(zone)
        return self.day(local.date()), f"{local.hour:02}:{local.minute:02}:{local.second:02}"


def digits(value: int, decimals: int, signs: Signs) -> str:
    """The digits of an integer without its sign, grouped, with the point before the last `decimals`."""
    text = str(abs(value)).rjust(decimals + 1, "0")
    whole, fraction = (text[:-decimals], text[-decimals:]) if decimals else (text, "")
    last, other = signs.sizes
    if len(whole) > last > 0:
        groups = [whole[-last:]]
        rest = whole[:-last]
        while rest:
            groups.append(rest[-other:])
            rest = rest[:-other]
        whole = signs.group.join(reversed(groups))
    return f"{whole}{signs.point}{fraction}" if fraction else whole


@lru_cache(maxsize=1000)
def _money(locale: Locale, currency: str) -> Money:
    """What Babel puts around the digits of an amount.

    A sign like JP¥ falls apart among letters that are written from right to left: there it is the currency's code.
    """
    sign = get_currency_symbol(currency, locale)
    is_torn = locale.character_order == "right-to-left" and any(one.isascii() and one.isalpha() for one in sign)
    pattern: Any = copy(locale.currency_formats["standard"])
    pattern.frac_prec = (0, 0)
    found = []
    for value in (Decimal(1), Decimal(-1)):
        before, _, after = pattern.apply(value, locale, currency=currency, currency_digits=False).partition("1")
        found += [part.replace(sign, currency) for part in (before, after)] if is_torn else [before, after]
    return Money(*found)


@lru_cache(maxsize=1000)
def _unit(locale: Locale, unit: str) -> str:
    """A unit's pattern, with {} where the number stands."""
    return format_unit("\0", unit, length="short", locale=locale).replace("\0", "{}")


@lru_cache(maxsize=200)
def language(tag: str) -> Language:
    """The language of a tag like "de" or "pt-BR"; without the region, else English, where Babel has none of it."""
    for name in (tag, tag.partition("-")[0], FALLBACK):
        try:
            return Language(Locale.parse(name, sep="-"))
        except (UnknownLocaleError, ValueError):
            continue
    raise AssertionError("Babel has no English")
