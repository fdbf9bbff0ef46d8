"""What a bill run has come to so far: counts, sums by currency, and who can't be billed and why. Parts add up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mubss.core.model import PREPAID
from mubss.services.bill_group import Billed

MAX_PARKED = 1000  # that are named; all are counted
_COUNTS = ("done", "issued", "before", "skipped", "parked")


class Tally:
    """Counts of one run: accounts done; of them bills issued now, those there before, none, and parked."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(_COUNTS, 0)
        self.totals: dict[str, dict[str, int]] = {}  # by currency, in minor units, of bills issued now
        self.parked: list[dict[str, str]] = []

    def add(self, one: Billed) -> None:
        """Counts what came of one account."""
        self.counts["done"] += 1
        if one.fault:
            self.counts["parked"] += 1
            self._park({"account": one.account, "reason": one.fault})
        elif one.bill is None:
            self.counts["skipped"] += 1
        elif one.before:
            self.counts["before"] += 1
        else:
            self.counts["issued"] += 1
            if one.bill["kind"] == PREPAID:
                return  # a statement adds nothing to what is owed
            sums = self.totals.setdefault(one.bill["currency"], {"total": 0, "decimals": one.bill["decimals"]})
            sums["total"] += one.bill["total"]

    def add_part(self, part: Mapping[str, Any]) -> None:
        """Adds what another process counted, see `part`."""
        for name in _COUNTS:
            self.counts[name] += part["counts"][name]
        for currency, more in part["totals"].items():
            sums = self.totals.setdefault(currency, {**more, "total": 0})
            sums["total"] += more["total"]
        for parked in part["parked"]:
            self._park(parked)

    def part(self) -> dict[str, Any]:
        """All of it, for another process; JSON."""
        return {"counts": self.counts, "totals": self.totals, "parked": self.parked}

    def _park(self, entry: dict[str, str]) -> None:
        if len(self.parked) < MAX_PARKED:
            self.parked.append(entry)
