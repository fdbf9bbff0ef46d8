"""Numbers in sentences."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mubss
from mubss.core.wording import counted

ROOT = Path(mubss.__file__).parent
# An f-string's `{len(x)} files`, and `%d files` of a log: what 1 makes wrong.
_ALWAYS_MANY = re.compile(
    r"(?:\{len\([^{}]*\)(?::,)?\}|(?<!version )(?<!process )%d) (?!that\b|is\b|has\b|stays\b)[a-z]+s\b"
)
# The wire's octets and bytes are only read by who knows them, and never one.
_LEFT = ("gy/", "xdev/", "cdr/")


@pytest.mark.parametrize(
    ("number", "many", "text"),
    [(0, "", "0 entrys"), (1, "", "1 entry"), (1, "entries", "1 entry"), (1500, "entries", "1,500 entries")],
)
def test_what_is_counted(number: int, many: str, text: str) -> None:
    assert counted(number, "entry", many) == text


def test_no_text_has_one_of_many() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in ROOT.rglob("*.py")
        if not str(path.relative_to(ROOT)).startswith(_LEFT)
        for match in _ALWAYS_MANY.finditer(path.read_text("utf-8"))
    ]
    assert found == [], "mubss.core.wording.counted says it right for one, too"
