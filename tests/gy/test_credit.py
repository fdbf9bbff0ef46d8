"""A CCR as a command, an outcome as a CCA: what each client's requests come down to, and what it gets back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gy_wire import split
from mubss.core.identity import session_hash
from mubss.core.model import Action, CreditControl, Outcome, RequestType, Result, UnitAnswer
from mubss.core.tariff import Tables
from mubss.gy.cca import TERMINATE, CcaAnswer, FinalUnit, MsccAnswer
from mubss.gy.codec import Ccr, DiameterError, Money, Mscc, Units, UsedUnits, decode_ccr, missing_avp
from mubss.gy.credit import to_command
from mubss.gy.credit_answer import to_answer
from mubss.gy.profile import Profile
from mubss.refdata.form import read_files
from mubss.refdata.live import operator_calendar
from mubss.refdata.load import validate
from tests.vectors.load import every, load

DEMO = Path(__file__).parents[2] / "conf/refdata/demo.toml"
TABLES: Tables = validate(read_files([DEMO]), operator_calendar("UTC"))[1]
PROFILE = Profile(default_context="32251@3gpp.org")
CURRENCIES = {"EUR": 978}
INITIAL, UPDATE, TERMINATION, EVENT = 1, 2, 3, 4

E164_FIRST = ["e164:999700000001", "imsi:999700000000001"]
E164 = ["e164:999700000001"]
SIP = ["e164:999700000001", "imsi:999700000001"]
OPEN5GS_FACTS = {
    "apn": "internet",
    "charging_id": 41,
    "sgsn_mcc_mnc": "99970",
    "rat_type": 6,
    "location": "8299f907000199f90700000101",
    "equipment": "4370816125816151",
    "charging_characteristics": "0000",
}
MAGMA_FACTS = {
    "apn": "magma.ipv4",
    "charging_id": 7,
    "rat_type": 6,
    "location": "8299f907000199f90700000101",
    "equipment": "4370816125816151",
}
CALLED = "491711234567"

# Of each unit request: key, service, Rating-Group, Service-Identifiers, wants a grant, requested and used units.
VECTORS: dict[str, tuple[int, int, list[str], list[tuple[Any, ...]]]] = {
    "open5gs/ccr_i": (INITIAL, 0, E164_FIRST, [("", "DATA", None, [], True, 1_000_000, None)]),
    "open5gs/ccr_u": (UPDATE, 1, E164_FIRST, [("", "DATA", None, [], True, 1_000_000, 1_000_123)]),
    "open5gs/ccr_u_validity": (UPDATE, 2, E164_FIRST, [("", "DATA", None, [], True, 1_000_000, 12)]),
    "open5gs/ccr_t": (TERMINATION, 3, E164_FIRST, [("", "DATA", None, [], False, None, 3_000)]),
    "magma/ccr_i": (
        INITIAL,
        1,
        E164_FIRST,
        [("1/101", "DATA", 1, [101], True, 2_000_000, None), ("2/102", "DATA", 2, [102], True, None, None)],
    ),
    "magma/ccr_u": (
        UPDATE,
        2,
        E164_FIRST,
        [("1/101", "DATA", 1, [101], True, 2_000_000, 1_500_000), ("2/102", "DATA", 2, [102], True, None, 10)],
    ),
    "magma/ccr_t": (TERMINATION, 3, E164_FIRST, [("1/101", "DATA", 1, [101], False, None, 1_234)]),
    "kamailio/ccr_i": (INITIAL, 0, SIP, [("100/1000", "VOICE", 100, [1_000], True, 30, None)]),
    "kamailio/ccr_i_tel": (INITIAL, 0, E164, [("100/1000", "VOICE", 100, [1_000], True, 30, None)]),
    "kamailio/ccr_u": (UPDATE, 1, SIP, [("100/1000", "VOICE", 100, [1_000], True, 30, 30)]),
    "kamailio/ccr_t": (TERMINATION, 2, SIP, [("100/1000", "VOICE", 100, [1_000], False, None, 12)]),
    "ergw/ccr_i": (INITIAL, 0, E164_FIRST, [("3000", None, 3_000, [], True, None, None)]),
    "ergw/ccr_u": (UPDATE, 1, E164_FIRST, [("3000", None, 3_000, [], True, None, 1_100)]),
    "ergw/ccr_t": (TERMINATION, 2, E164_FIRST, [("3000", None, 3_000, [], False, None, 1_100)]),
    "siphon/ccr_i": (INITIAL, 0, E164, [("", "VOICE", None, [], True, 60, None)]),
    "siphon/ccr_u": (UPDATE, 1, E164, [("", "VOICE", None, [], True, 60, 42)]),
    "siphon/ccr_t": (TERMINATION, 2, E164, [("", "VOICE", None, [], False, None, 42)]),
    "siphon/ccr_i_mscc": (INITIAL, 0, E164, [("1", "VOICE", 1, [], True, 60, None)]),
    "smsc/ccr_e": (EVENT, 0, E164, [("/1", "SMS", None, [1], True, 1, None)]),
    "python-diameter-sms/ccr_e": (EVENT, 1, E164, [("/1", "SMS", None, [1], True, 1, None)]),
    "seagull/ccr_i": (INITIAL, 0, [], []),
    "seagull/ccr_u": (UPDATE, 1, [], [("", "VOICE", None, [], True, 10, 10)]),
    "seagull/ccr_t": (TERMINATION, 2, [], [("", "VOICE", None, [], False, None, 10)]),
    "xk6/ccr_i": (INITIAL, 1_000, E164, [("1", "DATA", 1, [], True, None, None)]),
    "cisco-pgw/ccr_i": (INITIAL, 0, E164_FIRST, [("10/7", "DATA", 10, [7], True, None, None)]),
    "cisco-pgw/ccr_u": (UPDATE, 1, E164_FIRST, [("10/7", "DATA", 10, [7], True, None, 1_000)]),
    "cisco-pgw/ccr_t": (TERMINATION, 2, E164_FIRST, [("10/7", "DATA", 10, [7], False, None, 900)]),
}
FACTS = {
    "open5gs/ccr_i": OPEN5GS_FACTS,
    "magma/ccr_i": MAGMA_FACTS,
    "kamailio/ccr_i": {"called": CALLED},
    "kamailio/ccr_i_tel": {"called": CALLED},
    "ergw/ccr_i": {"apn": "internet", "charging_id": 4_242, "rat_type": 6},
    "siphon/ccr_i": {"called": "4930123456"},
    "siphon/ccr_i_mscc": {"called": "4930123456"},
    "smsc/ccr_e": {"called": CALLED},
    "python-diameter-sms/ccr_e": {"called": "41780000001"},
    "cisco-pgw/ccr_i": {"apn": "web", "charging_id": 0xDEADBEEF},
}
COMMAND_LEVEL = {"siphon/ccr_i", "siphon/ccr_u", "siphon/ccr_t", "seagull/ccr_u", "seagull/ccr_t"}


def command_of(ccr: Ccr, profile: Profile = PROFILE) -> CreditControl:
    return to_command(ccr, profile, TABLES)


def ccr(kind: int = INITIAL, **more: Any) -> Ccr:
    """A request with what every one must have."""
    base = Ccr(
        session_id="s;1",
        origin_host="pgw.example",
        cc_request_type=kind,
        cc_request_number=0,
        service_context_id="32251@3gpp.org",
        subscription_ids=[(0, "999700000001")],
    )
    return replace(base, **more)


# ── requests ───────────────────────────────────────────────────────────────────────────────────────


def test_no_vector_is_forgotten() -> None:
    assert sorted(VECTORS) == [f"{client}/{name}" for client, name in every() if name != "cer"]


@pytest.mark.conforms("Rule 7", "every client's requests come down to the same kind of command")
@pytest.mark.parametrize("name", sorted(VECTORS))
def test_every_client_is_understood(name: str) -> None:
    frame = load(*name.split("/"))
    kind, number, identities, units = VECTORS[name]
    command = command_of(decode_ccr(frame))
    assert (command.type, command.number, command.identities) == (kind, number, identities)
    fields = ["key", "service", "rating_group", "service_identifiers", "wants_grant", "requested_units", "used_units"]
    found = [tuple(getattr(one, field) for field in fields) for one in command.requests]
    assert found == units
    assert {one.command_level for one in command.requests} <= {name in COMMAND_LEVEL}
    assert command.facts == FACTS.get(name, {})
    assert command.session_hash == session_hash(command.session_id)
    assert command.tables is TABLES
    assert not command.retransmitted
    assert command.end_to_end == int.from_bytes(frame[16:20], "big")
    assert command.action == Action.DIRECT_DEBITING
    assert all(one.money_micros is None for one in command.requests)


@pytest.mark.parametrize("name, peer", [("xk6/ccr_i", "origin.host"), ("kamailio/ccr_u", "scscf.ims.example")])
def test_the_peer_is_who_asks(name: str, peer: str) -> None:
    assert command_of(decode_ccr(load(*name.split("/")))).peer == peer


@pytest.mark.conforms("RFC 6733 §3", "the T flag is taken note of")
def test_the_t_flag_is_seen() -> None:
    frame = bytearray(load("open5gs", "ccr_u"))
    frame[4] |= 0x10
    assert command_of(decode_ccr(bytes(frame))).retransmitted


@pytest.mark.conforms("Rule 8", "the order of identities is the profile's")
@pytest.mark.parametrize(
    "profile, expected",
    [
        (PROFILE, E164_FIRST),
        (Profile(subscription_order=("imsi", "e164")), E164_FIRST[::-1]),
        (Profile(subscription_order=("nai",), default_subscriber="e164:4930"), ["e164:4930"]),
    ],
)
def test_the_profile_says_whose_identity_counts(profile: Profile, expected: list[str]) -> None:
    assert command_of(decode_ccr(load("open5gs", "ccr_i")), profile).identities == expected


@pytest.mark.conforms("RFC 8506 §8.16", "one Rating-Group in two MSCCs is two requests")
def test_a_rating_group_may_come_twice() -> None:
    twice = [Mscc(1, [], Units()), Mscc(1, [], None, [UsedUnits(5)]), Mscc(1, [7]), Mscc(1)]
    assert [one.key for one in command_of(ccr(UPDATE, msccs=twice)).requests] == ["1", "1+", "1/7", "1++"]


def test_many_identifiers_make_no_long_key() -> None:
    [one] = command_of(ccr(msccs=[Mscc(0xFFFFFFFF, list(range(64)))])).requests
    assert one.key == "4294967295/0,1,2,3"
    assert one.service_identifiers == list(range(64))


@pytest.mark.conforms("Rule 9", "context, Rating-Group and Service-Identifier name the service")
@pytest.mark.parametrize(
    "context, rating_group, service",
    [
        ("32251@3gpp.org", None, "DATA"),
        ("14.32251@3gpp.org", 99, "DATA"),
        ("ext.01.001.8.32260@3gpp.org", 5, "VOICE"),
        ("32274@3gpp.org", None, "SMS"),
        ("32251", 1, "DATA"),
        ("32251@3gpp.org", 0, None),
        ("32251@3gpp.org", 100, None),
        ("132251@3gpp.org", 1, None),
        ("@3gpp.org", 1, None),
        ("32270@3gpp.org", 1, None),
        (None, 1, "DATA"),
        ("", 1, "DATA"),
    ],
)
def test_the_service_is_found_by_context_and_rating_group(
    context: str | None, rating_group: int | None, service: str | None
) -> None:
    [one] = command_of(ccr(service_context_id=context, msccs=[Mscc(rating_group)])).requests
    assert (one.service, one.rating_group) == (service, rating_group)


OCTETS = UsedUnits(total_octets=100, input_octets=40, output_octets=70, time_s=9, service_specific_units=3)


@pytest.mark.conforms("Rule 5", "units count in the service's own unit")
@pytest.mark.parametrize(
    "context, used, expected",
    [
        ("32251", [OCTETS], 100),
        ("32251", [UsedUnits(input_octets=40, output_octets=70)], 110),
        ("32251", [UsedUnits(output_octets=70, time_s=9)], 70),
        ("32251", [UsedUnits(time_s=9)], 0),
        ("32251", [UsedUnits(total_octets=0, input_octets=5)], 0),
        ("32251", [UsedUnits(1), UsedUnits(2), UsedUnits(time_s=9), UsedUnits(input_octets=4)], 7),
        ("32260", [OCTETS], 9),
        ("32260", [UsedUnits(time_s=5), UsedUnits(time_s=6)], 11),
        ("32274", [OCTETS], 3),
        ("32251", [], None),
        ("32251", [UsedUnits((1 << 64) - 1)], (1 << 64) - 1),
    ],
)
def test_used_units_count_once_in_the_services_own_unit(
    context: str, used: list[UsedUnits], expected: int | None
) -> None:
    group = 1 if context == "32251" else None
    [one] = command_of(ccr(UPDATE, service_context_id=context, msccs=[Mscc(group, [], None, used)])).requests
    assert one.used_units == expected


@pytest.mark.parametrize(
    "used, expected",
    [
        ([UsedUnits(5)], 5),
        ([UsedUnits(time_s=9)], 9),
        ([UsedUnits(service_specific_units=3)], 3),
        ([UsedUnits(5, time_s=9), UsedUnits(time_s=7)], 12),
        ([UsedUnits()], 0),
        ([], None),
    ],
)
def test_units_of_a_service_nobody_sells_are_counted_all_the_same(used: list[UsedUnits], expected: int | None) -> None:
    [one] = command_of(ccr(UPDATE, msccs=[Mscc(4_000, [], None, used)])).requests
    assert (one.service, one.used_units) == (None, expected)


@pytest.mark.conforms("RFC 8506 §5.1.2", "quota is asked by Requested-Service-Unit, an empty one too")
@pytest.mark.parametrize(
    "kind, mscc, expected",
    [
        (INITIAL, Mscc(1), True),
        (INITIAL, Mscc(1, requested=Units(0)), True),
        (UPDATE, Mscc(1), True),
        (UPDATE, Mscc(1, requested=Units()), True),
        (UPDATE, Mscc(1, requested=Units(), used=[UsedUnits(1)]), True),
        (UPDATE, Mscc(1, used=[UsedUnits(1)]), False),
        (UPDATE, Mscc(1, requested=Units(), used=[UsedUnits(1, reporting_reasons=[3])]), True),
        (UPDATE, Mscc(1, requested=Units(), used=[UsedUnits(1, reporting_reasons=[2])]), False),
        (UPDATE, Mscc(1, requested=Units(), used=[UsedUnits(1)], reporting_reasons=[2]), False),
        (UPDATE, Mscc(1, requested=Units(), reporting_reasons=[2]), True),
    ],
)
def test_who_wants_quota(kind: int, mscc: Mscc, expected: bool) -> None:
    [one] = command_of(ccr(kind, msccs=[mscc])).requests
    assert one.wants_grant is expected


@pytest.mark.parametrize("kind", [INITIAL, UPDATE, TERMINATION])
def test_a_session_without_units_asks_for_none(kind: int) -> None:
    assert command_of(ccr(kind)).requests == []


@pytest.mark.conforms("RFC 8506 §6", "an event without units is one")
def test_an_event_without_units_is_one_of_its_service() -> None:
    [one] = command_of(ccr(EVENT, service_context_id="32274@3gpp.org", service_identifier=4)).requests
    assert (one.service, one.command_level, one.service_identifiers, one.requested_units) == ("SMS", True, [4], None)


@pytest.mark.conforms("Rule 10", "of no session's request")
@pytest.mark.parametrize("kind", [INITIAL, UPDATE, TERMINATION])
@pytest.mark.parametrize("action", [1, 2, 3, 4, 0xFFFFFFFF])
def test_requested_action_means_nothing_in_a_session(kind: int, action: int) -> None:
    asked = [Mscc(1, requested=Units(5, money=(8, -2, 978)))]
    plain, acting = (command_of(ccr(kind, msccs=asked, requested_action=one)) for one in (None, action))
    assert plain == replace(acting, action=0)
    assert acting.requests[0].money_micros is None


@pytest.mark.conforms("RFC 8506 §8.41", "the four Requested-Actions")
@pytest.mark.parametrize("action", list(Action))
def test_requested_action_of_an_event(action: Action) -> None:
    assert command_of(ccr(EVENT, requested_action=int(action))).action == action


@pytest.mark.conforms("RFC 8506 §8.22", "CC-Money of an event, exactly")
@pytest.mark.parametrize(
    "money, micros",
    [
        ((8, -2, 978), 80_000),
        ((1, 0, None), 1_000_000),
        ((1, 6, None), 10**12),
        ((999_999_999_999_999, -12, None), 1_000_000_000),
        ((5, -7, None), 1),
        ((4, -7, None), 0),
        ((123_456_789, -6, 840), 123_456_789),
        ((0, 0, None), 0),
    ],
)
def test_money_of_an_event_comes_in_micros(money: Money, micros: int) -> None:
    [one] = command_of(ccr(EVENT, msccs=[Mscc(1, requested=Units(money=money))])).requests
    assert (one.money_micros, one.currency) == (micros, money[2])


@pytest.mark.conforms("RFC 8506 §8.8", "5004 for an Exponent or amount that can't be")
@pytest.mark.parametrize("money", [(1, 7, None), (1, -13, None), (10**15, 0, None), (-1, -2, 978)])
def test_money_that_is_none_is_refused(money: Money) -> None:
    with pytest.raises(DiameterError) as caught:
        command_of(ccr(EVENT, msccs=[Mscc(1, requested=Units(money=money))]))
    assert caught.value.result_code == 5004
    assert "Unit-Value" in caught.value.text
    [avp] = split(caught.value.failed_avp)
    assert avp.name == "Unit-Value"


@pytest.mark.conforms("RFC 8506 §3.1", "5005 for a CCR without what it needs")
@pytest.mark.parametrize(
    "more, profile, missing",
    [
        ({"session_id": None}, PROFILE, "Session-Id"),
        ({"session_id": ""}, PROFILE, "Session-Id"),
        ({"cc_request_type": None}, PROFILE, "CC-Request-Type"),
        ({"cc_request_number": None}, PROFILE, "CC-Request-Number"),
        ({"service_context_id": None}, Profile(), "Service-Context-Id"),
    ],
)
def test_what_is_missing_is_named(more: dict[str, Any], profile: Profile, missing: str) -> None:
    with pytest.raises(DiameterError) as caught:
        command_of(ccr(**more), profile)
    assert (caught.value.result_code, caught.value.failed_avp) == (5005, missing_avp(missing))


@pytest.mark.conforms("RFC 6733 §8.8", "5004 for a Session-Id that is too long or empty")
def test_a_session_id_has_bounds() -> None:
    assert command_of(ccr(session_id="s" * 1024)).session_id == "s" * 1024
    with pytest.raises(DiameterError) as caught:
        command_of(ccr(session_id="s" * 1025))
    assert caught.value.result_code == 5004
    assert len(str(caught.value)) < 100


def test_texts_that_are_kept_have_bounds() -> None:
    command = command_of(ccr(origin_host="h" * 60_000, called_station_id="a" * 60_000, sgsn_mcc_mnc="1" * 60_000))
    assert len(command.peer) == 255
    assert command.facts == {"apn": "a" * 64, "sgsn_mcc_mnc": "1" * 64}


# ── answers ────────────────────────────────────────────────────────────────────────────────────────


def answer(result: int = 2001, units: int | None = None, **more: Any) -> UnitAnswer:
    unit = more.pop("unit", "octets")
    validity_s = 3600 if units is not None else None
    return UnitAnswer(False, 1, [7], result, unit, units, validity_s)._replace(**more)


def outcome(*answers: UnitAnswer, result: int = 2001, **more: Any) -> Outcome:
    return Outcome(3, 4, result, list(answers), **more)


FINAL = FinalUnit(TERMINATE)


@pytest.mark.conforms("RFC 8506 §9", "each outcome has its Result-Code: 2001, 4010, 4011, 4012, 5002, 5030, 5031")
@pytest.mark.parametrize(
    "came, expected",
    [
        (outcome(), CcaAnswer(2001)),
        (outcome(result=5002), CcaAnswer(5002)),
        (outcome(answer(units=5)), CcaAnswer(2001, [MsccAnswer(1, [7], 2001, Units(5), None, 3600)])),
        (
            outcome(answer(units=5, unit="seconds", final="terminate", rating_group=None)),
            CcaAnswer(2001, [MsccAnswer(None, [7], 2001, Units(time_s=5), None, 3600, FINAL)]),
        ),
        (
            outcome(answer(units=1, unit="events", validity_s=None)),
            CcaAnswer(2001, [MsccAnswer(1, [7], 2001, Units(service_specific_units=1))]),
        ),
        (
            outcome(answer(4012), answer(5031, unit="", rating_group=9, service_identifiers=[])),
            CcaAnswer(2001, [MsccAnswer(1, [7], 4012), MsccAnswer(9, [], 5031)]),
        ),
        (outcome(answer(4010), result=4010), CcaAnswer(4010, [MsccAnswer(1, [7], 4010)])),
        (
            outcome(answer(units=60, unit="seconds", command_level=True, final="terminate")),
            CcaAnswer(2001, granted=Units(time_s=60), validity_time_s=3600, final_unit=FINAL),
        ),
        (outcome(answer(4012, command_level=True), result=4012), CcaAnswer(4012)),
        (outcome(check_balance=1, currency="EUR"), CcaAnswer(2001, check_balance_result=1)),
        (outcome(check_balance=0, currency="EUR"), CcaAnswer(2001, check_balance_result=0)),
    ],
)
def test_an_outcome_as_an_answer(came: Outcome, expected: CcaAnswer) -> None:
    assert to_answer(came, PROFILE, CURRENCIES) == expected
    stored = Outcome.from_list(came.to_list())
    assert to_answer(stored, PROFILE, CURRENCIES) == expected, "a replay of the stored outcome is the same answer"


@pytest.mark.conforms("Rule 11", "4012 at MSCC or command level, by profile")
@pytest.mark.conforms("Client kamailio", "4012 stands at command level")
@pytest.mark.parametrize(
    "answers, level",
    [
        ([answer(4012)], 4012),
        ([answer(4012), answer(4012)], 4012),
        ([answer(4012), answer(units=5)], 2001),
        ([answer(4012), answer(5031)], 2001),
        ([], 2001),
    ],
)
def test_a_profile_may_want_out_of_credit_at_command_level(answers: list[UnitAnswer], level: int) -> None:
    profile = replace(PROFILE, command_level_credit_limit=True)
    assert to_answer(outcome(*answers), profile, CURRENCIES).result_code == level
    assert to_answer(outcome(*answers), PROFILE, CURRENCIES).result_code == 2001


@pytest.mark.conforms("RFC 8506 §8.7", "Cost-Information with Unit-Value, Exponent and Currency-Code")
@pytest.mark.parametrize(
    "micros, currency, money",
    [
        (80_000, "EUR", (8, -2, 978)),
        (0, "EUR", (0, -2, 978)),
        (10_000_000, "EUR", (1_000, -2, 978)),
        (1, "EUR", (1, -6, 978)),
        (123_450, "EUR", (12_345, -5, 978)),
        (90_000, "XXX", (9, -2, None)),
    ],
)
def test_a_price_has_the_fewest_decimals_that_say_it(micros: int, currency: str, money: Money) -> None:
    came = outcome(cost_micros=micros, currency=currency)
    assert to_answer(came, PROFILE, CURRENCIES) == CcaAnswer(2001, cost_information=money)


@pytest.mark.conforms("RFC 8506 §9", "the numbers of the Result-Codes")
def test_the_results_that_are_needed_are_the_standards() -> None:
    assert [int(one) for one in Result] == [2001, 3004, 4010, 4012, 5002, 5004, 5006, 5012, 5030, 5031]
    assert [int(one) for one in RequestType] == [1, 2, 3, 4]
