"""Whether a soak went well: flat memory and descriptors, no error, latency at the end as at the start. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

LEAST_SAMPLES, LEAST_S = 6, 120  # of the last two thirds; with less nothing is said of growth
MEMORY_MB, MEMORY_SHARE = 4.0, 0.05  # growth within the last two thirds that is none: caches fill, heaps settle
DESCRIPTORS = 8.0  # a pool may open some more connections
LATENCY_TIMES, LATENCY_MS = 1.5, 5.0  # the last third's median against the first's


class Sample(NamedTuple):
    """One look at a program: all its processes together."""

    at_s: float  # since the soak began
    program: str
    memory_mb: float  # resident
    descriptors: int
    threads: int


class Minute(NamedTuple):
    """What one kind of work took within a minute."""

    minute: int
    work: str
    count: int
    p50_ms: float
    p99_ms: float
    errors: int


class Finding(NamedTuple):
    """One thing that was looked at."""

    what: str
    is_fine: bool
    text: str


def slope(points: Sequence[tuple[float, float]]) -> float:
    """The least squares line's growth for each unit of the first; 0 where there is no line."""
    count = len(points)
    mean_x, mean_y = (sum(point[axis] for point in points) / max(1, count) for axis in (0, 1))
    below = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / below if below else 0.0


def last_part(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The last two thirds by time: before, caches fill."""
    if not points:
        return []
    first, last = points[0][0], points[-1][0]
    return [point for point in points if point[0] >= first + (last - first) / 3]


def growth(points: Sequence[tuple[float, float]]) -> float | None:
    """How much it grew in the last two thirds, by the line through them; None if there are too few."""
    part = last_part(points)
    if len(part) < LEAST_SAMPLES or part[-1][0] - part[0][0] < LEAST_S:
        return None
    return slope(part) * (part[-1][0] - part[0][0])


def flat(samples: Sequence[Sample], ignored: Sequence[str] = ()) -> list[Finding]:
    """Memory and descriptors of each program; one that is ignored is told of and never at fault."""
    found = []
    for program in dict.fromkeys(sample.program for sample in samples):
        mine = [sample for sample in samples if sample.program == program]
        memory = [(one.at_s, one.memory_mb) for one in mine]
        bound_mb = max(MEMORY_MB, MEMORY_SHARE * median(value for _, value in memory))
        for what, points, bound, unit in (
            ("memory", memory, bound_mb, "MB"),
            ("descriptors", [(one.at_s, float(one.descriptors)) for one in mine], DESCRIPTORS, ""),
        ):
            grown = growth(points)
            values = [value for _, value in points]
            text = f"{min(values):.0f} to {max(values):.0f} {unit}".strip()
            if grown is None:
                found.append(Finding(f"{what} of {program}", True, f"{text}; too short a run to say more"))
                continue
            is_fine = grown <= bound or program in ignored
            text += f"; grew by {grown:.1f} in the last two thirds, at most {bound:.1f} is flat"
            found.append(
                Finding(f"{what} of {program}", is_fine, text + (" (not judged)" if program in ignored else ""))
            )
    return found


def steady(minutes: Sequence[Minute]) -> list[Finding]:
    """Whether each kind of work took at the end what it took at the start."""
    found = []
    for work in dict.fromkeys(one.work for one in minutes):
        mine = [one for one in minutes if one.work == work and one.count]
        third = max(1, len(mine) // 3)
        for title in ("p50_ms", "p99_ms") if len(mine) > 1 else ():
            first, last = (median(getattr(one, title) for one in part) for part in (mine[:third], mine[-third:]))
            bound = max(first * LATENCY_TIMES, first + LATENCY_MS)
            text = f"{first:.1f} ms in the first third, {last:.1f} in the last; at most {bound:.1f} is the same"
            found.append(Finding(f"{title.removesuffix('_ms')} of {work}", last <= bound, text))
    return found


def without_errors(minutes: Sequence[Minute], faults: Sequence[str]) -> Finding:
    """Answers that were errors, and whatever else went wrong."""
    wrong = [f"{one.errors} of {one.work} in minute {one.minute}" for one in minutes if one.errors]
    wrong += faults
    return Finding("errors", not wrong, "; ".join(wrong) or "none")
