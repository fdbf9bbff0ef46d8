"""`mubss vouchers`: batches of PINs, and what they are worth. A PIN is read from standard input, never an argument."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import click

from mubss.charging.engine import wall_clock_ms
from mubss.cli.account_view import balance_view, money_of
from mubss.cli.command import Group, Invocation
from mubss.cli.desk import Desk, open_desk
from mubss.cli.output import counted, money, print_json, print_rows, print_table, say
from mubss.cli.progress import progress_bar
from mubss.core.errors import InputError
from mubss.core.money import parse_amount
from mubss.core.vouchers import ACTIVE, BLOCKED, MAX_BATCH, MAX_COUNT, MAX_LENGTH, MIN_LENGTH
from mubss.services import lifecycle
from mubss.services import vouchers as service
from mubss.services.pepper import Pepper, read_pepper
from mubss.services.redeeming import Doors, Redeemed, redeem
from mubss.services.sealing import is_locked, read_recipient, unseal
from mubss.services.secret_files import private_file
from mubss.storage import subscribers
from mubss.storage.database import Doc, Store

MAX_SEALED_OCTETS = 200_000_000
_COLUMNS = {
    "number": "batch",
    "state": "state",
    "count": "vouchers",
    "used": "used",
    "worth": "worth",
    "last_day": "until",
    "made": "made",
    "remark": "remark",
}
_SPARE = ("made", "remark")


@click.group("vouchers", cls=Group)
def vouchers() -> None:
    """Vouchers: make, list, lookup, block, unblock, redeem, decrypt."""


@vouchers.command("make")
@click.option("--count", required=True, type=click.IntRange(1, MAX_COUNT), help="How many.")
@click.option("--value", default="", metavar="AMOUNT", help="What each is worth: 10 or 10.50,")
@click.option("--currency", default="", metavar="CODE", help="in this currency; the only one by default,")
@click.option("--bundle", default="", metavar="CODE", help="or this bundle.")
@click.option("--expires", required=True, metavar="YYYY-MM-DD", help="The last day on which they can be redeemed.")
@click.option("--length", default=14, show_default=True, type=click.IntRange(MIN_LENGTH, MAX_LENGTH), help="Digits.")
@click.option("--file", "out", required=True, metavar="FILE", help="Where the PINs go: a new file, mode 600.")
@click.option(
    "--recipient", metavar="FILE|KEY", help="Encrypt it: an age public key, or a file with one or an RSA key."
)
@click.option("--remark", default="", metavar="TEXT", help="Kept with the batch.")
@click.pass_obj
def make(
    invocation: Invocation,
    /,
    count: int,
    value: str,
    currency: str,
    bundle: str,
    expires: str,
    length: int,
    out: str,
    recipient: str | None,
    remark: str,
) -> None:
    """Makes a batch of vouchers; FILE is the only place where their PINs ever are."""
    sealed_for = read_recipient(recipient) if recipient is not None else None
    with open_desk(invocation) as desk:
        if value and not currency and len(desk.tables.currencies) == 1:
            currency = next(iter(desk.tables.currencies))
        micros = parse_amount(value, "value") if value else 0
        new = service.NewBatch(count, _day(expires), micros, currency, bundle, length, remark)
        pepper = _pepper(desk)
        now_s = wall_clock_ms() // 1000
        with progress_bar("making", count) as progress:
            batch = service.make(
                desk.store, desk.tables, pepper, new, Path(out).absolute(), now_s, sealed_for, progress
            )
        if invocation.as_json:
            print_json({**_view(desk, batch), "file": str(Path(out).absolute()), "encrypted": sealed_for is not None})
        else:
            each = f"{counted(count, 'voucher')} of {_worth(desk, batch)}, until {batch['last_day']}"
            how = "encrypted" if sealed_for is not None else "not encrypted: keep it from others"
            say(f"batch {batch['number']}: {each}; the PINs are in {out} alone, {how}")


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"expires: {text[:20]!r}; expected a day like 2026-12-31") from None


def _pepper(desk: Desk) -> Pepper:
    return read_pepper(desk.config.resolve(desk.config.vouchers.pepper_file), desk.store)


def _worth(desk: Desk, batch: Doc) -> str:
    if "bundle" in batch:
        return str(batch["bundle"])
    currency = desk.tables.currencies.get(batch["currency"])
    return money(batch["value_micros"], batch["currency"], currency.decimals if currency else 2)


def _view(desk: Desk, batch: Doc) -> dict[str, Any]:
    return {name: value for name, value in batch.items() if name not in ("_id", "version")}


@vouchers.command("list")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@click.option("--before", default=0, type=click.IntRange(0, MAX_BATCH), help="Go on behind the batch of this number.")
@click.pass_obj
def list_command(invocation: Invocation, /, limit: int, before: int) -> None:
    """Batches, the last first, and how many of their vouchers are used."""
    with open_desk(invocation) as desk:
        found = service.batches(desk.store, limit, before)
        if invocation.as_json:
            print_json([_view(desk, batch) for batch in found])
            return
        rows = [
            {**batch, "worth": _worth(desk, batch), "made": desk.time(batch["made_s"]), "state": _state(batch)}
            for batch in found
        ]
        print_rows(False, rows, _COLUMNS, spare=_SPARE)


def _state(batch: Doc) -> str:
    return "unfinished" if batch["state"] == "making" else str(batch["state"])


@vouchers.command("lookup")
@click.argument("serial")
@click.pass_obj
def lookup(invocation: Invocation, /, serial: str) -> None:
    """What became of the voucher with this serial number."""
    with open_desk(invocation) as desk:
        voucher, batch = service.look_up(desk.store, serial)
        if invocation.as_json:
            print_json({**voucher, "batch": _view(desk, batch)})
            return
        fields = [
            ("serial", voucher["serial"]),
            ("state", voucher["state"]),
            ("worth", _worth(desk, batch)),
            ("until", batch["last_day"]),
            ("batch", f"{batch['number']}, {_state(batch)}"),
            ("reason", voucher.get("reason", "") if voucher["state"] == BLOCKED else ""),
            ("batch's reason", batch.get("reason", "") if batch["state"] != ACTIVE else ""),
        ]
        if "used_ms" in voucher:
            fields.append(("used", desk.time(voucher["used_ms"] // 1000)))
            fields.append(("by", _used_by(desk, voucher)))
        rows = [{"field": name, "value": str(value)} for name, value in fields if value]
        print_table(rows, {"field": "field", "value": "value"}, fold=("value",))


def _used_by(desk: Desk, voucher: Doc) -> str:
    person = subscribers.get(desk.store, voucher["subscriber"])
    return str(person["msisdn"]) if person else str(voucher["subscriber"])


@vouchers.command("block")
@click.argument("batch", required=False, type=click.IntRange(1, MAX_BATCH))
@click.option("--serial", default="", help="Only the voucher of this serial number.")
@click.option("--reason", default="", help="Kept with the batch, or the voucher.")
@click.pass_obj
def block(invocation: Invocation, /, batch: int | None, serial: str, reason: str) -> None:
    """None of the vouchers of BATCH is redeemed from now on, or one of them isn't (--serial)."""
    _change(invocation, batch, serial, reason, service.block, service.block_one)


