"""Writes docs/GY-CONFORMANCE.md: which test holds which requirement on Gy, read from the tests' own marks.

    @pytest.mark.conforms("RFC 6733 §6.1.4", "a request for another realm gets 3003")

The source is one of SOURCES and a section, "Rule 1" to "Rule 15", or "Client" and its name in tests/vectors. A test
named test_rule_07_… stands under rule 7 without a mark.
"""

from __future__ import annotations

import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
FILE = ROOT / "docs/GY-CONFORMANCE.md"
FOLDERS = ("tests/gy", "tests/core")

SOURCES = {
    "RFC 6733": "Diameter base protocol",
    "RFC 3539": "the watchdog",
    "RFC 8506": "credit control, and RFC 4006 that it replaces",
    "TS 32.299": "what 3GPP adds to credit control",
}
RULES = {
    1: "Every answer begins with Session-Id and says Result-Code, who answers, and which request it was; errors too",
    2: "Capabilities: credit control with and without 3GPP's Vendor-Id, or relay; 5010 without, 3010 for strangers",
    3: "An answer in time or none; the repeat finds it done",
    4: "One MSCC back for each that came, named alike, granted in the client's unit",
    5: "Used units count once: total octets, or input and output; several reports of one MSCC all count",
    6: "Where nothing sane is asked, the server decides the quota",
    7: "Liberal in what it takes, exact in what it says",
    8: "The subscriber: by the identities' configured order, then User-Name, then the profile's; 5030, 4010",
    9: "The service: by the end of Service-Context-Id, or the profile's default",
    10: "Requested-Action counts in events only",
    11: "Out of credit: 4012, the session kept; the last grant says what comes then; validity above 0",
    12: "Numbers from anywhere in any order; repeats replay their answer; unknown sessions get 5002 and lose no units",
    13: "RAR after a top-up, ASR after a suspension; no charge depends on what follows",
    14: "Overload refuses new sessions first, never a session's end; Proxy-Info in order; DWR and DPR always answered",
    15: "A peer that rebooted has no sessions left",
}
HEAD = """# What mubss-gy conforms to, and the test that says so

Written by `scripts/conformance` from the marks of the tests; `tests/house` compares. A test is named by its file in
`tests` and its function.
"""


class Row(NamedTuple):
    """One requirement and who holds it."""

    source: str
    behaviour: str
    test: str


class Marks:
    """A pytest plugin that keeps the marks of what is collected."""

    def __init__(self) -> None:
        self.rows: set[Row] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            assert isinstance(item, pytest.Function)
            test = f"{item.path.relative_to(ROOT / 'tests').as_posix()}::{item.originalname}"
            for mark in item.iter_markers("conforms"):
                source, behaviour = mark.args
                self.rows.add(Row(source, behaviour, test))
            if named := re.match(r"test_rule_(\d\d)_(.+)", item.originalname):
                self.rows.add(Row(f"Rule {int(named[1])}", named[2].replace("_", " "), test))


def collect() -> set[Row]:
    """The rows of all tests; SystemExit with pytest's words where they can't be collected."""
    marks, said = Marks(), StringIO()
    with redirect_stdout(said):
        code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", *FOLDERS], plugins=[marks])
    if code:
        raise SystemExit(said.getvalue())
    return marks.rows


def group_of(source: str) -> str:
    """The heading of a source: "RFC 6733", "Rule 7", "Client open5gs"; SystemExit for any other."""
    for name in SOURCES:
        if source.startswith(f"{name} §"):
            return name
    if source.startswith("Client ") or (source.startswith("Rule ") and int(source[5:]) in RULES):
        return source
    raise SystemExit(
        f"conforms({source!r}, …): expected one of {', '.join(SOURCES)} with its §, Rule 1 to 15, Client …"
    )


def by_number(row: Row) -> tuple[list[int], Row]:
    """Sections in their order: §6.2 before §6.10."""
    return [int(number) for number in re.findall(r"\d+", row.source.partition("§")[2])], row


def table(rows: list[Row], first: str) -> Iterator[str]:
    yield f"| {first}what must be | test |"
    yield "|---|---|---|" if first else "|---|---|"
    for row in sorted(rows, key=by_number):
        section = f"§{row.source.partition('§')[2]} | " if first else ""
        yield f"| {section}{row.behaviour} | `{row.test}` |"


def document(rows: set[Row]) -> str:
    """The whole file."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[group_of(row.source)].append(row)
    lines = [HEAD]
    for name, what in SOURCES.items():
        lines += [f"## {name}: {what}", "", *table(groups[name], "section | "), ""]
    lines += ["## Fifteen rules that real clients depend on", ""]
    for number, what in RULES.items():
        lines += [f"### Rule {number}", "", f"{what}.", "", *table(groups[f"Rule {number}"], ""), ""]
    lines += ["## Clients, by the messages in tests/vectors", ""]
    for name in sorted(name for name in groups if name.startswith("Client ")):
        lines += [f"### {name.removeprefix('Client ')}", "", *table(groups[name], ""), ""]
    return "\n".join(lines)


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    file.write_text(document(collect()), encoding="utf-8")


if __name__ == "__main__":
    main()
