"""A subscriber's life: created, suspended, reactivated, terminated; and money moved by hand.

Every write goes through the charging engine; what the person's document says of it commits with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from mubss.charging.engine import Engine
from mubss.charging.order import Change, Guard, GuardConflict, Order
from mubss.charging.provision import NewAccount, member_order, open_accounts
from mubss.core.errors import AccountChanged, InputError, UnknownAccount
from mubss.core.issuing import SetDiscounts
from mubss.core.model import (
    POSTPAID,
    PREPAID,
    TERMINATED,
    Account,
    BuyBundle,
    ChangeIdentities,
    Movement,
    SetNextPlan,
    SetPlan,
    SetState,
    StopBundle,
)
from mubss.core.money import format_amount
from mubss.core.next_plan import plan_at, plans_of, without
from mubss.core.tariff import Tables
from mubss.core.wording import counted
from mubss.storage import subscribers
from mubss.storage.database import Doc, DuplicateId, Store, StoreUnavailable

_MSISDN = re.compile(r"[1-9][0-9]{5,14}")
_IMSI = re.compile(r"[0-9]{14,15}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Z]{2})?")
_EMAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
MAX_EMAIL_LETTERS = 254  # of a path in SMTP without its brackets (RFC 5321 §4.5.3.1.3)
_IDENTITY = re.compile(r"e164:[0-9]{1,15}|imsi:[0-9]{14,15}")
MAX_OPENING_MICROS = 10**12
MAX_TEXT_LETTERS = 200
MAX_NAME_LETTERS, MAX_ADDRESS_LINES = 80, 6


@dataclass(frozen=True, slots=True)
class NewSubscriber:
    """A subscriber to create, with an opening balance. Type "" is the plan's; postpaid ones need a bill cycle."""

    msisdn: str
    imsi: str = ""
    type: str = ""
    plan: str = ""
    balance_micros: int = 0
    bill_cycle: int | None = None
    language: str = "en"
    name: str = ""  # as it stands on bills
    address: str = ""  # lines of it
    email: str = ""  # where its mail goes

    @property
    def identities(self) -> tuple[str, ...]:
        """What leads to the account: "e164:…", and "imsi:…" where there is one."""
        return (f"e164:{self.msisdn}", f"imsi:{self.imsi}") if self.imsi else (f"e164:{self.msisdn}",)


def faults_of(new: NewSubscriber, tables: Tables) -> Iterator[str]:
    """What keeps a subscriber from being created, each naming the field, its value and what was expected."""
    yield from _number_faults(new.msisdn, new.imsi)
    if new.type not in ("", PREPAID, POSTPAID):
        yield f"type: {new.type[:20]!r}; expected {PREPAID} or {POSTPAID}"
    plan = tables.plans.get(new.plan)
    if plan is None:
        yield f"plan: {new.plan[:40]!r}; expected one of {', '.join(sorted(tables.plans)) or 'none: none is loaded'}"
    elif new.type in (PREPAID, POSTPAID) and new.type != plan.type:
        yield f"plan: {new.plan!r} is {plan.type}; expected a plan for {new.type} subscribers"
    if new.bill_cycle is not None and new.bill_cycle not in tables.bill_cycles:
        yield f"bill_cycle: {new.bill_cycle}; expected one of {_bill_cycles(tables)}"
    if new.bill_cycle is None and plan is not None and plan.type == POSTPAID:
        yield f"bill_cycle: none; expected one of {_bill_cycles(tables)} for a {POSTPAID} subscriber"
    if not _LANGUAGE.fullmatch(new.language):
        yield f"language: {new.language[:20]!r}; expected a code like en or pt-BR"
    yield from postal_faults(new.name, new.address)
    if new.email and (len(new.email) > MAX_EMAIL_LETTERS or not _EMAIL.fullmatch(new.email)):
        yield f"email: {counted(len(new.email), 'letter')}; expected an address like someone@mail.example"
    if abs(new.balance_micros) > MAX_OPENING_MICROS:
        amount, limit = format_amount(new.balance_micros), format_amount(MAX_OPENING_MICROS)
        yield f"balance: {amount}; expected at most {limit} either way"
    elif new.balance_micros < 0 and plan is not None and plan.type == PREPAID:
        yield f"balance: {format_amount(new.balance_micros)}; expected 0 or more for a {PREPAID} subscriber"


