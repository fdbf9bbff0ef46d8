"""Options of statistics, `[stats]`."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.options import option


@dataclass(frozen=True, slots=True)
class StatsOptions:
    """Statistics, mubss-stats."""

    poll_seconds: int = option(
        300,
        "How often mubss-stats counts what is new. Each pass looks at every account: some 20 µs of each.",
        low=1,
        high=86_400,
        unit="seconds",
    )
    keep_hours_days: int = option(90, "How long figures by hour are kept; 0: for ever.", low=0, high=3660, unit="days")
    keep_days_months: int = option(
        36, "How long figures by day are kept; 0: for ever. Those by month always are.", low=0, high=600, unit="months"
    )
