"""Every client's requests decode to the values that went in, read whole and through the framer byte by byte."""

from __future__ import annotations

from typing import Any

import pytest

from mubss.gy.avp import decode_tree
from mubss.gy.ccr import EVENT, INITIAL, TERMINATION, UPDATE
from mubss.gy.codec import Ccr, Mscc, Units, UsedUnits, decode_ccr, encode_ccr
from mubss.gy.message import Framer
from tests.vectors.load import every, load

NOW_S = 1_767_225_600
LOCATION = bytes.fromhex("8299f907000199f90700000101")
BOTH = [(1, "999700000000001"), (0, "999700000001")]

OPEN5GS: dict[str, Any] = {
    "session_id": "smf.localdomain;1767225600;1;app_gy",
    "origin_host": "smf.localdomain",
    "origin_realm": "localdomain",
    "destination_realm": "localdomain",
    "auth_application_id": 4,
    "service_context_id": "32251@3gpp.org",
    "subscription_ids": BOTH,
    "requested_action": 0,
    "aoc_request_type": 0,
    "charging_id": 41,
    "called_station_id": "internet",
    "charging_characteristics": "0000",
    "sgsn_mcc_mnc": "99970",
    "location": LOCATION,
    "rat_type": 6,
    "user_equipment": (0, b"4370816125816151"),
}
OPEN5GS_LATER = OPEN5GS | {"destination_host": "ocs.mubss.example"}
MEGABYTE = Units(total_octets=1_000_000)

MAGMA: dict[str, Any] = {
    "session_id": "feg.magma.example;IMSI999700000000001-91",
    "origin_host": "feg.magma.example",
    "origin_realm": "magma.example",
    "auth_application_id": 4,
    "service_context_id": "32251@3gpp.org",
    "event_timestamp_s": NOW_S,
    "subscription_ids": [(0, "999700000001"), (1, "999700000000001")],
    "multiple_services_indicator": 1,
    "user_equipment": (0, b"4370816125816151"),
    "charging_id": 7,
    "called_station_id": "magma.ipv4",
    "rat_type": 6,
    "location": LOCATION,
}
MAGMA_ASKED = Units(2_000_000, 1_000_000, 1_000_000)

KAMAILIO: dict[str, Any] = {
    "session_id": "scscf.ims.example;1767225600;17",
    "origin_host": "scscf.ims.example",
    "origin_realm": "ims.example",
    "destination_realm": "ims.example",
    "auth_application_id": 4,  # inside Vendor-Specific-Application-Id
    "user_name": "999700000000001@ims.example",
    "service_context_id": "ext.01.001.8.32260@3gpp.org",
    "multiple_services_indicator": 1,
    "role_of_node": 0,
    "calling_party_address": "tel:+999700000001",
    "called_party_address": "sip:+491711234567@ims.example;user=phone",
    "subscription_ids": [(2, "sip:999700000001@ims.example")],
    "service_subscription_ids": [(2, "sip:999700000001@ims.example")],
}
TEL = {"subscription_ids": [(0, "+999700000001")], "service_subscription_ids": [(0, "+999700000001")]}

ERGW: dict[str, Any] = {
    "session_id": "pgw.ergw.example;4242;1",
    "origin_host": "pgw.ergw.example",
    "origin_realm": "ergw.example",
    "destination_realm": "mubss.example",
    "auth_application_id": 4,
    "service_context_id": "14.32251@3gpp.org",
    "event_timestamp_s": NOW_S,
    "subscription_ids": BOTH,
    "multiple_services_indicator": 1,
    "charging_id": 4_242,
    "called_station_id": "internet",
    "rat_type": 6,
}
ERGW_USED = UsedUnits(1_100, 100, 1_000, 60, reporting_reasons=[4])

SIPHON: dict[str, Any] = {
    "session_id": "siphon.example;1;1",
    "origin_host": "siphon.example",
    "origin_realm": "example",
    "destination_realm": "mubss.example",
    "auth_application_id": 4,
    "service_context_id": "32260@3gpp.org",
    "event_timestamp_s": NOW_S,
    "subscription_ids": [(0, "999700000001")],
    "role_of_node": 0,
    "calling_party_address": "tel:+999700000001",
    "called_party_address": "tel:+4930123456",
}

SMS: dict[str, Any] = {
    "destination_realm": "mubss.example",
    "auth_application_id": 4,
    "service_context_id": "32274@3gpp.org",
    "cc_request_type": EVENT,
    "event_timestamp_s": NOW_S,
    "subscription_ids": [(0, "999700000001")],
    "requested_action": 0,
    "msccs": [Mscc(None, [1], Units(service_specific_units=1))],
}

