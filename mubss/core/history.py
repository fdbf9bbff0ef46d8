"""Which requests a session has taken, and what came of the last of them: repeats move nothing.

A request is known by its CC-Request-Type and -Number together (`CreditControl.key`): clients that give an update the
number of the initial request mean another request. What was taken is kept as closed ranges of keys [low, high], which
is one for each type nearly always.

Most answers of a session are the same but for their request. So an outcome that says what the one after it says is
kept as [key, End-to-End identifier] alone: a session's last eight take 240 octets of its account, not 560.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from mubss.core.model import CreditControl, Outcome, UnitAnswer

MAX_RANGES = 256  # 6 KB: a client that skips every other number 256 times over
_SHORT = 2  # elements of an outcome that says what the next one says
MAX_ANSWERS = 64  # in a session's history: its account stays small however many MSCCs a request has


class Repeat(NamedTuple):
    """A request that was taken before. Without an outcome it is no longer known what came of it.

    `certain` is False where so many gaps lie in the numbers that not each could be kept: it may be new.
    """

    outcome: Outcome | None
    certain: bool = True


def find_range(seen: Sequence[Sequence[int]], key: int) -> Sequence[int] | None:
    """The range that holds `key`."""
    for taken in seen:
        if taken[0] <= key <= taken[1]:
            return taken
    return None


def with_key(seen: list[list[int]], key: int) -> list[list[int]]:
    """The ranges with `key` in them, sorted and merged.

    Past MAX_RANGES the two oldest become one with a third element: whether a key in it was taken is then uncertain.
    """
    if seen and seen[-1][1] + 1 == key and len(seen[-1]) == 2:  # the ordinary case: clients count up
        return [*seen[:-1], [seen[-1][0], key]]
    merged: list[list[int]] = []
    for taken in sorted([*map(list, seen), [key, key]]):
        last = merged[-1] if merged else None
        if last is not None and taken[0] <= last[1] + (len(last) == len(taken)):
            last[1] = max(last[1], taken[1])
        else:
            merged.append(taken)
    while len(merged) > MAX_RANGES:
        merged[0:2] = [[merged[0][0], merged[1][1], 1]]
    return merged


def with_outcome(outcomes: list[list[Any]], outcome: Outcome, limit: int) -> list[list[Any]]:
    """The history with one more outcome, the oldest dropped past `limit` outcomes or MAX_ANSWERS answers."""
    stored = outcome.to_list()
    kept = outcomes.copy()
    if kept and kept[-1][_SHORT:] == stored[_SHORT:]:
        kept[-1] = kept[-1][:_SHORT]
    kept = [*kept, stored][-limit:]
    while len(kept) > 1 and sum(len(one[3]) for one in kept if len(one) > _SHORT) > MAX_ANSWERS:
        del kept[0]
    return kept


def with_last(outcomes: list[list[Any]], outcome: Outcome) -> list[list[Any]]:
    """The history whose last outcome is another one."""
    before = outcomes[:-1]
    if before and len(before[-1]) == _SHORT:  # it said what the last one said
        before[-1] = [*before[-1], *outcomes[-1][_SHORT:]]
    return with_outcome(before, outcome, len(outcomes))


def answers_in(outcomes: list[list[Any]]) -> list[UnitAnswer]:
    """The answers of a history, each once where outcomes in a row say the same."""
    full = [Outcome.from_list(stored) for stored in outcomes if len(stored) > _SHORT]
    return [answer for outcome in full for answer in outcome.answers]


def find_repeat(command: CreditControl, seen: Sequence[Sequence[int]], outcomes: list[list[Any]]) -> Repeat | None:
    """What is known if this request was taken before, by its key or, under the T flag, its End-to-End identifier."""
    key = command.key
    end_to_end = command.end_to_end if command.retransmitted else 0  # 0: nobody's
    if not end_to_end and seen and key > seen[-1][1]:  # the ordinary case: the highest so far
        return None
    said: list[Any] = []
    for stored in outcomes[::-1]:  # mypyc fails at reversed() of it
        said = stored[_SHORT:] or said
        if stored[0] == key or (end_to_end and stored[1] == end_to_end and stored[0] >> 32 == command.type):
            return Repeat(Outcome.from_list([*stored[:_SHORT], *said]))
    taken = find_range(seen, key)
    return None if taken is None else Repeat(None, len(taken) == 2)
