"""What a bill's document says beside its figures: names, and units that are left at the time."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import bill_samples
from core_builders import BERLIN, NOW_S, SERVICES, demo_tables, flat, make_tables, plan, plan_service
from mubss.billfmt.facts import facts_of
from mubss.billfmt.texts import filled
from mubss.core.tariff import Bundle

BUNDLE = Bundle("WEEKEND-DATA", "5 GB for three days", "EUR", 4_000_000, ("DATA",), (), 5 * 10**9, 259_200, 10)


def account(**more: Any) -> dict[str, Any]:
    return {"plan": "demo-postpaid", "counters": {}, "since_s": NOW_S - 100 * 86_400, **more}


def facts(owner: dict[str, Any] | None, tables: Any = None) -> dict[str, Any]:
    bill, usage, postings = bill_samples.postpaid("en", 6)
    bill["plan"] = "demo-postpaid"
    return facts_of(bill, owner, usage, postings, tables or demo_tables(), {"m1": "+49170"}, NOW_S)


def test_names_and_units_of_what_is_on_the_bill() -> None:
    found = facts(None, replace(demo_tables(), bundles={"WEEKEND-DATA": BUNDLE}))
    assert found["services"]["DATA"] == ["Mobile data", "octets"] and found["services"]["VOICE"][1] == "seconds"
    assert found["bundles"] == {"WEEKEND-DATA": "5 GB for three days"}
    assert found["plans"] == {"demo-postpaid": "demo-postpaid"}, "of a plan that there isn't the code is printed"
    assert found["members"] == {"m1": "+49170"} and found["left"] == []
    assert json.loads(json.dumps(found)) == found


def test_free_units_of_the_month_at_the_time() -> None:
    left = {row["code"]: row for row in facts(account(counters={"2026-11": {"VOICE": 2_000, "SMS": 99}}))["left"]}
    assert left["VOICE"] == {
        "kind": "free", "code": "VOICE", "services": ["VOICE"], "left": 4_000, "units": 6_000,
        "until_day": "2026-11-30",
    }  # fmt: skip
    assert left["SMS"]["left"] == 0 and left["DATA"]["left"] == left["DATA"]["units"] == 10**9


def test_units_that_roll_over_count() -> None:
    service = replace(plan_service(SERVICES["VOICE"], flat(90_000, 60), free_units=600), rollover_units=400)
    tables = make_tables(plan("demo-postpaid", service, type="postpaid"), zone=BERLIN)
    [row] = facts(account(counters={"2026-10": {"VOICE": 500}, "2026-11": {"VOICE": 50}}), tables)["left"]
    assert (row["left"], row["units"]) == (950, 1_000)


def test_bundles_that_are_over_or_used_up_are_not_there() -> None:
    bucket = {"services": ["DATA"], "zones": [], "units": 100, "from_s": 0, "priority": 1}
    buckets = [
        {**bucket, "id": "WEEKEND-DATA:7", "left": 40, "until_s": NOW_S + 86_400},
        {**bucket, "id": "WEEKEND-DATA:5", "left": 0, "until_s": NOW_S + 86_400},
        {**bucket, "id": "WEEKEND-DATA:3", "left": 50, "until_s": NOW_S},
    ]
    rows = [row for row in facts(account(buckets=buckets))["left"] if row["kind"] == "bundle"]
    assert [(row["code"], row["left"], row["until_day"]) for row in rows] == [("WEEKEND-DATA", 40, "2026-11-17")]


def test_words_in_braces_are_filled_once() -> None:
    assert filled("{a} of {b} {c}", a="{b}", b=2) == "{b} of 2 {c}"
