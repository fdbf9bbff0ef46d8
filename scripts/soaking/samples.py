"""What a soak sees: memory, descriptors and threads of processes, and latencies by the minute."""

from __future__ import annotations

import re
import threading
import time
from pathlib import Path

from benching.places import family
from soaking.verdict import Minute, Sample

MINUTE_S = 60


def look(at_s: float, program: str, pid: int) -> Sample | None:
    """One program with its children, now; None if it is gone."""
    memory_kb = descriptors = threads = 0
    try:
        for one in family(pid):
            status = Path(f"/proc/{one}/status").read_text()
            memory_kb += _number(r"^VmRSS:\s+(\d+)", status)
            threads += _number(r"^Threads:\s+(\d+)", status)
            descriptors += len(list(Path(f"/proc/{one}/fd").iterdir()))
    except OSError:
        return None
    return Sample(round(at_s, 1), program, round(memory_kb / 1024, 1), descriptors, threads)


def _number(pattern: str, text: str) -> int:
    found = re.search(pattern, text, re.M)
    return int(found[1]) if found else 0


class Times:
    """How long each piece of one kind of work took, by the minute; any thread may note."""

    def __init__(self, work: str, began: float) -> None:
        self._work = work
        self._began = began
        self._lock = threading.Lock()
        self._took_ms: dict[int, list[float]] = {}
        self._errors: dict[int, int] = {}

    def note(self, started: float, *, is_error: bool = False) -> None:
        """A piece of work that began then (time.perf_counter) has ended."""
        now = time.perf_counter()
        minute = int((now - self._began) // MINUTE_S)
        with self._lock:
            self._took_ms.setdefault(minute, []).append((now - started) * 1000)
            self._errors[minute] = self._errors.get(minute, 0) + is_error

    def minutes(self) -> list[Minute]:
        """All so far."""
        with self._lock:
            found = {minute: sorted(took) for minute, took in self._took_ms.items()}
            errors = dict(self._errors)
        return [
            Minute(
                minute,
                self._work,
                len(took),
                round(took[len(took) // 2], 2),
                round(took[len(took) * 99 // 100], 2),
                errors.get(minute, 0),
            )
            for minute, took in sorted(found.items())
        ]
