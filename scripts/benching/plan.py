"""What `scripts/bench all` runs: each job is one command, short enough to be run again when it was cut off."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SCRIPTS = Path(__file__).parents[1]
STORES = ("sqlite", "mysql")
NO_STORE = ""
AXES = ("accounts", "sessions", "groups", "peers", "workers")


class Job(NamedTuple):
    """One command of a benchmark, on one store where it has one."""

    bench: str
    store: str
    arguments: tuple[str, ...]
    axis: str = ""

    @property
    def name(self) -> str:
        """How raw results and progress call it: "gy mysql", "growth peers sqlite"."""
        return " ".join(part for part in (self.bench, self.axis, self.store) if part)

    @property
    def told(self) -> str:
        """The command as one types it."""
        return " ".join(["scripts/bench", self.bench, *self.arguments])

    @property
    def command(self) -> list[str]:
        """The command as it is run."""
        return [sys.executable, str(SCRIPTS / f"bench_{self.bench}.py"), *self.arguments, "--json"]


# (benchmark, has a store, arguments, those of --quick, which only shows that everything works)
_BENCHES: tuple[tuple[str, bool, str, str], ...] = (
    ("gy", True, "--compiled --depths 1,8,32,64,256,1024 --offered 1000,2000",
     "--depths 1,8 --offered 100 --accounts 200 --seconds 1 --warm-up 0.2"),
    ("layers", True, "--depths 32,256", "--depths 8 --accounts 200 --seconds 3 --warm-up 0.2"),
    ("growth", True, "", "--accounts 100,200 --sessions 1,2 --groups 1,2 --peers 1,10 --workers 1,2 --seconds 1 "
     "--warm-up 0.2 --most-accounts 200 --most-in-flight 16"),
    ("engine", True, "--runs 1 --at-once 64,256", "--runs 1 --at-once 8 --charges 60 --accounts 20"),
    ("codec", False, "", "1"),
    ("rate", False, "", "--seconds 0.02"),
    ("store", True, "", "--seconds 0.05 --accounts 2000"),
    ("cdr", True, "--runs 1", "--runs 1 --records 1500 --accounts 20 --prefixes 100"),
    ("billing", True, "--runs 1", "--runs 1 --accounts 30 --records 2"),
    ("crm", True, "--runs 1", "--runs 1 --clients 2 --seconds 0.3 --accounts 20"),
    ("pdf", False, "--engine plutobook,pdfkit", "--engine plutobook,pdfkit --seconds 0.2 --processes 1"),
    ("metrics", True, "--rounds 1", "--rounds 1 --accounts 200 --seconds 1 --warm-up 0.2 --in-flight 4"),
)  # fmt: skip
NAMES = tuple(name for name, *_ in _BENCHES)


def jobs(only: list[str], stores: list[str], *, quick: bool) -> list[Job]:
    """The chosen jobs in order; ValueError names what isn't known."""
    for what, wanted, known in (("--only", only, NAMES), ("--stores", stores, STORES)):
        if unknown := [one for one in wanted if one not in known]:
            raise ValueError(f"{what}: {', '.join(unknown)}; expected some of {', '.join(known)}")
    return list(_chosen(only, stores, quick=quick))


def _chosen(only: list[str], stores: list[str], *, quick: bool) -> Iterator[Job]:
    for bench, has_store, usual, short in _BENCHES:
        if only and bench not in only:
            continue
        given = tuple((short if quick else usual).split())
        for store in stores or STORES if has_store else (NO_STORE,):
            arguments = (*(("--store", store) if store else ()), *given)
            if bench == "growth":
                for axis in AXES:
                    yield Job(bench, store, ("--axes", axis, *arguments), axis)
            else:
                yield Job(bench, store, arguments)
