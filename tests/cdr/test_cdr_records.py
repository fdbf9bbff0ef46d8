"""Which records can be rated, how their numbers are normalised, and how many units they have."""

from __future__ import annotations

from typing import Any

import pytest

from cdr_samples import NOW_S, START_S, record
from mubss.cdr.records import to_cdr
from mubss.core.cdr import DAY_S, EARLIEST_S, MAX_DURATION_S, MAX_UNITS, REASONS, CdrFault
from mubss.core.tariff import Unit
from mubss.pb.cdr_pb2 import Record

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "of 1970": ({"start_s": 0}, "bad-time", "start_s: 0; expected from 946684800"),
    "of 1999": ({"start_s": EARLIEST_S - 1}, "bad-time", "start_s"),
    "of 2090": ({"start_s": 3_786_912_000}, "bad-time", "start_s: 3786912000; expected from"),
    "of in two days": ({"start_s": NOW_S + DAY_S + 1}, "bad-time", "start_s"),
    "before all time": ({"start_s": -(2**63)}, "bad-time", "start_s"),
    "no quarters of an hour": ({"utc_offset_minutes": 61}, "bad-time", "utc_offset_minutes: 61; expected quarters"),
    "too far east": ({"utc_offset_minutes": 855}, "bad-time", "utc_offset_minutes"),
    "too far west": ({"utc_offset_minutes": -855}, "bad-time", "utc_offset_minutes"),
    "a negative duration": ({"duration_s": -1}, "bad-units", "duration_s: -1; expected 0 to 2678400 seconds"),
    "over a month": ({"duration_s": MAX_DURATION_S + 1}, "bad-units", "duration_s"),
    "octets below nothing": ({"octets_up": -5}, "bad-units", "octets_up, octets_down, events: -5, 0, 0; expected 0"),
    "octets over all": ({"octets_up": MAX_UNITS, "octets_down": 1}, "bad-units", "octets_up, octets_down"),
    "octets that make up for each other": ({"octets_up": MAX_UNITS + 1, "octets_down": -1}, "bad-units", "octets_up"),
    "events below nothing": ({"events": -1}, "bad-units", "octets_up, octets_down, events: 0, 0, -1"),
    "events over all": ({"events": MAX_UNITS + 1}, "bad-units", "events"),
    "letters": ({"calling": "Info"}, "bad-number", "calling: 'xxxx'; expected 1 to 15 digits"),
    "too many digits": ({"called": "1" * 16}, "bad-number", "called: '9999999999999999'; expected 1 to 15 digits"),
    "a service code": ({"called": "*100#"}, "bad-number", "called: '*999#'"),
    "digits of another script": ({"called": "٠١٢٣٤٥"}, "bad-number", "called: '999999'"),
    "a short number that pays": ({"served_msisdn": "1234"}, "bad-number", "served_msisdn: '9999'; expected 5 to 15"),
    "a plus alone": ({"served_msisdn": "+"}, "bad-number", "served_msisdn: '+'"),
    "a short IMSI": ({"imsi": "1234"}, "bad-number", "imsi: '9999'; expected 5 to 15 digits"),
    "a long IMSI": ({"imsi": "1" * 16}, "bad-number", "imsi: '9999999999999999'; expected 5 to 15 digits"),
    "nobody": ({"calling": ""}, "no-subscriber-named", "served_msisdn, imsi: missing"),
    "a short number alone": ({"calling": "1234"}, "no-subscriber-named", "served_msisdn, imsi: missing"),
    "no type": ({"type": Record.UNSPECIFIED}, "bad-field", "type: '0'; expected one of VOICE, SMS, MMS, DATA, OTHER"),
    "a type of later": ({"type": 99}, "bad-field", "type: '99'"),
    "another service, unnamed": ({"type": Record.OTHER}, "bad-field", "service: ''; expected the code of a service"),
    "no code of a service": ({"service": "a b"}, "bad-field", "service: 'x x'"),
    "no id": ({"record_id": ""}, "bad-field", "record_id: missing; expected 1 to 64 printable ASCII letters"),
    "a long id": ({"record_id": "x" * 65}, "bad-field", "65 letters; expected up to 64 printable letters"),
    "an id of two lines": ({"record_id": "a\nb"}, "bad-field", r"record_id: 'x\nx'"),
    "an id that isn't ASCII": ({"record_id": "µ"}, "bad-field", "record_id: 'x'; expected printable ASCII letters"),
    "a short IMEI": ({"imei": "1" * 13}, "bad-field", "imei: '9999999999999'; expected 14 to 16 digits"),
    "a long cell": ({"cell": "x" * 65}, "bad-field", "cell"),
    "a network's name": ({"network": "D1"}, "bad-field", "network: 'x9'; expected an MCC and MNC, 5 or 6 digits"),
    "a long call id": ({"call_id": "x" * 129}, "bad-field", "call_id"),
    "a long session": ({"session_id": "x" * 1025}, "bad-field", "session_id"),
    "a NUL": ({"session_id": "a\0"}, "bad-field", r"session_id: 'x\x00'; expected up to 1024 printable letters"),
    "too many parts": ({"partial_sequence": 10_001}, "bad-field", "partial_sequence: 10001; expected 0 to 10000"),
}


