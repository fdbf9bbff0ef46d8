"""Whom a certificate names, and whether that is the peer: tables."""

from __future__ import annotations

from typing import Any

import pytest

from mubss.gy.certificate_names import SHOWN_LETTERS, covers, names_in, shown

SUBJECT = ((("countryName", "DE"),), (("commonName", "pgw.example"), ("commonName", "second.example")))


@pytest.mark.parametrize(
    ("certificate", "names"),
    [
        ({"subject": SUBJECT}, ("pgw.example", "second.example")),
        (
            {"subject": SUBJECT, "subjectAltName": (("DNS", "a.example"), ("DNS", "*.b.example"))},
            ("a.example", "*.b.example"),
        ),
        ({"subject": SUBJECT, "subjectAltName": (("IP Address", "192.0.2.1"), ("URI", "aaa://pgw.example"))}, ()),
        ({"subject": ((("organizationName", "pgw.example"),),)}, ()),
        ({}, ()),
    ],
)  # fmt: skip
def test_names_in(certificate: dict[str, Any], names: tuple[str, ...]) -> None:
    assert names_in(certificate) == names


@pytest.mark.parametrize(
    ("name", "host", "does"),
    [
        ("pgw.example", "pgw.example", True),
        ("PGW.Example", "pgw.eXample", True),
        ("pgw.example", "pgw.example.org", False),
        ("pgw.example", "xpgw.example", False),
        ("*.example", "pgw.example", True),
        ("*.EXAMPLE", "PGW.example", True),
        ("*.example", "a.pgw.example", False),
        ("*.example", "example", False),
        ("*.example", ".example", False),
        ("*", "pgw", False),
        ("*", "pgw.example", False),
        ("*.", "pgw.", False),
        ("p*.example", "pgw.example", False),
        ("pgw.*", "pgw.example", False),
        ("pgw.example\0.evil", "pgw.example", False),
    ],
)
def test_covers(name: str, host: str, does: bool) -> None:
    assert covers([name], host) is does
    assert covers(["other.example", name], host) is does


def test_nobody_is_covered_by_no_names() -> None:
    assert not covers([], "pgw.example")


def test_shown_is_bounded() -> None:
    assert shown(("a.example", "b.example")) == "a.example, b.example"
    assert shown(()) == "no host"
    assert len(shown(("a" * 200,) * 1000)) == SHOWN_LETTERS + 1
