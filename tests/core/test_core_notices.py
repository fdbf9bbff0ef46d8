"""What commands give to tell: thresholds that are crossed downward, once each; what subscribers did; refusals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import INITIAL, NOW_S, TERMINATE, UPDATE, ccr, demo_tables, event, make_account, mscc
from mubss.core import ledger
from mubss.core.bill import no_billing
from mubss.core.issuing import IssueBill
from mubss.core.model import Account, AddMember, BuyBundle, Command, Movement, Rules, SetState
from mubss.core.notice_kinds import KINDS, Notice, NoticeRules
from mubss.core.notices import note
from mubss.core.tariff import Bundle, Tables

DAY = 86_400
TALK = Bundle("TALK", "", "EUR", 0, ("DATA",), (), 1_000, 30 * DAY, 100)
SHORT = Bundle("SHORT", "", "EUR", 0, ("DATA",), (), 1_000, DAY, 1)
TABLES = replace(demo_tables(), bundles={"TALK": TALK, "SHORT": SHORT})
ALL = NoticeRules(frozenset(KINDS), low_balance_micros=2_000_000)


class Teller:
    """An account under commands, and what is told of it."""

    def __init__(self, rules: NoticeRules = ALL, tables: Tables = TABLES, **account: Any) -> None:
        self.rules, self.tables, self.now_s = rules, tables, NOW_S
        self.account: Account = make_account(**account)
        self.records: dict[str, Any] = {}

    def do(self, command: Command) -> list[Notice]:
        record = self.records.get(getattr(command, "session_hash", ""))
        now_ms = self.now_s * 1000
        applied = ledger.apply(self.account, command, record, now_ms, Rules(), self.tables)
        found = note(self.account, command, applied, self.rules, self.tables, now_ms)
        self.account = applied.account or self.account
        self.records |= {one["_id"]: one for one in applied.records}
        return found


def kinds(found: Sequence[Notice]) -> list[str]:
    return [notice.kind for notice in found]


def spent(micros: int) -> Movement:
    return Movement("adjustment", -micros)


@pytest.mark.parametrize(
    ("balance", "micros", "told"),
    [
        ("10", 8_000_000, False),  # 2.00 isn't below 2.00
        ("10", 8_000_001, True),
        ("2", 1, True),
        ("1.99", 1, False),  # it was low before
        ("1.99", -1_000_000, False),  # upward
        ("10", 20_000_000, True),
    ],
)
def test_a_balance_is_low_as_it_falls_below(balance: str, micros: int, told: bool) -> None:
    teller = Teller(balance=balance)
    found = teller.do(spent(micros))
    assert kinds(found) == (["low_balance"] if told else [])
    if told:
        values = {"balance_micros": teller.account["balance_micros"], "currency": "EUR"}
        assert found[0] == Notice("low_balance", "acc1", f"acc1:{teller.account['version']}", values)


def test_the_plan_says_what_is_low_and_postpaid_never_is() -> None:
    plan = replace(TABLES.plans["demo-prepaid"], low_balance_micros=5_000_000)
    tables = replace(TABLES, plans={**TABLES.plans, "demo-prepaid": plan})
    assert kinds(Teller(tables=tables).do(spent(5_000_001))) == ["low_balance"]
    assert kinds(Teller(NoticeRules(ALL.kinds), tables).do(spent(5_000_001))) == ["low_balance"]
    assert kinds(Teller(NoticeRules(ALL.kinds)).do(spent(9_000_000))) == []
    teller = Teller()
    teller.account["type"] = "postpaid"
    assert teller.do(spent(9_000_000)) == []


def test_usage_of_a_session_crosses_it_once() -> None:
    teller = Teller(balance="2.04")
    told = [teller.do(ccr(TABLES, INITIAL, 0, mscc(1)))]
    for number in range(1, 6):
        told.append(teller.do(ccr(TABLES, UPDATE, number, mscc(1, 1_000_000))))
        assert teller.do(ccr(TABLES, UPDATE, number, mscc(1, 1_000_000))) == [], "a repeat tells nothing"
    assert [kinds(found) for found in told] == [[], [], [], ["low_balance"], [], []]


@pytest.mark.parametrize(
    ("used", "percents"),
    [
        ([799], [0]),
        ([800], [80]),
        ([799, 1], [0, 80]),
        ([800, 100, 99], [80, 0, 0]),
        ([800, 199, 1], [80, 0, 100]),
        ([1000], [100]),
        ([2000], [100]),
        ([900, 900], [80, 100]),
    ],
)
def test_a_bundle_is_used(used: list[int], percents: list[int]) -> None:
    teller = Teller(replace(ALL, kinds=frozenset({"bundle_used"})))
    teller.do(BuyBundle("TALK"))
    teller.do(ccr(TABLES, INITIAL, 0, mscc(1)))
    told = [teller.do(ccr(TABLES, UPDATE, number, mscc(1, units))) for number, units in enumerate(used, 1)]
    assert [found[0].values["percent"] if found else 0 for found in told] == percents
    assert [len(found) for found in told] == [int(bool(percent)) for percent in percents]
    for [notice] in filter(None, told):
        assert notice.values["bundle"] == "TALK" and notice.values["units"] == 1000
        assert notice.subscriber == "acc1" and notice.values["service"] == "DATA"


def test_the_end_of_a_bundle_is_told_beforehand() -> None:
    teller = Teller()
    [notice] = teller.do(BuyBundle("TALK"))
    [bucket] = teller.account["buckets"]
    assert (notice.kind, notice.due_s) == ("expiry_soon", bucket["until_s"] - 2 * DAY)
    assert notice.cause == f"acc1:{bucket['id']}" and notice.values["until_s"] == bucket["until_s"]
    assert teller.do(BuyBundle("SHORT")) == [], "it ends within two days anyway"


@pytest.mark.parametrize("kind", ["topup", "voucher", "payment", "adjustment"])
def test_money_that_was_paid_in(kind: str) -> None:
    found = Teller(balance="0").do(Movement(kind, 5_000_000))
    assert kinds(found) == ([] if kind == "adjustment" else ["topup"])
    for notice in found:
        assert notice.values == {"amount_micros": 5_000_000, "balance_micros": 5_000_000, "currency": "EUR"}


def test_a_statement_is_no_bill_to_pay() -> None:
    bill = IssueBill("b1", 0, "", {}, {**no_billing(), "bill": "b1"})
    assert Teller().do(bill) == []
    teller = Teller()
    teller.account["type"] = "postpaid"
    assert teller.do(bill) == [Notice("bill_ready", "acc1", "bill b1", {"bill": "b1"})]


def test_suspension_is_told_to_whom_it_befell() -> None:
    teller = Teller()
    teller.do(AddMember("sub2", ["e164:49170"]))
    [notice] = teller.do(SetState("suspended", "fraud", "sub2"))
    assert (notice.kind, notice.subscriber, dict(notice.values)) == ("suspended", "sub2", {}), "never the reason"
    [notice] = teller.do(SetState("suspended", "fraud"))
    assert (notice.kind, notice.subscriber) == ("suspended", "acc1")
    assert teller.do(SetState("suspended")) == [] == teller.do(SetState("active"))


def test_a_refusal_is_told_once_a_day_whatever_the_client_does() -> None:
    teller = Teller(balance="0")
    refused = 0
    for session in range(4):
        refused += len(teller.do(ccr(TABLES, INITIAL, 0, mscc(1), session=f"s{session}")))
        refused += len(teller.do(ccr(TABLES, UPDATE, 1, mscc(1), session=f"s{session}")))
        refused += len(teller.do(ccr(TABLES, TERMINATE, 2, mscc(1), session=f"s{session}")))
        refused += len(teller.do(event(TABLES, mscc(asks=1, service="SMS"), session=f"e{session}")))
    assert refused == 1 and teller.account["told"] == {"acc1": NOW_S}
    teller.now_s += DAY - 1
    assert teller.do(ccr(TABLES, INITIAL, 0, mscc(1), session="later")) == []
    teller.now_s += 1
    [notice] = teller.do(ccr(TABLES, INITIAL, 0, mscc(1), session="next day"))
    assert (notice.kind, notice.subscriber) == ("session_refused", "acc1")
    assert teller.account["told"] == {"acc1": NOW_S + DAY}


def test_an_event_that_is_refused_is_noted_in_the_account() -> None:
    teller = Teller(balance="0")
    version = teller.account["version"]
    assert kinds(teller.do(event(TABLES, mscc(asks=1, service="SMS")))) == ["session_refused"]
    assert teller.account["version"] == version + 1
    assert teller.do(event(TABLES, mscc(asks=1, service="SMS"), number=1)) == []
    assert teller.account["version"] == version + 1, "nothing is written a second time"


def test_members_are_refused_each_for_itself() -> None:
    teller = Teller(balance="0")
    teller.do(AddMember("sub2", ["e164:49170"]))
    for identity, subscriber in (("e164:49170", "sub2"), ("e164:acc1", "acc1")):
        for number in range(2):
            command = ccr(TABLES, INITIAL, 0, mscc(1), session=f"{identity}{number}")
            command.identities = [identity]
            assert [one.subscriber for one in teller.do(command)] == ([subscriber] if number == 0 else [])


def test_what_isn_t_wanted_isn_t_told() -> None:
    teller = Teller(NoticeRules(frozenset(), 2_000_000), balance="2.01")
    told: list[Notice] = []
    for command in (
        BuyBundle("TALK"),
        Movement("topup", 1_000_000),
        spent(3_010_000),
        ccr(TABLES, INITIAL, 0, mscc(1)),
        ccr(TABLES, UPDATE, 1, mscc(1, 2_000)),
        SetState("suspended"),
    ):
        told += teller.do(command)
    assert told == [] and "told" not in teller.account


@given(st.lists(st.integers(-3_000_000, 3_000_000).filter(bool), max_size=30))
def test_no_cause_comes_twice(amounts: list[int]) -> None:
    """Each fall below the threshold has a notice of its own, and nothing else has one."""
    teller = Teller(NoticeRules(frozenset({"low_balance"}), 2_000_000), balance="2")
    told, balance, falls = [], 2_000_000, 0
    for amount in amounts:
        told += teller.do(Movement("adjustment", amount))
        falls += balance >= 2_000_000 > balance + amount
        balance += amount
    assert len(told) == falls == len({notice.cause for notice in told})
