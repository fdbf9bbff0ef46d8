from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mubss.core.errors import InputError
from mubss.core.money import Rounding, divide, format_amount, parse_amount

DOWN, UP, HALF_UP, HALF_EVEN = Rounding.DOWN, Rounding.UP, Rounding.HALF_UP, Rounding.HALF_EVEN


@pytest.mark.parametrize(
    ("numerator", "denominator", "down", "up", "half_up", "half_even"),
    [
        (0, 7, 0, 0, 0, 0),
        (14, 7, 2, 2, 2, 2),
        (-14, 7, -2, -2, -2, -2),
        (1, 3, 0, 1, 0, 0),
        (2, 3, 0, 1, 1, 1),
        (-1, 3, -1, 0, 0, 0),
        (-2, 3, -1, 0, -1, -1),
        (1, 2, 0, 1, 1, 0),
        (3, 2, 1, 2, 2, 2),
        (5, 2, 2, 3, 3, 2),
        (-1, 2, -1, 0, -1, 0),
        (-3, 2, -2, -1, -2, -2),
        (-5, 2, -3, -2, -3, -2),
        (10**30 + 1, 2, 5 * 10**29, 5 * 10**29 + 1, 5 * 10**29 + 1, 5 * 10**29),
    ],
)
def test_divide(numerator: int, denominator: int, down: int, up: int, half_up: int, half_even: int) -> None:
    assert [divide(numerator, denominator, mode) for mode in (DOWN, UP, HALF_UP, HALF_EVEN)] == [
        down,
        up,
        half_up,
        half_even,
    ]


@pytest.mark.parametrize("denominator", [0, -1])
def test_divide_by_nothing(denominator: int) -> None:
    with pytest.raises(InputError, match=f"denominator: {denominator}; expected a positive integer"):
        divide(1, denominator, DOWN)


@given(st.integers(), st.integers(min_value=1), st.sampled_from(Rounding))
def test_divide_is_within_one_unit_and_odd_about_zero(numerator: int, denominator: int, mode: Rounding) -> None:
    quotient, exact = divide(numerator, denominator, mode), Fraction(numerator, denominator)
    assert abs(quotient - exact) <= (Fraction(1, 2) if mode in (HALF_UP, HALF_EVEN) else 1 - Fraction(1, denominator))
    opposite = {DOWN: UP, UP: DOWN}.get(mode, mode)
    assert divide(-numerator, denominator, opposite) == -quotient


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("10", 10_000_000),
        ("10.5", 10_500_000),
        ("+1.00", 1_000_000),
        ("-0.5", -500_000),
        ("-0", 0),
        (" 2.000001\n", 2_000_001),
        ("0.000001", 1),
        ("1000000000", 10**15),
        ("-1000000000.000000000", -(10**15)),
        ("007", 7_000_000),
        ("0" * 30 + "1.0000000", 1_000_000),
    ],
)
def test_parse_amount(text: str, micros: int) -> None:
    assert parse_amount(text) == micros


@pytest.mark.parametrize(
    "text",
    [
        "", "-", ".5", "5.", "1.0000001", "1000000000.000001", "-1000000001",
        "1234567890123", "1,5", "1 000", "1e3", "0x10", "++1", "10 EUR", "NaN",
        "\u0661\u0660", "\uff11", "1.\u0665", "1_000", "1.5\0", pytest.param("9" * 100_000, id="long"),
    ],
)  # fmt: skip
def test_parse_amount_refuses(text: str) -> None:
    with pytest.raises(InputError) as error:
        parse_amount(text, "top-up")
    assert str(error.value).startswith("top-up: ")
    assert "expected an amount like 10 or 10.50" in str(error.value)
    assert str(error.value).endswith(", at most 6 decimals, up to 1000000000")
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    ("text", "decimals", "expected"),
    [
        ("1.005", 2, "an amount like 10 or 10.50, at most 2 decimals, up to"),
        ("1.0000001", 2, "an amount like 10 or 10.50, at most 2 decimals, up to"),
        ("1.05", 1, "an amount like 10 or 10.5, at most 1 decimals, up to"),
        ("1.5", 0, "an amount like 10, without decimals, up to"),
    ],
)
def test_parse_amount_names_the_decimals_that_count(text: str, decimals: int, expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        parse_amount(text, decimals=decimals)
    assert parse_amount("7.00", decimals=decimals) == 7_000_000


@pytest.mark.parametrize(
    ("micros", "decimals", "text"),
    [
        (0, 2, "0.00"),
        (0, 0, "0"),
        (10_000_000, 2, "10.00"),
        (10_000_000, 0, "10"),
        (10_500_000, 0, "10.5"),
        (-500_000, 2, "-0.50"),
        (-1, 2, "-0.000001"),
        (1_230_000, 3, "1.230"),
        (1_234_567, 2, "1.234567"),
        (10**15, 2, "1000000000.00"),
    ],
)
def test_format_amount(micros: int, decimals: int, text: str) -> None:
    assert format_amount(micros, decimals) == text


@given(st.integers(min_value=-(10**15), max_value=10**15), st.integers(min_value=0, max_value=6))
def test_amounts_come_back_from_text(micros: int, decimals: int) -> None:
    text = format_amount(micros, decimals)
    assert parse_amount(text) == micros
    assert len(text.partition(".")[2]) >= decimals
