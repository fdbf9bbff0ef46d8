"""Another price plan: at once, or from the subscriber's next bill period on.

One that waits needs no clock of its own, as bundles that renew don't: the first command for the account at or after its
first second finds it in force (ledger.apply), and what is noted of it (history, usage records) names that second.
Usage is of the plan that is in force when it is reported, whenever it was used; a session that is open over the second
goes on, and what its client reports from then on is at the new prices.
"""

from __future__ import annotations

from mubss.core.draft import Draft, new_part
from mubss.core.errors import LedgerError
from mubss.core.model import TERMINATED, SetNextPlan, SetPlan
from mubss.core.next_plan import next_start
from mubss.core.outbox import REAUTH, tell_sessions
from mubss.core.quota import reserve
from mubss.core.reports import record_part


def set_plan(draft: Draft, command: SetPlan) -> bool:
    """Changes it now; one that waits is called off."""
    _check(draft, command.plan)
    waited = call_off(draft)
    if draft.account["plan"] == command.plan:
        return waited
    _change(draft, command.plan, draft.now_s)
    return True


def set_next_plan(draft: Draft, command: SetNextPlan) -> bool:
    """Orders it for the next period, in the place of one that waits; the plan in force is no change, and calls it off.

    LedgerError where the plan can't be had, and where nothing waits that could be called off.
    """
    account = draft.account
    if not command.plan:
        if not call_off(draft):
            raise LedgerError("next_plan: none; expected one that waits, to call it off")
        return True
    _check(draft, command.plan)
    if account["plan"] == command.plan:
        return call_off(draft)
    from_s = next_start(command.closing_day, draft.now_s, draft.tables.calendar.zone)
    if (account.get("next_plan"), account.get("next_plan_from_s")) == (command.plan, from_s):
        return False
    account["next_plan"], account["next_plan_from_s"] = command.plan, from_s
    return True


def call_off(draft: Draft) -> bool:
    """No plan waits any more; whether one did."""
    draft.account.pop("next_plan_from_s", None)
    return draft.account.pop("next_plan", None) is not None


def take_next_plan(draft: Draft) -> None:
    """The plan that waited is in force, since its first second.

    Nothing can refuse it: reference data keeps the type and the currency of a plan that waits for somebody.
    """
    code, from_s = draft.account["next_plan"], draft.account["next_plan_from_s"]
    call_off(draft)
    _change(draft, code, from_s)


def _check(draft: Draft, code: str) -> None:
    account, new = draft.account, draft.tables.plans.get(code)
    if new is None:
        raise LedgerError(f"plan: {code[:40]!r}; expected one of {', '.join(sorted(draft.tables.plans))}")
    if (new.type, new.currency) != (account["type"], account["currency"]):
        text = f"plan: {new.code} is {new.type} in {new.currency}; expected {account['type']} in {account['currency']}"
        raise LedgerError(text)
    if account["state"] == TERMINATED:
        raise LedgerError("state: terminated; a terminated subscriber has no other plan")


def _change(draft: Draft, code: str, at_s: int) -> None:
    """Usage so far stays the old plan's: it has its record, its charge and its reservations at the old rates."""
    account, plans = draft.account, draft.tables.plans
    old, new = plans.get(account["plan"]), plans.get(code)
    for key, stored in sorted(account["sessions"].items()):  # in an order that no store changes
        session = account["sessions"][key] = stored.copy()
        session["services"] = stored["services"].copy()
        for service, meter in sorted(session["services"].items()):
            record_part(draft, key, session, service, meter, at_s)
            session["services"][service] = {**meter, "part": new_part(at_s)}
    account["plan"] = code
    draft.note_history(at_s)
    if old is not None and new is not None and account["credit_limit_micros"] == old.credit_limit_micros:
        account["credit_limit_micros"] = new.credit_limit_micros  # one that an operator set stays
    reserve(draft)
    tell_sessions(draft, REAUTH, "plan")
