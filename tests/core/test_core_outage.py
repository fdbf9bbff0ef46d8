"""A request that was answered without the store, done on the account as it is then; and what may be answered at all."""

from __future__ import annotations

from typing import Any

import pytest

from core_builders import EVENT, INITIAL, MB, NOW_S, TERMINATE, UPDATE, ccr, demo_tables, event, make_account, mscc
from mubss.core import ledger
from mubss.core.model import Account, Applied, CreditControl, Outcome, Result, Rules, Told, UnitAnswer
from mubss.core.outage import answered, available_micros, is_granted, with_available

TABLES = demo_tables()
RECORD = "r" * 32
LATER_MS = (NOW_S + 5_000) * 1000


def told(command: CreditControl, *granted: int | None, result: int = 2001) -> CreditControl:
    answers = [
        UnitAnswer.to(one, "octets", result, units) for one, units in zip(command.requests, granted, strict=True)
    ]
    command.told = Told(Outcome(command.key, 7, 2001, answers), NOW_S * 1000, RECORD)
    return command


def do(account: Account, command: CreditControl, record: Any = None) -> Applied:
    return ledger.apply(account, command, record, LATER_MS, Rules(), TABLES)


@pytest.mark.parametrize("micros", [-5, 0, 7, 10**15])
def test_the_limit_makes_what_is_available(micros: int) -> None:
    account = make_account(balance="3.00", credit="2.00")
    account["reserved_micros"] = 1_000_000
    assert available_micros(with_available(account, micros)) == micros
    assert account["credit_limit_micros"] == 2_000_000


@pytest.mark.parametrize(
    ("plan", "balance", "free", "reserved"),
    [
        ("demo-prepaid", "10.00", 0, 40_000),
        ("demo-prepaid", "0.00", 0, 40_000),  # it has been granted: it is reserved whatever there is
        ("demo-postpaid", "0.00", 2 * MB, 0),
    ],
)
def test_what_was_granted_is_held(plan: str, balance: str, free: int, reserved: int) -> None:
    account = make_account(plan, balance)
    command = told(ccr(TABLES, INITIAL, 0, mscc(1, asks=50 * MB)), 2 * MB)
    applied = do(account, command)
    assert applied.account is not None and command.told is not None
    assert applied.outcome is command.told.outcome, "what the client has heard"
    [session] = applied.account["sessions"].values()
    [grant] = session["grants"]
    assert (grant["units"], grant["free_units"]) == (2 * MB, free)
    assert session["reserved_micros"] == applied.account["reserved_micros"] == reserved
    assert applied.account["credit_limit_micros"] == account["credit_limit_micros"]
    assert session["opened_s"] == NOW_S and session["expires_s"] == LATER_MS // 1000 + 7200
    short = max(0, reserved - account["balance_micros"])
    assert applied.settled[RECORD] == {
        "state": "charged", "result": 2001, "charged_micros": 0, "short_micros": short, "suspended": 0,
    }  # fmt: skip
    again = do(applied.account, command)
    assert again.account is None and again.settled[RECORD]["state"] == "repeat"
    assert again.outcome == command.told.outcome
    ended = do(applied.account, told(ccr(TABLES, TERMINATE, 1, mscc(1, MB)), None))
    assert ended.account is not None and ended.account["reserved_micros"] == 0
    assert ended.settled[RECORD]["charged_micros"] == (0 if free else 20_000)


def test_an_event_is_paid_whatever_is_there_and_its_posting_says_what_was_missing() -> None:
    account = make_account(balance="0.05")
    applied = do(account, told(event(TABLES, mscc(service="SMS")), 1))
    assert applied.account is not None
    assert (applied.account["balance_micros"], applied.account["credit_limit_micros"]) == (-30_000, 0)
    assert [one.get("overrun_micros") for one in applied.postings] == [30_000]
    assert applied.settled[RECORD]["short_micros"] == 30_000
    [record] = applied.records
    again = do(applied.account, told(event(TABLES, mscc(service="SMS")), 1), record)
    assert again.account is None and again.settled[RECORD]["state"] == "repeat"


@pytest.mark.parametrize(
    ("command", "result"),
    [
        (told(ccr(TABLES, INITIAL, 0, mscc(1)), MB), Result.END_USER_SERVICE_DENIED),
        (told(event(TABLES, mscc(service="SMS")), 1), Result.END_USER_SERVICE_DENIED),
        (told(ccr(TABLES, UPDATE, 1, mscc(1, MB)), MB), Result.UNKNOWN_SESSION_ID),
    ],
)
def test_nobody_pays_for_who_is_suspended(command: CreditControl, result: Result) -> None:
    account = make_account(state="suspended")
    applied = do(account, command)
    assert applied.account is None and applied.outcome is not None and applied.outcome.result == result
    found = applied.settled[RECORD]
    assert (found["state"], found["result"], found["charged_micros"]) == ("refused", result, 0)
    assert found["suspended"] == len(applied.suspense) == (command.type == UPDATE)


def outcome(*answers: tuple[int, int | None]) -> Outcome:
    return Outcome(
        1, 0, 2001, [UnitAnswer(False, 1, [], result, "octets", units, None, "t") for result, units in answers]
    )


@pytest.mark.parametrize(
    ("type", "answers", "granted"),
    [
        (INITIAL, [(2001, MB)], True),
        (INITIAL, [(2001, None)], False),  # only a Final-Unit-Action: the balance is used up
        (INITIAL, [(2001, 0)], False),
        (INITIAL, [(4012, None)], False),
        (UPDATE, [(2001, MB), (4012, None)], False),
        (UPDATE, [(2001, MB), (5031, None)], True),  # no credit in the world would change that
        (UPDATE, [], True),
        (TERMINATE, [(2001, None)], True),
        (EVENT, [(2001, 1)], True),
        (EVENT, [(2001, 1), (4012, None)], False),
    ],
)
def test_what_may_be_answered(type: Any, answers: list[tuple[int, int | None]], granted: bool) -> None:
    command = ccr(TABLES, type, 0, *(mscc(one) for one in range(len(answers))))
    assert is_granted(command, outcome(*answers)) is granted
    assert not is_granted(command, outcome(*answers)._replace(result=5002))


def test_no_grant_is_called_the_last() -> None:
    assert [one.final for one in answered(outcome((2001, 5), (4012, None))).answers] == ["", ""]
    kept = outcome((4012, None))
    assert answered(kept) is kept
