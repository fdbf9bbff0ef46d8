"""Options of the store outage mode, `[outage]`."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.config_checks import is_folder, is_service_units
from mubss.options import option


@dataclass(frozen=True, slots=True)
class OutageOptions:
    """What mubss-gy grants while the store is away; docs/OUTAGE.md tells the rules and the risk."""

    enabled: bool = option(
        False, "Grant to known subscribers from a journal on this machine's disk; else new sessions get 3004 then."
    )
    folder: str = option(
        "var/outage", "Folder of the journals; on a disk that outlives the machine's restart.", check=is_folder
    )
    account_cap_micros: int = option(
        1_000_000,
        "The most that one account is granted beyond what the store knows of.",
        low=0,
        high=1_000_000_000_000,
        unit="millionths of the currency",
    )
    total_cap_micros: int = option(
        1_000_000_000,
        "The same of all accounts together, over all workers of this mubss-gy: each has its share.",
        low=0,
        high=1_000_000_000_000_000,
        unit="millionths of the currency",
    )
    currency: str = option(
        "", "The only currency that is granted; empty: any, and the caps count each as it is.", check=lambda _: ""
    )
    known_seconds: int = option(
        3600,
        "A subscriber is known for so long after the last request that was charged.",
        low=1,
        high=604_800,
        unit="seconds",
    )
    known_accounts: int = option(
        20_000, "Accounts that a worker keeps in mind, some 5 KB each.", low=1, high=10_000_000, unit="accounts"
    )
    octets_at_once: int = option(
        50_000_000, "The most that a grant has meanwhile, of data.", low=1, high=10**15, unit="octets"
    )
    seconds_at_once: int = option(600, "The same of calls.", low=1, high=10**9, unit="seconds")
    events_at_once: int = option(
        10, "The same of services that are counted in events.", low=1, high=10**9, unit="events"
    )
    services_at_once: tuple[str, ...] = option(
        (), 'The same of one service, as "CODE:UNITS", in the place of those above.', check=is_service_units
    )
    journal_records: int = option(
        100_000,
        "Requests that may wait in a worker's journal; past it nothing more is granted.",
        low=1,
        high=10_000_000,
        unit="requests",
    )
