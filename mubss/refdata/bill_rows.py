"""What bills are made of, in rows of files: how a plan's fees are charged, discounts, steps of dunning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mubss.core.bill_lines import DISCOUNTED
from mubss.core.model import POSTPAID, PREPAID
from mubss.core.tariff import ACTIONS, BillDiscount, DunningStep
from mubss.refdata.check import Row, is_code
from mubss.refdata.plan_fields import MAX_PRICE_MICROS, currency_code, percent_ppm
from mubss.storage.database import Doc

ARREARS, ADVANCE = "arrears", "advance"
MAX_BILL_DISCOUNTS = 10  # of a plan
MAX_STEPS = 20


def plan_bill(row: Row, kind: str) -> Doc:
    """How a plan is billed: the keys that are there, and only for postpaid plans; others have no bill."""
    doc: Doc = {}
    if row.take("fee_timing") is not None:
        timing = row.choice("fee_timing", (ARREARS, ADVANCE))
        if timing == ADVANCE:
            doc["fee_timing"] = timing
    for key in ("activation_fee", "minimum_bill"):
        if micros := row.amount(key, MAX_PRICE_MICROS, "0"):
            doc[f"{key}_micros"] = micros
    codes = row.texts("bill_discounts", MAX_BILL_DISCOUNTS, "codes of bill_discounts", ())
    for number, code in enumerate(codes, 1):
        if not is_code(code) or code in codes[: number - 1]:
            row.refuse(f"bill_discounts[{number}]", code, "the code of a discount, each once")
    if codes:
        doc["bill_discounts"] = codes
    for key in doc if kind == PREPAID else ():
        row.fault(key.removesuffix("_micros"), f"is for {POSTPAID} plans: no bill would have it")
    if kind == PREPAID and row.amount("monthly_fee", MAX_PRICE_MICROS, "0"):
        row.fault("monthly_fee", f"is for {POSTPAID} plans; for {PREPAID} ones sell a bundle that renews")
    return doc


def bill_discount(row: Row) -> Doc:
    """What is taken off a bill's fees, its usage or both."""
    on = row.texts("on", len(DISCOUNTED), " or ".join(DISCOUNTED), tuple(DISCOUNTED))
    for number, what in enumerate(on, 1):
        if what not in DISCOUNTED or what in on[: number - 1]:
            row.refuse(f"on[{number}]", what, f"{' or '.join(DISCOUNTED)}, each once")
    return {"name": row.name(), "on": sorted(on), "ppm": percent_ppm(row, "percent")}


def dunning(row: Row) -> Doc:
    """A step of the ladder: what happens so many days after a bill was due."""
    doc: Doc = {
        "name": row.name(),
        "days": row.integer("days", 1, 365),
        "action": row.choice("action", ACTIONS),
    }
    if fee := row.amount("fee", MAX_PRICE_MICROS, "0"):
        doc |= {"fee_micros": fee, "currency": currency_code(row, "currency")}
    elif row.take("currency") is not None:
        row.fault("currency", "means nothing without a fee")
    return doc


def dunning_step(row: Row, key: str) -> str:
    """The number of a step."""
    step = row.integer(key, 1, MAX_STEPS)
    return "" if row.faulty else str(step)


def build_plan_bill(doc: Doc) -> dict[str, Any]:
    """What a plan's document says of bills, as fields of `tariff.Plan`."""
    return {
        "fee_timing": doc.get("fee_timing", ARREARS),
        "activation_fee_micros": doc.get("activation_fee_micros", 0),
        "minimum_bill_micros": doc.get("minimum_bill_micros", 0),
        "bill_discounts": tuple(doc.get("bill_discounts", ())),
    }


def build_bill_discount(doc: Doc) -> BillDiscount:
    """One discount."""
    return BillDiscount(doc["_id"], doc["name"], tuple(doc["on"]), doc["ppm"])


def build_dunning(docs: Mapping[str, Doc]) -> tuple[DunningStep, ...]:
    """The ladder, from its first step on."""
    return tuple(
        DunningStep(
            int(key), doc["name"], doc["days"], doc["action"], doc.get("fee_micros", 0), doc.get("currency", "")
        )
        for key, doc in sorted(docs.items(), key=lambda item: int(item[0]))
    )
