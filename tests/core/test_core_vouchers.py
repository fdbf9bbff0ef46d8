"""Vouchers without a store: how hard PINs are to guess, when they may be redeemed, how long a door stays shut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import NOW_S, demo_tables, make_account
from mubss.core import ledger
from mubss.core.errors import InputError, LedgerError
from mubss.core.model import TERMINATED, Movement, Rules
from mubss.core.settling import PAYMENTS
from mubss.core.vouchers import (
    ACTIVE,
    BLOCKED,
    MAKING,
    UNUSED,
    USED,
    LockRules,
    check_size,
    is_redeemable,
    parse_serial,
    serial_of,
    taken_back,
    tried,
)

RULES = LockRules(wrong=3, first_s=60, limit_s=600, forgive_s=3600)
VOUCHER = {"state": UNUSED}
BATCH = {"state": ACTIVE, "length": 14, "expires_s": NOW_S + 1}


@pytest.mark.parametrize(
    ("count", "length", "fault"),
    [
        (1, 10, ""),
        (1_000_000, 12, ""),
        (10_000, 10, ""),
        (10_001, 10, "length: 10; expected 11 or more"),
        (1_000_000, 11, "length: 11; expected 12 or more"),
        (0, 14, "count: 0"),
        (1_000_001, 14, "count: 1000001"),
        (1, 9, "length: 9"),
        (1, 31, "length: 31"),
    ],
)
def test_pins_must_be_hard_to_guess(count: int, length: int, fault: str) -> None:
    if not fault:
        check_size(count, length)
        return
    with pytest.raises(InputError) as caught:
        check_size(count, length)
    assert str(caught.value).startswith(fault)


@pytest.mark.parametrize(
    ("voucher", "batch", "length", "redeemable"),
    [
        (VOUCHER, BATCH, 14, True),
        (None, None, 14, False),
        (VOUCHER, None, 14, False),
        ({"state": USED}, BATCH, 14, False),
        (VOUCHER, {**BATCH, "state": BLOCKED}, 14, False),
        (VOUCHER, {**BATCH, "state": MAKING}, 14, False),
        (VOUCHER, {**BATCH, "expires_s": NOW_S}, 14, False),
        (VOUCHER, BATCH, 13, False),
    ],
)
def test_what_may_be_redeemed(voucher: Any, batch: Any, length: int, redeemable: bool) -> None:
    assert is_redeemable(voucher, batch, length, NOW_S) is redeemable


def test_serials() -> None:
    assert serial_of(12, 345) == "000012-0000345" == parse_serial(" 000012-0000345\n") == parse_serial("0000120000345")
    for bad in ("", "12-345", "000012-000034٥", "0000120000345678", "x" * 5000):
        with pytest.raises(InputError, match="serial"):
            parse_serial(bad)


def test_a_door_shuts_for_longer_with_each_wrong_pin() -> None:
    door, now_s, waits = None, NOW_S, []
    for _ in range(9):
        after = tried(door, "one", RULES, now_s)
        assert after is not None
        door = after
        waits.append(max(0, door["shut_until_s"] - now_s))
        if waits[-1]:
            assert tried(door, "one", RULES, now_s) is None
            assert tried(door, "one", RULES, door["shut_until_s"] - 1) is None
            now_s = door["shut_until_s"]
    assert waits == [0, 0, 60, 120, 240, 480, 600, 600, 600]


def test_a_right_pin_is_taken_back_and_opens_the_door() -> None:
    door = None
    for _ in range(3):
        door = tried(door, "one", RULES, NOW_S)
    assert door is not None and tried(door, "one", RULES, NOW_S) is None
    door = taken_back(door, RULES)
    assert (door["wrong"], door["shut_until_s"]) == (2, 0)
    again = tried(door, "one", RULES, NOW_S)
    assert again is not None and again["shut_until_s"] == NOW_S + 60


def test_wrong_pins_are_forgiven_one_by_one() -> None:
    door = None
    for _ in range(3):
        door = tried(door, "one", RULES, NOW_S)
    for hours, wrong in ((1, 3), (2, 3), (12, 1)):
        door = tried(door, "one", RULES, NOW_S + hours * 3600 + 5)
        assert door is not None and door["wrong"] == wrong, hours
    assert door["counted_s"] == NOW_S + 12 * 3600 + 5, "what lies behind the first wrong one doesn't count"


@given(st.lists(st.integers(0, 5000), max_size=60))
def test_guesses_are_bounded_by_time(gaps: list[int]) -> None:
    """However somebody guesses: no more than the first few, and one for each wait."""
    door, now_s, taken = None, NOW_S, 0
    for gap in gaps:
        now_s += gap
        after = tried(door, "one", RULES, now_s)
        if after is not None:
            door, taken = after, taken + 1
            assert door["wrong"] <= taken and door["shut_until_s"] <= now_s + RULES.limit_s
    assert taken <= RULES.wrong + (now_s - NOW_S) // RULES.first_s


def test_a_voucher_is_a_payment() -> None:
    assert "voucher" in PAYMENTS
    tables, account = demo_tables(), make_account(balance="1.00")
    applied = ledger.apply(
        account, Movement("voucher", 5_000_000, "000001-0000001"), None, NOW_S * 1000, Rules(), tables
    )
    assert applied.account is not None and applied.account["balance_micros"] == 6_000_000
    assert applied.postings[0]["cause"] == {"kind": "voucher", "reference": "000001-0000001"}
    for command, state in ((Movement("voucher", -1), "active"), (Movement("voucher", 1), TERMINATED)):
        with pytest.raises(LedgerError):
            ledger.apply(make_account(state=state), command, None, NOW_S * 1000, Rules(), tables)
