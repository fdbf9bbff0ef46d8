"""Whom a certificate names: a peer's must name its Origin-Host, compared as in RFC 6125 §6.4. Pure.

A certificate is the dictionary that `getpeercert` of Python's ssl gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

SHOWN_LETTERS = 100


def names_in(certificate: Mapping[str, Any]) -> tuple[str, ...]:
    """The dNSNames of its subjectAltName; the Common Names where it has no such extension."""
    if "subjectAltName" in certificate:
        return tuple(name for kind, name in certificate["subjectAltName"] if kind == "DNS")
    parts = (part for group in certificate.get("subject", ()) for part in group)
    return tuple(value for kind, value in parts if kind == "commonName")


def covers(names: Iterable[str], host: str) -> bool:
    """Whether one of the names is the host's, or is `*.` and all but the host's first label."""
    wanted = host.lower()
    label, _, parent = wanted.partition(".")
    pattern = f"*.{parent}" if label and parent else wanted
    return any(name.lower() in (wanted, pattern) for name in names)


def shown(names: tuple[str, ...]) -> str:
    """The names for a message, bounded."""
    text = ", ".join(names) or "no host"
    return text if len(text) <= SHOWN_LETTERS else f"{text[:SHOWN_LETTERS]}…"
