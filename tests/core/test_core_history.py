from __future__ import annotations

import random
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import INITIAL, TERMINATE, UPDATE, ccr, demo_tables
from core_world import stored
from mubss.core.history import (
    MAX_ANSWERS,
    MAX_RANGES,
    Repeat,
    answers_in,
    find_range,
    find_repeat,
    with_key,
    with_last,
    with_outcome,
)
from mubss.core.identity import ordered_id, sequence_id, session_hash
from mubss.core.model import CreditControl, Outcome, RequestType, Result, UnitAnswer

TABLES = demo_tables()


@pytest.mark.parametrize(
    ("seen", "number", "expected"),
    [
        ([], 0, [[0, 0]]),
        ([], 1000, [[1000, 1000]]),
        ([[0, 3]], 4, [[0, 4]]),
        ([[0, 3]], 3, [[0, 3]]),
        ([[0, 3]], 5, [[0, 3], [5, 5]]),
        ([[0, 3], [5, 5]], 4, [[0, 5]]),
        ([[5, 5]], 4, [[4, 5]]),
        ([[5, 5]], 0, [[0, 0], [5, 5]]),
        ([[0, 1], [5, 6]], 3, [[0, 1], [3, 3], [5, 6]]),
        ([[0, 1], [5, 6]], 7, [[0, 1], [5, 7]]),
        ([[1, 2**32 - 2]], 2**32 - 1, [[1, 2**32 - 1]]),
    ],
)
def test_with_key(seen: list[list[int]], number: int, expected: list[list[int]]) -> None:
    before = [list(pair) for pair in seen]
    assert with_key(seen, number) == expected
    assert seen == before


@given(st.lists(st.integers(0, 60), max_size=60))
def test_ranges_hold_the_numbers_taken_and_no_other(numbers: list[int]) -> None:
    seen: list[list[int]] = []
    for number in numbers:
        seen = with_key(seen, number)
    assert {number for number in range(-1, 62) if find_range(seen, number)} == set(numbers)
    assert all(before[1] + 1 < after[0] for before, after in pairwise(seen))


def test_ranges_are_bounded_and_what_they_can_no_longer_tell_is_uncertain() -> None:
    seeded, seen, taken = random.Random(3), list[list[int]](), list[int]()
    for _ in range(1500):
        taken.append(seeded.randrange(2**32))
        seen = with_key(seen, taken[-1])
        assert len(seen) <= MAX_RANGES
    for number in taken:
        assert find_range(seen, number)
    certain = [key for key in range(2**32 - 10**6, 2**32) if len(find_range(seen, key) or ()) == 2]
    assert set(certain) <= set(taken)  # never sure of a number that was not taken
    untaken = next(number for number in range(min(taken), 2**32) if number not in set(taken))
    assert len(find_range(seen, untaken) or ()) == 3


def test_counting_on_after_the_ranges_ran_out_is_certain_again() -> None:
    seen: list[list[int]] = []
    for number in [*range(0, 1000, 2), 2000, 2001, 2002]:
        seen = with_key(seen, number)
    assert find_range(seen, 2001) == [2000, 2002] and find_range(seen, 1999) is None
    assert [len(taken) for taken in seen] == [3] + [2] * (len(seen) - 1)


def _key(number: int, type: RequestType = UPDATE) -> int:
    return type << 32 | number


def _outcome(number: int, end_to_end: int = 0) -> Outcome:
    answer = UnitAnswer(False, 1, [7, 8], Result.SUCCESS, "octets", 5_000_000, 3600, "terminate")
    return Outcome(_key(number), end_to_end, Result.SUCCESS, [answer], None, "EUR", 1)


def test_history_keeps_the_last() -> None:
    outcomes: list[list[Any]] = []
    for number in range(5):
        outcomes = with_outcome(outcomes, _outcome(number), 3)
    assert [stored_outcome[0] for stored_outcome in outcomes] == [_key(2), _key(3), _key(4)]


def test_an_outcome_comes_back_from_json() -> None:
    assert Outcome.from_list(stored(_outcome(3, 9).to_list())) == _outcome(3, 9)
    bare = Outcome(0, 0, Result.UNKNOWN_SESSION_ID, [])
    assert Outcome.from_list(stored(bare.to_list())) == bare


