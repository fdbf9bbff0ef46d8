"""CDRs are charged once each, and cost what the same usage costs on Gy, whatever parts they come in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core_builders import INITIAL, MB, NOW_S, TERMINATE, UPDATE, ccr, demo_tables, event, make_account, mscc, utc
from core_steps import DATA, SMS, TABLES, VOICE
from core_world import World
from mubss.core.cdr import (
    BAD_UNITS,
    CHARGED,
    MATCHED,
    NO_PRICE,
    ONLINE,
    RECORDS,
    SUSPENDED,
    Cdr,
    CdrItem,
    ChargeCdrs,
    Verdict,
    call_key,
    record_key,
)
from mubss.core.errors import LedgerError
from mubss.core.model import ALREADY, Rules
from mubss.core.model import CHARGED as ENTRY_CHARGED
from mubss.core.tariff import Service

SETTINGS = settings(max_examples=150)
DEMO = demo_tables()


def cdr(record_id: str = "r1", service: str = "VOICE", **more: Any) -> Cdr:
    """A call of a minute, changed as told."""
    made = Cdr(
        record_id, service, service, "49", "49", "4915", "", "", "", NOW_S, 60, 60, 0, 0, 0, 0, "", "", "", 0, False
    )
    return made._replace(**more)


def charge(world: World, *cdrs: Cdr, **more: Any) -> list[Verdict]:
    """Charges records; prepaid ones too."""
    items = [
        CdrItem(record_key("pgw", one.record_id), one, call_key("pgw", one, "acc1"), number)
        for number, one in enumerate(cdrs)
    ]
    return list(world.do(ChargeCdrs("f1", items, **{"charges_prepaid": True, **more})).verdicts)


def spent(world: World) -> int:
    return 100_000_000 - world.account["balance_micros"]


def rich() -> World:
    return World(TABLES, make_account("rich", "100"))


def usage_of(service: Service, units: int) -> dict[str, int]:
    """The fields of a record that say that so much of a service was used."""
    return {"octets": {"octets_down": units}, "seconds": {"duration_s": units}, "events": {"events": units}}[
        service.unit
    ]


# ── what is charged ────────────────────────────────────────────────────────────────────────────────


def test_a_record_is_charged_with_a_posting_and_a_usage_record() -> None:
    world = World(DEMO, make_account())
    [verdict] = charge(world, cdr("r9", duration_s=61, imei="35", cell="c1", start_s=NOW_S - 7_200))
    assert verdict == Verdict(CHARGED)
    [_, posting] = world.postings["acc1"]
    assert posting["cause"] == {"kind": "cdr", "file": "f1", "record": record_key("pgw", "r9")}
    assert posting["amount_micros"] == -180_000  # two minutes begun
    [usage] = world.usage
    assert usage["from_s"] == NOW_S - 7_200 and usage["until_s"] == NOW_S - 7_200 + 61
    assert (usage["source"], usage["record_id"], usage["imei"], usage["cell"]) == ("cdr", "r9", "35", "c1")
    assert (usage["units"], usage["charge_micros"]) == (61, 180_000)
    assert world.cdrs[RECORDS] == {
        record_key("pgw", "r9"): {"_id": record_key("pgw", "r9"), "file": "f1", "at": 0, "state": CHARGED}
    }


def test_a_record_moves_money_once() -> None:
    world = World(DEMO, make_account())
    assert [one.before for one in charge(world, cdr("r1"), cdr("r1"), cdr("r2"))] == [False, True, False]
    assert [(one.before, one.offset) for one in charge(world, cdr("r2"), cdr("r1"))] == [(True, 2), (True, 0)]
    assert len(world.usage) == 2


def test_records_of_a_service_have_one_posting() -> None:
    world = World(DEMO, make_account())
    charge(world, cdr("r1"), cdr("r2", "SMS", events=2), cdr("r3"))
    causes = [posting["cause"] for posting in world.postings["acc1"][1:]]
    assert [cause.get("records", 1) for cause in causes] == [2, 1]
    assert sum(posting["amount_micros"] for posting in world.postings["acc1"][1:]) == -2 * 90_000 - 2 * 80_000


@pytest.mark.parametrize(
    ("record", "verdict"),
    [
        (cdr(service="GOLD"), (SUSPENDED, NO_PRICE)),
        (cdr(service="VOICE", duration_s=0), (CHARGED, "")),
        (cdr(service="DATA", octets_down=1 << 51), (SUSPENDED, BAD_UNITS)),
    ],
)
def test_what_cant_be_charged_moves_nothing(record: Cdr, verdict: tuple[str, str]) -> None:
    world = World(DEMO, make_account())
    [found] = charge(world, record)
    assert (found.state, found.reason) == verdict
    assert not world.usage and len(world.postings["acc1"]) == 1
    assert bool(world.cdrs[RECORDS]) == (found.state == CHARGED)


def test_a_call_that_has_no_price_at_that_time_is_told() -> None:
    """Nobody sells calls abroad by day."""
    world = rich()
    by_day, at_night = (
        cdr(called="33", start_s=utc(2026, 11, 16, 12)),
        cdr("r2", called="33", start_s=utc(2026, 11, 16, 2)),
    )
    assert [one.state for one in charge(world, by_day, at_night)] == [SUSPENDED, CHARGED]


def test_usage_of_prepaid_accounts_is_what_gy_charges() -> None:
    world = World(DEMO, make_account())
    assert charge(world, cdr(), charges_prepaid=False) == [Verdict(ONLINE)]
    assert not world.usage
    assert charge(world, cdr())[0].before, "it is settled, whatever the configuration says later"


# ── Gy has charged it ──────────────────────────────────────────────────────────────────────────────


def gy_session(world: World, charging_id: int, used: int) -> None:
    facts = {"charging_id": charging_id}
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB), facts=facts))
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=used, asks=MB)))


@pytest.mark.parametrize("by", [{"charging_id": 7}, {"session_id": "s1"}])
@pytest.mark.parametrize("is_open", [True, False])
def test_usage_that_gy_charged_is_matched(by: dict[str, Any], is_open: bool) -> None:
    world = World(DEMO, make_account(), rules=Rules(match_s=86_400))
    gy_session(world, 7, MB)
    if not is_open:
        world.ask(ccr(DEMO, TERMINATE, 2, mscc(1, used=0)))
    before = world.account["balance_micros"]
    data = cdr(service="DATA", octets_down=MB, **by)
    other = cdr("r2", "DATA", octets_down=MB, charging_id=8, session_id="s2")
    assert [one.state for one in charge(world, data, other)] == [MATCHED, CHARGED]
    assert world.account["balance_micros"] == before - 20_000


def test_an_event_that_gy_charged_is_matched() -> None:
    world = World(DEMO, make_account())
    world.ask(event(DEMO, mscc(asks=1, service="SMS"), session="e1"))
    assert charge(world, cdr(service="SMS", session_id="e1"))[0].state == MATCHED


def test_a_session_that_charged_another_service_or_nothing_matches_nothing() -> None:
    world = World(DEMO, make_account(), rules=Rules(match_s=86_400))
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, service="VOICE"), facts={"charging_id": 7}))
    data = cdr("r1", "DATA", octets_down=MB, session_id="s1", charging_id=7)
    call = cdr("r2", session_id="s1")
    assert [one.state for one in charge(world, data, call)] == [CHARGED, CHARGED], "nothing is used yet"
    world.ask(ccr(DEMO, UPDATE, 1, mscc(1, used=60, service="VOICE")))
    assert charge(world, cdr("r3", session_id="s1"))[0].state == MATCHED
    world.ask(ccr(DEMO, TERMINATE, 2, mscc(9, used=5, service=None)))
    data, call = cdr("r4", "DATA", octets_down=MB, session_id="s1", charging_id=7), cdr("r5", charging_id=7)
    assert [one.state for one in charge(world, data, call)] == [CHARGED, MATCHED]


def test_on_a_shared_account_usage_says_whose_it_is() -> None:
    account = make_account()
    account["members"] = {"e164:49": "acc1", "e164:50": "acc2"}
    world = World(DEMO, account)
    charge(world, cdr("r1", served_msisdn="50"))
    charge(world, cdr("r2"))
    assert [one["member"] for one in world.usage] == ["acc2", "acc1"]


def test_without_match_s_only_the_session_itself_is_known() -> None:
    world = World(DEMO, make_account())
    gy_session(world, 7, MB)
    world.ask(ccr(DEMO, TERMINATE, 2, mscc(1, used=0)))
    assert charge(world, cdr(service="DATA", octets_down=MB, charging_id=7))[0].state == CHARGED


def test_a_charging_id_of_another_account_matches_nothing() -> None:
    world = World(DEMO, make_account(), make_account(account_id="acc2"), rules=Rules(match_s=86_400))
    gy_session(world, 7, MB)
    world.ask(ccr(DEMO, TERMINATE, 2, mscc(1, used=0)))
    item = CdrItem("k", cdr(service="DATA", octets_down=MB, charging_id=7))
    assert world.do(ChargeCdrs("f1", [item], True), "acc2").verdicts[0].state == CHARGED


# ── in suspense ────────────────────────────────────────────────────────────────────────────────────


def suspended(world: World, record: Cdr) -> None:
    key = record_key("pgw", record.record_id)
    world.cdrs[RECORDS][key] = {"_id": key, "file": "f0", "at": 5, "state": SUSPENDED}


def test_a_record_in_suspense_is_not_charged_by_a_file() -> None:
    world = World(DEMO, make_account())
    suspended(world, cdr())
    assert charge(world, cdr()) == [Verdict(SUSPENDED, before=True, file="f0", offset=5)]
    assert not world.usage


def test_a_record_is_tried_again() -> None:
    world = World(DEMO, make_account())
    suspended(world, cdr())
    item = CdrItem(record_key("pgw", "r1"), cdr())
    applied = world.do(ChargeCdrs("f0", [item], True, reprocesses=True))
    settled = applied.settled[item.key]
    assert (settled["state"], settled["charge_micros"], settled["account"]) == (ENTRY_CHARGED, 90_000, "acc1")
    assert world.cdrs[RECORDS][item.key]["state"] == CHARGED
    again = world.do(ChargeCdrs("f0", [item], True, reprocesses=True))
    assert again.settled[item.key]["state"] == ALREADY and len(world.usage) == 1


def test_one_that_still_cant_be_charged_stays() -> None:
    world = World(DEMO, make_account())
    suspended(world, cdr(service="GOLD"))
    with pytest.raises(LedgerError, match="service: GOLD; expected one that the plan demo-prepaid sells"):
        world.do(ChargeCdrs("f0", [CdrItem(record_key("pgw", "r1"), cdr(service="GOLD"))], True, reprocesses=True))


# ── convergence ────────────────────────────────────────────────────────────────────────────────────


def on_gy(world: World, service: Service, parts: list[int], start_s: int) -> None:
    """The usage in a session that reports each part as it ends."""
    world.ask(ccr(TABLES, INITIAL, 0, mscc(1, service=service.code), called="49"), now_s=start_s)
    now_s = start_s
    for number, units in enumerate(parts, 1):
        now_s += units if service is VOICE else 0
        kind = TERMINATE if number == len(parts) else UPDATE
        world.ask(ccr(TABLES, kind, number, mscc(1, used=units, service=service.code), called="49"), now_s=now_s)


def partials(service: Service, parts: list[int], start_s: int) -> list[Cdr]:
    """The usage as the partial records of one call, which lie end to end."""
    made, at_s = [], start_s
    for number, units in enumerate(parts, 1):
        fields = usage_of(service, units)
        one = cdr(f"r{number}", service.code, call_id="c1", partial_sequence=number, called="49", start_s=at_s)
        made.append(one._replace(**{"duration_s": 0, **fields}))
        at_s += units if service is VOICE else 0
    return made


@SETTINGS
@given(
    st.sampled_from([VOICE, DATA, SMS]),
    st.lists(st.integers(1, 2_000), min_size=1, max_size=6),
    st.one_of(st.integers(utc(2026, 11, 29), utc(2026, 12, 2)), st.integers(utc(2026, 10, 24), utc(2026, 10, 27))),
    st.integers(1, 3),
)
def test_a_session_costs_what_its_cdrs_cost(service: Service, parts: list[int], start_s: int, files: int) -> None:
    """On Gy, as one record, and as partial records in one file or several: charge, free units and paid units."""
    gy, whole, split = rich(), rich(), rich()
    on_gy(gy, service, parts, start_s)
    now_s = start_s + sum(parts)
    whole.now_s = split.now_s = now_s
    charge(whole, partials(service, [sum(parts)], start_s)[0])
    records = partials(service, parts, start_s)
    for number in range(files):
        charge(split, *records[number * len(parts) // files : (number + 1) * len(parts) // files])
    assert spent(gy) == spent(whole) == spent(split)
    drawn = [world.account["counters"] for world in (gy, whole, split)]
    assert drawn[0] == drawn[1] == drawn[2]
    assert sum(usage["charge_micros"] for usage in split.usage) == spent(split)


@SETTINGS
@given(
    st.sampled_from([VOICE, DATA, SMS]),
    st.lists(st.integers(1, 500), min_size=2, max_size=5),
    st.randoms(use_true_random=False),
)
def test_partial_records_in_any_order_cost_the_same(service: Service, parts: list[int], random: Any) -> None:
    """Within a band and month."""
    ordered, shuffled = rich(), rich()
    records = partials(service, parts, NOW_S)
    ordered.now_s = shuffled.now_s = NOW_S + 5_000
    charge(ordered, *records)
    random.shuffle(records)
    for record in records:
        charge(shuffled, record)
    assert spent(ordered) == spent(shuffled)
    assert ordered.account["counters"] == shuffled.account["counters"]


def test_calls_of_the_same_id_and_other_payers_are_others() -> None:
    part = cdr(call_id="c1", partial_sequence=1)
    assert call_key("pgw", part, "acc1") != call_key("pgw", part, "acc2")
    assert call_key("pgw", cdr(call_id="c1"), "acc1") == "", "the whole"
    assert call_key("pgw", part._replace(partial_sequence=2), "acc1") == call_key("pgw", part, "acc1")


def test_keys_fit_a_document_and_tell_sources_apart() -> None:
    ids = ["1", "x" * 19, "x" * 20, "y" * 64, "ü"]
    keys = [record_key(source, one) for source in ("pgw", "msc") for one in ids]
    assert len(set(keys)) == len(keys)
    assert all(0 < len(key.encode()) <= 32 for key in keys)
