"""How numbers stand in sentences for people."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """`1 octet`, `1,500 octets`; `many` where it isn't `one` and an s."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
