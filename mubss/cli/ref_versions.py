"""`mubss ref versions`, `diff` and `rollback`: what the reference data was, and that again."""

from __future__ import annotations

import time
from contextlib import closing
from datetime import datetime
from typing import Any

import click

from mubss.cli.command import Command, Invocation
from mubss.cli.output import counted, print_json, print_rows, print_table
from mubss.cli.ref_loaded import maker_of, tell
from mubss.cli.ref_view import Row, heading, is_rows, ordered, shown
from mubss.refdata import history
from mubss.refdata.live import operator_calendar
from mubss.refdata.load import RowChange
from mubss.storage.database import Doc

MAX_LISTED = 10_000
MAX_WITHIN = 3  # rows within a row, such as a plan's rates, whose differences are told
_NUMBER = click.IntRange(1, history.MAX_NUMBER)
_COLUMNS = {"version": "version", "loaded": "loaded", "who": "by", "how": "how", "rows": "rows", "digest": "digest"}
_SPARE = ("digest", "who")


@click.command("versions", cls=Command)
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, MAX_LISTED), help="At most so many.")
@click.option("--before", default=0, type=click.IntRange(0, history.MAX_NUMBER), help="Go on behind this version.")
@click.pass_obj
def versions_command(invocation: Invocation, /, limit: int, before: int) -> None:
    """The versions that are kept, the last first: who made which when, and how many rows it added, changed, removed."""
    config = invocation.config
    zone = operator_calendar(config.general.timezone).zone
    with closing(invocation.open_store()) as store:
        found = history.versions(store, config.refdata.keep_versions, before, limit)
    if invocation.as_json:
        print_json([{name: value for name, value in doc.items() if name not in ("_id", "documents")} for doc in found])
        return
    rows = [
        {**doc, "loaded": datetime.fromtimestamp(doc["loaded_s"], zone).strftime("%Y-%m-%d %H:%M:%S")}
        | {"how": _how(doc), "rows": _rows(doc)}
        for doc in found
    ]
    print_rows(False, rows, _COLUMNS, spare=_SPARE)


def _how(doc: Doc) -> str:
    again = doc.get("rolled_back_to")
    return f"{doc.get('what', '')}{f' to {again}' if again else ''}"


def _rows(doc: Doc) -> str:
    """`+3 ~1 -2`: added, changed, removed."""
    sums = [sum(one) for one in zip(*doc.get("changes", {}).values(), strict=True)]
    return " ".join(f"{sign}{count}" for sign, count in zip("+~-", sums, strict=False) if count)


@click.command("diff", cls=Command)
@click.argument("version", type=_NUMBER)
@click.argument("other", required=False, type=_NUMBER)
@click.pass_obj
def diff_command(invocation: Invocation, /, version: int, other: int | None) -> None:
    """What became of the rows of VERSION in another one, or in the one in force."""
    with closing(invocation.open_store()) as store:
        before, after, found = history.diff(store, version, other or 0)
    if invocation.as_json:
        rows = [{"table": one.table, "key": one.key, "before": one.before, "after": one.after} for one in found]
        print_json({"version": before._asdict(), "other": after._asdict(), "rows": rows})
        return
    if found:
        rows = [{"table": one.table, "key": one.key, "change": change_text(one)} for one in found]
        print_table(rows, {"table": "table", "key": "key", "change": "change"}, fold=("change",))
    text = f"from version {before.number} to {after.number}"
    click.echo(f"{counted(len(found), 'row differs', 'rows differ')} {text}" if found else f"Nothing differs {text}")


def change_text(change: RowChange) -> str:
    """What became of a row, as a tariff manager writes it."""
    if change.before is None or change.after is None:
        return "added" if change.before is None else "removed"
    return _fields(change.before, change.after)


def _fields(old: Row, new: Row) -> str:
    return "; ".join(
        f"{heading(name)}: {_values(name, old.get(name), new.get(name))}"
        for name in ordered({**old, **new})
        if old.get(name) != new.get(name)
    )


def _values(name: str, old: Any, new: Any) -> str:
    """`0.02 → 0.03`; of rows within, such as a plan's rates, what differs in each, or how many there are."""
    if not is_rows(old) and not is_rows(new):
        return f"{_short(name, old)} → {_short(name, new)}"
    before, after = old or [], new or []
    if len(before) != len(after):
        return f"{counted(len(before), 'row')} → {len(after)}"
    changed = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
    parts = [f"{_whose(one)}({_fields(one, other)})" for one, other in changed[:MAX_WITHIN]]
    return ", ".join(parts) + (f", {len(changed) - MAX_WITHIN} more" if len(changed) > MAX_WITHIN else "")


def _whose(row: Row) -> str:
    return "".join(f"{row[name]} " for name in ("service", "zone", "band") if row.get(name))


def _short(name: str, value: Any) -> str:
    text = "none" if value is None else str(shown(name, value))
    return text if len(text) <= 40 else text[:40] + "…"


@click.command("rollback", cls=Command)
@click.argument("version", type=_NUMBER)
@click.option("--check", is_flag=True, help="Say what is wrong, or what would change, and change nothing.")
@click.pass_obj
def rollback_command(invocation: Invocation, /, version: int, check: bool) -> None:
    """Makes what VERSION said the next version; those between stay in the list.

    It is proved as files are: subscribers may have plans by now that it doesn't know.
    """
    calendar = operator_calendar(invocation.config.general.timezone)
    with closing(invocation.open_store()) as store:
        maker = maker_of(invocation, "ref rollback")
        loaded = history.rollback(store, calendar, version, int(time.time()), maker, dry_run=check)
    tell(invocation, loaded, check, f"rows of version {version}")
