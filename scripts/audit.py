#!/usr/bin/env python3
"""Asks pip-audit whether a package that an installed mubss brings has a known vulnerability.

    scripts/audit                  exit code 1 for one that scripts/advisories.toml doesn't name; 2 without an answer
    scripts/audit --if-reachable   the same, but says in one line that there was no answer, and is content with it

With --if-reachable it asks once a day for the same packages, and for ten seconds at most. A source that doesn't tell
what is known of one package, and says so of none, is taken for no source: it would call everything safe.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import tomllib
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from sbom import EXTRAS, PRODUCT, closure

ROOT = Path(__file__).resolve().parent.parent
KNOWN = ROOT / "scripts/advisories.toml"
STAMP = ROOT / ".venv/.audited"
MOST_S = 10
ASK_S = 3  # for one answer
CANARY = "ecdsa"  # has an advisory that nobody will mend


class NoAnswer(Exception):
    """The source can't be reached, or what it says can't be relied on."""


class Found(NamedTuple):
    """One advisory on one package."""

    package: str
    version: str
    ids: frozenset[str]
    fixed_in: tuple[str, ...]


def known() -> list[dict[str, str]]:
    """The advisories that do no harm here."""
    rows: list[dict[str, str]] = tomllib.loads(KNOWN.read_text("utf-8"))["advisories"]
    return rows


class Answer(NamedTuple):
    """What is told of some packages."""

    found: list[Found]
    left_out: list[str]  # why nothing is told of a package


def read(answer: dict[str, Any]) -> Answer:
    """What pip-audit says; it leaves out what its source can't find, and calls that "no known vulnerabilities"."""
    found, left_out = [], []
    for one in answer["dependencies"]:
        if "skip_reason" in one:
            left_out.append(f"{one['name']}: {one['skip_reason']}")
        for told in one.get("vulns", ()):
            ids = frozenset((told["id"], *told.get("aliases", ())))
            found.append(Found(one["name"], one["version"], ids, tuple(told.get("fix_versions", ()))))
    return Answer(found, left_out)


def unknown(found: list[Found], rows: list[dict[str, str]]) -> list[Found]:
    """Those that no row names, by id and package."""
    return [one for one in found if not any(row["id"] in one.ids and row["package"] == one.package for row in rows)]


def ask(packages: dict[str, str], left_s: float) -> Answer:
    """What pip-audit says of these versions."""
    if left_s <= 0:
        raise NoAnswer(f"not all was asked within {MOST_S} s")
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write("".join(f"{name}=={version}\n" for name, version in packages.items()))
        file.flush()
        command = [sys.executable, "-m", "pip_audit", "--format=json", "--progress-spinner=off", "--no-deps"]
        command += ["--disable-pip", f"--timeout={ASK_S}", f"--requirement={file.name}"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=left_s)
        except subprocess.TimeoutExpired:
            raise NoAnswer(f"not all was asked within {MOST_S} s") from None
    try:
        return read(json.loads(done.stdout))
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise NoAnswer(last[:160]) from None


def audit(packages: dict[str, str]) -> list[str]:
    """What is wrong, a line each; NoAnswer where nobody tells."""
    end_s = time.monotonic() + MOST_S
    first = ask({CANARY: packages[CANARY]}, MOST_S)
    if not first.found:
        raise NoAnswer(next(iter(first.left_out), f"nothing was told of {CANARY}, of which something is known"))
    answer = ask(packages, end_s - time.monotonic())
    return [*map(shown, unknown(answer.found, known())), *answer.left_out]


def shown(one: Found) -> str:
    """An advisory in one line."""
    mended = f"mended in {', '.join(one.fixed_in)}" if one.fixed_in else "not mended"
    return f"{one.package} {one.version}: {', '.join(sorted(one.ids))}; {mended}"


def packages() -> dict[str, str]:
    """What an installed mubss brings, with every extra of its own."""
    names = sorted(set(closure(frozenset(EXTRAS))) - {PRODUCT})
    return {name: metadata.version(name) for name in names}


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--if-reachable", action="store_true")
    options = parser.parse_args()
    installed = packages()
    digest = sha256((json.dumps(installed) + KNOWN.read_text("utf-8")).encode()).hexdigest()[:16]
    stamp = f"{time.strftime('%Y-%m-%d', time.gmtime())} {digest}\n"
    if options.if_reachable and STAMP.is_file() and STAMP.read_text().startswith(stamp):
        print(STAMP.read_text().removeprefix(stamp), end="")
        return
    try:
        wrong = audit(installed)
    except NoAnswer as error:
        line = f"audit: no source of advisories can be reached, nothing was audited: {error}"
        if not options.if_reachable:
            print(line, file=sys.stderr)
            sys.exit(2)
    else:
        if wrong:
            print("\n".join(f"audit: {one}" for one in wrong), file=sys.stderr)
            sys.exit(1)
        line = f"audit: {len(installed)} packages, nothing beyond scripts/advisories.toml"
    print(line)
    STAMP.write_text(f"{stamp}{line}\n")


if __name__ == "__main__":
    main()
