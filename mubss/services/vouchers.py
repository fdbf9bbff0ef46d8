"""Batches of vouchers: made, shown once, blocked and counted. mubss/services/redeeming.py redeems them."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from mubss.core.errors import InputError, LedgerError
from mubss.core.money import format_amount
from mubss.core.tariff import Tables
from mubss.core.vouchers import (
    ACTIVE,
    BLOCKED,
    MAKING,
    MAX_BATCH,
    UNUSED,
    check_size,
    parse_serial,
    serial_of,
)
from mubss.services.lifecycle import check_text
from mubss.services.pepper import Pepper
from mubss.services.sealing import Recipient
from mubss.services.secret_files import private_file
from mubss.storage import vouchers as storage
from mubss.storage.database import Doc, Store

TOGETHER = 200  # vouchers in a transaction: 10 ms on SQLite, so that charging never waits long for its turn
MAX_VALUE_MICROS = 10**12
MAX_YEARS = 20
DEFAULT_LENGTH = 14
_TRIES = 20  # of a group in which a PIN is taken already
Pins = Sequence[str]


@dataclass(frozen=True, slots=True)
class NewBatch:
    """Vouchers to be made: each worth an amount or a bundle, until the end of a day by the operator's clock."""

    count: int
    last_day: date
    value_micros: int = 0
    currency: str = ""
    bundle: str = ""
    length: int = DEFAULT_LENGTH  # digits of a PIN
    remark: str = ""


def checked(new: NewBatch, tables: Tables, now_s: int) -> Doc:
    """The batch's document, without a number yet; InputError names the first field that can't be taken."""
    check_size(new.count, new.length)
    check_text("remark", new.remark)
    worth = _worth(new, tables)
    zone = tables.calendar.zone
    today = datetime.fromtimestamp(now_s, zone).date()
    if not today <= new.last_day <= today + timedelta(366 * MAX_YEARS):
        raise InputError(f"expires: {new.last_day}; expected a day from today on, within {MAX_YEARS} years")
    after = new.last_day + timedelta(1)
    return {
        "version": 1,
        "state": MAKING,
        "count": new.count,
        "length": new.length,
        **worth,
        "last_day": new.last_day.isoformat(),
        "expires_s": int(datetime(after.year, after.month, after.day, tzinfo=zone).timestamp()),
        "made_s": now_s,
        "remark": new.remark,
    }


def _worth(new: NewBatch, tables: Tables) -> dict[str, Any]:
    if bool(new.value_micros) == bool(new.bundle):
        raise InputError("value, bundle: expected one of both, that all vouchers of the batch are worth")
    if new.bundle:
        bundle = tables.bundles.get(new.bundle)
        if bundle is None:
            known = ", ".join(sorted(tables.bundles)[:20]) or "none: none is loaded"
            raise InputError(f"bundle: {new.bundle[:40]!r}; expected one of {known}")
        return {"bundle": bundle.code, "currency": bundle.currency}
    currency = tables.currencies.get(new.currency)
    if currency is None:
        raise InputError(f"currency: {new.currency[:20]!r}; expected one of {', '.join(sorted(tables.currencies))}")
    smallest_micros = 10 ** (6 - currency.decimals)
    if not 0 < new.value_micros <= MAX_VALUE_MICROS or new.value_micros % smallest_micros:
        least, most = format_amount(smallest_micros, 0), format_amount(MAX_VALUE_MICROS, 0)
        raise InputError(f"value: {format_amount(new.value_micros)}; expected a multiple of {least} up to {most}")
    return {"value_micros": new.value_micros, "currency": currency.code}


def make(
    store: Store,
    tables: Tables,
    pepper: Pepper,
    new: NewBatch,
    file: Path,
    now_s: int,
    recipient: Recipient | None = None,
    progress: Callable[[int], None] = lambda count: None,
) -> Doc:
    """Makes a batch, and the one file that its PINs are ever in; the batch's document.

    Nothing may be redeemed before the file is on the disk: whatever breaks off leaves a batch that stays unfinished.
    """
    batch = checked(new, tables, now_s)
    with private_file(file) as out:
        batch, content = drawn(store, pepper, batch, progress)
        out.write(recipient.seal(content) if recipient is not None else content)
    return finished(store, batch)


def drawn(store: Store, pepper: Pepper, batch: Doc, progress: Callable[[int], None]) -> tuple[Doc, bytes]:
    """Adds a `checked` batch with all its vouchers; it, and the file of its PINs. None is good before `finished`."""
    batch = storage.add_batch(store, batch, pepper.fingerprint)
    if batch["number"] > MAX_BATCH:
        raise InputError(f"batch: {batch['number']}; expected up to {MAX_BATCH}")
    pins: list[str] = []
    for start in range(0, batch["count"], TOGETHER):
        pins += _add(store, pepper, batch, start, min(TOGETHER, batch["count"] - start))
        progress(len(pins))
    return batch, export(batch, pins)


def finished(store: Store, batch: Doc) -> Doc:
    """A batch whose file is where it belongs: its vouchers may be redeemed from now on."""
    return _set_state(store, batch["number"], ACTIVE, MAKING)


