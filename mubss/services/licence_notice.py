"""The operator is told of a licence that ends: once at each step, whichever process sees it first."""

from __future__ import annotations

from mubss.core.licence import WARN_DAYS, State
from mubss.core.notice_kinds import LICENCE, OPERATOR
from mubss.services.licensing import Standing
from mubss.storage import notifications
from mubss.storage.database import Store

STEPS = (1, 3, 7, 14, WARN_DAYS)  # days before the end


def tell(store: Store, standing: Standing, language: str, now_s: int) -> bool:
    """Writes the notification of the step that the licence has come to; whether there was one to write."""
    licence = standing.licence
    if standing.state in (State.VALID, State.NOT_YET):
        return False
    step = standing.state.value
    if standing.state is State.EXPIRING:
        step = f"{min(days for days in STEPS if standing.days_left <= days)} days"
    end = {"days": standing.days_left, "end_s": licence.expires_s}
    values = {"serial": licence.serial, "state": standing.state.value, **end}
    doc = notifications.make(LICENCE, OPERATOR, language, f"{licence.serial} {step}", values, now_s)
    return notifications.add(store, doc)
