"""What may leave an account's past, and the sums that are carried forward."""

from __future__ import annotations

from typing import Any

import pytest

from core_builders import make_account, utc
from mubss.core.archive import Needs, carry, leaving_postings, leaving_usage, nothing
from mubss.core.ledger import check_account

END_S = utc(2026, 11, 1)


def month_of(time_s: int) -> str:
    return "2026-09" if time_s < utc(2026, 10, 1) else "2026-10" if time_s < END_S else "2026-11"


def posting(sequence: int, at_s: int, amount: int = 1, balance: int = 0, **more: Any) -> dict[str, Any]:
    made = {"_id": f"acc1{sequence:012x}", "account": "acc1", "sequence": sequence, "at_ms": at_s * 1000}
    return {**made, "cause": {"kind": "topup"}, "amount_micros": amount, "balance_micros": balance, **more}


def test_a_clock_that_went_back_keeps_the_order_of_files() -> None:
    account = make_account()
    times = [utc(2026, 9, 1), utc(2026, 10, 1), utc(2026, 9, 30, 23), utc(2026, 11, 2), utc(2026, 10, 3)]
    postings = [posting(number, at_s) for number, at_s in enumerate(times, 1)]
    account["sequence"] = len(postings)
    needs = Needs(account, [], has_cycle=False)
    found = leaving_postings(postings, nothing("acc1"), needs, END_S, month_of)
    assert [(month, one["sequence"]) for month, one in found] == [("2026-09", 1), ("2026-10", 2), ("2026-10", 3)]
    carried = carry(nothing("acc1"), postings[0], "2026-10")
    assert leaving_postings(postings[1:3], carried, needs, END_S, month_of)[1][0] == "2026-10"


@pytest.mark.parametrize(
    ("counted", "leave"), [(None, (3, 3)), ((3, 3), (3, 3)), ((2, 1), (2, 1)), ((0, 0), (0, 0)), ((9, 9), (3, 3))]
)
def test_what_statistics_have_not_counted_stays(counted: tuple[int, int] | None, leave: tuple[int, int]) -> None:
    account = make_account()
    account["sequence"] = account["usage_sequence"] = 3
    postings = [posting(number, utc(2026, 9, number)) for number in (1, 2, 3)]
    usage = [{"_id": f"u{one}", "sequence": one, "from_s": utc(2026, 9, one)} for one in (1, 2, 3)]
    needs = Needs(account, [], has_cycle=False, counted=counted)
    left = leaving_postings(postings, nothing("acc1"), needs, END_S, month_of)
    assert (len(left), len(leaving_usage(usage, needs, END_S, month_of))) == leave


def test_a_posting_out_of_turn_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 1 of acc1"):
        carry(nothing("acc1"), posting(2, 0), "2026-09")
    with pytest.raises(ValueError, match="expected 1 of acc2"):
        carry(nothing("acc2"), posting(1, 0), "2026-09")


def test_any_prefix_carried_forward_proves_the_same() -> None:
    drawn = {"month": "2026-11", "service": "VOICE", "free_units": 7, "paid_units": 3}
    shared = {"month": "2026-11", "service": "VOICE", "member": "m", "member_units": 2}
    postings = [
        posting(1, 1, 5, 5),
        posting(2, 2, -1, 4, **drawn),
        posting(3, 3, 0, 4, bucket="B", units=90),
        posting(4, 4, 0, 4, **shared),
        posting(5, 5, 0, 4, bucket="B", units=-90),
        posting(6, 6, -2, 2, **drawn),
    ]
    account: Any = {**make_account(), "balance_micros": 2, "sequence": 6, "counters": {"2026-11": {"VOICE": 14}}}
    account |= {"paid": {"2026-11": {"VOICE": 6}}, "drawn": {"2026-11": {"m/VOICE": 2}}}
    carried = nothing("acc1")
    assert check_account(account, postings) == []
    for count, one in enumerate(postings, 1):
        carried = carry(carried, one, "2026-11")
        assert check_account(account, postings[count:], carried) == []
        assert check_account(account, postings[count:]) != []
        assert check_account(account, postings[count:], {**carried, "balance_micros": 77}) != []
    assert carried["bought"] == {}, "a bucket that is used up is forgotten"