def _add(store: Store, pepper: Pepper, batch: Doc, start: int, count: int) -> Pins:
    """Adds some vouchers of a batch; a PIN that any voucher has is drawn anew."""
    length = batch["length"]
    pins = [_new_pin(length) for _ in range(count)]
    for _ in range(_TRIES):
        ids = [pepper.voucher_id(pin) for pin in pins]
        taken = {one for number, one in enumerate(ids) if one in ids[:number]}
        taken |= taken or storage.add_vouchers(store, list(_docs(batch, start, ids)))
        if not taken:
            return pins
        pins = [_new_pin(length) if one in taken else pin for one, pin in zip(ids, pins, strict=True)]
    raise InputError(f"length: {length}; expected more digits: too many PINs of that length are taken")


def _new_pin(length: int) -> str:
    return f"{secrets.randbelow(10**length):0{length}}"


def _docs(batch: Doc, start: int, ids: Sequence[str]) -> Iterator[Doc]:
    for number, voucher_id in enumerate(ids, start + 1):
        serial = serial_of(batch["number"], number)
        yield {"_id": voucher_id, "version": 1, "serial": serial, "batch": batch["_id"], "state": UNUSED}


def export(batch: Doc, pins: Pins) -> bytes:
    """The file of a batch, as CSV: serial, PIN, what it is worth, until when."""
    worth = batch.get("bundle") or f"{format_amount(batch['value_micros'])} {batch['currency']}"
    lines = ["serial,pin,worth,last_day"]
    for number, pin in enumerate(pins, 1):
        lines.append(f"{serial_of(batch['number'], number)},{pin},{worth},{batch['last_day']}")
    return "\n".join([*lines, ""]).encode()


def block(store: Store, number: int, reason: str) -> Doc:
    """None of a batch's vouchers is redeemed from now on."""
    check_text("reason", reason)
    return _set_state(store, number, BLOCKED, ACTIVE, reason)


def unblock(store: Store, number: int, reason: str) -> Doc:
    """A blocked batch's vouchers may be redeemed again."""
    check_text("reason", reason)
    return _set_state(store, number, ACTIVE, BLOCKED, reason)


def _set_state(store: Store, number: int, state: str, before: str, reason: str = "") -> Doc:
    def decide(batch: Doc) -> Doc:
        if batch["state"] == state and state != MAKING:
            return batch
        if batch["state"] != before:
            raise LedgerError(f"batch: {number} is {_told(batch)}; expected one that is {before}")
        more = {"reason": reason} if reason else {}
        return {**batch, **more, "state": state, "version": batch["version"] + 1}

    after = storage.change_batch(store, number, decide)
    if after is None:
        raise InputError(f"batch: {number}; expected the number of a batch; `mubss vouchers list` shows them")
    return after


def block_one(store: Store, serial: str, reason: str) -> tuple[Doc, Doc]:
    """One voucher isn't redeemed from now on, whatever its batch is; it and its batch, as `look_up` has them."""
    return _set_one(store, serial, BLOCKED, UNUSED, reason)


def unblock_one(store: Store, serial: str, reason: str) -> tuple[Doc, Doc]:
    """A voucher that was blocked by itself may be redeemed again, where its batch may."""
    return _set_one(store, serial, UNUSED, BLOCKED, reason)


def _set_one(store: Store, serial: str, state: str, before: str, reason: str) -> tuple[Doc, Doc]:
    check_text("reason", reason)
    wanted = parse_serial(serial)

    def decide(voucher: Doc) -> Doc:
        if voucher["state"] == state:
            return voucher
        if voucher["state"] != before:
            raise LedgerError(f"serial: {wanted} is {voucher['state']}; expected one that is {before}")
        rest = {name: value for name, value in voucher.items() if name != "reason"}
        more = {"reason": reason} if reason else {}
        return {**rest, **more, "state": state, "version": voucher["version"] + 1}

    storage.change_voucher(store, wanted, decide)
    return look_up(store, wanted)


def _told(batch: Doc) -> str:
    return "unfinished: its making broke off, and its PINs are lost" if batch["state"] == MAKING else batch["state"]


def batches(store: Store, limit: int = 100, before: int = 0) -> list[Doc]:
    """Batches, the last first, each with how many of its vouchers are used; `before` is the last one's number."""
    found = storage.batches(store, before, limit)
    used = storage.count_used(store, [batch["_id"] for batch in found])
    return [{**batch, "used": used.get(batch["_id"], 0)} for batch in found]


def look_up(store: Store, serial: str) -> tuple[Doc, Doc]:
    """A voucher by its serial, without the hash of its PIN, and its batch."""
    wanted = parse_serial(serial)
    voucher = storage.by_serial(store, wanted)
    batch = storage.get_batch(store, int(wanted[:6]))
    if voucher is None or batch is None:
        raise InputError(f"serial: {wanted}; expected that of a voucher")
    return {name: value for name, value in voucher.items() if name != "_id"}, batch
