"""The Balances service of proto/crm.proto."""

from __future__ import annotations

from typing import Any

from mubss.charging.order import Order
from mubss.core.errors import InputError
from mubss.core.model import Account
from mubss.crm import fields
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.crm.once import Once
from mubss.pb import crm_pb2 as pb
from mubss.services import lifecycle
from mubss.services.allowances import free_units
from mubss.storage import subscribers as storage
from mubss.storage.database import Doc


class Balances:
    """Money, free units and bundles."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def get_balance(self, request: Any, _call: Call) -> pb.Balance:
        """What an account has."""
        account = self._account(request)
        office = self._office
        currency = office.tables.currencies.get(account["currency"])
        free = free_units(office.tables, account, office.now_s)
        return pb.Balance(
            account=account["_id"],
            currency=account["currency"],
            decimals=currency.decimals if currency is not None else 6,
            balance_micros=account["balance_micros"],
            credit_limit_micros=account["credit_limit_micros"],
            reserved_micros=account["reserved_micros"],
            available_micros=available_micros(account),
            month=office.tables.calendar.at(office.now_s).month,
            free_units=[pb.FreeUnits(service=code, **one._asdict()) for code, one in free.items()],
            buckets=map(_bucket, account.get("buckets", ())),
        )

    def top_up(self, request: Any, call: Call) -> pb.MovementResponse:
        """Adds money."""
        identity, reference = fields.subscriber(request), fields.text(request, "reference")
        office, amount = self._office, request.amount_micros
        once = Once(office, call, request, pb.MovementResponse)

        def work() -> pb.MovementResponse:
            engine = once.engine(_moved)
            account = lifecycle.top_up(engine, office.store, office.tables, identity, amount, reference)
            office.nudge()
            return _movement(account)

        return once.do_unseen(work)

    def adjust(self, request: Any, call: Call) -> pb.MovementResponse:
        """Adds or takes money."""
        identity, reason = fields.subscriber(request), fields.text(request, "reason", least=1)
        if not request.amount_micros:
            raise InputError("amount_micros: 0; expected an amount either way")
        office, amount = self._office, request.amount_micros
        once = Once(office, call, request, pb.MovementResponse)

        def work() -> pb.MovementResponse:
            account = lifecycle.move(once.engine(_moved), office.store, identity, "adjustment", amount, reason)
            office.nudge()
            return _movement(account)

        return once.do_unseen(work)

    def buy_bundle(self, request: Any, call: Call) -> pb.MovementResponse:
        """Buys a bundle."""
        return self._bundle(request, call, lifecycle.buy_bundle)

    def stop_bundle(self, request: Any, call: Call) -> pb.MovementResponse:
        """A bundle isn't bought again."""
        return self._bundle(request, call, lifecycle.stop_bundle)

    def _bundle(self, request: Any, call: Call, do: Any) -> pb.MovementResponse:
        identity, reference = fields.subscriber(request), fields.text(request, "reference")
        bundle = fields.text(request, "bundle", 40, 1)
        once = Once(self._office, call, request, pb.MovementResponse)
        return once.do(lambda: _movement(do(once.engine(_moved), self._office.store, identity, bundle, reference)))

    def list_postings(self, request: Any, _call: Call) -> pb.ListPostingsResponse:
        """Postings in pages."""
        account = self._account(request)
        size, after = fields.page_size(request), fields.page_number(request)
        found = storage.page_of(self._office.store, storage.POSTINGS, account["_id"], after, size)
        token = fields.page_token(str(found[-1]["sequence"])) if len(found) == size else ""
        return pb.ListPostingsResponse(postings=map(_posting, found), next_page_token=token)

    def _account(self, request: Any) -> Account:
        store = self._office.store
        return lifecycle.find_account(store, lifecycle.find_subscriber(store, fields.subscriber(request)))


def available_micros(account: Account) -> int:
    return account["balance_micros"] + account["credit_limit_micros"] - account["reserved_micros"]


def _moved(_order: Order, account: Account) -> pb.MovementResponse:
    return _movement(account)


def _movement(account: Account) -> pb.MovementResponse:
    return pb.MovementResponse(
        account=account["_id"],
        currency=account["currency"],
        balance_micros=account["balance_micros"],
        available_micros=available_micros(account),
    )


def _bucket(bucket: Any) -> pb.Bucket:
    return pb.Bucket(
        id=bucket["id"],
        bundle=bucket["id"].rpartition(":")[0],
        services=bucket["services"],
        units=bucket["units"],
        left_units=bucket["left"],
        expires_s=bucket["until_s"],
        renews=bucket.get("renews", False),
    )


def _posting(doc: Doc) -> pb.Posting:
    cause = {name: str(value) for name, value in doc["cause"].items() if name != "kind"}
    return pb.Posting(
        sequence=doc["sequence"],
        at_s=doc["at_ms"] // 1000,
        amount_micros=doc["amount_micros"],
        balance_micros=doc["balance_micros"],
        kind=doc["cause"]["kind"],
        cause=cause,
        bucket=doc["bucket"],
        units=doc.get("units", 0),
    )
