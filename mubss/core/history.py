"""Which request numbers a session has taken, and what came of the last of them: repeats move nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mubss.core.model import CreditControl, Outcome, Result

MAX_RANGES = 32


def number_seen(seen: Sequence[Sequence[int]], number: int) -> bool:
    """Whether `number` lies in one of the closed ranges."""
    for low, high in seen:
        if low <= number <= high:
            return True
    return False


def with_number(seen: Sequence[Sequence[int]], number: int) -> list[list[int]]:
    """The ranges with `number` in them, sorted and merged.

    Clients count up, so there is one range nearly always. Past MAX_RANGES the gap between the two oldest is
    given up: a number never sent would then be taken for a repeat, which loses no money of the operator's.
    """
    if len(seen) == 1 and seen[0][1] + 1 == number:  # the ordinary case
        return [[seen[0][0], number]]
    merged: list[list[int]] = []
    for low, high in sorted([*map(list, seen), [number, number]]):
        if merged and low <= merged[-1][1] + 1:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    while len(merged) > MAX_RANGES:
        merged[0:2] = [[merged[0][0], merged[1][1]]]
    return merged


def with_outcome(outcomes: list[list[Any]], outcome: Outcome, limit: int) -> list[list[Any]]:
    """The history with one more outcome, the oldest dropped past `limit`."""
    return [*outcomes, outcome.to_list()][-limit:]


def find_repeat(command: CreditControl, seen: Sequence[Sequence[int]], outcomes: list[list[Any]]) -> Outcome | None:
    """The stored outcome if this request was done before, by its number or, under the T flag, its End-to-End.

    A number whose outcome is no longer kept answers UNABLE_TO_COMPLY: nobody can be waiting for it.
    """
    number, end_to_end = command.number, command.end_to_end if command.retransmitted else None
    if end_to_end is None and seen and number > seen[-1][1]:  # the ordinary case: the highest so far
        return None
    for stored in reversed(outcomes):
        if stored[0] == number or (end_to_end is not None and stored[1] == end_to_end):
            return Outcome.from_list(stored)
    if number_seen(seen, number):
        return Outcome(number, command.end_to_end, Result.UNABLE_TO_COMPLY, [])
    return None
