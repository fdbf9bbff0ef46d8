"""Options of the licence, `[license]`."""

from __future__ import annotations

from dataclasses import dataclass

from mubss.config_checks import is_folder
from mubss.options import option


@dataclass(frozen=True, slots=True)
class LicenceOptions:
    """The licence: docs/LICENCE.md."""

    file: str = option("license/platform.lic", "The signed licence.", check=is_folder)
    state_file: str = option(
        "var/licence.state",
        "The latest time that is known to be right, against a clock that is set back. Beside it lie a secret "
        "(.secret) and a lock (.lock).",
        check=is_folder,
    )
    machine_id_file: str = option("/etc/machine-id", "What tells this machine from others.", check=is_folder)
    grace_days: int = option(
        7, "How long after its end a licence is still good for all, with warnings.", low=0, high=14, unit="days"
    )
    look_seconds: int = option(
        300, "How often a running process looks at the licence and notes the time.", low=1, high=3600, unit="seconds"
    )
