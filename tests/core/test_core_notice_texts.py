"""Texts of notifications: all that come with the program are whole, and nothing in one means more than a field."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import NOW_S, demo_tables
from mubss.config import data_path
from mubss.core.notice_texts import FIELDS, Text, faults_of, text_kind, units_text, words_of
from mubss.core.tariff import Unit

FILES = sorted(data_path("templates/notifications").glob("*.toml"))
WORDS = {name: f"<{name}>" for fields in FIELDS.values() for name in fields} | {"msisdn": "491700000001"}


def test_the_languages_that_come_with_it() -> None:
    assert [file.stem for file in FILES] == ["ar", "de", "en", "es", "fr"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_text_is_whole(file: Any) -> None:
    texts = tomllib.loads(file.read_text("utf-8"))
    assert texts.keys() == FIELDS.keys()
    english = tomllib.loads(FILES[2].read_text("utf-8"))
    for kind, entry in texts.items():
        assert list(faults_of(kind, entry)) == []
        filled = Text(entry["subject"], entry["text"]).filled(WORDS)
        assert "{" not in filled.subject + filled.text
        for name in FIELDS[kind]:  # a translation says what the English says
            assert (f"<{name}>" in filled.text) == (f"{{{name}}}" in english[kind]["text"]), (kind, name)


@pytest.mark.parametrize(
    ("kind", "entry", "fault"),
    [
        ("nothing", {}, "[nothing]: no such kind; expected one of low_balance"),
        ("test", {}, "[test]: expected subject and text"),
        ("test", "text", "[test]: expected subject and text"),
        ("test", {"subject": "a", "text": "b", "more": "c"}, "[test]: expected subject and text"),
        ("test", {"subject": "", "text": "b"}, "[test] subject: expected up to 200"),
        ("test", {"subject": "a", "text": 5}, "[test] text: expected up to 2000"),
        ("test", {"subject": "a", "text": "b" * 2001}, "[test] text: expected up to 2000"),
        ("test", {"subject": "a", "text": "b\x00"}, "[test] text: expected up to 2000"),
        ("test", {"subject": "a\nBcc: b", "text": "b"}, "[test] subject: expected one line"),
        ("test", {"subject": "a", "text": "{balance}"}, "[test] text: {balance}; expected one of {msisdn}"),
        ("test", {"subject": "a", "text": "{msisdn.__class__}"}, "[test] text: a brace"),
        ("test", {"subject": "a", "text": "{msisdn!r}"}, "[test] text: a brace"),
        ("test", {"subject": "a", "text": "{{msisdn}}"}, "[test] text: a brace"),
        ("test", {"subject": "a", "text": "{0}"}, "[test] text: a brace"),
        ("test", {"subject": "{% if %}", "text": "b"}, "[test] subject: a brace"),
    ],
)
def test_texts_that_are_refused(kind: str, entry: Any, fault: str) -> None:
    assert next(iter(faults_of(kind, entry)), "").startswith(fault)


@given(st.text(max_size=50))
def test_a_value_is_never_read_as_a_text(value: str) -> None:
    assert Text("s", "[{balance}]").filled({"balance": value}).text == f"[{value}]"


def test_values_in_words() -> None:
    values = {
        "balance_micros": 1_990_000,
        "amount_micros": 5,
        "currency": "EUR",
        "until_s": NOW_S,
        "units": 1_250_000_000,
        "left_units": 999,
        "service": "DATA",
        "percent": 80,
    }
    assert words_of(values, demo_tables()) == {
        "balance": "1.99 EUR",
        "amount": "0.000005 EUR",
        "currency": "EUR",
        "until": "2026-11-16 13:00",
        "units": "1.2 GB",
        "left": "999 B",
        "service": "DATA",
        "percent": "80",
    }


@pytest.mark.parametrize(
    ("units", "unit", "text"),
    [
        (0, Unit.OCTETS, "0 B"),
        (1_000, Unit.OCTETS, "1 kB"),
        (1_999_999, Unit.OCTETS, "1.9 MB"),
        (10**12, Unit.OCTETS, "1000 GB"),
        (59, Unit.SECONDS, "59 s"),
        (90, Unit.SECONDS, "90 s"),
        (6_000, Unit.SECONDS, "100 min"),
        (7, Unit.EVENTS, "7"),
    ],
)
def test_units_in_words(units: int, unit: Unit, text: str) -> None:
    assert units_text(units, unit) == text


def test_a_bundle_that_is_used_up_has_its_own_text() -> None:
    assert text_kind("bundle_used", {"percent": 100}) == "bundle_used_up"
    assert text_kind("bundle_used", {"percent": 80}) == "bundle_used"
    assert text_kind("low_balance", {"percent": 100}) == "low_balance"
