"""The demo's subscribers, and usage of theirs in the last closed bill period, charged as a server would have.

What is there already stays as it is, so it can be run again: sessions are known by their usage records.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mubss.charging.engine import Engine
from mubss.charging.order import Order
from mubss.core.bill_period import Period, last_closed
from mubss.core.errors import LedgerError
from mubss.core.identity import session_hash
from mubss.core.model import ACTIVE, POSTPAID, PREPAID, CreditControl, RequestType, Result, Rules, UnitRequest
from mubss.core.money import MICROS_PER_UNIT
from mubss.core.tariff import Tables
from mubss.services.lifecycle import NewSubscriber, create
from mubss.storage import subscribers
from mubss.storage.database import Store

COUNT = 10  # of each kind
BILL_CYCLE = 3
OPENING_MICROS = 10 * MICROS_PER_UNIT
PEER = "pgw.demo.mubss.example"
_PREPAID_FROM, _POSTPAID_FROM = 999700000001, 999700000101
_DAY_S = 86_400


class Made(NamedTuple):
    """What a run added."""

    prepaid: int
    postpaid: int
    sessions: int  # of sample usage


def demo_subscribers() -> list[NewSubscriber]:
    """Ten prepaid ones with 10.00 EUR, ten postpaid ones of bill cycle 3."""
    prepaid = [
        NewSubscriber(str(number), str(_imsi(number)), PREPAID, "demo-prepaid", OPENING_MICROS)
        for number in range(_PREPAID_FROM, _PREPAID_FROM + COUNT)
    ]
    postpaid = [
        NewSubscriber(str(number), str(_imsi(number)), POSTPAID, "demo-postpaid", 0, BILL_CYCLE)
        for number in range(_POSTPAID_FROM, _POSTPAID_FROM + COUNT)
    ]
    return prepaid + postpaid


def _imsi(msisdn: int) -> int:
    """999700000101 has the IMSI 999700000000101."""
    return 999700000000000 + msisdn % 1000


def make(store: Store, tables: Tables, now_s: int) -> Made:
    """Creates the demo's subscribers and their sample usage as far as they aren't there."""
    period = last_closed(tables.bill_cycles[BILL_CYCLE].closing_day, now_s, tables.calendar.zone)
    wanted = demo_subscribers()
    there = subscribers.accounts_of(store, [identity for one in wanted for identity in one.identities])
    new = [one for one in wanted if not any(identity in there for identity in one.identities)]
    create(store, tables, new, period.start_s * 1000)
    sessions = _play(store, tables, period, [one for one in wanted if one.type == POSTPAID])
    prepaid = sum(one.type == PREPAID for one in new)
    return Made(prepaid, len(new) - prepaid, sessions)


class Step(NamedTuple):
    """One request of the sample usage; `units` are asked for by an event, else reported."""

    at_s: int
    session: str
    type: RequestType
    number: int
    service: str
    units: int
    called: str = ""


def sample_steps(place: int, start_s: int) -> Iterator[Step]:
    """What the postpaid subscriber at `place` (1 to 10) used; the heavier half goes beyond its free units."""
    for number, day in enumerate((2, 9, 16, 23), 1):
        at_s, session = start_s + day * _DAY_S + (8 + place % 3) * 3600, f"data;{number}"
        yield Step(at_s, session, RequestType.INITIAL, 0, "DATA", 0)
        yield Step(at_s + 1200, session, RequestType.UPDATE, 1, "DATA", place * 40_000_000)
        yield Step(at_s + 2400, session, RequestType.TERMINATION, 2, "DATA", place * 60_000_000 + 123_456)
    for number, day in enumerate((1, 4, 8, 12, 18, 25), 1):
        at_s, session = start_s + day * _DAY_S + 19 * 3600, f"voice;{number}"
        called = str(_PREPAID_FROM + number)
        seconds = place * 110 + number * 7
        yield Step(at_s, session, RequestType.INITIAL, 0, "VOICE", 0, called)
        yield Step(at_s + seconds, session, RequestType.TERMINATION, 1, "VOICE", seconds, called)
    for number, day in enumerate((3, 7, 11, 15, 20), 1):
        called = str(_POSTPAID_FROM + number)
        yield Step(start_s + day * _DAY_S + 12 * 3600, f"sms;{number}", RequestType.EVENT, 0, "SMS", place * 2, called)


def _play(store: Store, tables: Tables, period: Period, wanted: list[NewSubscriber]) -> int:
    """Charges the sample sessions that have no usage record yet, in order of time; how many there were."""
    steps: list[tuple[Step, NewSubscriber]] = []
    for place, one in enumerate(wanted, 1):
        account = subscribers.account_of(store, one.identities[0])
        doc = subscribers.get(store, account) if account else None
        if doc is None or doc["plan"] != one.plan or doc["state"] != ACTIVE:
            continue  # somebody made it another subscriber: it is no sample any more
        charged = {record.get("session_id") for record in subscribers.usage(store, doc["account"])}
        for step in sample_steps(place, period.start_s):
            if _session_id(one, step) not in charged:
                steps.append((step, one))
    steps.sort(key=lambda item: item[0].at_s)
    now_s = period.start_s
    engine = Engine(store, lambda: tables, Rules(), clock_ms=lambda: now_s * 1000)
    start = 0
    while start < len(steps):
        now_s = steps[start][0].at_s
        end = start
        while end < len(steps) and steps[end][0].at_s == now_s:
            end += 1
        orders = [_order(step, one, tables) for step, one in steps[start:end]]
        for order in engine.execute(orders):
            _check(order)
        start = end
    return len({_session_id(one, step) for step, one in steps})


def _session_id(one: NewSubscriber, step: Step) -> str:
    return f"{PEER};{one.msisdn};{step.session}"


def _order(step: Step, one: NewSubscriber, tables: Tables) -> Order:
    session_id = _session_id(one, step)
    request = UnitRequest("", step.service)
    if step.type is RequestType.EVENT:
        request.requested_units = step.units
    elif step.units:
        request.used_units = step.units
    command = CreditControl(
        step.type,
        session_id,
        session_hash(session_id),
        step.number,
        list(one.identities),
        tables,
        [request],
        peer=PEER,
        called=step.called,
        facts={"called": step.called} if step.called else {},
    )
    return Order(command, identities=command.identities)


def _check(order: Order) -> None:
    if order.error is not None:
        raise order.error
    outcome = order.outcome
    refused = [] if outcome is None else [one.result for one in outcome.answers if one.result != Result.SUCCESS]
    if outcome is None or outcome.result != Result.SUCCESS or refused:
        result = refused[0] if refused else outcome.result if outcome else "none"
        raise LedgerError(f"sample usage of {order.identities[0]}: result {result}; expected {int(Result.SUCCESS)}")
