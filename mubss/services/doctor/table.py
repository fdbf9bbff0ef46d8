"""Every check there is. A new one is a function from a Scene to Findings, and a row here: `mubss doctor`, its options,
its JSON and docs/OPERATING.md's test take it up by themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mubss.core.errors import MubssError
from mubss.services.doctor import (
    archive,
    certificates,
    clock,
    configuration,
    disk,
    folders,
    licence,
    limits,
    outage,
    ports,
    programs,
    secrets,
)
from mubss.services.doctor import store as stored
from mubss.services.doctor.scene import Check, Finding, Level, Scene

CHECKS: dict[str, Check] = {
    "configuration": configuration.check,
    "store": stored.check,
    "integrity": stored.check_integrity,  # apart: it reads the whole file
    "clock": clock.check,
    "disk": disk.check,
    "folders": folders.check,
    "sockets": folders.check_sockets,
    "certificates": certificates.check,
    "licence": licence.check,
    "secrets": secrets.check,
    "ports": ports.check,
    "limits": limits.check,
    "programs": programs.check,
    "archive": archive.check,
    "outage": outage.check,
}


class Line(NamedTuple):
    """A finding and the check that made it."""

    check: str
    finding: Finding


def examine(scene: Scene, names: tuple[str, ...] = tuple(CHECKS)) -> Iterator[Line]:
    """All findings of these checks, as they come; a check that can't be done is one that fails."""
    for name in names:
        try:
            for finding in CHECKS[name](scene):
                yield Line(name, finding)
        except (MubssError, OSError) as error:
            text = " ".join(str(error).split())
            yield Line(name, Finding(Level.FAIL, f"can't be looked at: {text}", "see what it says; then look again"))
