"""Price plans and bundles in rows of files: each row is checked alone here, and against others in build."""

from __future__ import annotations

import re
from datetime import date

from mubss.core.model import POSTPAID, PREPAID
from mubss.core.tariff import ANY
from mubss.core.wording import counted
from mubss.refdata.bill_rows import plan_bill
from mubss.refdata.check import Row
from mubss.refdata.plan_fields import MAX_PRICE_MICROS, currency_code, percent_ppm
from mubss.refdata.quota_rows import MAX_UNITS, plan_quota
from mubss.storage.database import Doc

MAX_RATES = 2_000  # of one plan
MAX_TIERS = 20
MAX_DISCOUNTS = 200
MAX_BUNDLE_SERVICES = 50
MAX_CREDIT_MICROS = 10**14
MAX_VERSIONED_CODE = 21  # letters: with @2026-12-01 behind it a code still fits an `_id`

_DAY = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]")
_INCREMENTS = re.compile(r"([1-9][0-9]{0,9})/([1-9][0-9]{0,9})")
_VALIDITY = re.compile(r"(?:([1-9][0-9]{0,3})([hd])|month)")


def day(row: Row, key: str, default: str | None = None) -> str:
    """A day as text, written as text or as a TOML date; "" with a fault."""
    value = row.take(key)
    if value is None and default is not None:
        return default
    text = value.isoformat() if type(value) is date else value
    if isinstance(text, str) and _DAY.fullmatch(text):
        try:
            date.fromisoformat(text)
        except ValueError:
            pass
        else:
            return text
    row.refuse(key, None if value is None else text, 'a day like "2026-12-01"')
    return ""


def plan_key(row: Row, key: str) -> str:
    """A plan's code, and for one of its versions the day it is in force from: "basic@2026-12-01"."""
    code, since = row.code(key), day(row, "valid_from", "")
    if code == ANY:
        row.fault(key, f"{ANY!r} stands for all of them; expected another code")
    if code and since and len(code) > MAX_VERSIONED_CODE:
        row.fault(
            key, f"{counted(len(code), 'letter')}; expected up to {MAX_VERSIONED_CODE} where there is a valid_from"
        )
    return f"{code}@{since}" if code and since else code


def plan(row: Row) -> Doc:
    """One version of a price plan."""
    doc: Doc = {
        "name": row.name(),
        "type": row.choice("type", (PREPAID, POSTPAID)),
        "currency": currency_code(row, "currency"),
        "monthly_fee_micros": row.amount("monthly_fee", MAX_PRICE_MICROS, "0"),
        "credit_limit_micros": row.amount("credit_limit", MAX_CREDIT_MICROS, "0"),
        "tax": row.code("tax", ""),
        "low_balance_micros": row.amount("low_balance", MAX_CREDIT_MICROS, "0"),
        "free_units": row.counts("free_units", MAX_RATES, MAX_UNITS),
        "rates": [_rate(rate) for rate in row.rows("rates", MAX_RATES)],
        "quotas": [plan_quota(quota) for quota in row.rows("quotas", MAX_RATES)],
    }
    if rollover := row.counts("rollover_units", MAX_RATES, MAX_UNITS):
        doc["rollover_units"] = rollover
    if limits := row.counts("member_limits", MAX_RATES, MAX_UNITS):
        doc["member_limits"] = limits
    if discounts := [_discount(discount) for discount in row.rows("discounts", MAX_DISCOUNTS)]:
        doc["discounts"] = discounts
    return doc | plan_bill(row, doc["type"])


def _rate(row: Row) -> Doc:
    rate: Doc = {
        "service": row.code("service"),
        "zone": row.code("zone", ANY),
        "band": row.code("band", ANY),
        "price_micros": row.amount("price", MAX_PRICE_MICROS),
        "block_units": row.integer("per_units", 1, MAX_UNITS, 1),
        "setup_micros": row.amount("setup_fee", MAX_PRICE_MICROS, "0"),
        "minimum_micros": row.amount("minimum", MAX_PRICE_MICROS, "0"),
    }
    if network := row.code("network", ""):
        rate["network"] = network
    if row.take("increments") is not None:
        match = _INCREMENTS.fullmatch(row.form("increments", _INCREMENTS, 'first and next steps like "60/1"'))
        rate["increments"] = [int(match[1]), int(match[2])] if match else [1, 1]
    if maximum := row.amount("maximum", MAX_PRICE_MICROS, "0"):
        rate["maximum_micros"] = maximum
        if maximum < rate["minimum_micros"]:
            row.fault("maximum", "less than the minimum")
    if tiers := [_tier(tier) for tier in row.rows("tiers", MAX_TIERS)]:
        rate["tiers"] = tiers
        ends = [tier["after_units"] for tier in tiers]
        if ends != sorted(set(ends)):
            row.fault("tiers", f"after_units {', '.join(map(str, ends))}; expected each more than the one before")
        rate["tiers_by"] = row.choice("tiers_by", ("session", "volume", "month"))
    elif row.take("tiers_by") is not None:
        row.fault("tiers_by", "means nothing without tiers")
    row.done()
    return rate


def _tier(row: Row) -> Doc:
    tier = {
        "after_units": row.integer("after_units", 1, MAX_UNITS),
        "price_micros": row.amount("price", MAX_PRICE_MICROS),
    }
    row.done()
    return tier


def _discount(row: Row) -> Doc:
    discount: Doc = {
        "service": row.code("service"),
        "zone": row.code("zone", ANY),
        "after_units": row.integer("after_units", 0, MAX_UNITS, 0),
        "ppm": percent_ppm(row, "percent"),
    }
    row.done()
    return discount


def bundle(row: Row) -> Doc:
    """Units of some services that are bought together, once or again and again."""
    services = row.texts("services", MAX_BUNDLE_SERVICES, "codes of services")
    zones = row.texts("zones", MAX_RATES, "codes of zones", ())
    validity = row.form("validity", _VALIDITY, '"24h", "30d" or "month"')
    match = _VALIDITY.fullmatch(validity)
    amount = int(match[1]) if match and match[1] else 0
    doc: Doc = {
        "name": row.name(),
        "currency": currency_code(row, "currency"),
        "price_micros": row.amount("price", MAX_PRICE_MICROS, "0"),
        "services": sorted(set(services)),
        "zones": sorted(set(zones)),
        "units": row.integer("units", 1, MAX_UNITS),
        "validity_s": amount * (3600 if match and match[2] == "h" else 86_400),  # 0: to the end of the month
        "priority": row.integer("priority", 0, 1000, 100),
    }
    if row.boolean("renews"):
        doc["renews"] = True
    return doc
