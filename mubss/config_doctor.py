"""Options of `mubss doctor`, `[doctor]`."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.options import option


@dataclass(frozen=True, slots=True)
class DoctorOptions:
    """From where on `mubss doctor` warns (WARN), and from where on something is wrong (FAIL)."""

    disk_warn_megabytes: int = option(
        2048, "Less room on a disk that mubss writes to is a WARN.", low=0, high=1_000_000_000, unit="megabytes"
    )
    disk_fail_megabytes: int = option(256, "Still less is a FAIL.", low=0, high=1_000_000_000, unit="megabytes")
    inodes_warn_percent: int = option(
        10, "A smaller share of free inodes is a WARN; half of it is a FAIL.", low=0, high=100, unit="percent"
    )
    log_warn_megabytes: int = option(
        256, "A longer write-ahead log of the embedded store is a WARN.", low=64, high=1_000_000, unit="megabytes"
    )
    clock_warn_ms: int = option(
        1000,
        "A server's clock that is further from this machine's is a WARN; ten times as far is a FAIL.",
        low=1,
        high=3_600_000,
        unit="milliseconds",
    )
    certificate_warn_days: int = option(30, "A certificate that ends sooner is a WARN.", low=0, high=3650, unit="days")
