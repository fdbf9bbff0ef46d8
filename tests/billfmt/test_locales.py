"""Amounts and numbers as Babel writes them, and what a language does with units and days."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from babel.numbers import format_currency, format_decimal
from hypothesis import given
from hypothesis import strategies as st

from mubss.billfmt.locales import language
from mubss.core.money import MAX_MICROS

TAGS = ("en", "en-GB", "de", "de-AT", "fr", "es", "ar", "pt-BR", "hi")
CURRENCIES = (("EUR", 2), ("USD", 2), ("JPY", 0), ("KWD", 3), ("CHF", 2))


@given(st.sampled_from(TAGS), st.sampled_from(CURRENCIES), st.integers(-MAX_MICROS, MAX_MICROS))
def test_amounts_are_babels(tag: str, currency: tuple[str, int], value: int) -> None:
    way = language(tag)
    code, decimals = currency
    exact = Decimal(value).scaleb(-decimals)
    wanted = format_currency(exact, code, locale=way.locale)
    if way.is_rtl:  # signs like JP¥ and US$ fall apart there
        wanted = wanted.replace("JP¥", "JPY").replace("US$", "USD")
    assert way.money(value, code, decimals) == wanted


@given(st.sampled_from(TAGS), st.integers(-(10**15), 10**15))
def test_numbers_are_babels(tag: str, value: int) -> None:
    way = language(tag)
    assert way.number(value).replace("\u200e", "") == format_decimal(value, locale=way.locale).replace("\u200e", "")


@pytest.mark.parametrize(
    ("tag", "volume", "talk", "rate", "day", "between"),
    [
        ("en", "1.23 GB", "205:45 min", "7.7%", "Nov 3, 2026", "Oct 4 – Nov 3, 2026"),
        ("de", "1,23 GB", "205:45 Min.", "7,7 %", "3. Nov. 2026", "4. Okt. – 3. Nov. 2026"),
        ("fr", "1,23 Go", "205:45 min", "7,7 %", "3 nov. 2026", "4 oct. – 3 nov. 2026"),
        ("es", "1,23 GB", "205:45 min", "7,7 %", "3 nov 2026", "4 oct – 3 nov 2026"),
        ("ar", "1.23 غ.ب", "205:45 د", "7.7%", "3 نوفمبر 2026", "4 أكتوبر – 3 نوفمبر 2026"),
    ],
)
def test_units_and_days(tag: str, volume: str, talk: str, rate: str, day: str, between: str) -> None:
    way = language(tag)

    def plain(text: str) -> str:
        return " ".join(text.replace("\u200e", "").replace("\u200f", "").split())

    assert plain(way.octets(1_234_567_890)) == volume
    assert plain(way.seconds(12_345)) == talk
    assert plain(way.percent(77_000)) == rate
    assert plain(way.day(date(2026, 11, 3))) == day
    assert plain(way.between(date(2026, 10, 4), date(2026, 11, 3))) == between


@pytest.mark.parametrize(
    ("octets", "text"), [(0, "0.00 kB"), (999, "1.00 kB"), (1_500_000, "1.50 MB"), (2 * 10**12, "2.00 TB")]
)
def test_volumes(octets: int, text: str) -> None:
    assert language("en").octets(octets) == text


@pytest.mark.parametrize(("tag", "found"), [("de-CH", "de-CH"), ("de-XX", "de"), ("xx", "en"), ("", "en")])
def test_a_tag_that_nobody_knows(tag: str, found: str) -> None:
    assert language(tag).tag == found


def test_times_are_the_operators() -> None:
    assert language("en").at(1_792_879_400, ZoneInfo("Europe/Berlin")) == ("Oct 25, 2026", "00:03:20")
    assert language("en").at(1_792_890_200, ZoneInfo("Europe/Berlin")) == ("Oct 25, 2026", "02:03:20")
