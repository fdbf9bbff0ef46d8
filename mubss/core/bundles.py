"""Bundles: units that are bought together, a bucket of the account until they are used or their time is over.

One that renews is then bought again, by the first command for the account at or after its end (ledger.apply). That
needs no clock of its own, and whether it can be paid comes out as it would have then: nothing moved meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mubss.core.allowance import Bucket, in_order
from mubss.core.calendar import QUARTER_SECONDS
from mubss.core.draft import Draft
from mubss.core.errors import LedgerError
from mubss.core.model import ACTIVE, POSTPAID, BuyBundle, StopBundle
from mubss.core.money import format_amount
from mubss.core.outbox import REAUTH, tell_sessions
from mubss.core.quota import reserve
from mubss.core.tariff import Bundle

MAX_BUCKETS = 50  # of an account: its document stays small
LATE_S = 40 * 86_400  # how long an ended bucket is kept, for usage of its time that is late


def buy_bundle(draft: Draft, command: BuyBundle) -> None:
    """Charges the price and adds the units; LedgerError, with nothing moved, where that can't be.

    Of a bundle that renews the newest does: one that is bought again before its end takes the place of the one before.
    One that a voucher pays comes beside them.
    """
    account, bundle = draft.account, draft.tables.bundles.get(command.bundle)
    if bundle is None:
        known = ", ".join(sorted(draft.tables.bundles)[:20]) or "none: none is loaded"
        raise LedgerError(f"bundle: {command.bundle[:40]!r}; expected one of {known}")
    if bundle.currency != account["currency"]:
        raise LedgerError(f"bundle: {bundle.code} is sold in {bundle.currency}; expected {account['currency']}")
    if account["state"] != ACTIVE:
        raise LedgerError(f"state: {account['state']}; a bundle needs an active subscriber")
    if command.with_voucher:
        bundle = replace(bundle, price_micros=0, renews=False)
    if bundle.price_micros > max(0, draft.available_micros):
        price, available = format_amount(bundle.price_micros), format_amount(draft.available_micros)
        raise LedgerError(f"price: {price} {bundle.currency}; expected no more than the {available} available")
    if not _make_room(draft):
        raise LedgerError(f"buckets: {MAX_BUCKETS} bundles already; expected fewer")
    kind = "voucher" if command.with_voucher else "bundle"
    if not command.with_voucher:
        _no_longer(draft, bundle.code)
    cause = {"kind": kind, "bundle": bundle.code, "reference": command.reference}
    _add(draft, bundle, cause, draft.now_s, _end_s(draft, bundle))
    tell_sessions(draft, REAUTH, kind)


def stop_bundle(draft: Draft, command: StopBundle) -> None:
    """The bundle isn't bought again; LedgerError where none of that code would be."""
    renewing = sorted({code_of(bucket) for bucket in draft.account.get("buckets", ()) if bucket.get("renews")})
    if command.bundle not in renewing:
        known = ", ".join(renewing) or "none: no bundle of this subscriber renews"
        raise LedgerError(f"bundle: {command.bundle[:40]!r}; expected one of {known}")
    _no_longer(draft, command.bundle)
    draft.post(0, {"kind": "renewal stopped", "bundle": command.bundle, "reference": command.reference})


def renew_bundles(draft: Draft) -> None:
    """Buys again what renews and is over, the one that ended first before the others.

    One that can't be bought is over for good, and a posting says why. Of several periods that went by, in which nothing
    happened on the account, only the present one is bought.
    """
    buckets = draft.account.get("buckets", [])
    due = [bucket for bucket in buckets if bucket.get("renews") and bucket["until_s"] <= draft.now_s]
    for bucket in sorted(due, key=lambda bucket: (bucket["until_s"], bucket["id"])):
        code = code_of(bucket)
        _no_longer(draft, code)
        obstacle = _obstacle(draft, code) or _bought_again(draft, draft.tables.bundles[code], bucket["until_s"])
        if obstacle:
            draft.post(0, {"kind": "renewal refused", "bundle": code, "reference": obstacle})


def _bought_again(draft: Draft, bundle: Bundle, ended_s: int) -> str:
    """Buys it; or says why not, with nothing moved. Prepaid, the balance must cover it beside what is then reserved.

    The units that it brings may be promised to grants that are outstanding, which then reserve less.
    """
    before, count = draft.account.copy(), len(draft.postings)
    before["sessions"] = before["sessions"].copy()
    from_s, until_s = _period(draft, bundle, ended_s)
    _add(draft, bundle, {"kind": "renewal", "bundle": bundle.code}, from_s, until_s)
    reserve(draft)
    if draft.account["type"] == POSTPAID or not bundle.price_micros or draft.available_micros >= 0:
        return ""
    available_micros = draft.available_micros + bundle.price_micros
    draft.account = before
    del draft.postings[count:]
    return f"{format_amount(available_micros)} available, the price is {format_amount(bundle.price_micros)}"


