"""The table of a run: for each kind of fault how often it was injected, what was charged meanwhile, lost, doubled."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from breaking.faults import KINDS, Kind
from breaking.reckoning import Reckoned
from breaking.scene import Scene

SHOWN = 40  # findings


class Figures:
    """What a run came to so far."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._began_s = time.monotonic()
        self._faults: Counter[str] = Counter()
        self._charges: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._doubled: Counter[str] = Counter()
        self._outages_s: dict[str, float] = {}
        self._counts: Counter[str] = Counter()
        self._phases = self._reckoned = 0
        self._before = self._made = 0
        self.findings: list[str] = []
        self.left_out: list[str] = []
        self.cut = False

    @property
    def injected(self) -> int:
        """Faults so far."""
        return self._faults.total()

    @property
    def is_clean(self) -> bool:
        """Nothing lost, nothing doubled, nothing else wrong."""
        return not (self.findings or self._lost or self._doubled)

    def begin_phase(self) -> None:
        """A phase begins."""
        self._phases += 1

    def find(self, text: str) -> None:
        """Something isn't as it must be."""
        self.findings.append(f"phase {self._phases}: {text}")

    def begin_faults(self, kinds: list[Kind], charges: int) -> None:
        """Faults are about to be injected together; `charges` were made in this phase so far."""
        self._faults.update(kind.name for kind in kinds)
        self._before = charges

    def take_back(self, kinds: list[Kind]) -> None:
        """They missed: what was to be struck wasn't there."""
        self._faults.subtract(kind.name for kind in kinds)
        self._tell(f"       {' and '.join(kind.name for kind in kinds)}: missed")

    def end_faults(self, kinds: list[Kind], charges: int, outage_s: float) -> None:
        """Clients are served again. Where there are two, what was charged is either's, and once in the sum."""
        made = charges - self._before
        self._made += made
        for kind in kinds:
            self._charges[kind.name] += made
            self._outages_s[kind.name] = max(outage_s, self._outages_s.get(kind.name, 0.0))
        names = " and ".join(kind.name for kind in kinds)
        self._tell(f"{self.injected:>5}  {names}: {made} charges, again after {outage_s:.1f} s")

    def end_phase(self, scene: Scene, reckoned: Reckoned, ended: list[str], log: str) -> None:
        """A phase was reckoned."""
        self._reckoned += 1
        self._lost += reckoned.lost
        self._doubled += reckoned.doubled
        self._counts.update(reckoned.counts)
        self._counts["programs that ended by themselves"] += sum(one.ended_itself for one in scene.lasting)
        for one in (*reckoned.findings, *ended):
            self.find(one)
        if "Traceback" in log:
            self.find("traceback:" + log.partition("Traceback")[2][:3000])
        said = ", ".join(f"{count:,} {name}" for name, count in reckoned.counts.items())
        self._tell(f"phase {self._phases}: {said}; {len(reckoned.findings)} findings")
        if self._options.report is not None:
            self._options.report.write_text(self.report() + "\n")

    def _tell(self, text: str) -> None:
        print(f"{time.monotonic() - self._began_s:>7.0f} s {text}", file=sys.stderr, flush=True)

    def report(self) -> str:
        """All of it as Markdown."""
        options = self._options
        lines = [
            f"`scripts/torture all --faults {options.faults} --seed {options.seed} --store {options.store}"
            f"{' --outage' if options.outage else ''}`: {self.injected} faults in {self._phases} phases, "
            f"{self._reckoned} of them reckoned, {time.monotonic() - self._began_s:.0f} s"
            + (" (cut off)" if self.cut else ""),
            "",
            ", ".join(f"{count:,} {name}" for name, count in self._counts.items()),
            "",
            "| fault | injected | charges made | served again, s | lost | doubled |",
            "|---|---|---|---|---|---|",
        ]
        for kind in KINDS:
            name = kind.name
            if self._faults[name]:
                lines.append(self._row(name, f"{self._outages_s.get(name, 0):.1f}", name))
        longest = max(self._outages_s.values(), default=0.0)
        lines.append(self._row("all", f"{longest:.1f}", ""))
        if self.left_out:
            lines += ["", f"Left out: {', '.join(self.left_out)}."]
        lines += ["", f"Findings: {len(self.findings) or 'none'}", *(f"- {one}" for one in self.findings[:SHOWN])]
        return "\n".join(lines)

    def _row(self, title: str, outage: str, name: str) -> str:
        faults = self._faults[name] if name else self.injected
        charges = self._charges[name] if name else self._made
        lost, doubled = self._lost[name or "all"], self._doubled[name or "all"]
        return f"| {title} | {faults} | {charges:,} | {outage} | {lost} | {doubled} |"