SEAGULL: dict[str, Any] = {
    "session_id": ".;1096298391;1",
    "origin_host": "seagull.example",
    "origin_realm": "example",
    "destination_realm": "mubss.example",
    "auth_application_id": 4,
    "service_context_id": "32260@3gpp.org",
}

CISCO: dict[str, Any] = {
    "session_id": "0001-diamproxy.pgw.cisco.example;1;5",
    "origin_host": "0001-diamproxy.pgw.cisco.example",
    "origin_realm": "cisco.example",
    "destination_realm": "mubss.example",
    "destination_host": "ocs.mubss.example",
    "auth_application_id": 4,
    "service_context_id": "32251@3gpp.org",
    "origin_state_id": 1_767_225_000,
    "event_timestamp_s": NOW_S,
    "subscription_ids": [(0, "999700000001"), (1, "999700000000001")],
    "multiple_services_indicator": 1,
    "charging_id": 0xDEADBEEF,
    "called_station_id": "web",
}


def at(kind: int, number: int, **more: Any) -> dict[str, Any]:
    return {"cc_request_type": kind, "cc_request_number": number, **more}


def used(**more: Any) -> UsedUnits:
    return UsedUnits(**more)


EXPECTED: dict[tuple[str, str], dict[str, Any]] = {
    ("open5gs", "ccr_i"): OPEN5GS
    | at(INITIAL, 0, event_timestamp_s=NOW_S, multiple_services_indicator=0, msccs=[Mscc(requested=MEGABYTE)]),
    ("open5gs", "ccr_u"): OPEN5GS_LATER
    | at(
        UPDATE,
        1,
        event_timestamp_s=NOW_S + 60,
        msccs=[
            Mscc(
                requested=MEGABYTE,
                used=[used(input_octets=300_000, output_octets=700_123, time_s=60, reporting_reasons=[3])],
            )
        ],
    ),
    ("open5gs", "ccr_u_validity"): OPEN5GS_LATER
    | at(
        UPDATE,
        2,
        event_timestamp_s=NOW_S + 120,
        msccs=[
            Mscc(
                requested=MEGABYTE,
                used=[used(input_octets=5, output_octets=7, time_s=60, reporting_reasons=[4])],
                reporting_reasons=[4],
            )
        ],
    ),
    ("open5gs", "ccr_t"): OPEN5GS_LATER
    | at(
        TERMINATION,
        3,
        event_timestamp_s=NOW_S + 180,
        termination_cause=1,
        msccs=[
            Mscc(
                used=[used(input_octets=1_000, output_octets=2_000, time_s=30, reporting_reasons=[2])],
                reporting_reasons=[2],
            )
        ],
    ),
    ("magma", "ccr_i"): MAGMA | at(INITIAL, 1, msccs=[Mscc(1, [101], MAGMA_ASKED), Mscc(2, [102], Units())]),
    ("magma", "ccr_u"): MAGMA
    | at(
        UPDATE,
        2,
        msccs=[
            Mscc(1, [101], MAGMA_ASKED, [UsedUnits(1_500_000, 500_000, 1_000_000, reporting_reasons=[3])]),
            Mscc(2, [102], Units(), [UsedUnits(10, 4, 6, reporting_reasons=[0])]),
        ],
    ),
    ("magma", "ccr_t"): MAGMA
    | at(TERMINATION, 3, msccs=[Mscc(1, [101], None, [UsedUnits(1_234, 234, 1_000, reporting_reasons=[2])])]),
    ("kamailio", "ccr_i"): KAMAILIO | at(INITIAL, 0, msccs=[Mscc(100, [1_000], Units(time_s=30))]),
    ("kamailio", "ccr_i_tel"): KAMAILIO | TEL | at(INITIAL, 0, msccs=[Mscc(100, [1_000], Units(time_s=30))]),
    ("kamailio", "ccr_u"): KAMAILIO | at(UPDATE, 1, msccs=[Mscc(100, [1_000], Units(time_s=30), [used(time_s=30)])]),
    ("kamailio", "ccr_t"): KAMAILIO
    | at(TERMINATION, 2, termination_cause=1, msccs=[Mscc(100, [1_000], None, [used(time_s=12)])]),
    ("ergw", "ccr_i"): ERGW | at(INITIAL, 0, msccs=[Mscc(3_000, requested=Units())]),
    ("ergw", "ccr_u"): ERGW | at(UPDATE, 1, msccs=[Mscc(3_000, requested=Units(), used=[ERGW_USED])]),
    ("ergw", "ccr_t"): ERGW | at(TERMINATION, 2, termination_cause=1, msccs=[Mscc(3_000, used=[ERGW_USED])]),
    ("siphon", "ccr_i"): SIPHON | at(INITIAL, 0, requested=Units(time_s=60)),
    ("siphon", "ccr_u"): SIPHON | at(UPDATE, 1, requested=Units(time_s=60), used=[used(time_s=42)]),
    ("siphon", "ccr_t"): SIPHON | at(TERMINATION, 2, termination_cause=1, used=[used(time_s=42)]),
    ("siphon", "ccr_i_mscc"): SIPHON | at(INITIAL, 0, msccs=[Mscc(1, requested=Units(time_s=60))]),
    ("smsc", "ccr_e"): SMS
    | {
        "session_id": "smsc.example;1767225600;9",
        "origin_host": "smsc.example",
        "origin_realm": "example",
        "cc_request_number": 0,
        "recipient_addresses": ["491711234567"],
    },
    ("python-diameter-sms", "ccr_e"): SMS
    | {
        "session_id": "dra1.python-diameter.org;2;2",
        "origin_host": "dra1.python-diameter.org",
        "origin_realm": "python-diameter.org",
        "user_name": "diameter",
        "cc_request_number": 1,
        "recipient_addresses": ["41780000001"],
    },
    ("seagull", "ccr_i"): SEAGULL | at(INITIAL, 0),
    ("seagull", "ccr_u"): SEAGULL | at(UPDATE, 1, requested=Units(time_s=10), used=[used(time_s=10)]),
    ("seagull", "ccr_t"): SEAGULL | at(TERMINATION, 2, termination_cause=1, used=[used(time_s=10)]),
    ("xk6", "ccr_i"): {
        "session_id": "1;xk6",
        "origin_host": "origin.host",
        "origin_realm": "origin.realm",
        "destination_realm": "dest.realm",
        "cc_request_type": INITIAL,
        "cc_request_number": 1_000,
        "subscription_ids": [(0, "999700000001")],
        "msccs": [Mscc(1, requested=Units(time_s=1_000))],
    },
    ("cisco-pgw", "ccr_i"): CISCO | at(INITIAL, 0, msccs=[Mscc(10, [7], Units())]),
    ("cisco-pgw", "ccr_u"): CISCO
    | at(
        UPDATE,
        1,
        msccs=[
            Mscc(
                10,
                [7],
                Units(),
                [
                    used(time_s=33, reporting_reasons=[0]),
                    UsedUnits(900, 400, 500, tariff_change_usage=0, reporting_reasons=[0]),
                    UsedUnits(100, 50, 50, tariff_change_usage=1, reporting_reasons=[0]),
                ],
                reporting_reasons=[0],
            )
        ],
    ),
    ("cisco-pgw", "ccr_t"): CISCO
    | at(
        TERMINATION,
        2,
        termination_cause=1,
        msccs=[Mscc(10, [7], None, [UsedUnits(900, 400, 500, reporting_reasons=[0])])],
    ),
}


