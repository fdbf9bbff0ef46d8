"""The Vouchers service of proto/crm.proto. A PIN is in no error and in no log, nor is it a part of what is stored."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date
from hashlib import blake2b, sha256
from typing import Any

from mubss.charging.order import Order
from mubss.core.errors import Busy, InputError
from mubss.core.model import Account
from mubss.core.vouchers import MAX_BATCH, parse_serial
from mubss.core.wording import counted
from mubss.crm import fields
from mubss.crm.audited import audited_store
from mubss.crm.balances import available_micros
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.crm.once import Once
from mubss.crm.repeats import once_or_as_told
from mubss.crm.statuses import NotFound
from mubss.pb import crm_pb2 as pb
from mubss.services import vouchers as service
from mubss.services.pepper import Pepper, read_pepper
from mubss.services.redeeming import Doors, Redeemed, TooManyWrongPins, VoucherRefused, redeem
from mubss.services.sealing import Recipient, recipient_of
from mubss.storage import vouchers as storage
from mubss.storage.database import Doc

MAX_COUNT = 100_000  # vouchers of a batch: a file of 6 MB, which a call holds in memory
CHUNK_OCTETS = 64_000
_MAX_RECIPIENT_LETTERS = 10_000
_FIELDS = {"expires": "last_day", "value": "value_micros", "value, bundle": "value_micros"}
_making = threading.Lock()  # one batch at a time: it takes its turn with charging, and memory


class Vouchers:
    """Batches of PINs, and what they are worth."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def make_batch(self, request: Any, call: Call) -> Iterator[pb.BatchExport]:
        """A batch and its file; it is good once all of the file is on its way."""
        office = self._office
        recipient = _recipient(request)
        new = _new_batch(request)
        try:
            batch = service.checked(new, office.tables, office.now_s)
        except InputError as error:
            field, _, what = str(error).partition(": ")
            raise InputError(f"{_FIELDS.get(field, field)}: {what}") from None
        pepper = self._pepper()

        def progress(_count: int) -> None:
            if call.ended.is_set():
                raise Busy("the caller is gone; the batch stays unfinished")

        if not _making.acquire(blocking=False):
            raise Busy("another batch is being made; try again")
        try:
            batch, content = service.drawn(office.store, pepper, batch, progress)
            content = recipient.seal(content)
        finally:
            _making.release()
        yield pb.BatchExport(batch=_batch(batch), octets=len(content), sha256=sha256(content).hexdigest())
        for start in range(0, len(content), CHUNK_OCTETS):
            yield pb.BatchExport(data=content[start : start + CHUNK_OCTETS])
        yield pb.BatchExport(batch=_batch(service.finished(audited_store(office, call), batch)))

    def redeem_voucher(self, request: Any, call: Call) -> pb.RedeemVoucherResponse:
        """Redeems a voucher; what is wrong with a PIN isn't told."""
        identity, key = fields.subscriber(request), fields.idempotency_key(request)
        office, pepper = self._office, self._pepper()
        hidden = type(request)()
        hidden.CopyFrom(request)
        hidden.pin = pepper.voucher_id(request.pin)  # what is kept of the request tells no PIN
        once = Once(office, call, hidden, pb.RedeemVoucherResponse)

        def work() -> pb.RedeemVoucherResponse:
            engine, doors = once.engine(_of_order), Doors.of(office.config.vouchers)
            channel = blake2b(call.principal.subject.encode(), digest_size=16).hexdigest()
            try:
                done = redeem(engine, office.store, pepper, doors, identity, request.pin, office.now_ms, channel, key)
            except (VoucherRefused, TooManyWrongPins):
                raise InputError(
                    "pin: it can't be redeemed; expected that of a voucher that is valid and unused"
                ) from None
            office.nudge()
            told = _redeemed(done)
            return once.do(lambda: told) if done.before else told  # the same call came first meanwhile

        return once_or_as_told(once, work)

    def block_batch(self, request: Any, call: Call) -> pb.VoucherBatch:
        """None of a batch is redeemed."""
        reason = fields.text(request, "reason")
        return _batch(service.block(audited_store(self._office, call), self._number(request), reason))

    def unblock_batch(self, request: Any, call: Call) -> pb.VoucherBatch:
        """A blocked batch may be redeemed again."""
        reason = fields.text(request, "reason")
        return _batch(service.unblock(audited_store(self._office, call), self._number(request), reason))

    def block_voucher(self, request: Any, call: Call) -> pb.Voucher:
        """One isn't redeemed."""
        reason, serial = fields.text(request, "reason"), self._serial(request)
        return _voucher(*service.block_one(audited_store(self._office, call), serial, reason))

    def unblock_voucher(self, request: Any, call: Call) -> pb.Voucher:
        """One may be redeemed again."""
        reason, serial = fields.text(request, "reason"), self._serial(request)
        return _voucher(*service.unblock_one(audited_store(self._office, call), serial, reason))

    def lookup_voucher(self, request: Any, _call: Call) -> pb.Voucher:
        """A voucher by its serial."""
        return _voucher(*service.look_up(self._office.store, self._serial(request)))

    def list_batches(self, request: Any, _call: Call) -> pb.ListBatchesResponse:
        """Batches in pages."""
        size = fields.page_size(request)
        found = service.batches(self._office.store, size, fields.page_number(request))
        token = fields.page_token(str(found[-1]["number"])) if len(found) == size else ""
        return pb.ListBatchesResponse(batches=map(_batch, found), next_page_token=token)

    def _pepper(self) -> Pepper:
        config = self._office.config
        return read_pepper(config.resolve(config.vouchers.pepper_file), self._office.store)

    def _serial(self, request: Any) -> str:
        serial = parse_serial(fields.text(request, "serial", 20, 1))
        if storage.by_serial(self._office.store, serial) is None:
            raise NotFound(f"serial: {serial}; expected that of a voucher")
        return serial

    def _number(self, request: Any) -> int:
        number = int(request.number)
        if not 1 <= number <= MAX_BATCH:
            raise InputError(f"number: {number}; expected 1 to {MAX_BATCH}")
        if storage.get_batch(self._office.store, number) is None:
            raise NotFound(f"number: {number}; expected that of a batch")
        return number


