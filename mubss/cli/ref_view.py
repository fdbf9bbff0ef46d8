"""Rows of reference data as a tariff manager writes them: words, amounts and percentages, never as they are stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from mubss.cli.output import cell, print_table
from mubss.core.money import format_amount
from mubss.refdata.rows import WEEKDAYS

Row = Mapping[str, Any]

_PERCENT_MICROS_PER_PPM = 100  # 200_000 ppm are 20 %
_DAY_S, _HOUR_S = 86_400, 3600
# Fields of documents that a tariff manager knows by other names.
_HEADINGS = {
    "_id": "key",
    "rate_ppm": "rate percent",
    "ppm": "percent",
    "validity_s": "validity",
    "holding_time_s": "holding time",
    "block_units": "per units",
    "setup_micros": "setup fee",
    "absent": "or none",
}
# The order in which fields are shown, whichever table they belong to; a store keeps none.
_FIELDS = (
    "_id name numeric decimals on rate_ppm closing_day days action fee_micros unit type currency "
    "monthly_fee_micros fee_timing activation_fee_micros minimum_bill_micros bill_discounts credit_limit_micros "
    "low_balance_micros tax free_units rollover_units member_limits rates quotas discounts weekdays from_quarter "
    "until_quarter prefixes numbers blocked codes rules absent rating_groups service_identifiers service zone network "
    "band price_micros block_units increments setup_micros minimum_micros maximum_micros tiers_by tiers after_units "
    "ppm services zones units quota_units quota_limit_units validity_s threshold_percent holding_time_s pool "
    "final priority renews"
).split()
_ORDER = {name: place for place, name in enumerate(_FIELDS)}
_COUNTED = ("rates", "rules", "prefixes", "numbers", "codes", "quotas")  # of these a summary says how many


def ordered(doc: Row) -> dict[str, Any]:
    """A document, and those within it, with its fields in the order in which they are shown."""
    return {
        name: [ordered(row) for row in value] if is_rows(value) else value
        for name, value in sorted(doc.items(), key=lambda field: _ORDER.get(field[0], len(_ORDER)))
    }


def print_summaries(docs: Sequence[Row]) -> None:
    """A line for each; of long lists only how many there are."""
    _print_rows([{name: len(doc[name]) if name in _COUNTED else doc[name] for name in doc} for doc in docs])


def print_one(doc: Row) -> None:
    """All there is of one: its fields, then each of its tables."""
    print_table(
        [{"field": heading(name), "value": shown(name, doc[name])} for name in doc if not is_rows(doc[name])],
        {"field": "field", "value": "value"},
        fold=("value",),
    )
    for name in doc:
        if is_rows(doc[name]):
            click.echo(f"\n{name}")
            _print_rows(doc[name])


def _print_rows(rows: Sequence[Row]) -> None:
    """A table of what any of the rows has; columns in which there is nothing are left out."""
    names = sorted({name for row in rows for name in row}, key=lambda name: _ORDER.get(name, len(_ORDER)))
    texts = [{heading(name): shown(name, row[name]) if name in row else "" for name in names} for row in rows]
    columns = [heading(name) for name in names if any(text[heading(name)] not in ("", 0) for text in texts)]
    print_table(texts, {heading: heading for heading in columns} or {"key": "key"})


def is_rows(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], dict)


def heading(name: str) -> str:
    plain = name.removesuffix("_micros").removesuffix("_quarter").replace("_", " ")
    return _HEADINGS.get(name, plain)


def shown(name: str, value: Any) -> Any:
    """A value as a tariff manager writes it; what is a number stays one."""
    if name in _TEXTS and not isinstance(value, str) and not (name in _COUNTED and isinstance(value, int)):
        return _TEXTS[name](value)
    if name.endswith("_micros"):
        return format_amount(value)
    if name.endswith("_quarter"):
        return f"{value // 4:02}:{value % 4 * 15:02}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    return value if isinstance(value, int) and not isinstance(value, bool) else cell(value)


def _percent(ppm: int) -> str:
    return format_amount(ppm * _PERCENT_MICROS_PER_PPM, 0)


def _ranges(value: list[list[int]] | None) -> str:
    return "any" if value is None else ", ".join(f"{low}-{high}" if low < high else str(low) for low, high in value)


def _duration(seconds: int) -> str:
    """ "3d", "24h", "600s"; a bundle of 0 is valid to the end of the month."""
    if not seconds:
        return "month"
    if seconds % _HOUR_S:
        return f"{seconds}s"
    return f"{seconds // _HOUR_S}h" if seconds % _DAY_S else f"{seconds // _DAY_S}d"


def _tiers(tiers: Sequence[Row]) -> str:
    return ", ".join(f"{format_amount(tier['price_micros'])} after {tier['after_units']}" for tier in tiers)


def _discounts(discounts: Sequence[Row]) -> str:
    found = []
    for one in discounts:
        text = f"{_percent(one['ppm'])} % off {one['service']}"
        text += f" to {one['zone']}" if one["zone"] != "any" else ""
        found.append(text + (f" after {one['after_units']}" if one["after_units"] else ""))
    return ", ".join(found)


def _final(final: Row) -> str:
    text = str(final["action"])
    text += f" to {final['redirect_address']}" if final.get("redirect_address") else ""
    allowed = [*final.get("filter_rules", ()), *(f"filter {one}" for one in final.get("filter_ids", ()))]
    return text + (f", allowed: {'; '.join(allowed)}" if allowed else "")


_TEXTS: dict[str, Callable[[Any], str]] = {
    "rate_ppm": _percent,
    "ppm": _percent,
    "weekdays": lambda days: " ".join(WEEKDAYS[day] for day in days),
    "rating_groups": _ranges,
    "service_identifiers": _ranges,
    "validity_s": _duration,
    "holding_time_s": _duration,
    "increments": lambda steps: f"{steps[0]}/{steps[1]}",
    "tiers": _tiers,
    "discounts": _discounts,
    "final": _final,
}
