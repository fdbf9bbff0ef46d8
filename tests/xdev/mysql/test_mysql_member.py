"""What a server says of itself, and whether it may be written: versions, read-only servers, groups and their quorum."""

from __future__ import annotations

from itertools import product

import pytest

from mubss.xdev.mysql.member import Facts, Member, is_in_group, read_facts, too_old, why_not

ME, TWO, THREE = "11111111-aaaa", "22222222-bbbb", "33333333-cccc"
STATES = ("ONLINE", "RECOVERING", "OFFLINE", "ERROR", "UNREACHABLE")


def facts(version: str = "8.4.3", *, read_only: int = 0) -> Facts:
    return Facts(version, read_only, ME, 1 << 26)


def group(*members: str) -> list[Member]:
    """Of "ONLINE PRIMARY" and so on: this server, then the others."""
    return [Member(uuid, *text.split()) for uuid, text in zip((ME, TWO, THREE), members, strict=False)]


def test_the_facts_are_read_from_their_row() -> None:
    assert read_facts([("8.0.36", 1, ME, 67_108_864)]) == Facts("8.0.36", 1, ME, 67_108_864)


OLD = "it is version {}; expected MySQL 8.0.19 or later: upgrade it"
VERSIONS = {
    "8.0.19": "",
    "8.0.36-0ubuntu0.22.04.1": "",
    "8.0.36-28": "",
    "8.1.0": "",
    "8.4.3-commercial": "",
    "9.5.0": "",
    "10.0.0": "",
    "8.0.18": OLD,
    "8.0.9": OLD,
    "5.7.44-log": OLD,
    "5.5.5-10.6.16-MariaDB-1:10.6.16+maria~ubu2004": OLD,
    "11.4.2-MariaDB": OLD,
    "8.0": OLD,
    "": OLD,
    "no version": OLD,
    "x8.0.36": OLD,
}


@pytest.mark.parametrize(("version", "reason"), VERSIONS.items())
def test_versions(version: str, reason: str) -> None:
    assert too_old(facts(version)) == reason.format(version[:40])


# (members, is it read-only?, why it can't be written)
GROUPS: list[tuple[list[Member], int, str]] = [
    ([], 0, ""),
    ([], 1, "it is read-only"),
    (group("OFFLINE -"), 0, ""),  # it left its group, or never joined one
    (group("OFFLINE -"), 1, "it is read-only"),
    (group("ONLINE PRIMARY"), 0, ""),
    (group("ONLINE PRIMARY"), 1, "it is read-only"),
    (group("ONLINE PRIMARY", "ONLINE SECONDARY", "ONLINE SECONDARY"), 0, ""),
    (group("ONLINE PRIMARY", "ONLINE PRIMARY", "ONLINE PRIMARY"), 0, ""),  # a group of many primaries
    (group("ONLINE PRIMARY", "ONLINE SECONDARY", "ONLINE SECONDARY"), 1, "it is read-only"),
    (group("ONLINE PRIMARY", "RECOVERING SECONDARY", "UNREACHABLE SECONDARY"), 0, ""),
    (group("ONLINE PRIMARY", "ONLINE SECONDARY", "ERROR SECONDARY"), 0, ""),
    (group("ONLINE SECONDARY", "ONLINE PRIMARY", "ONLINE SECONDARY"), 0, "it isn't the primary of its group"),
    (group("ONLINE SECONDARY", "ONLINE PRIMARY", "ONLINE SECONDARY"), 1, "it isn't the primary of its group"),
    (group("RECOVERING SECONDARY", "ONLINE PRIMARY"), 1, "it is RECOVERING in its group"),
    (group("ERROR PRIMARY", "ONLINE PRIMARY"), 0, "it is ERROR in its group"),
    (group("OFFLINE PRIMARY", "ONLINE PRIMARY"), 0, "it is OFFLINE in its group"),
    ([Member(TWO, "ONLINE", "PRIMARY")], 0, "it is no member in its group"),
    (
        group("ONLINE PRIMARY", "UNREACHABLE SECONDARY", "UNREACHABLE SECONDARY"),
        0,
        "its group has no quorum (1 of 3 members reachable)",
    ),
    (
        group("ONLINE PRIMARY", "UNREACHABLE SECONDARY", "ERROR SECONDARY"),
        0,
        "its group has no quorum (1 of 3 members reachable)",
    ),
    (group("ONLINE PRIMARY", "UNREACHABLE SECONDARY"), 0, "its group has no quorum (1 of 2 members reachable)"),
    (
        group("ONLINE SECONDARY", "UNREACHABLE PRIMARY", "UNREACHABLE SECONDARY"),
        1,
        "its group has no quorum (1 of 3 members reachable)",
    ),
]


@pytest.mark.parametrize(("members", "read_only", "reason"), GROUPS)
def test_whether_a_server_may_be_written(members: list[Member], read_only: int, reason: str) -> None:
    assert why_not(facts(read_only=read_only), members) == reason


def test_one_of_several_that_was_left_behind_by_its_group_is_not_written() -> None:
    alone = [Member("", "OFFLINE", "")]
    assert why_not(facts(), alone, of_several=True) == "it isn't in its group"
    assert why_not(facts(), alone) == ""
    assert why_not(facts(), [], of_several=True) == ""  # it was never made for a group


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([], False),
        (group("OFFLINE -"), False),
        (group("ONLINE PRIMARY"), True),
        (group("ERROR -"), True),
        (group("OFFLINE -", "ONLINE PRIMARY"), True),
    ],
)
def test_who_is_in_a_group(members: list[Member], expected: bool) -> None:
    assert is_in_group(members) is expected


def test_of_two_halves_of_a_group_at_most_one_is_written() -> None:
    """Whatever of three servers sees of whatever others: with itself it is reachable for a majority, or it says no."""
    for mine, role, *others in product(STATES, ("PRIMARY", "SECONDARY"), STATES, STATES):
        members = group(f"{mine} {role}", *(f"{state} SECONDARY" for state in others))
        reachable = sum(state in ("ONLINE", "RECOVERING") for state in (mine, *others))
        is_outside = {mine, *others} == {"OFFLINE"}
        expected = is_outside or (mine == "ONLINE" and role == "PRIMARY" and reachable >= 2)
        assert (why_not(facts(), members) == "") is expected, members
        assert why_not(facts(read_only=1), members) != ""
