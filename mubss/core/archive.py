"""What of an account's past may leave the store, and what stays of it: the sums that the ledger is proved by. Pure.

Postings leave as a prefix: all up to one sequence, so that what is carried forward is the account as it stood behind
that posting. Usage leaves record by record: no balance is the sum of it.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from mubss.core.draft import member_key
from mubss.core.history import find_range
from mubss.core.model import Account
from mubss.core.settling import PAID, VOID

Doc = dict[str, Any]
Record = Mapping[str, Any]
MonthOf = Callable[[int], str]  # UTC seconds → the operator's month
SETTLED = (PAID, VOID)  # states of bills that need nothing of the past any more
# Why something stays, as people are told.
UNBILLED = "on no bill yet"
UNSETTLED = "of a bill that isn't settled"
UNCOUNTED = "not counted by statistics yet"
OPEN_SESSION = "of an open session"
NEW = "written while this looked"
BEHIND = "behind a posting that stays: they go in their order"
TOGETHER = "priced together with usage that stays"
_SUMS = ("drawn", "paid", "shared")  # of units, month → service → units


def nothing(account_id: str) -> Doc:
    """What is carried forward of an account of which nothing has left."""
    sums = {name: dict[str, Any]() for name in (*_SUMS, "bought")}
    return {"_id": account_id, "sequence": 0, "month": "", "balance_micros": 0, **sums}


def carry(carried: Record, posting: Record, month: str) -> Doc:
    """What is carried forward once the next posting has left, too, with those of `month`.

    ValueError where it isn't the next.
    """
    account, sequence = carried["_id"], carried["sequence"] + 1
    if (posting["account"], posting["sequence"]) != (account, sequence):
        raise ValueError(f"posting {posting['sequence']} of {posting['account']}; expected {sequence} of {account}")
    after = dict(carried)
    after["sequence"] = sequence
    after["month"] = month
    after["balance_micros"] = carried["balance_micros"] + posting["amount_micros"]
    for name, field, key in counted(posting):
        months = dict(after[name])
        units = dict(months.get(key[0], {}))
        units[key[1]] = units.get(key[1], 0) + posting[field]
        after[name] = {**months, key[0]: units}
    if "units" in posting:
        left = {**after["bought"]}
        left[posting["bucket"]] = left.get(posting["bucket"], 0) + posting["units"]
        after["bought"] = {bucket: units for bucket, units in left.items() if units}
    return after


def counted(posting: Record) -> list[tuple[str, str, tuple[str, str]]]:
    """What a posting counts: (name of the sum, field of the posting, (month, service))."""
    found = []
    for name, field in (("drawn", "free_units"), ("paid", "paid_units")):
        if posting.get(field):
            found.append((name, field, (posting["month"], posting["service"])))
    if posting.get("member_units"):
        key = member_key(posting["member"], posting["service"])
        found.append(("shared", "member_units", (posting["month"], key)))
    return found


def units_of(carried: Record, name: str) -> dict[tuple[str, str], int]:
    """One of the sums by (month, service)."""
    return {(month, code): units for month, codes in carried[name].items() for code, units in codes.items()}


class Needs:
    """What is still needed of an account's past: by bills to come, by those that aren't settled, by statistics.

    `bills` are all of the account's but those that are paid or void. An account of a bill cycle that has no bill yet
    needs all; one without a cycle that never had a bill needs nothing. `counted` are the last posting and the last
    usage record that statistics have counted; None where nobody counts.
    """

    def __init__(
        self, account: Account, bills: Iterable[Record], *, has_cycle: bool, counted: tuple[int, int] | None = None
    ) -> None:
        self._sessions = account["sessions"]
        self._is_billed = has_cycle or "billing" in account
        billing: Any = account.get("billing") or {"sequence": 0, "usage": []}
        open_bills = [one for one in bills if one["state"] not in SETTLED]
        self._last: dict[str, int] = {}  # why postings are needed → the last one that isn't
        if self._is_billed:
            last = billing["sequence"]
            self._last[UNBILLED] = min(last, billing.get("looked", last), billing.get("payments", last))
            if behind := [one["postings"][0] for one in open_bills if one.get("postings")]:
                self._last[UNSETTLED] = min(behind)
        else:
            self._last[NEW] = account["sequence"]
        self._counted_usage = account["usage_sequence"]
        if counted is not None:
            self._last[UNCOUNTED], self._counted_usage = counted
        self._billed = billing["usage"]
        self._open = [span for one in open_bills for span in one.get("usage") or ()]

    def posting(self, posting: Record) -> str:
        """Why it is needed; "" where it isn't."""
        return next((why for why, last in self._last.items() if posting["sequence"] > last), "")

    def record(self, record: Record) -> str:
        """Why a usage record is needed; "" where it isn't."""
        if record.get("session") in self._sessions:
            return OPEN_SESSION
        sequence = record["sequence"]
        if sequence > self._counted_usage:
            return UNCOUNTED
        if self._is_billed and find_range(self._billed, sequence) is None:
            return UNBILLED
        return UNSETTLED if find_range(self._open, sequence) is not None else ""


def leaving_postings(
    postings: Iterable[Record], carried: Record, needs: Needs, until_s: int, month_of: MonthOf
) -> list[tuple[str, Record]]:
    """(month, posting) of those that may leave: the first ones, from before `until_s`, up to one that is needed.

    Each is of the month that it was made in, but never of an earlier one than the posting before it.
    """
    found: list[tuple[str, Record]] = []
    month = carried["month"]
    for posting in postings:
        if posting["at_ms"] >= until_s * 1000 or needs.posting(posting):
            break
        month = max(month, month_of(posting["at_ms"] // 1000))
        found.append((month, posting))
    return found


def staying_postings(postings: Iterable[Record], left: int, needs: Needs, until_s: int) -> Iterator[str]:
    """Why each posting from before `until_s` stays, of those behind sequence `left`, the last one that may leave."""
    for posting in postings:
        if posting["sequence"] > left and posting["at_ms"] < until_s * 1000:
            yield needs.posting(posting) or BEHIND


def staying_usage(usage: Sequence[Record], left: Container[str], needs: Needs, until_s: int) -> Iterator[str]:
    """Why each usage record begun before `until_s` stays; `left`: the ids of those that may leave."""
    for one in usage:
        if one["_id"] not in left and one["from_s"] < until_s:
            yield needs.record(one) or TOGETHER


def leaving_usage(usage: Sequence[Record], needs: Needs, until_s: int, month_of: MonthOf) -> list[tuple[str, Record]]:
    """(month, record) of those that may leave: begun before `until_s`, and needed by nothing.

    What is priced together leaves together: a session's or a call's parts, and corrections with what they correct.
    """
    whose = {one["_id"]: str(one.get("session") or one.get("call") or one["_id"]) for one in usage}
    groups = {one["_id"]: whose.get(one.get("corrects", one["_id"]), one["_id"]) for one in usage}
    staying = {groups[one["_id"]] for one in usage if one["from_s"] >= until_s or needs.record(one)}
    return [(month_of(one["from_s"]), one) for one in usage if groups[one["_id"]] not in staying]
