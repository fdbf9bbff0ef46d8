"""Options of bill runs, `[billing]`."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.config_checks import is_series
from mubss.options import option


@dataclass(frozen=True, slots=True)
class BillingOptions:
    """Bill runs, mubss-billing."""

    series: str = option("INV", "What bill numbers begin with: INV-2026-0000001.", check=is_series)
    due_days: int = option(14, "How long after its issue a bill is to be paid.", low=0, high=365, unit="days")
    poll_seconds: int = option(
        60, "How often mubss-billing looks whether a period has closed.", low=1, high=86_400, unit="seconds"
    )
