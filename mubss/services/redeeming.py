"""Redeeming a voucher: once, whoever else tries, and without telling anybody what is wrong with a PIN.

A try goes through two doors, the subscriber's and the channel's; it counts as wrong until the voucher is redeemed.
Then the money, or the bundle, and the voucher's use commit together, in the charging engine: the voucher is a guarded
document. So is its batch, unchanged: a batch that is blocked stops what was under way.
"""

from __future__ import annotations

import logging
import re
import secrets
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

from mubss.charging.engine import Engine
from mubss.charging.order import Guard, Order
from mubss.config_vouchers import VoucherOptions
from mubss.core.errors import InputError, LedgerError
from mubss.core.model import TERMINATED, Account, BuyBundle, Movement
from mubss.core.vouchers import MAX_LENGTH, USED, LockRules, is_redeemable, taken_back, tried
from mubss.services import lifecycle
from mubss.services.pepper import Pepper
from mubss.storage import vouchers as storage
from mubss.storage.database import Doc, Store, StoreError, StoreUnavailable, UnknownCommit

log = logging.getLogger(__name__)

_NOT_DIGITS = re.compile(r"[\s-]+")
_CHANNEL = re.compile(r"[!-~]{1,100}")
_REQUEST = re.compile(r"[!-~]{0,100}")


class VoucherRefused(InputError):
    """The one error for every PIN that can't be redeemed: unknown, used, expired, blocked, of another form."""

    def __init__(self) -> None:
        super().__init__("voucher: it can't be redeemed; expected the PIN of one that is valid and unused")


class TooManyWrongPins(InputError):
    """The door is shut for `wait_s` more seconds, for right PINs as for wrong ones."""

    def __init__(self, wait_s: int) -> None:
        super().__init__(f"voucher: too many wrong PINs; try again in {wait_s} s")
        self.wait_s = wait_s


class Redeemed(NamedTuple):
    """What a voucher brought, and the account after it; `before`: by an earlier call with the same `request`."""

    serial: str
    value_micros: int  # 0 where it is a bundle
    currency: str
    bundle: str
    account: Account
    before: bool = False


@dataclass(frozen=True, slots=True)
class Doors:
    """How long wrong PINs keep the doors shut."""

    subscriber: LockRules
    channel: LockRules

    @staticmethod
    def of(options: VoucherOptions) -> Doors:
        """As they are configured."""
        first_s, limit_s = options.lock_seconds, options.lock_limit_seconds
        return Doors(
            LockRules(options.subscriber_wrong_pins, first_s, limit_s, options.subscriber_forgive_seconds),
            LockRules(options.channel_wrong_pins, first_s, limit_s, options.channel_forgive_seconds),
        )


