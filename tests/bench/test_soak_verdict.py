"""What a soak says of memory, descriptors, latency and errors."""

from __future__ import annotations

import os
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soaking.samples import Times, look
from soaking.verdict import Minute, Sample, flat, growth, last_part, slope, steady, without_errors


def samples(memory_mb: list[float], descriptors: list[int] | None = None, program: str = "mubss-gy") -> list[Sample]:
    """One each ten seconds."""
    counts = descriptors or [20] * len(memory_mb)
    return [
        Sample(number * 10.0, program, memory, count, 4)
        for number, (memory, count) in enumerate(zip(memory_mb, counts, strict=True))
    ]


def minutes(*p99_ms: float) -> list[Minute]:
    return [Minute(number, "Gy requests", 100, 1.0, one, 0) for number, one in enumerate(p99_ms)]


@given(st.integers(-50, 50), st.integers(-1000, 1000), st.integers(2, 30))
def test_the_slope_of_a_line_is_its_own(rise: int, start: int, count: int) -> None:
    assert slope([(x, start + rise * x) for x in range(count)]) == pytest.approx(rise)


def test_no_slope_without_a_line() -> None:
    assert slope([]) == slope([(1, 2)]) == slope([(1, 2), (1, 3)]) == 0


def test_what_fills_in_the_first_third_is_no_growth() -> None:
    points = [(x * 10.0, min(x, 10) * 10.0) for x in range(31)]
    assert last_part(points)[0][0] == 100
    assert growth(points) == 0
    assert growth(points[:5]) is None
    assert growth([(x / 10, y) for x, y in points]) is None  # two thirds of half a minute
    assert growth([]) is None


@pytest.mark.parametrize(
    ("memory", "descriptors", "fine"),
    [
        ([80.0] * 30, [20] * 30, [True, True]),
        ([80.0 + x for x in range(30)], [20] * 30, [False, True]),
        ([80.0 + x / 10 for x in range(30)], [20] * 30, [True, True]),
        ([80.0] * 30, list(range(20, 50)), [True, False]),
        ([80.0] * 30, [20, 25] * 15, [True, True]),
        ([80.0, 180.0, 280.0], [1, 50, 100], [True, True]),  # too short to say
        ([200.0 - x for x in range(30)], [50 - x for x in range(30)], [True, True]),
    ],
)
def test_memory_and_descriptors_are_flat_or_not(memory: list[float], descriptors: list[int], fine: list[bool]) -> None:
    assert [one.is_fine for one in flat(samples(memory, descriptors))] == fine


def test_each_program_is_judged_by_itself_and_mysqld_not() -> None:
    found = flat(samples([80.0] * 30) + samples([80.0 + x for x in range(30)], program="mysqld"), ["mysqld"])
    assert [(one.what, one.is_fine) for one in found] == [
        ("memory of mubss-gy", True),
        ("descriptors of mubss-gy", True),
        ("memory of mysqld", True),
        ("descriptors of mysqld", True),
    ]
    assert "not judged" in found[2].text


@pytest.mark.parametrize(
    ("p99_ms", "is_fine"),
    [
        ((20, 20, 20, 20, 20, 20), True),
        ((20, 20, 20, 20, 29, 30), True),
        ((20, 20, 20, 20, 60, 60), False),
        ((1, 1, 1, 1, 5, 5), True),  # a few milliseconds are none
        ((20, 20, 90, 20, 20, 20), True),  # one slow minute in the middle is no drift
    ],
)
def test_latency_at_the_end_is_as_at_the_start(p99_ms: tuple[float, ...], is_fine: bool) -> None:
    assert [one.is_fine for one in steady(minutes(*p99_ms)) if one.what.startswith("p99")] == [is_fine]


def test_one_minute_says_nothing_of_drift() -> None:
    assert steady(minutes(5)) == []


def test_errors_are_told() -> None:
    assert without_errors(minutes(1, 2), []) == ("errors", True, "none")
    wrong = [minutes(1)[0]._replace(errors=3)]
    found = without_errors(wrong, ["mubss-cdr ended by itself"])
    assert not found.is_fine and found.text == "3 of Gy requests in minute 0; mubss-cdr ended by itself"


def test_a_process_is_looked_at_and_one_that_is_gone_is_none() -> None:
    found = look(1.25, "tests", os.getpid())
    assert found is not None and found.memory_mb > 1 and found.descriptors > 2 and found.threads > 0
    assert look(0, "nobody", 2**22 + 1) is None


def test_times_are_by_the_minute() -> None:
    now = time.perf_counter()
    times = Times("PDFs", now - 61)
    times.note(now)
    times.note(now, is_error=True)
    [found] = times.minutes()
    assert (found.minute, found.work, found.count, found.errors) == (1, "PDFs", 2, 1)
