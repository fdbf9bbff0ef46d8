"""Vouchers on both stores: made and shown once, redeemed once, and nothing is told of a PIN that can't be."""

from __future__ import annotations

import logging
import os
import stat
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from core_builders import NOW_S
from mubss.core.errors import Busy, ConfigError, InputError, LedgerError, UnknownAccount
from mubss.core.model import SUSPENDED, TERMINATED
from mubss.core.vouchers import LockRules
from mubss.services import lifecycle
from mubss.services.audit_ledger import check
from mubss.services.pepper import make_pepper, read_pepper
from mubss.services.redeeming import Doors, Redeemed, TooManyWrongPins, VoucherRefused
from mubss.services.vouchers import NewBatch, batches, block, block_one, look_up, make, unblock, unblock_one
from mubss.storage.database import StoreUnavailable, UnknownCommit, open_database
from test_charging_engine import Faulty
from voucher_world import MSISDN, TODAY, VoucherWorld

OTHER = "491700000002"
DAY_MS = 86_400_000
PATIENT = Doors(LockRules(1000, 60, 60, 1), LockRules(1000, 60, 60, 1))


def test_a_voucher_brings_its_money_once(voucher_world: VoucherWorld) -> None:
    world = voucher_world
    batch, [pin, *_] = world.batch()
    done = world.redeem(f" {pin[:4]}-{pin[4:9]} {pin[9:]} ")
    assert (done.serial, done.value_micros, done.bundle, done.before) == ("000001-0000001", 10_000_000, "", False)
    assert done.account["balance_micros"] == world.balance() == 10_000_000
    with pytest.raises(VoucherRefused):
        world.redeem(pin)
    assert world.balance() == 10_000_000
    [posting] = world.all("postings")
    assert posting["cause"] == {"kind": "voucher", "reference": "000001-0000001"}
    voucher, of = look_up(world.store, "0000010000001")
    assert (voucher["state"], voucher["used_ms"]) == ("used", world.clock.now_ms)
    assert "_id" not in voucher and of["number"] == batch["number"] == 1
    [listed] = batches(world.store)
    assert (listed["state"], listed["count"], listed["used"]) == ("active", 3, 1)
    assert check(world.store) == (1, [])


def test_a_voucher_brings_its_bundle(voucher_world: VoucherWorld) -> None:
    world = voucher_world
    _, [pin, another, last] = world.batch(bundle="TALK")
    done = world.redeem(pin)
    assert (done.bundle, done.value_micros, world.balance()) == ("TALK", 0, 0)
    [bucket] = done.account["buckets"]
    assert bucket["left"] == 100 and "renews" not in bucket, "nobody has agreed to pay for the next one"
    lifecycle.move(world.engine(), world.store, MSISDN, "adjustment", 2_000_000)
    lifecycle.buy_bundle(world.engine(), world.store, MSISDN, "TALK")
    buckets = world.redeem(another).account["buckets"]
    assert sorted("renews" in one for one in buckets) == [False, False, True], "one that renews goes on doing so"
    lifecycle.set_state(world.engine(), world.store, MSISDN, SUSPENDED)
    with pytest.raises(VoucherRefused):
        world.redeem(last)
    lifecycle.set_state(world.engine(), world.store, MSISDN, "active")
    assert len(world.redeem(last).account["buckets"]) == 4
    assert check(world.store) == (1, [])


