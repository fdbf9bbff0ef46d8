"""A bill, a statement or a credit note on a terminal."""

from __future__ import annotations

from typing import Any

import click

from mubss.cli.output import counted, print_table
from mubss.core.crediting import KIND
from mubss.core.model import POSTPAID, PREPAID
from mubss.core.money import format_amount
from mubss.storage.database import Doc

_LINES = {"what": "what", "for": "for", "units": "units", "free": "free", "tax": "tax", "amount": "amount"}


def amount(doc: Doc, minor: int) -> str:
    """An amount of a bill as people write it: "12.34 EUR"."""
    decimals = doc["decimals"]
    units, rest = divmod(abs(minor), 10**decimals)
    sign = "-" if minor < 0 else ""
    return f"{sign}{units}.{rest:0{decimals}} {doc['currency']}" if decimals else f"{sign}{units} {doc['currency']}"


def print_bill(doc: Doc) -> None:
    """Line by line."""
    click.echo(f"{doc['number']}, {doc['state']}, of {doc['msisdn']}")
    if doc["kind"] == KIND:
        click.echo(f"a credit note for {doc['credits']}: {doc['reason']}")
    click.echo(f"{doc['from_day']} to {doc['until_day']}, cycle {doc['cycle']}, plan {doc['plan']}")
    click.echo()
    rows: list[dict[str, Any]] = [
        {
            "what": f"{line['kind'].replace('_', ' ')} {line['code']}".rstrip(),
            "for": _for(doc, line),
            "units": f"{line['units']:,}" if "units" in line else "",
            "free": f"{line['free_units'] + line['bundle_units']:,}" if "units" in line else "",
            "tax": line["tax"],
            "amount": amount(doc, line["amount"]),
        }
        for line in doc["lines"]
    ]
    if doc["kind"] == PREPAID:
        _print_statement(doc, rows)
        return
    for tax in doc["taxes"]:
        rows.append({"what": tax["name"], "for": f"on {amount(doc, tax['net'])}", "amount": amount(doc, tax["amount"])})
    sums = [("total", doc["total"]), ("due before", doc["previous_due"]), ("paid", -doc["paid"])]
    if doc.get("credited"):
        sums.append(("credit notes", -doc["credited"]))
    rows += [{"what": name, "amount": amount(doc, minor)} for name, minor in sums]
    last = f"open of {doc['credits']}" if doc["kind"] == KIND else "due now"
    rows.append({"what": last, "amount": amount(doc, doc["due"])})
    settled = doc.get("settled", {})
    rows += [
        {"what": name, "amount": amount(doc, settled[key])}
        for name, key in (("paid of it", "paid"), ("credited of it", "credited"), ("open of it", "open"))
        if doc["kind"] == POSTPAID and settled.get(key)
    ]
    print_table(rows, _LINES, right=("units", "free", "amount"))


def _print_statement(doc: Doc, rows: list[dict[str, Any]]) -> None:
    """The charges of a prepaid subscriber, between the balances."""
    paid_in = [
        {
            "what": " ".join(filter(None, [one["kind"], one["reference"]])),
            "for": one["day"],
            "amount": amount(doc, one["amount"]),
        }
        for one in doc["topups"]
    ]
    balances = [
        {"what": f"{name} balance", "amount": amount(doc, doc[f"{name}_balance"])} for name in ("opening", "closing")
    ]
    charges = {"what": "charges", "amount": amount(doc, doc["total"])}
    print_table([balances[0], *paid_in, *rows, charges, balances[1]], _LINES, right=("units", "free", "amount"))


def _for(doc: Doc, line: dict[str, Any]) -> str:
    if "days" in line:
        text = f"{line['days']} of {line['of_days']} days"
        return f"{text} from {line['from_day']}" if line.get("advance") or line["kind"] == "fee_correction" else text
    if line["kind"] == "discount":
        return f"{format_amount(line['rate_ppm'] * 100, 0)} % of {amount(doc, line['base'])}"
    if line["kind"] == "minimum":
        return f"{amount(doc, line['counted'])} of {amount(doc, line['minimum'])}"
    return counted(line["records"], "record") if "records" in line else ""
