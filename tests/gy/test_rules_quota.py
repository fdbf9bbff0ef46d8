"""Rules 4, 5, 6 and 11 on a real connection: what is granted, what is charged, what happens when money runs out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gy_wire import Raw
from gy_world import DATA, INITIAL, SMS, TERMINATION, UPDATE, VOICE, GyServer, World, data, octets
from mubss.gy.codec import CcaAnswer, FinalUnit, Mscc, MsccAnswer, Units, UsedUnits

MEGABYTE_MICROS = 20_000  # per started 1,000,000 octets
QUOTA = 10_000_000  # what the demo grants where nobody says how much
LIMIT = 1_000_000_000
VALIDITY = 3600
FINAL = FinalUnit(0)


def first(result_code: int, msccs: list[MsccAnswer]) -> CcaAnswer:
    """The answer to the first request of a session: it says what to do when no answer comes."""
    return CcaAnswer(result_code, msccs, session_failover=1, failure_handling=2)


def granted(mscc: Mscc, units: Units, *, final: bool = False) -> MsccAnswer:
    """The answer to an MSCC that gets a grant."""
    return MsccAnswer(
        mscc.rating_group,
        mscc.service_identifiers,
        2001,
        units,
        validity_time_s=VALIDITY,
        final_unit=FINAL if final else None,
    )


# ── rule 4 ─────────────────────────────────────────────────────────────────────────────────────────

SERVICES = [(DATA, Units(total_octets=QUOTA)), (VOICE, Units(time_s=60)), (SMS, Units(service_specific_units=1))]
NAMED = [
    Mscc(),
    Mscc(7),
    Mscc(None, [1]),
    Mscc(7, [1]),
    Mscc(7, [3, 2, 1]),
]


@pytest.mark.conforms("RFC 8506 §8.16", "an MSCC comes back under the names it came with")
@pytest.mark.parametrize("context, units", SERVICES, ids=["data", "voice", "events"])
@pytest.mark.parametrize("mscc", NAMED, ids=str)
def test_rule_04_an_mscc_comes_back_as_it_was_named(
    world: World, pgw: Raw, context: str, units: Units, mscc: Mscc
) -> None:
    ccr = data(INITIAL, 0, world.session_id(), world.person(), mscc, service_context_id=context)
    assert pgw.charge(ccr).answer == first(2001, [granted(mscc, units)])


@pytest.mark.conforms("Client ergw", "every asked Rating-Group has its own MSCC")
def test_rule_04_one_back_for_each_that_came(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    msccs = [Mscc(2, [9]), Mscc(1), Mscc(500), Mscc(), Mscc(1), Mscc(2)]
    answer = pgw.charge(data(INITIAL, 0, session_id, person, *msccs)).answer
    units = Units(total_octets=QUOTA)
    expected = [MsccAnswer(500, [], 5031) if mscc.rating_group == 500 else granted(mscc, units) for mscc in msccs]
    assert answer == first(2001, expected)
    assert world.account(person)["reserved_micros"] == 5 * 10 * MEGABYTE_MICROS
    reports = [Mscc(2, [9], used=octets(1)), Mscc(500, used=octets(1)), Mscc(1, requested=Units(), used=octets(1))]
    answer = pgw.charge(data(UPDATE, 1, session_id, person, *reports)).answer
    expected = [MsccAnswer(2, [9]), MsccAnswer(500, [], 5031), granted(Mscc(1), units)]
    assert answer == CcaAnswer(2001, expected), "who asks for nothing is granted nothing"
    answer = pgw.charge(data(TERMINATION, 2, session_id, person, Mscc(2), Mscc(500), Mscc(1))).answer
    assert answer == CcaAnswer(2001, [MsccAnswer(2), MsccAnswer(500, [], 5031), MsccAnswer(1)])
    assert world.account(person)["reserved_micros"] == 0
    assert world.spent(person) == MEGABYTE_MICROS


@pytest.mark.conforms("RFC 8506 §5.2.1", "units asked at command level are granted there")
@pytest.mark.conforms("Client siphon", "units at command level")
def test_rule_04_units_of_the_command_are_granted_there(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()

    def ask(kind: int, number: int, **more: Any) -> CcaAnswer:
        ccr = data(kind, number, session_id, person, service_context_id=VOICE, **more)
        ccr.msccs = []
        return pgw.charge(ccr).answer

    expected = CcaAnswer(2001, granted=Units(time_s=45), validity_time_s=VALIDITY)
    told_first = replace(expected, session_failover=1, failure_handling=2)
    assert ask(INITIAL, 0, requested=Units(time_s=45)) == told_first
    assert ask(UPDATE, 1, requested=Units(time_s=45), used=[UsedUnits(time_s=44)]) == expected
    assert ask(TERMINATION, 2, used=[UsedUnits(time_s=17)]) == CcaAnswer(2001)
    assert world.spent(person) == 2 * 90_000


@pytest.mark.conforms("RFC 8506 §9.2", "5031 in the MSCC of an unknown Rating-Group")
def test_an_unknown_rating_group_is_5031_and_its_units_arent_lost(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    asked = [Mscc(100, requested=Units()), Mscc(1, requested=Units())]
    answer = pgw.charge(data(INITIAL, 0, session_id, person, *asked)).answer
    assert (answer.result_code, [one.result_code for one in answer.msccs]) == (2001, [5031, 2001])
    assert answer.msccs[0] == MsccAnswer(100, [], 5031)
    pgw.charge(data(TERMINATION, 1, session_id, person, Mscc(100, used=octets(4_321)), Mscc(1, used=octets(1))))
    assert world.spent(person) == MEGABYTE_MICROS
    [kept] = world.suspense(session_id)
    assert (kept["rating_group"], kept["units"], kept["service"], kept["number"]) == (100, 4_321, None, 1)
    assert kept["identities"] == [f"e164:{person.msisdn}"]


# ── rule 5 ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 8506 §8.19", "Used-Service-Unit in every shape")
@pytest.mark.conforms("Client magma", "412, 414 and 421 together count once")
@pytest.mark.conforms("Client open5gs", "412 and 414 without 421")
@pytest.mark.parametrize(
    "context, used, micros",
    [
        (DATA, [UsedUnits(total_octets=1_500_000, input_octets=900_000, output_octets=900_000)], 40_000),
        (DATA, [UsedUnits(input_octets=600_000, output_octets=600_000)], 40_000),
        (DATA, [UsedUnits(output_octets=1_000_000)], 20_000),
        (DATA, octets(600_000) + octets(600_000), 40_000),
        (DATA, [*octets(999_999), UsedUnits(input_octets=1), UsedUnits(time_s=3_600)], 20_000),
        (DATA, [UsedUnits(time_s=3_600)], 0),
        (DATA, [UsedUnits(1_000_000, time_s=3_600, service_specific_units=4)], 20_000),
        (DATA, [UsedUnits(600_000, tariff_change_usage=0), UsedUnits(600_000, tariff_change_usage=1)], 40_000),
        (DATA, [UsedUnits()], 0),
        (VOICE, [UsedUnits(1_000_000, time_s=61)], 180_000),
        (VOICE, [UsedUnits(time_s=30), UsedUnits(time_s=30)], 90_000),
        (SMS, [UsedUnits(1, time_s=1, service_specific_units=3)], 240_000),
    ],
    ids=range(12),
)
def test_rule_05_used_units_are_charged_once_and_all(
    world: World, pgw: Raw, context: str, used: list[UsedUnits], micros: int
) -> None:
    person, session_id = world.person(), world.session_id()
    pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1), service_context_id=context))
    last = data(TERMINATION, 1, session_id, person, Mscc(1, used=used), service_context_id=context)
    assert pgw.charge(last).answer == CcaAnswer(2001, [MsccAnswer(1)])
    assert world.spent(person) == micros


@pytest.mark.conforms("Rule 12", "what can't be charged is kept: units of another kind than the service's")
@pytest.mark.parametrize(
    ("context", "used", "kept"),
    [
        (DATA, UsedUnits(time_s=3_600), ("seconds", 3_600)),
        (DATA, UsedUnits(service_specific_units=2), ("events", 2)),
        (VOICE, UsedUnits(input_octets=7, output_octets=8), ("octets", 15)),
        (DATA, UsedUnits(total_octets=0, time_s=3_600), None),
        (DATA, UsedUnits(time_s=0), None),
    ],
)
@pytest.mark.parametrize("command_level", [False, True])
def test_rule_05_used_units_of_another_kind_only_are_kept_in_suspense(
    world: World, pgw: Raw, context: str, used: UsedUnits, kept: tuple[str, int] | None, command_level: bool
) -> None:
    person, session_id = world.person(), world.session_id()
    pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1), service_context_id=context))
    update = data(UPDATE, 1, session_id, person, Mscc(1, requested=Units(), used=[used]), service_context_id=context)
    if command_level:
        update.msccs, update.requested, update.used, update.rating_group = [], Units(), [used], 1
    assert pgw.charge(update).answer.result_code == 2001
    assert world.spent(person) == 0
    assert [(entry["unit"], entry["units"]) for entry in world.suspense(session_id)] == ([kept] if kept else [])


def test_rule_05_used_units_beside_msccs_count_where_those_report_nothing(world: World, pgw: Raw) -> None:
    """Where an MSCC reports, they are its sum, which some clients add."""
    person, session_id = world.person(), world.session_id()
    pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1), Mscc(2)))
    one = data(UPDATE, 1, session_id, person, Mscc(1, requested=Units()), used=octets(1_000_000))
    assert [mscc.rating_group for mscc in pgw.charge(one).answer.msccs] == [1]
    assert world.spent(person) == MEGABYTE_MICROS
    several = data(
        UPDATE, 2, session_id, person, Mscc(1), Mscc(2, requested=Units()), used=octets(1_000_000), rating_group=1
    )
    assert len(pgw.charge(several).answer.msccs) == 3
    assert world.spent(person) == 2 * MEGABYTE_MICROS
    both = data(TERMINATION, 3, session_id, person, Mscc(1, used=octets(1_000_000)), used=octets(1_000_000))
    pgw.charge(both)
    assert world.spent(person) == 3 * MEGABYTE_MICROS
    assert world.suspense(session_id) == []


def test_rule_05_the_split_of_a_session_costs_nothing(world: World, pgw: Raw) -> None:
    person, session_id = world.person(), world.session_id()
    pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1)))
    for number, used in enumerate([400_000, 400_000, 300_000, 0, 900_000], 1):
        pgw.charge(data(UPDATE, number, session_id, person, Mscc(1, requested=Units(), used=octets(used))))
    pgw.charge(data(TERMINATION, 6, session_id, person, Mscc(1, used=octets(1))))
    assert world.spent(person) == 3 * MEGABYTE_MICROS  # 2,000,001 octets
    [record] = world.usage(person)
    assert (record["units"], record["charge_micros"], record["session_id"]) == (2_000_001, 60_000, session_id)


# ── rule 6 ─────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 8506 §8.18", "Requested-Service-Unit empty, absent or absurd")
@pytest.mark.parametrize(
    "asked, octets_granted",
    [
        (None, QUOTA),
        (Units(), QUOTA),
        (Units(total_octets=0), QUOTA),
        (Units(time_s=1_000), QUOTA),
        (Units(service_specific_units=3), QUOTA),
        (Units(money=(1, 0, 978)), QUOTA),
        (Units(total_octets=1), 1),
        (Units(input_octets=5, output_octets=6), 11),
        (Units(total_octets=2_000_000, input_octets=1_000_000, output_octets=1_000_000), 2_000_000),
        (Units(total_octets=LIMIT), LIMIT),
        (Units(total_octets=LIMIT + 1), LIMIT),
        (Units(total_octets=(1 << 64) - 1), LIMIT),
        (Units(input_octets=(1 << 64) - 1, output_octets=(1 << 64) - 1), LIMIT),
    ],
    ids=str,
)
def test_rule_06_the_server_decides_where_nothing_sane_is_asked(
    world: World, pgw: Raw, asked: Units | None, octets_granted: int
) -> None:
    mscc = Mscc(1, requested=asked)
    answer = pgw.charge(data(INITIAL, 0, world.session_id(), world.person(100), mscc)).answer
    assert answer == first(2001, [granted(mscc, Units(total_octets=octets_granted))])


def test_rule_06_postpaid_is_granted_from_its_free_units_and_credit(world: World, pgw: Raw) -> None:
    person, session_id = world.person(0, plan="demo-postpaid"), world.session_id()
    asked = Mscc(1, requested=Units(total_octets=LIMIT))
    answer = pgw.charge(data(INITIAL, 0, session_id, person, asked)).answer
    assert answer == first(2001, [granted(asked, Units(total_octets=LIMIT))])
    assert world.account(person)["reserved_micros"] == 0, "they are free"
    pgw.charge(data(TERMINATION, 1, session_id, person, Mscc(1, used=octets(LIMIT + 1))))
    assert world.balance(person) == -MEGABYTE_MICROS


# ── rule 11 ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.conforms("RFC 8506 §5.6", "Final-Unit-Indication in the last grant, then 4012")
def test_rule_11_the_last_grant_says_so_and_then_there_is_no_more(world: World, pgw: Raw) -> None:
    person, session_id = world.person(0, micros=50_000), world.session_id()
    asked = Mscc(1, requested=Units(total_octets=5_000_000))
    answer = pgw.charge(data(INITIAL, 0, session_id, person, asked)).answer
    assert answer == first(2001, [granted(asked, Units(total_octets=2_000_000), final=True)])
    assert world.account(person)["reserved_micros"] == 40_000
    asked = Mscc(1, requested=Units(total_octets=5_000_000), used=octets(2_000_000))
    answer = pgw.charge(data(UPDATE, 1, session_id, person, asked)).answer
    assert answer == CcaAnswer(2001, [MsccAnswer(1, [], 4012)])
    assert world.balance(person) == 10_000
    assert len(world.account(person)["sessions"]) == 1, "the session is kept for a top-up"
    world.top_up(person, 30_000)
    asked = Mscc(1, requested=Units(total_octets=1_000_000))
    answer = pgw.charge(data(UPDATE, 2, session_id, person, asked)).answer
    assert answer == CcaAnswer(2001, [granted(asked, Units(total_octets=1_000_000))])
    answer = pgw.charge(data(TERMINATION, 3, session_id, person, Mscc(1, used=octets(1_000_000)))).answer
    assert answer == CcaAnswer(2001, [MsccAnswer(1)])
    assert world.balance(person) == 20_000


@pytest.mark.conforms("RFC 8506 §9.1", "4012 in the MSCC, with the session kept")
def test_rule_11_a_session_may_begin_without_credit_and_wait_for_it(world: World, pgw: Raw) -> None:
    person, session_id = world.person(0), world.session_id()
    answer = pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1), Mscc(500))).answer
    assert answer == first(2001, [MsccAnswer(1, [], 4012), MsccAnswer(500, [], 5031)])
    world.top_up(person, 1_000_000)
    answer = pgw.charge(data(UPDATE, 1, session_id, person, Mscc(1))).answer
    assert answer == CcaAnswer(2001, [granted(Mscc(1), Units(total_octets=QUOTA))])
    pgw.charge(data(TERMINATION, 2, session_id, person))


def test_rule_11_usage_beyond_the_grant_is_charged_and_said(world: World, pgw: Raw) -> None:
    person, session_id = world.person(0, micros=20_000), world.session_id()
    pgw.charge(data(INITIAL, 0, session_id, person, Mscc(1)))
    pgw.charge(data(TERMINATION, 1, session_id, person, Mscc(1, used=octets(3_000_000))))
    assert world.balance(person) == -40_000
    [posting] = world.postings(person)
    assert (posting["amount_micros"], posting["overrun_micros"]) == (-60_000, 40_000)


def test_rule_11_sessions_share_what_there_is(world: World, pgw: Raw) -> None:
    person = world.person(0, micros=60_000)
    asked = Mscc(1, requested=Units(total_octets=2_000_000))
    sessions = [world.session_id() for _ in range(3)]
    answers = [pgw.charge(data(INITIAL, 0, session_id, person, asked)).answer for session_id in sessions]
    assert [one.msccs[0].granted for one in answers] == [Units(2_000_000), Units(1_000_000), None]
    assert [one.msccs[0].final_unit for one in answers] == [None, FINAL, None]
    assert [one.msccs[0].result_code for one in answers] == [2001, 2001, 4012]
    account = world.account(person)
    assert (account["balance_micros"], account["reserved_micros"]) == (60_000, 60_000)
    for session_id in sessions:
        pgw.charge(data(TERMINATION, 1, session_id, person))
    account = world.account(person)
    assert (account["balance_micros"], account["reserved_micros"]) == (60_000, 0)


@pytest.mark.conforms("RFC 8506 §9.1", "4012 at command level")
def test_rule_11_out_of_credit_at_command_level_where_it_is_wanted(world: World) -> None:
    person, session_id = world.person(0), world.session_id()
    with GyServer(world, out_of_credit="command") as server, Raw(server.port).open() as peer:
        answer = peer.charge(data(INITIAL, 0, session_id, person, Mscc(1))).answer
        assert answer == CcaAnswer(4012, [MsccAnswer(1, [], 4012)])
        world.top_up(person, 1_000_000)
        asked = Mscc(1, requested=Units(total_octets=7))
        answer = peer.charge(data(UPDATE, 1, session_id, person, asked)).answer
        assert answer == CcaAnswer(2001, [granted(asked, Units(total_octets=7))])
        answer = peer.charge(data(UPDATE, 2, session_id, person, asked, Mscc(500))).answer
        assert answer.result_code == 2001
        peer.charge(data(TERMINATION, 3, session_id, person))


@pytest.mark.conforms("RFC 8506 §8.33", "Validity-Time above 0 in every grant")
@pytest.mark.parametrize("context", [DATA, VOICE, SMS])
@pytest.mark.parametrize("micros", [100_000, 10_000_000])
def test_rule_11_every_grant_has_a_validity_above_0(world: World, pgw: Raw, context: str, micros: int) -> None:
    person, session_id = world.person(0, micros=micros), world.session_id()
    for number, kind in enumerate([INITIAL, UPDATE, UPDATE]):
        asked = Mscc(1, requested=Units(100_000_000, time_s=500, service_specific_units=50))
        answer = pgw.charge(data(kind, number, session_id, person, asked, service_context_id=context)).answer
        assert answer.msccs[0].validity_time_s == VALIDITY
        assert answer.msccs[0].final_unit == (FINAL if micros == 100_000 else None)
    pgw.charge(data(TERMINATION, 3, session_id, person, service_context_id=context))
    assert world.account(person)["reserved_micros"] == 0
