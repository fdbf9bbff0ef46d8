"""What a command's effect on an account gives to tell: found by comparing the account before and after it. Pure.

So it holds for whatever moves money or units: requests, CDRs, re-rating, a bundle that renews. Nothing is read for it,
and a request that crosses no threshold costs a few comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator

from mubss.core.allowance import Bucket
from mubss.core.bundles import code_of
from mubss.core.issuing import IssueBill
from mubss.core.members import member_of
from mubss.core.model import (
    POSTPAID,
    PREPAID,
    SUSPENDED,
    TOP_UPS,
    Account,
    Applied,
    Command,
    CreditControl,
    Outcome,
    Result,
    SetState,
)
from mubss.core.notice_kinds import (
    BILL_READY,
    BUNDLE_USED,
    EXPIRY_SOON,
    LOW_BALANCE,
    SESSION_REFUSED,
    TOP_UP,
    Notice,
    NoticeRules,
)
from mubss.core.notice_kinds import SUSPENDED as TOLD_SUSPENDED
from mubss.core.tariff import Tables

DAY_S = 86_400
_REFUSED = int(Result.CREDIT_LIMIT_REACHED)  # an enum's member takes longer to find
_PAID_IN = (*TOP_UPS, "payment")


def note(
    before: Account, command: Command, applied: Applied, rules: NoticeRules, tables: Tables, now_ms: int
) -> list[Notice]:
    """The notices that a command causes. `applied.account` may get a note of when its subscriber was told."""
    found: list[Notice] = []
    if isinstance(command, CreditControl):
        if SESSION_REFUSED in rules.kinds and applied.outcome is not None and _is_refused(applied.outcome):
            found += _refused(before, command, applied, now_ms // 1000)
        tables = command.tables
    elif applied.account is not None:
        found += _commanded(applied.account, command, applied, rules)
    after = applied.account
    if after is None:
        return found
    if after["balance_micros"] < before["balance_micros"] and LOW_BALANCE in rules.kinds:
        found += _low_balance(before, after, rules, tables)
    if after.get("buckets") is not before.get("buckets"):
        found += _buckets(before, after, rules, now_ms // 1000)
    return found


def _is_refused(outcome: Outcome) -> bool:
    if outcome.result == _REFUSED:
        return True
    for answer in outcome.answers:
        if answer.result == _REFUSED:
            return True
    return False


def _refused(before: Account, command: CreditControl, applied: Applied, now_s: int) -> Iterator[Notice]:
    """Once a day and subscriber, however often its client asks; the account remembers when."""
    session = before["sessions"].get(command.session_hash)
    subscriber = member_of(before, command.identities, session) or before["_id"]
    told = before.get("told", {})
    if told.get(subscriber, -DAY_S) + DAY_S > now_s:
        return
    after = applied.account
    if after is None:
        after = applied.account = {**before, "version": before["version"] + 1}
    after["told"] = {**{one: at_s for one, at_s in told.items() if at_s + DAY_S > now_s}, subscriber: now_s}
    yield Notice(SESSION_REFUSED, subscriber, _cause(after), _balance(after))


def _low_balance(before: Account, after: Account, rules: NoticeRules, tables: Tables) -> Iterator[Notice]:
    if after["type"] != PREPAID:
        return
    plan = tables.plans.get(after["plan"])
    threshold_micros = (plan.low_balance_micros if plan is not None else 0) or rules.low_balance_micros
    if after["balance_micros"] < threshold_micros <= before["balance_micros"]:
        yield Notice(LOW_BALANCE, after["_id"], _cause(after), _balance(after))


def _buckets(before: Account, after: Account, rules: NoticeRules, now_s: int) -> Iterator[Notice]:
    had = {bucket["id"]: bucket["left"] for bucket in before.get("buckets", ())}
    for bucket in after.get("buckets", ()):
        left, units = bucket["left"], bucket["units"]
        was = had.get(bucket["id"], units)
        if bucket["id"] not in had and EXPIRY_SOON in rules.kinds:
            due_s = bucket["until_s"] - rules.expiry_soon_s
            if due_s > now_s:  # one that lasts no longer than that has no end to be told of beforehand
                yield Notice(EXPIRY_SOON, after["_id"], f"{after['_id']}:{bucket['id']}", _bundle(bucket), due_s)
        if left < was and BUNDLE_USED in rules.kinds:
            mark = units * (100 - rules.bundle_percent) // 100
            percent = 100 if left <= 0 else rules.bundle_percent if left <= mark < was else 0
            if percent:
                values = {**_bundle(bucket), "percent": percent}
                yield Notice(BUNDLE_USED, after["_id"], f"{_cause(after)}:{bucket['id']}", values)


def _bundle(bucket: Bucket) -> dict[str, str | int]:
    return {
        "bucket": bucket["id"],
        "bundle": code_of(bucket),
        "service": bucket["services"][0] if bucket["services"] else "",
        "units": bucket["units"],
        "left_units": bucket["left"],
        "until_s": bucket["until_s"],
    }


def _commanded(after: Account, command: Command, applied: Applied, rules: NoticeRules) -> Iterator[Notice]:
    if TOP_UP in rules.kinds:
        paid_micros = sum(one["amount_micros"] for one in applied.postings if one["cause"]["kind"] in _PAID_IN)
        if paid_micros > 0:
            yield Notice(TOP_UP, after["_id"], _cause(after), {**_balance(after), "amount_micros": paid_micros})
    if isinstance(command, SetState):
        if TOLD_SUSPENDED in rules.kinds and command.state == SUSPENDED:
            yield Notice(TOLD_SUSPENDED, command.member or after["_id"], _cause(after), {})
    elif isinstance(command, IssueBill) and BILL_READY in rules.kinds and after["type"] == POSTPAID:
        yield Notice(BILL_READY, after["_id"], f"bill {command.bill}", {"bill": command.bill})


def _balance(account: Account) -> dict[str, str | int]:
    return {"balance_micros": account["balance_micros"], "currency": account["currency"]}


def _cause(account: Account) -> str:
    """No two changes of an account are of one version."""
    return f"{account['_id']}:{account['version']}"