def _request(number: int, end_to_end: int = 0, again: bool = False) -> CreditControl:
    return ccr(TABLES, UPDATE, number, end_to_end=end_to_end, retransmitted=again)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (_request(3), 3),
        (_request(3, 99), 3),  # the number counts, whatever the End-to-End
        (_request(5, 40, again=True), 4),  # sent again under a number of its own
        (_request(5, 40), None),
        (_request(5, 41, again=True), None),
        (_request(6, 0, again=True), None),  # an End-to-End of 0 is nobody's
        (ccr(TABLES, TERMINATE, 3), None),  # another type is another request, whatever its number
        (ccr(TABLES, INITIAL, 4), None),
        (ccr(TABLES, TERMINATE, 9, end_to_end=40, retransmitted=True), None),
    ],
)
def test_find_repeat(request_: CreditControl, expected: int | None) -> None:
    outcomes = [_outcome(2, 0).to_list(), _outcome(3, 30).to_list(), _outcome(4, 40).to_list()]
    repeat = find_repeat(request_, [[_key(0), _key(4)]], outcomes)
    assert (repeat and repeat.outcome and repeat.outcome.key) == (None if expected is None else _key(expected))


@pytest.mark.parametrize(("blurred", "certain"), [([], True), ([1], False)])
def test_a_repeat_whose_outcome_is_forgotten(blurred: list[int], certain: bool) -> None:
    seen = [[_key(0), _key(4), *blurred]]
    assert find_repeat(_request(1, 77), seen, [_outcome(4).to_list()]) == Repeat(None, certain)


def test_the_history_is_bounded_by_answers_too() -> None:
    answer = UnitAnswer(False, 1, [], Result.SUCCESS, "octets", 5_000_000)
    large = Outcome(_key(1), 0, Result.SUCCESS, [answer] * (MAX_ANSWERS - 1))
    outcomes = with_outcome([_outcome(0).to_list()], large, 8)
    assert [stored_outcome[0] for stored_outcome in outcomes] == [_key(0), _key(1)]
    other = [answer._replace(granted_units=1)] * (MAX_ANSWERS - 1)
    outcomes = with_outcome(outcomes, large._replace(key=_key(2), answers=other), 8)
    assert [stored_outcome[0] for stored_outcome in outcomes] == [_key(2)]
    huge = large._replace(key=_key(3), answers=[answer] * 4 * MAX_ANSWERS)
    assert len(with_outcome(outcomes, huge, 8)) == 1  # the last is always kept


def test_an_outcome_that_says_what_the_next_one_says_is_kept_short() -> None:
    outcomes: list[list[Any]] = []
    for number in range(3):
        outcomes = with_outcome(outcomes, _outcome(number, 10 + number), 8)
    outcomes = with_outcome(outcomes, _other(3), 8)
    says = _outcome(2).to_list()[2:]
    assert outcomes == [[_key(0), 10], [_key(1), 11], [_key(2), 12, *says], _other(3).to_list()]
    assert answers_in(outcomes) == [*_outcome(2).answers, *_other(3).answers]


def _other(number: int, granted_units: int = 9) -> Outcome:
    [answer] = _outcome(number).answers
    return _outcome(number)._replace(answers=[answer._replace(granted_units=granted_units)])


def _said(outcomes: list[list[Any]]) -> list[Outcome]:
    """What repeats of all the history's requests would be answered."""
    seen = [[_key(0), _key(2**32 - 1)]]
    repeats = [find_repeat(_request(one[0] & 0xFFFFFFFF), seen, stored(outcomes)) for one in outcomes]
    return [repeat.outcome for repeat in repeats if repeat is not None and repeat.outcome is not None]


@given(said=st.lists(st.sampled_from([7, 8]), max_size=12), limit=st.integers(1, 8), last=st.sampled_from([7, 8, 9]))
def test_whatever_is_kept_short_every_request_of_the_history_gets_its_answer(
    said: list[int], limit: int, last: int
) -> None:
    outcomes: list[list[Any]] = []
    for number, granted_units in enumerate(said):
        outcomes = with_outcome(outcomes, _other(number, granted_units), limit)
    expected = [_other(number, granted_units) for number, granted_units in enumerate(said)][-limit:]
    assert _said(outcomes) == expected
    if outcomes:
        changed = _other(len(said) - 1, last)
        assert _said(with_last(outcomes, changed)) == [*expected[:-1], changed]


def test_ordered_ids_sort_by_time_and_fit_a_mysql_id() -> None:
    ids = [ordered_id(now_ms, entropy) for now_ms in (0, 1, 1_795_000_000_000, 2**50 - 1) for entropy in (0, 2**50 - 1)]
    assert ids == sorted(ids) and len(set(ids)) == len(ids)
    assert {len(one) for one in ids} == {20}
    assert ordered_id(4, 2**50 + 3) == ordered_id(4, 3)  # entropy never spills into the time
    posting_ids = [sequence_id(ids[4], number) for number in (0, 9, 10, 2**48 - 1)]
    assert posting_ids == sorted(posting_ids)
    assert {len(one) for one in posting_ids} == {32}


@pytest.mark.parametrize("session_id", ["", "pgw.example;1;2", "ü\udcff", "x" * 100_000])
def test_session_hash(session_id: str) -> None:
    assert len(session_hash(session_id)) == 32
    assert session_hash(session_id) == session_hash(session_id) != session_hash(session_id + "0")
