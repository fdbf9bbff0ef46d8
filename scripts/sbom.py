#!/usr/bin/env python3
"""Writes a bill of materials of the installed product: docs/sbom.cdx.json, CycloneDX 1.6 in JSON.

It follows what the installed packages say they require, from mubss on, so that tools for tests are left out; what only
an extra brings has the scope "optional". (cyclonedx-bom, which would list all that is installed, knows no such cut.)
The same packages give the same octets: no time, no serial number, all in order.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs/sbom.cdx.json"
PRODUCT = "mubss"
EXTRAS = ("charts", "compression", "otel", "parquet")  # of the product; the others are for its developers
_LICENCE = "License :: OSI Approved :: "
_MAX_LICENCE_LETTERS = 80  # some put the whole text there


def canonical(name: str) -> str:
    """A project's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required(name: str, extras: frozenset[str]) -> Iterator[tuple[str, frozenset[str]]]:
    """What an installed project requires here with these extras: names, and extras of theirs."""
    for text in metadata.requires(name) or ():
        one = Requirement(text)
        if one.marker is None or any(one.marker.evaluate({"extra": extra}) for extra in extras or {""}):
            yield canonical(one.name), frozenset(one.extras)


def closure(extras: frozenset[str] = frozenset()) -> dict[str, set[str]]:
    """Every project that an installed product brings, and what each of them requires."""
    found: dict[str, set[str]] = {}
    waiting = [(PRODUCT, extras | {""})]
    seen = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        edges = found.setdefault(name, set())
        for other, its in required(name, wanted):
            edges.add(other)
            waiting.append((other, its | {""}))
    return found


def purl(name: str) -> str:
    """The package URL of an installed project."""
    return f"pkg:pypi/{name}@{metadata.version(name)}"


def licences(name: str) -> list[dict[str, Any]]:
    """What a project says of its licence, by the best that it has."""
    about = metadata.metadata(name)
    if expression := about.get("License-Expression"):
        return [{"expression": expression}]
    classes = sorted(one.removeprefix(_LICENCE) for one in about.get_all("Classifier", []) if one.startswith(_LICENCE))
    text = (about.get("License") or "").strip()
    if not classes and text and "\n" not in text and len(text) <= _MAX_LICENCE_LETTERS:
        classes = [text]
    return [{"license": {"name": one}} for one in classes]


def component(name: str, scope: str) -> dict[str, Any]:
    """One package."""
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": purl(name),
        "name": name,
        "version": metadata.version(name),
        "scope": scope,
        "purl": purl(name),
    }
    if known := licences(name):
        found["licenses"] = known
    return found


def bill() -> dict[str, Any]:
    """The whole document."""
    plain, whole = closure(), closure(frozenset(EXTRAS))
    product = component(PRODUCT, "required") | {"type": "application"}
    others = sorted(set(whole) - {PRODUCT})
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": product},
        "components": [component(name, "required" if name in plain else "optional") for name in others],
        "dependencies": [
            {"ref": purl(name), "dependsOn": [purl(other) for other in sorted(whole[name])]} for name in sorted(whole)
        ],
    }


def text() -> str:
    """The file."""
    return json.dumps(bill(), indent=1, ensure_ascii=False) + "\n"


def main() -> None:
    """The command line."""
    if sys.argv[1:] == ["-"]:
        sys.stdout.write(text())
        return
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else FILE
    file.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
