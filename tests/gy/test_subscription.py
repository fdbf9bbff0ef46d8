"""Identities as clients write them: type, order, scheme, + and NAI (RFC 8506 §8.46, TS 23.003 §19.3.2)."""

from __future__ import annotations

import pytest

from mubss.gy.codec import Ccr
from mubss.gy.subscription import called_number, identities

E164, IMSI, SIP, NAI, PRIVATE = range(5)
ORDER = ("e164", "imsi", "sip", "nai", "private")


@pytest.mark.conforms("RFC 8506 §8.47", "each Subscription-Id-Type: +, tel:, sip:, NAI, IMSI")
@pytest.mark.conforms("Rule 8", "addresses are read whatever they are written like")
@pytest.mark.parametrize(
    "kind, data, expected",
    [
        (E164, "999700000001", ["e164:999700000001"]),
        (E164, "+999700000001", ["e164:999700000001"]),
        (E164, " +999700000001 ", ["e164:999700000001"]),
        (E164, "tel:+999700000001", ["e164:999700000001"]),
        (E164, "TEL:999700000001;phone-context=example", ["e164:999700000001"]),
        (E164, "tel:+999-700.(000)001", ["e164:999700000001"]),
        (E164, "+999 700 000 001", ["e164:999700000001"]),
        (E164, "Tel:999-700-000-001", ["e164:999700000001"]),
        (E164, "999-700-000-001", []),
        (E164, "sip:+999700000001@ims.example;user=phone", ["e164:999700000001"]),
        (E164, "sips:999700000001@ims.example", ["e164:999700000001"]),
        (E164, "999700000001;npdi@ims.example", ["e164:999700000001"]),
        (E164, "10.45.0.2", []),
        (E164, "1234", []),
        (E164, "1234567890123456", []),
        (E164, "alice", []),
        (E164, "", []),
        (E164, "٩٩٩٧٠٠٠٠٠٠٠١", []),
        (IMSI, "999700000000001", ["imsi:999700000000001"]),
        (IMSI, "99970000000001", ["imsi:99970000000001"]),
        (IMSI, "999700000000001@ims.mnc070.mcc999.3gppnetwork.org", ["imsi:999700000000001"]),
        (IMSI, "0999700000000001@nai.epc.mnc070.mcc999.3gppnetwork.org", ["imsi:999700000000001"]),
        (IMSI, "IMSI999700000000001", []),
        (SIP, "sip:999700000001@ims.example", ["e164:999700000001", "imsi:999700000001"]),
        (SIP, "sip:+999700000001@ims.example", ["e164:999700000001", "imsi:999700000001"]),
        (SIP, "tel:+999700000001", ["e164:999700000001", "imsi:999700000001"]),
        (SIP, "sip:alice@ims.example", []),
        (NAI, "999700000000001@realm.example", ["imsi:999700000000001"]),
        (NAI, "99970000000001@realm.example", ["imsi:99970000000001"]),
        (NAI, "0999700000000001@nai.epc.example", ["imsi:999700000000001"]),
        (NAI, "6999700000000001@nai.epc.example", ["imsi:999700000000001"]),
        (NAI, "999700000001@realm.example", ["e164:999700000001"]),
        (NAI, "alice@realm.example", []),
        (PRIVATE, "999700000001", ["e164:999700000001", "imsi:999700000001"]),
        (PRIVATE, "999700000000001@ims.example", ["e164:999700000000001", "imsi:999700000000001"]),
        (5, "999700000001", []),
    ],
)
def test_one_subscription_id(kind: int, data: str, expected: list[str]) -> None:
    assert identities(Ccr(subscription_ids=[(kind, data)]), ORDER, "") == expected


@pytest.mark.parametrize(
    "order, expected",
    [
        (ORDER, ["e164:999700000001", "e164:999700000003", "imsi:999700000000001"]),
        (("imsi", "e164"), ["imsi:999700000000001", "e164:999700000001", "e164:999700000003"]),
        (("imsi",), ["imsi:999700000000001"]),
        (("sip",), []),
    ],
)
def test_the_configured_order_decides(order: tuple[str, ...], expected: list[str]) -> None:
    named = [(IMSI, "999700000000001"), (E164, "999700000001"), (E164, "+999700000001"), (E164, "999700000003")]
    assert identities(Ccr(subscription_ids=named), order, "") == expected


@pytest.mark.conforms("Rule 8", "User-Name, then the profile's subscriber")
@pytest.mark.parametrize(
    "named, user_name, expected",
    [
        ([(E164, "999700000001")], "999700000002", ["e164:999700000001"]),
        ([(SIP, "sip:alice@example")], "999700000002", ["e164:999700000002", "imsi:999700000002"]),
        ([], "+999700000002", ["e164:999700000002", "imsi:999700000002"]),
        ([], "0999700000000002@nai.example", ["imsi:999700000000002"]),
        ([], "diameter", ["e164:999700000009"]),
        ([], None, ["e164:999700000009"]),
    ],
)
def test_user_name_then_the_default_stand_in(
    named: list[tuple[int, str]], user_name: str | None, expected: list[str]
) -> None:
    ccr = Ccr(subscription_ids=named, user_name=user_name)
    assert identities(ccr, ORDER, "e164:999700000009") == expected


def test_nobody_is_an_empty_list() -> None:
    assert identities(Ccr(user_name="diameter"), ORDER, "") == []


def test_a_long_text_is_no_identity() -> None:
    assert identities(Ccr(subscription_ids=[(E164, "9" * 60_000)], user_name="x" * 60_000), ORDER, "") == []


@pytest.mark.conforms("TS 32.299 §7.2", "Called-Party-Address in every form")
@pytest.mark.parametrize(
    "address, expected",
    [
        ("sip:+491711234567@ims.example;user=phone", "491711234567"),
        ("tel:+49-171-1234567", "491711234567"),
        ("491711234567", "491711234567"),
        ("tel:112", "112"),
        ("112", "112"),
        ("sip:112@ims.example", "112"),
        ("urn:service:sos", ""),
        ("sip:alice@ims.example", ""),
        ("sip:" + "1" * 60_000, ""),
        ("", ""),
    ],
)
def test_who_is_called(address: str, expected: str) -> None:
    assert called_number(Ccr(called_party_address=address)) == expected
    assert called_number(Ccr(recipient_addresses=[address, "4930"])) == expected


def test_nobody_is_called() -> None:
    assert called_number(Ccr()) == ""
    assert called_number(Ccr(called_party_address="tel:+4930123456", recipient_addresses=["41"])) == "4930123456"
