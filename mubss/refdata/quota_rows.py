"""Quota policies in rows of files: of a service, and what a plan has other than that."""

from __future__ import annotations

import re
from typing import Any

from mubss.core.tariff import Final, FinalAction, Quota, Unit
from mubss.refdata.check import Row
from mubss.storage.database import Doc

MAX_UNITS = 10**15
MAX_UNSIGNED32 = 2**32 - 1
MAX_VALIDITY_S = 7 * 86_400
MAX_FILTERS = 20

_ADDRESS = re.compile(r"[!-~]{1,200}")
_ADDRESS_FORM = 'where to: a URL like "https://top-up.example", a SIP URI or an IP address'
_FILTER = re.compile(r"[ -~]{1,200}")


def service_quota(row: Row, unit: str) -> Doc:
    """The whole policy of a service."""
    most = MAX_UNSIGNED32 if unit == Unit.SECONDS else MAX_UNITS
    units = row.integer("quota_units", 1, most)
    quota = {
        "quota_units": units,
        "quota_limit_units": row.integer("quota_limit_units", units, most),
        "validity_s": row.integer("validity_seconds", 1, MAX_VALIDITY_S),
    }
    return quota | _more(row)


def plan_quota(row: Row) -> Doc:
    """What a plan sets of a service's policy: the keys that are there."""
    service = row.code("service")
    quota: Doc = {"service": service}
    for key, name, most in (
        ("quota_units", "quota_units", MAX_UNITS),
        ("quota_limit_units", "quota_limit_units", MAX_UNITS),
        ("validity_seconds", "validity_s", MAX_VALIDITY_S),
    ):
        if row.take(key) is not None:
            quota[name] = row.integer(key, 1, most)
    quota |= _more(row)
    row.done()
    return quota


def _more(row: Row) -> Doc:
    """What either may have."""
    quota: Doc = {}
    for key, name, low, high in (
        ("threshold_percent", "threshold_percent", 0, 99),
        ("holding_time_seconds", "holding_time_s", 0, MAX_VALIDITY_S),
        ("pool", "pool", 0, MAX_UNSIGNED32),
    ):
        if row.take(key) is not None:
            quota[name] = row.integer(key, low, high)
    if final := _final(row):
        quota["final"] = final
    return quota


def _final(row: Row) -> Doc:
    """The final action with what goes with it; empty where the row names none."""
    if row.take("final_unit") is None:
        for key in ("redirect_address", "filter_rules", "filter_ids"):
            if row.take(key) is not None:
                row.fault(key, "means nothing without final_unit")
        return {}
    action = row.choice("final_unit", list(FinalAction))
    final: Doc = {"action": action}
    if action == FinalAction.REDIRECT:
        final["redirect_address"] = row.form("redirect_address", _ADDRESS, _ADDRESS_FORM)
    elif row.take("redirect_address") is not None:
        row.fault("redirect_address", f'is for final_unit = "{FinalAction.REDIRECT}"')
    for key, expected in (("filter_rules", "an IPFilterRule"), ("filter_ids", "the name of a filter")):
        if row.take(key) is None:
            continue
        texts = row.texts(key, MAX_FILTERS, expected)
        for number, text in enumerate(texts, 1):
            if not _FILTER.fullmatch(text):
                row.refuse(f"{key}[{number}]", text, f"{expected} in printable ASCII")
        if action == FinalAction.TERMINATE:
            row.fault(key, f'is for final_unit = "{FinalAction.RESTRICT}" or "{FinalAction.REDIRECT}"')
        final[key] = texts
    if action == FinalAction.RESTRICT and not (final.get("filter_rules") or final.get("filter_ids")):
        row.fault("final_unit", "restrict without filter_rules or filter_ids; expected what stays allowed")
    return final


def build_quota(doc: Doc, base: Quota | None = None) -> Quota:
    """The policy that a document holds, in place of what `base` has of it."""
    known: dict[str, Any] = {} if base is None else {name: getattr(base, name) for name in Quota.__slots__}
    for key, name in (
        ("quota_units", "units"),
        ("quota_limit_units", "limit_units"),
        ("validity_s", "validity_s"),
        ("threshold_percent", "threshold_percent"),
        ("holding_time_s", "holding_time_s"),
        ("pool", "pool"),
    ):
        if key in doc:
            known[name] = doc[key]
    if "final" in doc:
        final = doc["final"]
        known["final"] = Final(
            FinalAction(final["action"]),
            final.get("redirect_address", ""),
            tuple(final.get("filter_rules", ())),
            tuple(final.get("filter_ids", ())),
        ).key
    return Quota(**known)
