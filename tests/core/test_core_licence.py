"""The document of a licence, its one form, what it allows, and the rule of the clock."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from licences import MACHINE, NOW_S, OTHER_MACHINE, PLAIN
from mubss.core import licence as rules
from mubss.core.errors import LicenceError
from mubss.core.licence import CLOCK_TOLERANCE_S, DAY_S, DEMO, Feature, Licence, State, canonical, parse

GOOD = json.loads(canonical(PLAIN))


def plain(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}", fullmatch=True)
licences = st.builds(
    Licence,
    names,
    st.text(min_size=1, max_size=50).filter(str.isprintable),
    st.sets(st.from_regex(r"[0-9a-f]{32}", fullmatch=True).filter(rules.is_machine_id), min_size=1, max_size=4).map(
        lambda found: tuple(sorted(found))
    ),
    st.integers(1, 10**9),
    st.integers(10**9 + 1, 2 * 10**9),
    st.integers(0, rules.MAX_SUBSCRIBERS),
    st.integers(0, 2**32 - 1),
    names,
)


@given(licences)
def test_a_licence_comes_back_from_its_canonical_form(licence: Licence) -> None:
    octets = canonical(licence)
    assert parse(octets) == licence
    assert octets.isascii() and b" " not in octets.replace(b"\\u0020", b"").split(b'"licensee"')[0]


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("serial", "", "licence.serial: text of 0 letters ''; expected 1 to 40"),
        ("serial", 7, "licence.serial: 7; expected"),
        ("serial", "a\nb", "licence.serial: text of 3 letters 'a\\nb'"),
        ("licensee", "x" * 201, "licence.licensee: text of 201 letters"),
        ("licensee", None, "licence.licensee: NoneType; expected 1 to 200"),
        ("machine_ids", [], "licence.machine_ids: list of 0; expected 1 to 64"),
        ("machine_ids", [MACHINE, MACHINE], "licence.machine_ids: list of 2"),
        ("machine_ids", [OTHER_MACHINE, MACHINE], "licence.machine_ids: list of 2"),
        ("machine_ids", ["0" * 32], "licence.machine_ids: list of 1"),
        ("machine_ids", [[]], "licence.machine_ids: list of 1"),
        ("machine_ids", {"a": 1}, "licence.machine_ids: object of 1"),
        ("issued_s", True, "licence.issued_s: bool; expected an integer"),
        ("issued_s", 1.5, "licence.issued_s: float; expected an integer"),
        ("expires_s", 10**400, "licence.expires_s: integer of 1,329 bits"),
        ("expires_s", PLAIN.issued_s, "licence.expires_s: 1799913600; expected a time after issued_s"),
        ("subscribers", -1, "licence.subscribers: -1; expected an integer from 0"),
        ("features", 2**32, "licence.features: 4294967296; expected an integer from 0 to 4294967295"),
        ("kind", "free", "licence.kind: text of 4 letters 'free'; expected platform or demo"),
        ("kind", [], "licence.kind: list of 0; expected platform or demo"),
        ("format", 2, "licence.format: 2; expected an integer from 1 to 1"),
    ],
)
def test_a_field_that_cannot_be_is_named(name: str, value: object, told: str) -> None:
    with pytest.raises(LicenceError) as refused:
        parse(plain(GOOD | {name: value}))
    assert str(refused.value).startswith(told)


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"", "licence: 0 octets"),
        (b"{" * 16_385, "licence: 16,385 octets; expected 1 to 16384"),
        (b"[" * 16_000, "licence: no JSON"),
        (b"\xff", "licence: no JSON in ASCII"),
        (b"[]", "licence: list of 0; expected an object"),
        (b"7", "licence: 7; expected an object"),
        (b"{}", "licence.expires_s: missing"),
        (plain(GOOD | {"more": 1}), "licence: a field 'more'"),
        (json.dumps(GOOD, sort_keys=True).encode(), "licence: not in its canonical form"),
        (json.dumps(dict(reversed(GOOD.items())), separators=(",", ":")).encode(), "licence: not in its canonical"),
        (canonical(PLAIN) + b"\n", "licence: not in its canonical form"),
        (canonical(PLAIN).replace(b'"serial"', b'"serial":"S-2","serial"'), "licence: not in its canonical form"),
        (canonical(PLAIN).replace(b"Example", b"\\u0045xample"), "licence: not in its canonical form"),
    ],
)
def test_another_form_of_the_same_is_not_taken(octets: bytes, told: str) -> None:
    with pytest.raises(LicenceError) as refused:
        parse(octets)
    assert str(refused.value).startswith(told)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"expires_s": PLAIN.issued_s + 30 * DAY_S + 1}, "expires_s"),
        ({"subscribers": 100_001}, "subscribers"),
        ({"machine_ids": (MACHINE, OTHER_MACHINE)}, "machine_ids"),
    ],
)
def test_a_demo_has_its_bounds(changes: dict[str, object], field: str) -> None:
    demo = replace(PLAIN, kind=DEMO, expires_s=PLAIN.issued_s + 30 * DAY_S, subscribers=100_000)
    assert parse(canonical(demo)) == demo
    with pytest.raises(LicenceError, match=rf"licence\.{field}: "):
        canonical(replace(demo, **changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("program", "bits"),
    [
        ("mubss-gy", {"PREPAID", "DIAMETER"}),
        ("mubss-cdr", {"CDR_LOADER"}),
        ("mubss-stats", {"STATS"}),
        ("mubss-billing", {"BILLING"}),
        ("mubss-billfmt", {"BILL_FMT"}),
        ("mubss-crm", {"CRM"}),
        ("mubss", set()),
    ],
)
@pytest.mark.parametrize("above", [0, 0xFFFFFF80])
def test_each_program_lacks_just_its_bits_of_all_128_masks(program: str, bits: set[str], above: int) -> None:
    values = {"PREPAID": 1, "CDR_LOADER": 2, "STATS": 4, "BILLING": 8, "BILL_FMT": 16, "CRM": 32, "DIAMETER": 64}
    assert {one.name: one.value for one in Feature} == values
    for mask in range(128):
        assert set(rules.missing(program, mask | above)) == {name for name in bits if not mask & values[name]}
        assert rules.mask_of(rules.feature_names(mask)) == mask


def test_a_feature_that_is_none_is_named() -> None:
    with pytest.raises(LicenceError, match="feature: 'VOICE'; expected one of PREPAID"):
        rules.mask_of(["VOICE"])


@pytest.mark.parametrize(
    ("now_s", "state", "days"),
    [
        (PLAIN.issued_s - CLOCK_TOLERANCE_S - 1, State.NOT_YET, 91),
        (PLAIN.issued_s - CLOCK_TOLERANCE_S, State.VALID, 91),
        (PLAIN.expires_s - 30 * DAY_S - 1, State.VALID, 30),
        (PLAIN.expires_s - 30 * DAY_S, State.EXPIRING, 30),
        (PLAIN.expires_s - 1, State.EXPIRING, 0),
        (PLAIN.expires_s, State.GRACE, 0),
        (PLAIN.expires_s + 7 * DAY_S - 1, State.GRACE, -7),
        (PLAIN.expires_s + 7 * DAY_S, State.EXPIRED, -7),
    ],
)
def test_the_states_of_a_licence(now_s: int, state: State, days: int) -> None:
    assert rules.state(PLAIN, now_s, 7 * DAY_S) is state
    assert rules.days_left(PLAIN, now_s) == days


@pytest.mark.parametrize(
    ("now_s", "elapsed_s", "becomes"),
    [
        (NOW_S + 60, 60, NOW_S + 60),  # as it should be
        (NOW_S - 200, 60, NOW_S),  # a step of NTP
        (NOW_S - 3600, 60, NOW_S + 60),  # an hour back: time goes on without the clock
        (NOW_S + DAY_S, 60, NOW_S + 60),  # a day forward: no further than time went by
        (NOW_S + 360, 60, NOW_S + 360),
        (NOW_S + 361, 60, NOW_S + 60),
    ],
)
def test_the_known_time_follows_the_clock_as_far_as_it_can_be_believed(
    now_s: int, elapsed_s: int, becomes: int
) -> None:
    assert rules.advanced(NOW_S, now_s, elapsed_s) == becomes


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, 2**20))
def test_the_known_time_never_falls(known_s: int, now_s: int, elapsed_s: int) -> None:
    after_s = rules.advanced(known_s, now_s, elapsed_s)
    assert known_s <= after_s <= known_s + elapsed_s + CLOCK_TOLERANCE_S


@pytest.mark.parametrize(("back_s", "is_back"), [(0, False), (300, False), (301, True), (3600, True), (-DAY_S, False)])
def test_a_clock_that_is_set_back_is_known(back_s: int, is_back: bool) -> None:
    assert rules.is_rolled_back(NOW_S - back_s, NOW_S) is is_back