def test_every_request_is_expected() -> None:
    assert set(EXPECTED) == {(client, name) for client, name in every() if name != "cer"}


@pytest.mark.conforms("Rule 7", "every client's requests decode to what went in, whole and byte by byte")
@pytest.mark.parametrize(("client", "name"), EXPECTED)
def test_decodes_to(client: str, name: str) -> None:
    frame = load(client, name)
    framer = Framer()
    (pieced,) = [whole for at_ in range(len(frame)) for whole in framer.feed(frame[at_ : at_ + 1])]
    ccr = decode_ccr(pieced)
    assert ccr == decode_ccr(frame)
    assert (ccr.flags, ccr.application_id, ccr.proxiable, ccr.retransmitted) == (0xC0, 4, True, False)
    assert (ccr.hop_by_hop >> 16, ccr.end_to_end >> 24) == (1, 0x5A)
    (session_id,) = decode_tree(ccr.session_id_avp)
    assert (session_id.name, session_id.flags, session_id.value) == ("Session-Id", 0x40, ccr.session_id)
    copied = {key: getattr(ccr, key) for key in ("hop_by_hop", "end_to_end", "session_id_avp")}
    assert ccr == Ccr(**EXPECTED[client, name], **copied)


@pytest.mark.parametrize(("client", "name"), EXPECTED)
def test_encodes_again(client: str, name: str) -> None:
    ccr = decode_ccr(load(client, name))
    assert decode_ccr(encode_ccr(ccr)) == ccr


def test_units_of_octets() -> None:
    assert [units.octets for units in (Units(5, 1, 2), Units(None, 1, 2), Units(None, None, 2), Units(time_s=1))] == [
        5,
        3,
        2,
        None,
    ]
    assert Units(0, 1, 2).octets == 0