def _number_faults(msisdn: str, imsi: str) -> Iterator[str]:
    if not _MSISDN.fullmatch(msisdn):
        yield f"msisdn: {msisdn[:20]!r}; expected 6 to 15 digits of E.164, without +"
    if imsi and not _IMSI.fullmatch(imsi):
        yield f"imsi: {imsi[:20]!r}; expected 14 or 15 digits"


def postal_faults(name: str, address: str) -> Iterator[str]:
    """What is wrong with a name and the lines of an address as bills have them."""
    if len(name) > MAX_NAME_LETTERS or not name.isprintable():
        yield f"name: {name[:40]!r}, {counted(len(name), 'letter')}; expected up to {MAX_NAME_LETTERS} printable ones"
    lines = address.split("\n")
    if len(lines) > MAX_ADDRESS_LINES or any(len(one) > MAX_NAME_LETTERS or not one.isprintable() for one in lines):
        yield (
            f"address: {address[:40]!r}; expected up to {MAX_ADDRESS_LINES} lines of up to {MAX_NAME_LETTERS} "
            f"printable letters"
        )


def _bill_cycles(tables: Tables) -> str:
    return ", ".join(map(str, sorted(tables.bill_cycles))) or "none: none is loaded"


def checked(new: NewSubscriber, tables: Tables, now_s: int) -> NewAccount:
    """The account that a new subscriber gets; InputError names every field that can't be taken."""
    if faults := list(faults_of(new, tables)):
        raise InputError("; ".join(faults))
    plan = tables.plans[new.plan]
    person: dict[str, Any] = {
        "msisdn": new.msisdn,
        "imsi": new.imsi,
        "language": new.language,
        "bill_cycle": new.bill_cycle,
        "created_s": now_s,
        **{key: value for key, value in _contact(new) if value},
    }
    limit = plan.credit_limit_micros
    return NewAccount(plan.type, plan.code, plan.currency, new.identities, new.balance_micros, limit, person)


def _contact(new: NewSubscriber) -> tuple[tuple[str, str], ...]:
    return ("name", new.name), ("address", new.address), ("email", new.email)