@pytest.mark.parametrize("bundle", ["", "TALK"])
def test_two_at_once_get_it_once(voucher_world: VoucherWorld, bundle: str) -> None:
    world = voucher_world
    world.subscriber(OTHER)
    _, pins = world.batch(8, **({"bundle": bundle} if bundle else {}))
    found: list[Redeemed] = []
    refused: list[Exception] = []
    together = threading.Barrier(4)

    def work(msisdn: str) -> None:
        store = open_database(world.url)
        together.wait()
        for pin in pins:
            try:
                found.append(world.redeem(pin, msisdn, store, doors=PATIENT))
            except VoucherRefused as error:
                refused.append(error)
        store.close()

    threads = [threading.Thread(target=work, args=(msisdn,)) for msisdn in (MSISDN, OTHER) * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(one.serial for one in found) == [f"000001-000000{number}" for number in range(1, 9)]
    assert len(refused) == 24
    if not bundle:
        assert world.balance() + world.balance(OTHER) == 80_000_000
    assert check(world.store) == (2, [])
    assert {door["wrong"] for door in world.all("voucher_doors")} <= set(range(1, 25))


def test_every_fault_of_a_pin_is_told_the_same(
    small_voucher_world: VoucherWorld, caplog: pytest.LogCaptureFixture
) -> None:
    world = small_voucher_world
    caplog.set_level(logging.DEBUG)
    _, [used, fine, later] = world.batch()
    world.redeem(used)
    _, [blocked, *_] = world.batch()
    block(world.store, 2, "stolen")
    _, [expired, *_] = world.batch(last_day=TODAY)
    _, [longer, *_] = world.batch(length=20)
    world.subscriber(OTHER, "GBP")
    world.clock.now_ms += DAY_MS
    bad = [used, blocked, expired, fine[:-1], fine + "0", longer[:14], "0" * 14, "", "٣" * 14, "x" * 100_000, "\ud800"]
    told = set()
    for pin in bad:
        with pytest.raises(VoucherRefused) as caught:
            world.redeem(pin, doors=PATIENT)
        told.add((type(caught.value), str(caught.value), caught.value.__cause__))
    with pytest.raises(VoucherRefused) as caught:
        world.redeem(fine, OTHER, doors=PATIENT)
    told.add((type(caught.value), str(caught.value), caught.value.__cause__))
    assert len(told) == 1
    assert world.redeem(fine).value_micros == 10_000_000, "what was refused to another is still good"
    texts = caplog.text + "".join(text for _, text, _ in told)
    assert not any(pin in texts for pin in [used, blocked, expired, fine, later, longer])
    stored = str([world.all(name) for name in ("vouchers", "voucher_batches", "voucher_doors", "postings")])
    assert not any(pin in stored for pin in [used, blocked, expired, fine, later, longer])


def test_a_blocked_batch_may_be_unblocked(small_voucher_world: VoucherWorld) -> None:
    world = small_voucher_world
    _, [pin, *_] = world.batch()
    assert block(world.store, 1, "stolen")["reason"] == "stolen"
    assert block(world.store, 1, "stolen")["version"] == 3, "it is already: nothing is written"
    with pytest.raises(VoucherRefused):
        world.redeem(pin)
    unblock(world.store, 1, "found again")
    world.redeem(pin)
    with pytest.raises(InputError, match="batch: 2; expected the number of a batch"):
        block(world.store, 2, "")


def test_one_voucher_is_blocked_by_itself(small_voucher_world: VoucherWorld) -> None:
    world = small_voucher_world
    _, [lost, other, used, *_] = world.batch()
    serial = "000001-0000001"
    blocked, batch = block_one(world.store, "0000010000001", "card lost")
    assert (blocked["state"], blocked["reason"], batch["state"]) == ("blocked", "card lost", "active")
    assert block_one(world.store, serial, "again")[0] == blocked, "it is already: nothing is written"
    with pytest.raises(VoucherRefused):
        world.redeem(lost)
    assert world.redeem(other).value_micros == 10_000_000, "the others of its batch are good"
    block(world.store, 1, "all of it")
    assert "reason" not in unblock_one(world.store, serial, "")[0]
    with pytest.raises(VoucherRefused):
        world.redeem(lost)
    unblock(world.store, 1, "")
    world.redeem(lost)
    world.redeem(used)
    for name, change in (("blocked", unblock_one), ("unused", block_one)):
        with pytest.raises(LedgerError, match=f"serial: {serial} is used; expected one that is {name}"):
            change(world.store, serial, "")
    with pytest.raises(InputError, match="serial: 000001-0000009; expected that of a voucher"):
        block_one(world.store, "000001-0000009", "")
    with pytest.raises(InputError, match="reason: "):
        block_one(world.store, serial, "a\nb")


@pytest.mark.parametrize(("change", "what"), [(block, 1), (block_one, "000001-0000001")])
def test_what_is_blocked_meanwhile_stops_what_is_under_way(
    voucher_world: VoucherWorld, change: Callable[[Any, Any, str], Any], what: int | str
) -> None:
    world = voucher_world
    _, [pin, *_] = world.batch()

    class Late:
        """Blocks the batch, or the voucher, as the first transaction of the engine begins."""

        side_by_side = world.store.side_by_side

        def run(self, work: Any) -> Any:
            change(world.store, what, "")
            return world.store.run(work)

    engine = world.engine(Late())  # type: ignore[arg-type]
    world.engine = lambda store=None: engine  # type: ignore[method-assign,assignment,misc]
    with pytest.raises(VoucherRefused):
        world.redeem(pin)
    assert world.balance() == 0 and look_up(world.store, "000001-0000001")[0]["state"] != "used"


def test_wrong_pins_shut_the_subscribers_door_for_longer_and_longer(small_voucher_world: VoucherWorld) -> None:
    world = small_voucher_world
    world.subscriber(OTHER)
    _, [pin, theirs, *_] = world.batch()
    for wait_s in (60, 120, 240):
        for _ in range(5 if wait_s == 60 else 1):
            with pytest.raises(VoucherRefused):
                world.redeem("1" * 14)
        with pytest.raises(TooManyWrongPins) as caught:
            world.redeem(pin)
        assert caught.value.wait_s == wait_s
        assert pin not in str(caught.value)
        world.clock.now_ms += (wait_s - 1) * 1000
        with pytest.raises(TooManyWrongPins):
            world.redeem("1" * 14)
        world.clock.now_ms += 1000
    assert world.redeem(theirs, OTHER).value_micros, "others aren't held up"
    assert world.redeem(pin).value_micros


def test_a_channel_has_a_door_too(small_voucher_world: VoucherWorld) -> None:
    world = small_voucher_world
    world.subscriber(OTHER)
    _, [pin, *_] = world.batch()
    doors = Doors(LockRules(5, 60, 600, 3600), LockRules(3, 60, 600, 60))
    for msisdn in (MSISDN, OTHER, MSISDN):
        with pytest.raises(VoucherRefused):
            world.redeem("1" * 14, msisdn, channel="shop:7", doors=doors)
    with pytest.raises(TooManyWrongPins):
        world.redeem(pin, OTHER, channel="shop:7", doors=doors)
    assert world.redeem(pin, OTHER, channel="shop:8", doors=doors).value_micros


def test_right_pins_leave_no_door_behind(small_voucher_world: VoucherWorld) -> None:
    world = small_voucher_world
    _, pins = world.batch(6)
    for pin in pins:
        world.redeem(pin)
    assert world.all("voucher_doors") == []
    with pytest.raises(UnknownAccount):
        world.redeem("1" * 14, "499999999999")
    assert world.all("voucher_doors") == []


def test_a_call_that_comes_again_is_told_what_the_first_did(voucher_world: VoucherWorld) -> None:
    world = voucher_world
    world.subscriber(OTHER)
    _, [pin, *_] = world.batch()
    first = world.redeem(pin, request="key-1")
    again = world.redeem(pin, request="key-1")
    assert (again.serial, again.value_micros, again.before) == (first.serial, 10_000_000, True)
    for msisdn, request in ((MSISDN, "key-2"), (OTHER, "key-1"), (MSISDN, "")):
        with pytest.raises(VoucherRefused):
            world.redeem(pin, msisdn, request=request)
    assert world.balance() == 10_000_000
    with pytest.raises(InputError, match="channel, request"):
        world.redeem(pin, request="two words")


@pytest.mark.parametrize(
    ("faults", "raised"),
    [
        ([("after", UnknownCommit("lost"))], None),  # done, asked again, recognised
        ([("before", UnknownCommit("lost"))], None),
        ([("after", UnknownCommit("lost")), ("before", StoreUnavailable("away"))], None),  # looked at
        ([("before", StoreUnavailable("away"))], StoreUnavailable),
    ],
)
def test_an_unknown_commit_is_settled_by_looking(voucher_world: VoucherWorld, faults: Any, raised: Any) -> None:
    world = voucher_world
    _, [pin, *_] = world.batch()
    engine = world.engine(Faulty(world.store, *faults))  # type: ignore[arg-type]
    world.engine = lambda store=None: engine  # type: ignore[method-assign,assignment,misc]
    if raised is None:
        assert world.redeem(pin).serial == "000001-0000001"
        assert world.balance() == 10_000_000
    else:
        with pytest.raises(raised):
            world.redeem(pin)
        assert world.balance() == 0
    assert world.all("voucher_doors") == [], "it wasn't the PIN"
    assert check(world.store) == (1, [])


def test_an_engine_that_is_busy_is_no_wrong_pin(small_voucher_world: VoucherWorld) -> None:
    world = small_voucher_world
    _, [pin, *_] = world.batch()
    engine = world.engine()

    class Full:
        """An engine whose account another process holds for too long."""

        def execute(self, orders: list[Any]) -> list[Any]:
            for order in orders:
                order.fail(Busy("account: it is locked; a repeat is welcome"))
            return orders

    world.engine = lambda store=None: Full()  # type: ignore[method-assign,assignment,misc]
    with pytest.raises(Busy):
        world.redeem(pin)
    assert world.all("voucher_doors") == []
    world.engine = lambda store=None: engine  # type: ignore[method-assign,assignment,misc]
    assert world.redeem(pin).value_micros


def test_who_is_gone_redeems_nothing(small_voucher_world: VoucherWorld) -> None:
    world = small_voucher_world
    _, [pin, *_] = world.batch()
    lifecycle.set_state(world.engine(), world.store, MSISDN, TERMINATED)
    with pytest.raises(LedgerError, match="terminated"):
        world.redeem(pin)
    assert look_up(world.store, "000001-0000001")[0]["state"] == "unused"


def test_pins_are_in_one_file_of_the_owner_alone(voucher_world: VoucherWorld) -> None:
    world = voucher_world
    batch, pins = world.batch(1200)
    [file] = world.folder.glob("pins-*")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = file.read_text().splitlines()
    assert lines[0] == "serial,pin,worth,last_day"
    assert lines[1] == f"000001-0000001,{pins[0]},10.00 EUR,2026-12-16"
    assert len(set(pins)) == len(pins) == 1200 and {len(pin) for pin in pins} == {14}
    assert len(world.all("vouchers")) == 1200 and batch["state"] == "active"
    new = NewBatch(1, TODAY, 1_000_000, "EUR")
    with pytest.raises(InputError, match="is there already"):
        make(world.store, world.tables, world.pepper, new, file, world.now_s)
    with pytest.raises(InputError, match="can't be written"):
        make(world.store, world.tables, world.pepper, new, file / "x", world.now_s)
    assert len(batches(world.store)) == 1 and file.read_text().splitlines() == lines


def test_a_batch_whose_file_never_came_is_of_no_use(
    small_voucher_world: VoucherWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = small_voucher_world
    real = os.link

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(InputError, match="No space left"):
        world.batch()
    monkeypatch.setattr(os, "link", real)
    [batch] = batches(world.store)
    assert batch["state"] == "making"
    assert [file.name for file in world.folder.iterdir() if file.name.startswith(".")] == []
    for change in (block, unblock):
        with pytest.raises(InputError, match="unfinished"):
            change(world.store, 1, "")


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"value_micros": 0}, "value, bundle"),
        ({"bundle": "TALK"}, "value, bundle"),
        ({"value_micros": 1}, "value: 0.000001"),
        ({"value_micros": -10_000_000}, "value: -10.00"),
        ({"value_micros": 10**13}, "value: 10000000"),
        ({"currency": "XXX"}, "currency: 'XXX'"),
        ({"value_micros": 0, "bundle": "NONE"}, "bundle: 'NONE'; expected one of TALK"),
        ({"last_day": TODAY - timedelta(1)}, "expires: 2026-11-15"),
        ({"last_day": TODAY + timedelta(366 * 30)}, "expires: "),
        ({"count": 0}, "count: 0"),
        ({"remark": "a\nb"}, "remark: "),
    ],
)
def test_batches_that_are_refused(small_voucher_world: VoucherWorld, more: dict[str, Any], fault: str) -> None:
    world = small_voucher_world
    fields = {"count": 1, "last_day": TODAY, "value_micros": 10_000_000, "currency": "EUR", **more}
    with pytest.raises(InputError) as caught:
        make(world.store, world.tables, world.pepper, NewBatch(**fields), world.folder / "out", world.now_s)
    assert str(caught.value).startswith(fault)
    assert world.all("voucher_batches") == [] and not (world.folder / "out").exists()