def _obstacle(draft: Draft, code: str) -> str:
    """Why a bundle isn't to be bought again; "" where it is, with room made for it."""
    account, bundle = draft.account, draft.tables.bundles.get(code)
    if bundle is None or not bundle.renews or bundle.currency != account["currency"]:
        return "the tariff doesn't renew it any more"
    if account["state"] != ACTIVE:
        return f"the subscriber is {account['state']}"
    if not draft.can_hold(-bundle.price_micros):
        return "the balance can't bear it"
    return "" if _make_room(draft) else f"{MAX_BUCKETS} bundles already"


def code_of(bucket: Bucket) -> str:
    """The bundle that a bucket came from."""
    return bucket["id"].rpartition(":")[0]


def next_renewal(buckets: Iterable[Bucket]) -> int | None:
    """When the first is over of those that renew."""
    return min((bucket["until_s"] for bucket in buckets if bucket.get("renews")), default=None)


def _keep(draft: Draft, buckets: Iterable[Bucket]) -> None:
    """These are the account's buckets from now on."""
    account = draft.account
    account["buckets"] = in_order(buckets)
    renews_s = next_renewal(account["buckets"])
    account.pop("renews_s", None)
    if renews_s is not None:
        account["renews_s"] = renews_s


def _no_longer(draft: Draft, code: str) -> None:
    """Buckets of a bundle don't renew any more."""
    buckets = draft.account.get("buckets", [])
    if any(bucket.get("renews") and code_of(bucket) == code for bucket in buckets):
        _keep(draft, [_ending(bucket) if code_of(bucket) == code else bucket for bucket in buckets])


def _ending(bucket: Bucket) -> Bucket:
    kept = bucket.copy()
    kept.pop("renews", None)
    return kept


def _add(draft: Draft, bundle: Bundle, cause: dict[str, str], from_s: int, until_s: int) -> None:
    account = draft.account
    if bundle.price_micros:
        draft.post(-bundle.price_micros, cause)
    bucket: Bucket = {
        "id": f"{bundle.code}:{account['sequence'] + 1}",
        "services": list(bundle.services),
        "zones": list(bundle.zones),
        "units": bundle.units,
        "left": bundle.units,
        "from_s": from_s,
        "until_s": until_s,
        "priority": bundle.priority,
    }
    if bundle.renews:
        bucket["renews"] = True
    _keep(draft, [*account.get("buckets", ()), bucket])
    draft.post(0, cause, bucket=bucket["id"], units=bundle.units)


def _end_s(draft: Draft, bundle: Bundle) -> int:
    """Where its validity ends that begins now: a quarter of an hour, as everything in a tariff does."""
    if bundle.validity_s:
        return -(-(draft.now_s + bundle.validity_s) // QUARTER_SECONDS) * QUARTER_SECONDS
    calendar = draft.tables.calendar
    month, end_s = calendar.at(draft.now_s).month, (draft.now_s // QUARTER_SECONDS + 1) * QUARTER_SECONDS
    while calendar.at(end_s).month == month:
        end_s += QUARTER_SECONDS
    return end_s


def _period(draft: Draft, bundle: Bundle, ended_s: int) -> tuple[int, int]:
    """The period that holds this moment, of those that follow each other from an end on: [from, until)."""
    if bundle.validity_s:
        from_s = ended_s + (draft.now_s - ended_s) // bundle.validity_s * bundle.validity_s
        return from_s, from_s + bundle.validity_s
    calendar = draft.tables.calendar
    month, from_s = calendar.at(draft.now_s).month, draft.now_s // QUARTER_SECONDS * QUARTER_SECONDS
    while from_s > ended_s and calendar.at(from_s - QUARTER_SECONDS).month == month:
        from_s -= QUARTER_SECONDS
    return from_s, _end_s(draft, bundle)


def _make_room(draft: Draft) -> bool:
    """Whether there is room for one more bucket, once those are gone that nobody can use any more.

    Those whose time is long over go, and empty ones; where there are still too many, those that ended first.
    """
    buckets = draft.account.get("buckets", [])
    ended = sorted(
        (one for one in buckets if one["until_s"] <= draft.now_s), key=lambda one: (one["until_s"], one["id"])
    )
    gone = [one for one in ended if one["until_s"] + LATE_S <= draft.now_s or not one["left"]]
    still = [one for one in ended if one not in gone]
    gone += still[: max(0, len(buckets) - len(gone) - MAX_BUCKETS + 1)]
    if gone:
        _keep(draft, [one for one in buckets if one not in gone])
    for bucket in gone:
        if bucket["left"]:
            draft.post(0, {"kind": "expiry"}, bucket=bucket["id"], units=-bucket["left"])
    return len(buckets) - len(gone) < MAX_BUCKETS