@pytest.mark.parametrize(("changed", "reason", "text"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_and_why(changed: dict[str, Any], reason: str, text: str) -> None:
    with pytest.raises(CdrFault) as caught:
        to_cdr(record(**changed), NOW_S)
    assert caught.value.reason == reason
    assert text in str(caught.value)
    assert reason in REASONS


@pytest.mark.parametrize(
    "changed",
    [
        {"start_s": EARLIEST_S},
        {"start_s": NOW_S + DAY_S},
        {"utc_offset_minutes": -840},
        {"utc_offset_minutes": 345},
        {"duration_s": MAX_DURATION_S, "start_s": NOW_S - 29 * 86_400},
        {"duration_s": NOW_S + 2 * 86_400 - START_S},
        {"duration_s": 0},
        {"octets_up": MAX_UNITS - 1, "octets_down": 1},
        {"record_id": "~" * 64},
        {"cell": "Gebäude 7"},
        {"imsi": "12345", "imei": "1" * 16, "network": "310260"},
        {"calling": "", "served_msisdn": "12345"},
        {"calling": "", "imsi": "999700000000001"},
        {"calling": "70707", "called": ""},
        {"type": Record.OTHER, "service": "PARKING_1"},
        {"partial_sequence": 10_000, "is_last_partial": True},
    ],
)
def test_what_is_just_taken(changed: dict[str, Any]) -> None:
    found = to_cdr(record(**changed), NOW_S)
    for name, value in changed.items():
        if name != "type":
            assert getattr(found, name) == value


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("4989123456", "4989123456"),
        ("+4989123456", "4989123456"),
        ("+49 (89) 123-456", "4989123456"),
        ("tel:+49-89-123.456;ext=1", "4989123456"),
        ("TEL:4989123456", "4989123456"),
        ("sip:+4989123456@ims.example;user=phone", "4989123456"),
        ("sips:4989123456@ims.example", "4989123456"),
        ("112", "112"),
        ("tel:112", "112"),
    ],
)
def test_numbers_are_normalised(written: str, digits: str) -> None:
    assert to_cdr(record(called=written), NOW_S).called == digits
    assert to_cdr(record(served_msisdn="12345", calling=written), NOW_S).calling == digits
    if len(digits) > 4:
        assert to_cdr(record(served_msisdn=written), NOW_S).served_msisdn == digits


def test_who_pays() -> None:
    assert to_cdr(record(calling="+999700000001"), NOW_S).served_msisdn == "999700000001"
    assert to_cdr(record(served_msisdn="+999700000002"), NOW_S).served_msisdn == "999700000002"
    short = to_cdr(record(calling="1234", imsi="999700000000001"), NOW_S)
    assert (short.served_msisdn, short.calling, short.imsi) == ("", "1234", "999700000000001")


def test_the_service_is_the_type_unless_it_is_named() -> None:
    assert to_cdr(record(), NOW_S).service == "VOICE"
    assert to_cdr(record(service="VIDEO"), NOW_S).service == "VIDEO"
    assert to_cdr(record(type=Record.OTHER, service="GAME"), NOW_S)[1:3] == ("OTHER", "GAME")


def test_the_last_part_is_one_of_parts() -> None:
    assert not to_cdr(record(is_last_partial=True), NOW_S).is_last_partial
    assert to_cdr(record(is_last_partial=True, partial_sequence=1), NOW_S).is_last_partial


def test_every_field_arrives_in_its_place() -> None:
    texts = {"cell": "c", "session_id": "s", "call_id": "i", "imsi": "12345", "imei": "1" * 14, "network": "26201"}
    numbers = {"octets_up": 2, "octets_down": 3, "events": 4, "charging_id": 5, "partial_sequence": 6}
    fields = {**texts, **numbers, "start_s": START_S, "duration_s": 1, "served_msisdn": "23456"}
    found = to_cdr(record(**fields), NOW_S)
    assert found._asdict().items() >= fields.items()
    assert found._fields == tuple(Record.DESCRIPTOR.fields_by_name)


def test_units() -> None:
    found = to_cdr(record(octets_up=3, octets_down=4, events=2), NOW_S)
    assert [found.units(unit) for unit in (Unit.OCTETS, Unit.SECONDS, Unit.EVENTS)] == [7, 60, 2]
    assert to_cdr(record(type=Record.SMS), NOW_S).units(Unit.EVENTS) == 1


def test_a_fault_holds_no_number() -> None:
    with pytest.raises(CdrFault) as caught:
        to_cdr(record(served_msisdn="+49 170 1234567 x"), NOW_S)
    assert str(caught.value).startswith("served_msisdn: '+99 999 9999999 x'; expected")