def create(
    store: Store,
    tables: Tables,
    new: Sequence[NewSubscriber],
    now_ms: int,
    progress: Callable[[int], None] = lambda count: None,
) -> list[str]:
    """Creates subscribers and returns their ids; all are checked before the first is written.

    InputError where an identity is taken; what was created before it is known by the last `progress(count)`.
    """
    accounts = [checked(one, tables, now_ms // 1000) for one in new]
    try:
        return open_accounts(store, accounts, now_ms, progress)
    except DuplicateId as error:
        raise InputError(taken(error.document_id)) from None


def taken(identity: str) -> str:
    """What is wrong with an identity ("e164:…", "imsi:…") that a subscriber has already."""
    kind, _, digits = identity.partition(":")
    return f"{'imsi' if kind == 'imsi' else 'msisdn'}: {digits!r}; expected one that no subscriber has yet"


def normalised(identity: str) -> str:
    """What an operator types for a subscriber (an MSISDN, +MSISDN, imsi:…, id:…) as an identity."""
    text = identity.strip()
    return text if text.startswith(("e164:", "imsi:", "id:")) else "e164:" + text.removeprefix("+")


def find_subscriber(store: Store, identity: str) -> Doc:
    """The subscriber's document; UnknownAccount if there is none."""
    wanted = normalised(identity)
    doc = None
    if wanted.startswith("id:"):
        subscriber_id = wanted.removeprefix("id:")
        doc = subscribers.get(store, subscriber_id) if subscriber_id else None
    elif _IDENTITY.fullmatch(wanted):
        doc = subscribers.of_identity(store, wanted)
    if doc is None:
        raise _unknown(identity)
    return doc


def _unknown(identity: str) -> UnknownAccount:
    return UnknownAccount(f"subscriber: {identity[:40]!r}; expected the MSISDN (or imsi:…) of a subscriber")


def account_id_of(store: Store, identity: str) -> str:
    """The id of a subscriber's account, by one document for most; UnknownAccount if there is no such subscriber."""
    wanted = normalised(identity)
    if not _IDENTITY.fullmatch(wanted):
        return str(find_subscriber(store, identity)["account"])
    account_id = subscribers.account_of(store, wanted)
    if account_id is None:
        raise _unknown(identity)
    return account_id


def find_account(store: Store, doc: Doc) -> Account:
    """The account of a subscriber's document, to look at."""
    account = subscribers.get_account(store, doc["account"])
    if account is None:
        raise UnknownAccount(f"account: {doc['account']}; expected that of {doc['msisdn']}; `mubss ledger check` knows")
    return cast(Account, account)


def sharing(store: Store, account: Account) -> list[Doc]:
    """The subscribers of an account, the first one first."""
    ids = dict.fromkeys([account["_id"], *sorted(account.get("members", {}).values())])
    return [doc for doc in (subscribers.get(store, one) for one in ids) if doc is not None]


def share(engine: Engine, store: Store, tables: Tables, identity: str, new: NewSubscriber, now_ms: int) -> Account:
    """One more subscriber on the account of another one, with whom it shares balance, free units and bundles.

    Type, plan and bill cycle are the account's, and so is the balance.
    """
    account = find_account(store, find_subscriber(store, identity))
    first = subscribers.get(store, account["_id"])
    if first is None:
        raise UnknownAccount(f"subscriber: {account['_id']}; expected the first one of the account")
    plan = plan_at(first, now_ms // 1000)
    given = (new.plan, plan), (new.type, first["type"]), (new.bill_cycle, first["bill_cycle"])
    for name, (wanted, has) in zip(("plan", "type", "bill_cycle"), given, strict=True):
        if wanted and wanted != has:
            raise InputError(f"{name}: {wanted!r}; expected {has!r}, the account's, or none")
    if new.balance_micros:
        raise InputError(f"balance: {format_amount(new.balance_micros)}; expected none: the account has one")
    whole = replace(new, plan=plan, type=first["type"], bill_cycle=first["bill_cycle"])
    person = checked(whole, tables, now_ms // 1000).subscriber
    for known in subscribers.accounts_of(store, whole.identities):
        raise InputError(taken(known))
    return run(engine, member_order(first, whole.identities, person, now_ms))


def set_state(engine: Engine, store: Store, identity: str, state: str, reason: str = "") -> Account:
    """Suspends, reactivates ("active") or terminates; the account's state and the person's change together.

    Of several subscribers that share an account the first one's state is that of all, each other's its own.
    """
    check_text("reason", reason)
    doc = find_subscriber(store, identity)
    version = doc["version"]
    after = {**doc, "state": state, "state_reason": reason, "version": version + 1}
    guards = [Guard(subscribers.SUBSCRIBERS, after, version)]
    member = "" if doc["_id"] == doc["account"] else doc["_id"]
    if state == TERMINATED and not member and "next_plan" in doc:  # which is called off, for all of the account
        others = map(_next_version, _sharing_with(store, doc)[1:])
        guards = [_with_plans(one) for one in (after, *others)]
    return run(engine, Order(SetState(state, reason, member), account=doc["account"], guards=guards))


def change_identity(
    engine: Engine, store: Store, identity: str, version: int, msisdn: str | None = None, imsi: str | None = None
) -> Account:
    """Another MSISDN, IMSI, or both, of a subscriber that is as it was read; None: it stays, "": there is no IMSI.

    AccountChanged where the subscriber has another version; InputError for a number that is wrong, or taken. From then
    on a request that names only what was given up is of nobody; open sessions go on.
    """
    doc = find_subscriber(store, identity)
    if doc["version"] != version:
        raise AccountChanged(f"version: {version}; expected {doc['version']}: read it again")
    after = {**doc, "version": version + 1}
    if msisdn is not None:
        after["msisdn"] = msisdn
    if imsi is not None:
        after["imsi"] = imsi
    if faults := list(_number_faults(after["msisdn"], after.get("imsi", ""))):
        raise InputError("; ".join(faults))
    changes = [
        (f"{kind}:{doc[name]}" if doc.get(name) else "", f"{kind}:{after[name]}" if after.get(name) else "")
        for kind, name in (("e164", "msisdn"), ("imsi", "imsi"))
        if (doc.get(name) or "") != (after.get(name) or "")
    ]
    if not changes:
        raise InputError("msisdn, imsi: they are so already; expected another one")
    own = {} if doc["_id"] == doc["account"] else {"subscriber": doc["_id"]}
    guards = [Guard(subscribers.SUBSCRIBERS, after, version)]
    guards += [
        Guard(subscribers.IDENTITIES, {"_id": new, "account": doc["account"], **own}) for _, new in changes if new
    ]
    guards += [Guard(subscribers.IDENTITIES, {"_id": old}, 0, removes=True) for old, _ in changes if old]
    try:
        return run(engine, Order(ChangeIdentities(doc["_id"], changes), account=doc["account"], guards=guards))
    except GuardConflict as conflict:
        if conflict.collection == subscribers.IDENTITIES and conflict.stored is not None:
            raise InputError(taken(str(conflict.stored["_id"]))) from None
        raise


def set_plan(engine: Engine, store: Store, identity: str, plan: str) -> Account:
    """Another price plan of the same type and currency, for all that share the account; open sessions go on.

    One that waits for the next bill period is called off.
    """
    doc = find_subscriber(store, identity)
    guards = [
        Guard(subscribers.SUBSCRIBERS, {**without(one), "plan": plan, "version": one["version"] + 1}, one["version"])
        for one in _sharing_with(store, doc)
    ]
    return run(engine, Order(SetPlan(plan), account=doc["account"], guards=guards))


def set_next_plan(engine: Engine, store: Store, identity: str, plan: str) -> Account:
    """Another price plan from the account's next bill period on, in the place of one that waits; "" calls it off.

    The period is that of the bill cycle which the account has now; without one, the month by the operator's clock.
    """
    doc = find_subscriber(store, identity)
    people = _sharing_with(store, doc)
    first = next((one for one in people if one["_id"] == doc["account"]), doc)
    guards = [_with_plans(_next_version(one)) for one in people]
    return run(engine, Order(SetNextPlan(plan, first.get("bill_cycle")), account=doc["account"], guards=guards))


def _sharing_with(store: Store, doc: Doc) -> list[Doc]:
    """A subscriber's document, then those of the others on its account."""
    return [doc, *(one for one in sharing(store, find_account(store, doc)) if one["_id"] != doc["_id"])]


def _next_version(doc: Doc) -> Doc:
    return {**doc, "version": doc["version"] + 1}


def _with_plans(after: Doc) -> Guard:
    """A subscriber's document in its next version, that says of plans what the account does once the order is done."""
    return Guard(subscribers.SUBSCRIBERS, without(after), after["version"] - 1, _plans)


def _plans(_order: Order, change: Change) -> Doc:
    return plans_of(change.after)


def buy_bundle(engine: Engine, store: Store, identity: str, bundle: str, reference: str = "") -> Account:
    """Buys a bundle, paid from the balance."""
    check_text("reference", reference)
    doc = find_subscriber(store, identity)
    return run(engine, Order(BuyBundle(bundle, reference), account=doc["account"]))


def stop_bundle(engine: Engine, store: Store, identity: str, bundle: str, reference: str = "") -> Account:
    """A bundle that renews isn't bought again."""
    check_text("reference", reference)
    doc = find_subscriber(store, identity)
    return run(engine, Order(StopBundle(bundle, reference), account=doc["account"]))


def set_discounts(engine: Engine, store: Store, identity: str, codes: Sequence[str]) -> Account:
    """Which discounts the bills of a subscriber's account have, beside the plan's; none is none."""
    doc = find_subscriber(store, identity)
    return run(engine, Order(SetDiscounts(list(codes)), account=doc["account"]))


def top_up(
    engine: Engine, store: Store, tables: Tables, identity: str, amount_micros: int, reference: str = ""
) -> Account:
    """Adds to a balance: more than nothing, in whole minor units of the account's currency."""
    check_text("reference", reference)
    account_id = account_id_of(store, identity)
    account = subscribers.get_account(store, account_id)
    if account is None:
        raise _unknown(identity)
    currency = tables.currencies.get(account["currency"])
    smallest_micros = 10 ** (6 - currency.decimals) if currency is not None else 1
    if amount_micros <= 0 or amount_micros % smallest_micros:
        least = f"{format_amount(smallest_micros, 0)} {account['currency']}"
        raise InputError(f"amount: {format_amount(amount_micros)}; expected a multiple of {least} above 0")
    return run(engine, Order(Movement("topup", amount_micros, reference), account=account_id))


def move(engine: Engine, store: Store, identity: str, kind: str, amount_micros: int, reference: str = "") -> Account:
    """A top-up, adjustment or payment by hand; returns the account after it."""
    return run(engine, Order(Movement(kind, amount_micros, reference), account=account_id_of(store, identity)))


def check_text(field: str, text: str) -> None:
    """Refuses a remark that is too long for a document, or that a log line couldn't hold."""
    if len(text) > MAX_TEXT_LETTERS or not text.isprintable():
        raise InputError(f"{field}: {text[:40]!r}; expected up to {MAX_TEXT_LETTERS} printable letters")


def run(engine: Engine, order: Order) -> Account:
    """Does one order now; the account after it, or the error that kept it from being done."""
    engine.execute([order])
    if order.error is not None:
        raise order.error
    if order.account_after is None:
        raise StoreUnavailable("the store gave no answer; nothing is known of the command")
    return order.account_after