def test_a_pin_that_is_taken_is_drawn_anew(small_voucher_world: VoucherWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    world = small_voucher_world
    drawn = iter([1, 1, 2, 3, 3, 5, 4])
    monkeypatch.setattr("mubss.services.vouchers.secrets.randbelow", lambda _: next(drawn))
    _, first = world.batch(2)
    _, second = world.batch(2)
    assert ([int(pin) for pin in first], [int(pin) for pin in second]) == ([2, 3], [4, 5])


@pytest.mark.parametrize("at_once", [1, 100])
def test_used_vouchers_are_counted_for_many_batches_at_once(
    voucher_world: VoucherWorld, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    world = voucher_world
    monkeypatch.setattr("mubss.storage.vouchers._BATCHES_AT_ONCE", at_once)
    _, pins = world.batch(5)
    world.batch(1)
    for used, pin in enumerate(pins, 1):
        world.redeem(pin)
        assert [batch["used"] for batch in batches(world.store)] == [0, used]
    assert [batch["number"] for batch in batches(world.store, 1)] == [2]
    assert [batch["number"] for batch in batches(world.store, 5, 2)] == [1]


def test_makers_at_once_get_numbers_of_their_own(voucher_world: VoucherWorld) -> None:
    world = voucher_world
    made: list[int] = []

    def work(name: str) -> None:
        store = open_database(world.url)
        new = NewBatch(2, TODAY, 10_000_000, "EUR")
        made.append(make(store, world.tables, world.pepper, new, world.folder / name, world.now_s)["number"])
        store.close()

    threads = [threading.Thread(target=work, args=(f"out-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(made) == [1, 2, 3, 4]
    assert len({voucher["serial"] for voucher in world.all("vouchers")}) == 8


def test_the_pepper_is_made_once_and_kept_from_others(small_voucher_world: VoucherWorld) -> None:
    world, file = small_voucher_world, small_voucher_world.pepper_file
    secret = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and len(secret.strip()) == 64
    assert make_pepper(file, world.store) is False and file.read_text() == secret
    for mode in (0o640, 0o604, 0o660):
        file.chmod(mode)
        with pytest.raises(ConfigError, match=f"mode {mode:o}; expected 600"):
            read_pepper(file, world.store)
    file.chmod(0o600)
    _, [pin, *_] = world.batch()
    file.write_text("short")
    with pytest.raises(ConfigError, match="holds 5 octets; expected 32"):
        read_pepper(file, world.store)
    file.write_text("f" * 64)
    with pytest.raises(ConfigError, match="isn't the pepper of this store") as caught:
        world.redeem(pin)
    assert "ffff" not in str(caught.value)
    file.unlink()
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        read_pepper(file, world.store)
    with pytest.raises(ConfigError, match="is gone, and the store has vouchers"):
        make_pepper(file, world.store)
    file.mkdir()
    with pytest.raises(ConfigError):
        read_pepper(file, world.store)


def test_expiry_is_the_end_of_the_operators_day(small_voucher_world: VoucherWorld) -> None:
    world = small_voucher_world
    batch, [pin, other, *_] = world.batch(last_day=TODAY)
    assert batch["expires_s"] == NOW_S + 11 * 3600, "midnight in Berlin"
    world.clock.now_ms = batch["expires_s"] * 1000 - 1
    world.redeem(pin)
    world.clock.now_ms += 1
    with pytest.raises(VoucherRefused):
        world.redeem(other)
