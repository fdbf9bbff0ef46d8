"""Raw results as JSON lines: one for each round of each job, written when it is done, so that a cut costs one job."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benching.plan import Job
from benching.rows import Row


class Result(NamedTuple):
    """One round of one job."""

    job: str
    round: int  # from 1
    command: str
    began: str  # UTC, ISO 8601
    seconds: float
    machine: dict[str, str]  # that it ran on
    rows: list[Row]
    error: str = ""  # why there is no more; such a one is run again

    @property
    def bench(self) -> str:
        """The benchmark's name."""
        return self.job.partition(" ")[0]

    @property
    def store(self) -> str:
        """The store's name; "" where it has none."""
        last = self.job.rpartition(" ")[2]
        return "" if last == self.job else last


class Raw:
    """The file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def results(self) -> list[Result]:
        """All that are there; a last line that a kill cut off isn't one."""
        return list(self._read())

    def _read(self) -> Iterator[Result]:
        if not self.path.exists():
            return
        for line in self.path.read_text().splitlines():
            try:
                found: dict[str, Any] = json.loads(line)
            except ValueError:
                continue
            yield Result(**{**found, "rows": [Row(*row) for row in found["rows"]]})

    def append(self, result: Result) -> None:
        """One more, on the disk."""
        with self.path.open("a") as file:
            file.write(json.dumps(result._asdict(), ensure_ascii=False) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def keep(self, wanted: Callable[[Result], bool]) -> None:
        """Forgets the others."""
        kept = [result for result in self.results() if wanted(result)]
        new = self.path.with_suffix(".new")
        new.unlink(missing_ok=True)
        new.touch()
        for result in kept:
            Raw(new).append(result)
        new.replace(self.path)


def to_do(jobs: list[Job], rounds: int, there: list[Result]) -> list[tuple[int, Job]]:
    """(round, job) that no result is there for, round by round: a machine that slows down does it to all jobs."""
    done = {(result.job, result.round, result.command) for result in there if not result.error}
    wanted = [(number, job) for number in range(1, rounds + 1) for job in jobs]
    return [(number, job) for number, job in wanted if (job.name, number, job.told) not in done]
