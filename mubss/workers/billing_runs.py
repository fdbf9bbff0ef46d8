"""What mubss-billing does for each kind of activity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from mubss import metrics
from mubss.charging.engine import Engine
from mubss.config import Config
from mubss.core.activity import FULL_BILLRUN, MASS_PREPAID_RATING, SINGLE_BILLING, Activity
from mubss.core.errors import InputError
from mubss.core.model import Rules
from mubss.refdata.live import Refdata
from mubss.services.bill_group import Run, run_for
from mubss.services.bill_tally import Tally
from mubss.services.billing import TOGETHER, WHOLE, Share, bill_one, bill_run, count, period_for, preview
from mubss.services.dunning import Dunned, dun
from mubss.services.inside import Members
from mubss.services.mass_rating import find_players, findings, play
from mubss.storage.database import Store
from mubss.workers.billing_shares import Command, run_shares
from mubss.workers.pools import spread

Report = Callable[[dict[str, Any]], None]
Result = dict[str, Any]


class Runs:
    """Bill runs of one cycle in this process, or shared out to others."""

    def __init__(self, config: Config, store: Store, cycle: int) -> None:
        self.cycle = cycle
        self.refdata = Refdata(store, config.general.timezone)
        self._options = config.billing
        self._store = store
        self._engine = Engine(store, lambda: self.refdata.tables, Rules(notices=config.notifications.rules))
        self._processes = 1
        self._command: Command | None = None
        self.members: Members | None = None  # hears what those processes count
        self._kinds = {
            FULL_BILLRUN: self._full,
            SINGLE_BILLING: self._single,
            MASS_PREPAID_RATING: self._mass_rating,
        }

    def share_out(self, processes: int, command: Command) -> None:
        """Whole runs are done by so many processes that `command` starts."""
        self._processes, self._command = processes, command

    def do(self, activity: Activity, now_s: int, report: Report, is_stopping: Callable[[], bool]) -> Result:
        """Does an activity; `report` is told how far it is. What came of it is to be written into it."""
        return self._kinds[activity["kind"]](activity, now_s, report, is_stopping)

    def bill_share(self, label: str, share: Share, now_s: int, is_stopping: Callable[[], bool]) -> Iterator[Tally]:
        """Bills a part of a period's run; what it counts, some accounts at a time."""
        pool = partial(spread, self._options.greenlets)
        tally = Tally()
        run = self._run(label, now_s)
        for one in bill_run(self._store, self._engine, self.refdata.tables, run, now_s, is_stopping, pool, share):
            tally.add(one)
            if tally.counts["done"] >= TOGETHER:
                yield tally
                tally = Tally()
        yield tally

    def dun(self, now_s: int, is_stopping: Callable[[], bool]) -> list[Dunned]:
        """A pass over the cycle's bills that are overdue."""
        tables, reactivates = self.refdata.tables, self._options.reactivate_paid
        return dun(self._store, self._engine, tables, self.cycle, now_s, is_stopping, reactivates)

    def _full(self, activity: Activity, now_s: int, report: Report, is_stopping: Callable[[], bool]) -> Result:
        """A whole cycle's bills, or what they would be."""
        tally = Tally()
        total = count(self._store, self._run(activity["period"], now_s))
        for part in self._parts(activity, now_s, is_stopping):
            tally.add_part(part)
            for outcome in ("issued", "before", "skipped", "parked"):
                metrics.BILLING_ACCOUNTS.inc(outcome, by=part["counts"][outcome])
            report({**tally.counts, "of": total})
        return _result(tally, total)

    def _parts(self, activity: Activity, now_s: int, is_stopping: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        label = activity["period"]
        if activity["dry_run"]:
            for one in preview(self._store, self.refdata.tables, self._run(label, now_s)):
                if is_stopping():
                    return
                tally = Tally()
                tally.add(one)
                yield tally.part()
        elif self._command is not None and self._processes > 1:
            yield from run_shares(self._command, label, self._processes, is_stopping, self.members)
        else:
            for tally in self.bill_share(label, WHOLE, now_s, is_stopping):
                yield tally.part()

    def _single(self, activity: Activity, now_s: int, _report: Report, _is_stopping: Callable[[], bool]) -> Result:
        """One subscriber's bill, or what it would be."""
        engine = None if activity["dry_run"] else self._engine
        run = self._run(activity["period"], now_s)
        one = bill_one(self._store, engine, self.refdata.tables, run, activity["subscriber"], now_s)
        tally = Tally()
        tally.add(one)
        return _result(tally, 1) | {"bill": one.bill["_id"] if one.bill is not None and engine is not None else ""}

    def _mass_rating(self, activity: Activity, _now_s: int, report: Report, is_stopping: Callable[[], bool]) -> Result:
        """Prepaid charges for load."""
        if not self._options.developer_mode:
            raise InputError("billing.developer_mode: false; expected true")
        tables, charges = self.refdata.tables, activity["charges"]
        players = find_players(self._store, tables, activity["first"], activity["last"])
        name = f"mass;{activity['_id']};{activity['version']}"
        pool = partial(spread, activity["at_once"])
        engine = Engine(self._store, lambda: tables, Rules())
        engine.start()
        try:
            result = play(
                engine, tables, players, charges, name, pool, is_stopping, lambda n: report({"done": n, "of": charges})
            )
        finally:
            engine.stop()
        return result | {"subscribers": len(players), "findings": findings(self._store, players)}

    def _run(self, label: str, now_s: int) -> Run:
        period = period_for(self.refdata.tables, self.cycle, label, now_s)
        return run_for(self._options, self.cycle, period)


def _result(tally: Tally, total: int) -> Result:
    return {"progress": {**tally.counts, "of": total}, "totals": tally.totals, "parked": tally.parked}