def redeem(
    engine: Engine,
    store: Store,
    pepper: Pepper,
    doors: Doors,
    identity: str,
    pin: str,
    now_ms: int,
    channel: str = "cli",
    request: str = "",
) -> Redeemed:
    """Redeems the voucher of a PIN for a subscriber.

    `channel` says where the PIN came from (a shop, a portal), `request` is the caller's own name of this call: once
    more with the same one it says what came of the first. StoreUnavailable: a repeat with the same `request` tells.
    """
    if not _CHANNEL.fullmatch(channel) or not _REQUEST.fullmatch(request):
        raise InputError("channel, request: expected up to 100 printable letters of ASCII without blanks")
    person = lifecycle.find_subscriber(store, identity)
    account = lifecycle.find_account(store, person)
    if account["state"] == TERMINATED:
        raise LedgerError("state: terminated; a top-up needs an account that lives")
    rules = {_door_id("subscriber", person["_id"]): doors.subscriber, _door_id("channel", channel): doors.channel}
    _count(store, rules, now_ms // 1000)
    try:
        done = _redeem(engine, store, pepper, person, account, pin, now_ms, request)
    except VoucherRefused:
        raise
    except Exception:
        _take_back(store, rules)  # it wasn't the PIN
        raise
    _take_back(store, rules)
    return done


def _door_id(kind: str, name: str) -> str:
    return blake2b(f"{kind}\0{name}".encode(), digest_size=16).hexdigest()


def _count(store: Store, rules: dict[str, LockRules], now_s: int) -> None:
    """Counts a try at both doors; TooManyWrongPins where one of them is shut, and then it isn't counted."""
    before = storage.change_doors(
        store, sorted(rules), lambda door_id, door: tried(door, door_id, rules[door_id], now_s)
    )
    shut_until_s = max((door["shut_until_s"] for door in before), default=0)
    if shut_until_s > now_s:
        raise TooManyWrongPins(shut_until_s - now_s)


def _take_back(store: Store, rules: dict[str, LockRules]) -> None:
    """A try that wasn't wrong isn't counted; where that can't be written, nothing worse comes of it."""
    try:
        storage.change_doors(
            store,
            sorted(rules),
            lambda door_id, door: taken_back(door, rules[door_id]) if door else _nothing(door_id),
        )
    except StoreError as error:
        log.warning("a right PIN stays counted as a wrong one: %s", error)


def _nothing(door_id: str) -> Doc:
    return {"_id": door_id, "wrong": 0}


def _redeem(
    engine: Engine, store: Store, pepper: Pepper, person: Doc, account: Account, pin: str, now_ms: int, request: str
) -> Redeemed:
    """The same work is done whatever the PIN, up to the order that only a right one leads to."""
    digits = _NOT_DIGITS.sub("", pin[: 4 * MAX_LENGTH])
    voucher, batch = storage.get_voucher(store, pepper.voucher_id(digits))
    redeemable = is_redeemable(voucher, batch, len(digits), now_ms // 1000)
    if voucher is None or batch is None:
        raise VoucherRefused
    if not redeemable:
        if request and (voucher.get("subscriber"), voucher.get("request")) == (person["_id"], request):
            return _redeemed(voucher, batch, account, before=True)
        raise VoucherRefused
    used = {
        **voucher,
        "version": voucher["version"] + 1,
        "state": USED,
        "used_ms": now_ms,
        "account": account["_id"],
        "subscriber": person["_id"],
        "request": request,
        "redemption": secrets.token_hex(8),  # tells this very try from another one of the same moment
    }
    order = _order(used, batch, account)
    engine.execute([order])
    error = order.error
    if isinstance(error, UnknownCommit) and storage.get_voucher(store, voucher["_id"])[0] == used:
        return _redeemed(used, batch, lifecycle.find_account(store, person))
    if isinstance(error, InputError):  # what the ledger, or another who came first, has against it
        log.info("voucher %s wasn't redeemed: %s", voucher["serial"], error)
        raise VoucherRefused from None
    if error is not None:  # the store is away, or too much waits: a repeat is welcome
        raise error
    if order.account_after is None:
        raise StoreUnavailable("the store gave no answer; nothing is known of the voucher")
    return _redeemed(used, batch, order.account_after)


def _order(used: Doc, batch: Doc, account: Account) -> Order:
    if batch["currency"] != account["currency"]:
        raise _mismatch(used, batch, account)
    serial = used["serial"]
    command = (
        BuyBundle(batch["bundle"], serial, with_voucher=True)
        if "bundle" in batch
        else Movement("voucher", batch["value_micros"], serial)
    )
    guards = [
        Guard(storage.VOUCHERS, used, used["version"] - 1),
        Guard(storage.BATCHES, batch, batch["version"]),
    ]
    return Order(command, account=account["_id"], guards=guards)


def _mismatch(used: Doc, batch: Doc, account: Account) -> VoucherRefused:
    text = "voucher %s wasn't redeemed: it is in %s, the account in %s"
    log.info(text, used["serial"], batch["currency"], account["currency"])
    return VoucherRefused()


def _redeemed(voucher: Doc, batch: Doc, account: Account, *, before: bool = False) -> Redeemed:
    value_micros, bundle = batch.get("value_micros", 0), batch.get("bundle", "")
    return Redeemed(voucher["serial"], value_micros, batch["currency"], bundle, account, before)
