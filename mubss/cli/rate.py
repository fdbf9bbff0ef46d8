"""`mubss rate`: what usage costs and why, by the tariff in force or by a file's that isn't loaded yet."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.command import Command, Invocation
from mubss.cli.output import counted, print_json, print_table
from mubss.core.allowance import Allowance
from mubss.core.errors import InputError
from mubss.core.explain import Explanation, Step, explain
from mubss.core.money import format_amount
from mubss.core.rates import parse_rate
from mubss.core.tariff import Tables
from mubss.refdata.live import Refdata

_COLUMNS = {"from": "from", "units": "units", "what": "what", "charge": "charge"}


@click.command("rate", cls=Command)
@click.option("--plan", required=True, help="The price plan's code.")
@click.option("--service", required=True, help="The service's code, such as VOICE.")
@click.option("--units", required=True, type=click.IntRange(1), help="Octets, seconds or events.")
@click.option("--to", "called", default="", help="Who is called, in international form or a short code.")
@click.option("--network", default="", help="MCC and MNC of the network that the subscriber is in.")
@click.option("--at", "at", default="", help='When it begins, such as "2026-11-23T19:58:00+01:00"; left out, now.')
@click.option("--free-used", default=0, type=click.IntRange(0), help="Free units of the month used before.")
@click.option("--paid-used", default=0, type=click.IntRange(0), help="Units of the month paid for before.")
@click.pass_obj
def rate(
    invocation: Invocation, /, plan: str, service: str, units: int, called: str, network: str, at: str,
    free_used: int, paid_used: int,
) -> None:  # fmt: skip
    """What one session or event costs, step by step: free units, the rates that price the rest, fees and limits.

    Nothing is charged, and no subscriber is needed.
    """
    with closing(invocation.open_store()) as store:
        tables = Refdata(store, invocation.config.general.timezone).load()
    at_s = _instant(tables, at)
    month = tables.calendar.at(at_s).month
    allowance = Allowance({month: free_used}, {month: paid_used}, (), at_s)
    found = explain(tables, plan, service, _zone(tables, called, network), units, at_s, allowance)
    if invocation.as_json:
        print_json({**found._asdict(), "steps": [step._asdict() for step in found.steps]})
        return
    _print(tables, found)


def _instant(tables: Tables, text: str) -> int:
    """UTC seconds of a time that names its zone, or is by the operator's clock."""
    if not text:
        return wall_clock_ms() // 1000
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=tables.calendar.zone)
        return (at.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1)
    except (ValueError, OverflowError):
        raise InputError(f'at: {text[:40]!r}; expected a time like "2026-11-23T19:58:00+01:00"') from None


def _zone(tables: Tables, called: str, network: str) -> str:
    number = called.removeprefix("+")
    if called and not (number.isascii() and number.isdigit() and len(number) <= 15):
        raise InputError(f"to: {called[:40]!r}; expected 1 to 15 digits")
    if network and not (network.isascii() and network.isdigit() and 3 <= len(network) <= 6):
        raise InputError(f"network: {network[:40]!r}; expected an MCC and MNC like 26201")
    return tables.usage_zone(number, network)


def _print(tables: Tables, found: Explanation) -> None:
    currency = tables.plans[found.plan].currency
    rows = []
    for step in found.steps:
        local = datetime.fromtimestamp(step.start_s, tables.calendar.zone).strftime("%Y-%m-%d %H:%M:%S")
        rows.append(
            {
                "from": local if step.start_s else "",
                "units": str(step.units) if step.units else "",
                "what": _what(step),
                "charge": format_amount(step.micros),
            }
        )
    click.echo(f"{found.service} in {found.unit}, plan {found.plan}, zone {found.zone}")
    print_table(rows, _COLUMNS)
    click.echo(f"charge: {format_amount(found.charge_micros)} {currency}")
    if found.unpriced_units:
        click.echo(
            f"{counted(found.unpriced_units, 'unit has', 'units have')} no price there: such a request is refused",
            err=True,
        )


def _what(step: Step) -> str:
    if step.kind == "free":
        return f"free units of {step.name}"
    if step.kind == "unpriced":
        return "not sold there"
    rate = parse_rate(step.name)
    if step.kind != "rate":
        return {"setup": "setup fee", "minimum": "up to the minimum", "maximum": "down to the maximum"}[step.kind]
    terms = rate.terms
    price = f"{format_amount(rate.price_micros)} per {rate.block_units}"
    if terms is not None and (terms.first_units or terms.next_units):
        price += f", counted {terms.first_units}/{terms.next_units}"
    if terms is not None and terms.discount_ppm:
        price += f", {format_amount(terms.discount_ppm * 100, 0)} % off"
    return f"{price} (zone {rate.zone}, band {rate.band})"