def _recipient(request: Any) -> Recipient:
    text = str(request.recipient)
    if not 0 < len(text) <= _MAX_RECIPIENT_LETTERS:
        raise InputError(f"recipient: {counted(len(text), 'letter')}; expected an age public key, or an RSA one in PEM")
    return recipient_of(text.encode(), counted(len(text), "letter"))


def _new_batch(request: Any) -> service.NewBatch:
    if not 1 <= request.count <= MAX_COUNT:
        raise InputError(f"count: {request.count}; expected 1 to {MAX_COUNT}")
    if request.value_micros < 0:
        raise InputError(f"value_micros: {request.value_micros}; expected 0 or more")
    text = fields.text(request, "last_day", 10)
    try:
        last_day = date.fromisoformat(text)
    except ValueError:
        raise InputError(f"last_day: {text!r}; expected a day like 2027-12-31") from None
    return service.NewBatch(
        request.count,
        last_day,
        request.value_micros,
        fields.text(request, "currency", 3),
        fields.text(request, "bundle", 40),
        request.length or service.DEFAULT_LENGTH,
        fields.text(request, "remark"),
    )


def _batch(doc: Doc) -> pb.VoucherBatch:
    names = ("number", "state", "count", "used", "value_micros", "currency", "bundle", "last_day", "expires_s")
    more = ("length", "made_s", "remark", "reason")
    return pb.VoucherBatch(**{name: doc[name] for name in (*names, *more) if name in doc})


def _voucher(voucher: Doc, batch: Doc) -> pb.Voucher:
    return pb.Voucher(
        serial=voucher["serial"],
        state=voucher["state"],
        batch=_batch(batch),
        used_s=voucher.get("used_ms", 0) // 1000,
        subscriber=voucher.get("subscriber", ""),
        account=voucher.get("account", ""),
        reason=voucher.get("reason", ""),
    )


def _redeemed(done: Redeemed) -> pb.RedeemVoucherResponse:
    return _brought(done.serial, done.value_micros, done.bundle, done.account)


def _of_order(order: Order, account: Account) -> pb.RedeemVoucherResponse:
    docs = {guard.collection: guard.doc for guard in order.guards}
    batch = docs[storage.BATCHES]
    serial = docs[storage.VOUCHERS]["serial"]
    return _brought(serial, batch.get("value_micros", 0), batch.get("bundle", ""), account)


def _brought(serial: str, value_micros: int, bundle: str, account: Account) -> pb.RedeemVoucherResponse:
    return pb.RedeemVoucherResponse(
        serial=serial,
        value_micros=value_micros,
        bundle=bundle,
        account=account["_id"],
        currency=account["currency"],
        balance_micros=account["balance_micros"],
        available_micros=available_micros(account),
    )
