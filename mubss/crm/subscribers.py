"""The Subscribers service of proto/crm.proto."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mubss.charging.order import Order
from mubss.core.errors import InputError
from mubss.core.model import ACTIVE, BARRED, POSTPAID, PREPAID, STATES, SUSPENDED, TERMINATED, Account
from mubss.core.next_plan import as_of, history_until, plans_of, without
from mubss.crm import fields
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.crm.once import Once
from mubss.crm.repeats import once_or_as_told
from mubss.pb import crm_pb2 as pb
from mubss.services import lifecycle, people
from mubss.services.lifecycle import NewSubscriber
from mubss.storage import subscribers as storage
from mubss.storage.database import Doc
from mubss.storage.rpc_keys import KEYS


class Subscribers:
    """People and contracts."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def create_subscriber(self, request: Any, call: Call) -> pb.Subscriber:
        """Creates one, with an account of its own or on another's."""
        once = Once(self._office, call, request, pb.Subscriber)
        office = self._office
        cycle, language = request.bill_cycle or None, request.language or "en"
        new = NewSubscriber(
            request.msisdn,
            request.imsi,
            "",
            request.plan,
            request.balance_micros,
            cycle,
            language,
            request.name,
            request.address,
            request.email,
        )
        shares = fields.subscriber(request, "account") if request.account else ""

        def work() -> pb.Subscriber:
            office.room.check()
            if not shares:
                return message(
                    people.create_one(once.store, office.tables, new, office.now_ms, self._beside(once)), office.now_s
                )
            engine = once.engine(lambda order, account: self._person_of(order, account, new.msisdn))
            lifecycle.share(engine, office.store, office.tables, shares, new, office.now_ms)
            return message(lifecycle.find_subscriber(office.store, new.msisdn), office.now_s)

        return once.do(work)

    def get_subscriber(self, request: Any, _call: Call) -> pb.Subscriber:
        """One subscriber."""
        return message(self._find(request), self._office.now_s)

    def update_subscriber(self, request: Any, call: Call) -> pb.Subscriber:
        """Changes language, bill cycle or contact."""
        once = Once(self._office, call, request, pb.Subscriber)
        changes: dict[str, Any] = {}
        for name in ("language", "bill_cycle", "name", "address", "email"):
            if request.HasField(name):
                changes[name] = getattr(request, name)
        if not changes:
            raise InputError("language, bill_cycle, name, address, email: none is set; expected what is to be changed")
        if changes.get("bill_cycle") == 0:
            changes["bill_cycle"] = None
        identity = fields.subscriber(request)
        office = self._office

        def work() -> pb.Subscriber:
            beside = self._beside(once)
            return message(
                people.update(once.store, office.tables, identity, request.version, changes, beside), office.now_s
            )

        return once.do(work)

    def search_subscribers(self, request: Any, _call: Call) -> pb.SearchSubscribersResponse:
        """Subscribers in pages."""
        filters: dict[str, str | int] = {}
        for name, known in (("state", STATES), ("type", (PREPAID, POSTPAID))):
            if value := getattr(request, name):
                if value not in known:
                    raise InputError(f"{name}: {value[:20]!r}; expected one of {', '.join(known)}")
                filters[name] = value
        if request.plan:
            filters["plan"] = fields.text(request, "plan", 40)
        if request.bill_cycle:
            filters["bill_cycle"] = request.bill_cycle
        size = fields.page_size(request)
        now_s = self._office.now_s
        found = storage.find(self._office.store, filters, after=fields.page_after(request), limit=size, now_s=now_s)
        token = fields.page_token(found[-1]["_id"]) if len(found) == size else ""
        return pb.SearchSubscribersResponse(subscribers=[message(one, now_s) for one in found], next_page_token=token)

    def suspend_subscriber(self, request: Any, call: Call) -> pb.Subscriber:
        """No more service until it is reactivated."""
        return self._change_state(request, call, SUSPENDED)

    def bar_subscriber(self, request: Any, call: Call) -> pb.Subscriber:
        """No more service, whatever is paid, until it is reactivated."""
        return self._change_state(request, call, BARRED)

    def reactivate_subscriber(self, request: Any, call: Call) -> pb.Subscriber:
        """Ends a suspension, or lifts a bar."""
        return self._change_state(request, call, ACTIVE)

    def terminate_subscriber(self, request: Any, call: Call) -> pb.Subscriber:
        """Ends the contract."""
        return self._change_state(request, call, TERMINATED)

    def _change_state(self, request: Any, call: Call, state: str) -> pb.Subscriber:
        reason = fields.text(request, "reason")
        identity = fields.subscriber(request)
        once = Once(self._office, call, request, pb.Subscriber)

        def work() -> pb.Subscriber:
            engine = once.engine(self._person_of)
            lifecycle.set_state(engine, self._office.store, identity, state, reason)
            self._office.nudge()
            return message(self._find(request), self._office.now_s)

        return once.do(work)

    def get_history(self, request: Any, _call: Call) -> pb.History:
        """Its plans and states."""
        account = lifecycle.find_account(self._office.store, self._find(request))
        history = history_until(account, self._office.now_s)
        return pb.History(
            entries=[pb.HistoryEntry(since_s=since_s, plan=plan, state=state) for since_s, plan, state in history]
        )

    def change_identity(self, request: Any, call: Call) -> pb.Subscriber:
        """Another number, another SIM, or both."""
        new = {name: getattr(request, name) for name in ("msisdn", "imsi") if request.HasField(name)}
        if not new:
            raise InputError("msisdn, imsi: neither is set; expected what is to be changed")
        once = Once(self._office, call, request, pb.Subscriber)
        office = self._office

        def work() -> pb.Subscriber:
            subscriber_id = f"id:{self._find(request)['_id']}"
            engine = once.engine(self._person_of)
            lifecycle.change_identity(engine, office.store, subscriber_id, request.version, **new)
            return message(lifecycle.find_subscriber(office.store, subscriber_id), office.now_s)

        return once_or_as_told(once, work)

    def change_plan(self, request: Any, call: Call) -> pb.Subscriber:
        """Another price plan, now or from the next bill period on; or none of those that wait."""
        plan, identity = fields.text(request, "plan", 40), fields.subscriber(request)
        if request.cancel_next and (plan or request.at_next_cycle):
            raise InputError("cancel_next: true; expected neither plan nor at_next_cycle beside it")
        if not plan and not request.cancel_next:
            raise InputError("plan: ''; expected the code of a price plan")
        once = Once(self._office, call, request, pb.Subscriber)

        def work() -> pb.Subscriber:
            waits = request.at_next_cycle or request.cancel_next
            change = lifecycle.set_next_plan if waits else lifecycle.set_plan
            change(once.engine(self._person_of), self._office.store, identity, plan)
            self._office.nudge()
            return message(self._find(request), self._office.now_s)

        return once.do(work)

    def _find(self, request: Any) -> Doc:
        return lifecycle.find_subscriber(self._office.store, fields.subscriber(request))

    def _beside(self, once: Once[pb.Subscriber]) -> Callable[[Doc], tuple[str, Doc]]:
        """The idempotency key that commits with a subscriber."""
        return lambda doc: (KEYS, once.doc(message(doc, self._office.now_s)))

    def _person_of(self, order: Order, account: Account, msisdn: str = "") -> pb.Subscriber:
        """The subscriber that an order changes: the first of its guarded ones, or that of a number."""
        docs = [guard.doc for guard in order.guards if guard.collection == storage.SUBSCRIBERS]
        doc = next(doc for doc in docs if msisdn in ("", doc["msisdn"]))
        return message({**without(doc), **plans_of(account)}, self._office.now_s)


def message(stored: Doc, now_s: int) -> pb.Subscriber:
    """A subscriber's document as a message, as it stands at a time."""
    doc = as_of(stored, now_s)
    return pb.Subscriber(
        id=doc["_id"],
        account=doc["account"],
        version=doc["version"],
        msisdn=doc["msisdn"],
        imsi=doc.get("imsi", ""),
        type=doc["type"],
        plan=doc["plan"],
        state=doc["state"],
        state_reason=doc.get("state_reason", ""),
        language=doc.get("language", ""),
        bill_cycle=doc.get("bill_cycle") or 0,
        created_s=doc.get("created_s", 0),
        email=doc.get("email", ""),
        name=doc.get("name", ""),
        address=doc.get("address", ""),
        next_plan=doc.get("next_plan", ""),
        next_plan_from_s=doc.get("next_plan_from_s", 0),
    )