@vouchers.command("unblock")
@click.argument("batch", required=False, type=click.IntRange(1, MAX_BATCH))
@click.option("--serial", default="", help="Only the voucher of this serial number.")
@click.option("--reason", default="", help="Kept with the batch, or the voucher.")
@click.pass_obj
def unblock(invocation: Invocation, /, batch: int | None, serial: str, reason: str) -> None:
    """The vouchers of BATCH may be redeemed again, or the one that was blocked by itself (--serial)."""
    _change(invocation, batch, serial, reason, service.unblock, service.unblock_one)


def _change(
    invocation: Invocation,
    batch: int | None,
    serial: str,
    reason: str,
    of_batch: Callable[[Store, int, str], Doc],
    of_one: Callable[[Store, str, str], tuple[Doc, Doc]],
) -> None:
    if (batch is None) != bool(serial):
        raise click.UsageError("BATCH, or --serial: expected one of them.")
    with open_desk(invocation) as desk:
        if batch is not None:
            changed = of_batch(desk.store, batch, reason)
            view, text = _view(desk, changed), f"batch {changed['number']} is {changed['state']} now"
        else:
            voucher, its_batch = of_one(desk.store, serial, reason)
            view = {**voucher, "batch": _view(desk, its_batch)}
            text = f"voucher {voucher['serial']} is {voucher['state']} now"
    if invocation.as_json:
        print_json(view)
    else:
        click.echo(text)


@vouchers.command("redeem")
@click.argument("msisdn")
@click.pass_obj
def redeem_command(invocation: Invocation, /, msisdn: str) -> None:
    """Redeems a voucher for MSISDN; its PIN is asked for, or read from standard input."""
    with open_desk(invocation) as desk:
        pepper = _pepper(desk)
        person = lifecycle.find_subscriber(desk.store, msisdn)
        pin = click.prompt("PIN", hide_input=True, err=True) if sys.stdin.isatty() else sys.stdin.readline(200)
        doors = Doors.of(desk.config.vouchers)
        done = redeem(desk.engine, desk.store, pepper, doors, msisdn, pin.strip(), wall_clock_ms())
        desk.nudge()
        if invocation.as_json:
            print_json(_redeemed_view(desk, person, done))
            return
        account = done.account
        brought = done.bundle or money_of(desk, account, done.value_micros)
        balance = money_of(desk, account, account["balance_micros"])
        click.echo(f"voucher {done.serial}: {brought} for {person['msisdn']}; balance {balance}")


def _redeemed_view(desk: Desk, person: Doc, done: Redeemed) -> dict[str, Any]:
    brought = {"bundle": done.bundle} if done.bundle else {"value_micros": done.value_micros}
    return {"msisdn": person["msisdn"], "serial": done.serial, **brought, **balance_view(desk, done.account)}


@vouchers.command("decrypt")
@click.argument("file", metavar="FILE")
@click.option("--key", "key_file", required=True, metavar="FILE", help="The RSA private key, PEM.")
@click.option("--out", required=True, metavar="FILE", help="A new file, mode 600.")
@click.pass_obj
def decrypt(invocation: Invocation, /, file: str, key_file: str, out: str) -> None:
    """Opens a FILE that `make` encrypted to an RSA key. `age -d` opens those of age."""
    password = ""
    if is_locked(key_file):
        password = click.prompt("password of the key", hide_input=True, err=True)
    try:
        with Path(file).open("rb") as source:
            sealed = source.read(MAX_SEALED_OCTETS)
    except OSError as error:
        raise InputError(f"file: {file[:80]} can't be read: {error.strerror}") from None
    content = unseal(sealed, key_file, password)
    with private_file(Path(out).absolute()) as plain:
        plain.write(content)
    if invocation.as_json:
        print_json({"file": str(Path(out).absolute())})
    else:
        pins = content.count(b"\n") - 1  # below the first line, which names the columns
        say(f"{out}: {counted(pins, 'PIN')}; keep it from others")
