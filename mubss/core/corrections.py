"""What re-rating changes: a difference for each usage record, and the command that writes them (rerating.py)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple


class Correction(NamedTuple):
    """What changes for one usage record: differences to what it has cost and drawn so far."""

    record: Mapping[str, Any]  # the usage document
    charge_micros: int
    free_units: int
    paid_units: int  # that count for steps of the month; 0 where no price depends on them
    month: str
    rates: list[str]


@dataclass(slots=True)
class Rerate:
    """Writes corrections, if the account's usage is still what they were reckoned from (`usage_sequence`)."""

    run: str  # what tells this re-rating apart, in every posting and record of it
    usage_sequence: int
    corrections: list[Correction]
