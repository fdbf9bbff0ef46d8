"""Options of the CDR loader, `[cdr]`."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.config_checks import is_folder
from mubss.options import option


@dataclass(frozen=True, slots=True)
class CdrOptions:
    """The loader of CDR files, mubss-cdr."""

    directory: str = option(
        "var/cdr",
        "Folder where mediation puts NAME.cdr, best by a rename; what was taken goes to processed/ in it, what was "
        "refused to error/.",
        check=is_folder,
    )
    poll_seconds: int = option(10, "How often it is looked at.", low=1, high=86_400, unit="seconds")
    settle_seconds: int = option(
        60,
        "A file without its end is refused when nothing was written to it for so long.",
        low=0,
        high=86_400,
        unit="seconds",
    )
    max_reject_percent: int = option(
        10,
        "A file is refused whole if more of its records can't be rated; up to that they go into suspense.",
        low=0,
        high=100,
        unit="percent",
    )
    charge_prepaid: bool = option(
        False, "Records of prepaid accounts are charged to the balance; else they are what Gy has charged."
    )
    match_days: int = option(
        45,
        "How long after its end a session that Gy charged is still matched with its CDRs; 0: not at all.",
        low=0,
        high=400,
        unit="days",
    )
    call_days: int = option(
        40, "How long the parts of a call are charged as one, from its last part on.", low=1, high=400, unit="days"
    )
    window: int = option(
        2000,
        "Records that are charged together; a crash repeats the reading of up to twelve windows.",
        low=1,
        high=20_000,
        unit="records",
    )
    lanes: int = option(0, "Threads that charge; 0: one on the embedded store, three on MySQL.", low=0, high=16)
