"""Subscribers/ChangePlan at the next cycle, through TLS on both engines."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from crm_world import CrmWorld, refused
from mubss.config import data_path
from mubss.refdata.form import read_files
from mubss.refdata.live import operator_calendar
from mubss.refdata.load import load

INVALID, REFUSED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION
NUMBERS = iter(range(999_720_000_001, 999_729_999_999))


@pytest.fixture
def made(crm: CrmWorld) -> Any:
    """A prepaid subscriber, and a plan that another one could be."""
    file = crm.folder / "more-plans.toml"
    demo = data_path("conf/refdata/demo.toml").read_text()
    file.write_text(demo.replace('"demo-prepaid"', '"other-prepaid"'))
    load(crm.store, read_files([file]), operator_calendar("UTC"), crm.office.now_s)
    crm.office.refdata.poll()
    return crm.write("Subscribers/CreateSubscriber", msisdn=str(next(NUMBERS)), plan="demo-prepaid")


def change(crm: CrmWorld, made: Any, **fields: Any) -> Any:
    return crm.write("Subscribers/ChangePlan", subscriber=made.msisdn, **fields)


def make_due(crm: CrmWorld, made: Any) -> int:
    """What waits has been in force for a minute; since when."""
    from_s = crm.office.now_s - 60
    for name in ("subscribers", "accounts"):

        def work(session: Any, name: str = name) -> None:
            collection = session.collection(name)
            collection.put_many([{**collection.get_one(made.id), "next_plan_from_s": from_s}])

        crm.store.run(work)
    return from_s


def test_it_waits_and_is_called_off(crm: CrmWorld, made: Any) -> None:
    request = {"subscriber": made.msisdn, "plan": "other-prepaid", "at_next_cycle": True, "idempotency_key": crm.key()}
    after = crm.call("Subscribers/ChangePlan", **request)
    assert (after.plan, after.next_plan, after.version) == ("demo-prepaid", "other-prepaid", 2)
    assert after.next_plan_from_s > crm.office.now_s
    assert crm.call("Subscribers/ChangePlan", **request) == after, "a repeat moves nothing"
    assert crm.call("Subscribers/GetSubscriber", subscriber=made.msisdn) == after
    assert change(crm, made, plan="demo-prepaid", at_next_cycle=True).next_plan == ""
    change(crm, made, plan="other-prepaid", at_next_cycle=True)
    called_off = change(crm, made, cancel_next=True)
    assert (called_off.plan, called_off.next_plan, called_off.next_plan_from_s) == ("demo-prepaid", "", 0)
    change(crm, made, plan="other-prepaid", at_next_cycle=True)
    ended = crm.write("Subscribers/TerminateSubscriber", subscriber=made.msisdn)
    assert (ended.plan, ended.next_plan) == ("demo-prepaid", "")


def test_it_is_seen_from_its_second_on_before_anything_is_written(crm: CrmWorld, made: Any) -> None:
    change(crm, made, plan="other-prepaid", at_next_cycle=True)
    from_s = make_due(crm, made)
    found = crm.call("Subscribers/GetSubscriber", subscriber=made.msisdn)
    assert (found.plan, found.next_plan, found.next_plan_from_s) == ("other-prepaid", "", 0)
    searched = crm.call("Subscribers/SearchSubscribers", plan="other-prepaid", page_size=500).subscribers
    assert made.id in [one.id for one in searched]
    searched = crm.call("Subscribers/SearchSubscribers", plan="demo-prepaid", page_size=500).subscribers
    assert made.id not in [one.id for one in searched]
    for _ in range(2):
        entries = crm.call("Subscribers/GetHistory", subscriber=made.msisdn).entries
        assert [(one.plan, one.state) for one in entries] == [("demo-prepaid", "active"), ("other-prepaid", "active")]
        assert entries[-1].since_s == from_s
        crm.write("Balances/TopUp", subscriber=made.msisdn, amount_micros=1_000_000)
    suspended = crm.write("Subscribers/SuspendSubscriber", subscriber=made.msisdn)
    assert (suspended.plan, suspended.next_plan) == ("other-prepaid", "")


@pytest.mark.parametrize(
    ("fields", "code", "named"),
    [
        ({}, INVALID, "plan: "),
        ({"at_next_cycle": True}, INVALID, "plan: "),
        ({"plan": "x" * 5_000, "at_next_cycle": True}, INVALID, "plan: "),
        ({"plan": "demo-prepaid", "cancel_next": True}, INVALID, "cancel_next: "),
        ({"at_next_cycle": True, "cancel_next": True}, INVALID, "cancel_next: "),
        ({"cancel_next": True}, REFUSED, "next_plan: none"),
        ({"plan": "nope", "at_next_cycle": True}, REFUSED, "plan: 'nope'"),
        ({"plan": "demo-postpaid", "at_next_cycle": True}, REFUSED, "plan: demo-postpaid is postpaid"),
    ],
)
def test_what_cant_be(crm: CrmWorld, made: Any, fields: dict[str, Any], code: grpc.StatusCode, named: str) -> None:
    found, text = refused(lambda: change(crm, made, **fields))
    assert found is code and text.startswith(named), text
