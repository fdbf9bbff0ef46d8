"""What an answer says beside its grants, on the wire: thresholds, holding time, pools, the end, balance."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gy_wire import find, names
from mubss.core.model import Outcome, Result, UnitAnswer
from mubss.core.tariff import TERMINATE, Final, FinalAction
from mubss.gy.cca import FinalUnit, MsccAnswer
from mubss.gy.codec import Ccr, Identity, Units, decode_cca, encode_cca
from mubss.gy.credit_answer import to_answer
from mubss.gy.grammar import check_answer
from mubss.gy.profile import Profile, make_profiles

GENERIC = Profile()
PROFILES = make_profiles(GENERIC)
SESSION_ID = bytes.fromhex("000001074000000b733b3100")  # s;1
ASKED = Ccr(session_id="s;1", session_id_avp=SESSION_ID, cc_request_type=2, cc_request_number=1)
CHANGE_S = 1_795_806_000
OCTETS, SECONDS, EVENTS = ("octets", 1_000), ("seconds", 60), ("events", 50)


def frame_of(outcome: Outcome, profile: Profile) -> bytes:
    """The answer as it goes out; it keeps to the grammar."""
    frame = encode_cca(ASKED, to_answer(outcome, profile, {"EUR": 978}), Identity("ocs.example", "example", 7))
    check_answer(frame)
    return frame


def told(unit: tuple[str, int], profile: Profile = GENERIC, **more: Any) -> MsccAnswer:
    """The one MSCC of an answer to an update that got these units."""
    answer = UnitAnswer(False, 1, [], Result.SUCCESS, unit[0], unit[1], 3600)._replace(**more)
    [mscc] = decode_cca(frame_of(Outcome(2 << 32, 0, Result.SUCCESS, [answer]), profile)).answer.msccs
    return mscc


@pytest.mark.conforms("TS 32.299 §7.2", "Volume-Quota-Threshold below the grant; none in a last one")
@pytest.mark.conforms("TS 32.299 §7.2", "Time-Quota-Threshold in the client's unit")
@pytest.mark.conforms("TS 32.299 §7.2", "Unit-Quota-Threshold for events")
@pytest.mark.conforms("TS 32.299 §7.2", "Quota-Holding-Time where tariff or profile set it")
@pytest.mark.conforms("Client cisco-pgw", "869 below the grant, and 871")
@pytest.mark.conforms("Client open5gs", "869 is below the grant, or not there")
@pytest.mark.conforms("Client kamailio", "868 before the end of the grant")
@pytest.mark.parametrize(
    "unit, more, profile, expected",
    [
        (OCTETS, {}, "generic", (None, None, None, None)),
        (OCTETS, {"threshold_units": 7, "holding_time_s": 9}, "generic", (7, None, None, 9)),
        (SECONDS, {"threshold_units": 7}, "generic", (None, 7, None, None)),
        (EVENTS, {"threshold_units": 7}, "generic", (None, None, 7, None)),
        (OCTETS, {}, "cisco-pgw", (200, None, None, 600)),
        (OCTETS, {"threshold_units": 7, "holding_time_s": 9}, "cisco-pgw", (7, None, None, 9)),
        (SECONDS, {}, "kamailio", (None, 6, None, None)),
        (("octets", 4), {}, "open5gs", (None, None, None, None)),  # below one unit there is none
        (OCTETS, {"final": TERMINATE}, "open5gs", (None, None, None, None)),
        (("octets", 1 << 40), {"threshold_units": 1 << 39}, "generic", ((1 << 32) - 1, None, None, None)),
    ],
)  # fmt: skip
def test_when_a_client_asks_again_and_gives_back(
    unit: tuple[str, int], more: dict[str, Any], profile: str, expected: tuple[int | None, ...]
) -> None:
    mscc = told(unit, PROFILES[profile], **more)
    assert (
        mscc.volume_quota_threshold_octets,
        mscc.time_quota_threshold_s,
        mscc.unit_quota_threshold,
        mscc.quota_holding_time_s,
    ) == expected


@pytest.mark.conforms("RFC 8506 §8.34", "Final-Unit-Indication: terminate, redirect, restrict with filters")
@pytest.mark.parametrize(
    "final, expected",
    [
        (Final(), FinalUnit(0)),
        (Final(FinalAction.REDIRECT, "https://top-up.example/"), FinalUnit(1, "https://top-up.example/", 2)),
        (Final(FinalAction.REDIRECT, "192.0.2.1"), FinalUnit(1, "192.0.2.1", 0)),
        (Final(FinalAction.REDIRECT, "2001:db8::1"), FinalUnit(1, "2001:db8::1", 1)),
        (Final(FinalAction.REDIRECT, "SIP:help@example"), FinalUnit(1, "SIP:help@example", 3)),
        (
            Final(FinalAction.RESTRICT, "", ("permit in ip from any to 192.0.2.1",), ("portal",)),
            FinalUnit(2, None, 2, ("permit in ip from any to 192.0.2.1",), ("portal",)),
        ),
    ],
)
def test_what_happens_after_the_last_grant(final: Final, expected: FinalUnit) -> None:
    assert told(OCTETS, final=final.key).final_unit == expected


@pytest.mark.conforms("RFC 8506 §5.6.2", "redirected at once where nothing is left")
def test_a_redirect_without_a_grant_is_for_now() -> None:
    key = Final(FinalAction.REDIRECT, "https://top-up.example/").key
    mscc = told(OCTETS, PROFILES["cisco-pgw"], granted_units=None, final=key)
    assert (mscc.result_code, mscc.granted, mscc.validity_time_s) == (2001, None, 3600)
    assert mscc.final_unit == FinalUnit(1, "https://top-up.example/")
    assert (mscc.volume_quota_threshold_octets, mscc.quota_holding_time_s) == (None, None)


@pytest.mark.conforms("RFC 8506 §8.30", "G-S-U-Pool-Reference with CC-Unit-Type and Unit-Value")
@pytest.mark.parametrize("unit, unit_type", [(OCTETS, 2), (SECONDS, 0), (EVENTS, 5)])
def test_a_credit_pool_names_its_unit_and_worth(unit: tuple[str, int], unit_type: int) -> None:
    assert told(unit, pool=[3, 2, -2]).pool == (3, unit_type, 2, -2)


@pytest.mark.conforms("RFC 8506 §8.20", "Tariff-Time-Change within Granted-Service-Unit")
def test_a_tariff_that_changes_stands_in_the_grant() -> None:
    mscc = told(OCTETS, change_s=CHANGE_S)
    assert (mscc.tariff_time_change_s, mscc.granted) == (CHANGE_S, Units(1_000))


@pytest.mark.conforms("RFC 8506 §8.7", "Cost-Information in an answer")
@pytest.mark.conforms("TS 32.299 §7.2", "Remaining-Balance in an answer")
def test_the_balance_is_told_with_its_currency() -> None:
    outcome = Outcome(2 << 32, 0, Result.SUCCESS, [], 60_000, "EUR", None, -9_940_000, True)
    frame = frame_of(outcome, GENERIC)
    assert find(frame, "Low-Balance-Indication") == 1
    money, currency = find(frame, "Remaining-Balance")
    assert ([part.value for part in money.value], currency.value) == ([-994, -2], 978)
    assert decode_cca(frame).answer.cost_information == (6, -2, 978)
    assert "Remaining-Balance" not in names(frame_of(outcome._replace(balance_micros=None), GENERIC))


@pytest.mark.conforms("RFC 8506 §8.14", "Credit-Control-Failure-Handling in the first answer")
@pytest.mark.conforms("RFC 8506 §8.4", "CC-Session-Failover in the first answer")
@pytest.mark.parametrize(
    "key, profile, expected",
    [
        (1 << 32, GENERIC, (1, 2)),
        (2 << 32, GENERIC, (None, None)),
        (4 << 32, GENERIC, (None, None)),
        (1 << 32, replace(GENERIC, session_failover=None, failure_handling=None), (None, None)),
        (1 << 32, replace(GENERIC, session_failover=0, failure_handling=1), (0, 1)),
    ],
)
def test_the_first_answer_says_what_to_do_without_one(
    key: int, profile: Profile, expected: tuple[int | None, int | None]
) -> None:
    answer = decode_cca(frame_of(Outcome(key, 0, Result.SUCCESS, []), profile)).answer
    assert (answer.session_failover, answer.failure_handling) == expected
