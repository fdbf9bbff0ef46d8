"""What scripts/breaking draws: faults by the seed, and the order in which a session's requests are sent."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice

import pytest

from breaking.faults import KINDS, drawn
from breaking.requests import Mischief, Session
from gy_play import Play


@pytest.mark.parametrize("together", [0.0, 0.25, 1.0])
def test_each_kind_comes_as_often_as_the_others_and_the_seed_draws_them_again(together: float) -> None:
    times = 20
    faults = [list(islice(drawn(random.Random(5), KINDS, together), times * len(KINDS))) for _ in range(2)]
    assert faults[0] == faults[1]
    counts: Counter[str] = Counter()
    for kinds in faults[0]:
        if counts.total() < times * len(KINDS):
            counts.update(kind.name for kind in kinds)
        assert len(kinds) == 1 or (kinds[0].sort != kinds[1].sort and not any(kind.is_alone for kind in kinds))
    assert {counts[kind.name] for kind in KINDS} <= {times, times + 1}  # the last pair may reach into the next bag
    assert any(len(kinds) > 1 for kinds in faults[0]) == bool(together)


@pytest.mark.parametrize("mischief", Mischief, ids=lambda one: one.name)
def test_every_request_of_a_session_is_sent_once_and_what_was_held_back_comes_last(mischief: Mischief) -> None:
    rng = random.Random(7)
    orders = []
    for number in range(200):
        session = Session(Play(number, f"s{number}", "data", 999_700_000_001, 4))
        sent = []
        while not session.is_over:
            for request in session.next_requests(rng, mischief):
                sent.append(request)
                session.answered(request, 2001)
        numbers = [request.number for request in sent]
        assert sorted(numbers) == list(range(session.play.number + 1))
        held = [request.number for request in sent if request.was_held]
        if mischief is Mischief.SWAPPED:
            assert numbers[0] == 0 and numbers[-1] == session.play.number  # the first and the last stay so
        else:
            assert numbers == sorted(set(numbers) - set(held)) + held
        orders.append(numbers != sorted(numbers))
    assert any(orders) == (mischief in (Mischief.SWAPPED, Mischief.LATE))
