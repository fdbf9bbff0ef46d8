"""The audit of dependencies: what pip-audit's answer comes to, and that what is let pass is let pass for a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from google.protobuf.internal import api_implementation

import audit

ROOT = Path(__file__).parents[2]
SOURCES = [file.read_text("utf-8") for file in (ROOT / "mubss").rglob("*.py")]

TOLD = {
    "dependencies": [
        {"name": "click", "version": "8.5.1", "vulns": []},
        {"name": "odd", "skip_reason": "Dependency not found on PyPI and could not be audited: odd (1.0)"},
        {
            "name": "ecdsa",
            "version": "0.19.2",
            "vulns": [
                {"id": "PYSEC-2026-1", "fix_versions": [], "aliases": ["CVE-2024-23342"], "description": "x"},
                {"id": "CVE-2030-1", "fix_versions": ["9.9", "10.1"], "aliases": [], "description": "x"},
            ],
        },
    ],
    "fixes": [],
}


def test_what_is_told_beyond_what_is_known() -> None:
    answer = audit.read(TOLD)
    assert [one.package for one in answer.found] == ["ecdsa", "ecdsa"]
    assert answer.left_out == ["odd: Dependency not found on PyPI and could not be audited: odd (1.0)"]
    [left] = audit.unknown(answer.found, audit.known())
    assert audit.shown(left) == "ecdsa 0.19.2: CVE-2030-1; mended in 9.9, 10.1"


def test_an_id_counts_for_its_own_package_alone() -> None:
    found = [audit.Found("click", "8.5.1", frozenset({"CVE-2024-23342"}), ())]
    assert audit.unknown(found, audit.known()) == found


@pytest.mark.parametrize("row", audit.known(), ids=lambda row: row["id"])
def test_what_is_let_pass_is_explained(row: dict[str, str]) -> None:
    assert set(row) == {"id", "package", "reason"} and len(row["reason"]) > 40
    assert row["package"] in audit.packages(), "nothing brings it any more: remove the row"
    assert row["id"] in (ROOT / "docs/SECURITY.md").read_text("utf-8")


def test_the_canary_is_one_that_is_known() -> None:
    assert audit.CANARY in {row["package"] for row in audit.known()}


def test_why_protobufs_advisories_do_no_harm() -> None:
    assert api_implementation.Type() == "upb", "CVE-2025-4565 is of the pure Python implementation"
    assert not any(re.search(r"\bParseDict\b|json_format\.Parse|import Parse\b", text) for text in SOURCES)
    assert "google.protobuf.Any" not in "".join(file.read_text("utf-8") for file in (ROOT / "proto").glob("*.proto"))


def test_why_those_of_jose_and_ecdsa_do_no_harm() -> None:
    importing = [text for text in SOURCES if re.search(r"^\s*(from|import) (jose|ecdsa|rsa)\b", text, re.MULTILINE)]
    [tokens] = importing
    assert "import ecdsa" not in tokens and "import rsa" not in tokens and "jwe" not in tokens
    assert 'ALGORITHM = "HS256"' in tokens and "algorithms=[ALGORITHM]" in tokens


def test_why_pdfkits_advisory_does_no_harm() -> None:
    [engine] = [text for text in SOURCES if "import pdfkit" in text]
    assert re.findall(r"pdfkit\.\w+\([^)]*", engine) == [
        "pdfkit.configuration(wkhtmltopdf=self._program",
        'pdfkit.PDFKit("", "string", options=options, configuration=configuration',
    ]
