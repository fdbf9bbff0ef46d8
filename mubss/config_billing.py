"""Options of bill runs, `[billing]`."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.config_checks import is_series
from mubss.options import option


@dataclass(frozen=True, slots=True)
class BillingOptions:
    """Bill runs, mubss-billing."""

    billcycle: int = option(0, "The cycle that mubss-billing bills; --cycle says it, too. 0: none.", low=0, high=999)
    series: str = option("INV", "What bill numbers begin with: INV-2026-0000001.", check=is_series)
    statement_series: str = option("STM", "What numbers of statements begin with.", check=is_series)
    credit_series: str = option("CRN", "What numbers of credit notes begin with.", check=is_series)
    prepaid_statements: bool = option(True, "Prepaid subscribers of a bill cycle get a statement of each period.")
    due_days: int = option(14, "How long after its issue a bill is to be paid.", low=0, high=365, unit="days")
    zero_bills: str = option(
        "issue",
        "Bills on which nothing is, and nothing is due: issue them, or skip them until there is something.",
        choices=("issue", "skip"),
    )
    reactivate_paid: bool = option(
        False, "An account that dunning suspended is active again once nothing of its bills is open."
    )
    poll_seconds: int = option(
        10,
        "How often mubss-billing looks for queued work, and whether a period has closed; a nudge wakes it.",
        low=1,
        high=86_400,
        unit="seconds",
    )
    dunning_minutes: int = option(
        60, "How often overdue bills are looked for; 0: never by mubss-billing.", low=0, high=10_080, unit="minutes"
    )
    workers: int = option(1, "Processes that a bill run is shared out to, by a hash of the account.", low=1, high=64)
    greenlets: int = option(4, "Groups of 64 subscribers that a process bills side by side.", low=1, high=64)
    store_threads: int = option(3, "Native threads that wait for the embedded store.", low=1, high=64)
    lease_seconds: int = option(
        30,
        "A process that shows no sign of life for so long loses its work to another.",
        low=2,
        high=3600,
        unit="seconds",
    )
    developer_mode: bool = option(False, "MASS_PREPAID_RATING is done: load that charges real accounts. Never in use.")
