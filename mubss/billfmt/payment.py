"""How a bill is paid: the account in groups of four, and the code for a bank's app (EPC069-12, "EPC QR"). Pure."""

from __future__ import annotations

from typing import NamedTuple

import segno

MAX_NAME_LETTERS, MAX_TEXT_LETTERS = 70, 140
MOST_CENTS = 99_999_999_999
_MASK = 3  # any is right; trying all eight takes 8 ms a code


class Code(NamedTuple):
    """A QR code as an SVG path of strokes one unit wide, in a field of `size` units."""

    size: int
    path: str


def grouped(iban: str) -> str:
    """An IBAN as people read it: "DE89 3704 0044 0532 0130 00"."""
    plain = iban.replace(" ", "")
    return " ".join(plain[at : at + 4] for at in range(0, len(plain), 4))


def epc_text(name: str, iban: str, bic: str, cents: int, reference: str) -> str:
    """What the code says: a SEPA credit transfer, version 002, in UTF-8."""
    lines = ["BCD", "002", "1", "SCT", bic, name[:MAX_NAME_LETTERS], iban.replace(" ", "")]
    lines += [f"EUR{cents // 100}.{cents % 100:02}", "", "", reference[:MAX_TEXT_LETTERS]]
    return "\n".join(lines)


def epc_code(name: str, iban: str, bic: str, cents: int, reference: str) -> Code | None:
    """The code of a transfer in EUR; None where there is no account, or the amount can't be transferred."""
    if not iban or not name or not 0 < cents <= MOST_CENTS:
        return None
    made = segno.make_qr(
        epc_text(name, iban, bic, cents, reference), error="m", mask=_MASK, boost_error=False, encoding="utf-8"
    )
    rows = list(made.matrix)
    parts = []
    for y, row in enumerate(rows):
        x = 0
        while x < len(row):
            start = x
            while x < len(row) and row[x]:
                x += 1
            if x > start:
                parts.append(f"M{start} {y}.5h{x - start}")
            x += 1
    return Code(len(rows), "".join(parts))
