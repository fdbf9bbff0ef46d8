"""Bundles: units that are bought together, a bucket of the account until they are used or their time is over."""

from __future__ import annotations

from mubss.core.allowance import Bucket, in_order
from mubss.core.calendar import QUARTER_SECONDS
from mubss.core.draft import Draft
from mubss.core.errors import LedgerError
from mubss.core.model import ACTIVE, BuyBundle
from mubss.core.outbox import REAUTH, tell_sessions
from mubss.core.tariff import Bundle

MAX_BUCKETS = 50  # of an account: its document stays small
LATE_S = 40 * 86_400  # how long an ended bucket is kept, for usage of its time that is late


def buy_bundle(draft: Draft, command: BuyBundle) -> None:
    """Charges the price and adds the units; LedgerError, with nothing moved, where that can't be."""
    account, bundle = draft.account, draft.tables.bundles.get(command.bundle)
    if bundle is None:
        known = ", ".join(sorted(draft.tables.bundles)[:20]) or "none: none is loaded"
        raise LedgerError(f"bundle: {command.bundle[:40]!r}; expected one of {known}")
    if bundle.currency != account["currency"]:
        raise LedgerError(f"bundle: {bundle.code} is sold in {bundle.currency}; expected {account['currency']}")
    if account["state"] != ACTIVE:
        raise LedgerError(f"state: {account['state']}; a bundle needs an active subscriber")
    if bundle.price_micros > max(0, draft.available_micros):
        raise LedgerError(f"price_micros: {bundle.price_micros}; {draft.available_micros} are available")
    drop_ended(draft)
    if len(account.get("buckets", ())) >= MAX_BUCKETS:
        raise LedgerError(f"buckets: {MAX_BUCKETS} bundles already; expected fewer")
    cause = {"kind": "bundle", "bundle": bundle.code, "reference": command.reference}
    if bundle.price_micros:
        draft.post(-bundle.price_micros, cause)
    _add(draft, bundle, cause)
    tell_sessions(draft, REAUTH, "bundle")


def _add(draft: Draft, bundle: Bundle, cause: dict[str, str]) -> None:
    account = draft.account
    bucket: Bucket = {
        "id": f"{bundle.code}:{account['sequence'] + 1}",
        "services": list(bundle.services),
        "zones": list(bundle.zones),
        "units": bundle.units,
        "left": bundle.units,
        "from_s": draft.now_s,
        "until_s": _end_s(draft, bundle),
        "priority": bundle.priority,
    }
    account["buckets"] = in_order([*account.get("buckets", ()), bucket])
    draft.post(0, cause, bucket=bucket["id"], units=bundle.units)


def _end_s(draft: Draft, bundle: Bundle) -> int:
    """Where its validity ends: a quarter of an hour, as everything in a tariff does."""
    if bundle.validity_s:
        return -(-(draft.now_s + bundle.validity_s) // QUARTER_SECONDS) * QUARTER_SECONDS
    calendar = draft.tables.calendar
    month, end_s = calendar.at(draft.now_s).month, (draft.now_s // QUARTER_SECONDS + 1) * QUARTER_SECONDS
    while calendar.at(end_s).month == month:
        end_s += QUARTER_SECONDS
    return end_s


def drop_ended(draft: Draft) -> None:
    """Takes buckets out whose time is long over, with a posting of the units that nobody used."""
    account = draft.account
    buckets = account.get("buckets", [])
    ended = [bucket for bucket in buckets if bucket["until_s"] + LATE_S <= draft.now_s]
    if not ended:
        return
    account["buckets"] = [bucket for bucket in buckets if bucket not in ended]
    for bucket in ended:
        if bucket["left"]:
            draft.post(0, {"kind": "expiry"}, bucket=bucket["id"], units=-bucket["left"])
