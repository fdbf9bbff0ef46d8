"""The processes of the group on this machine, as their control sockets answer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mubss.core.licence import USABLE
from mubss.services.control import PROGRAMS, ask, ask_all

ASK_SECONDS = 1.0  # for all processes of a program

_USABLE = {one.value for one in USABLE}
_COMMON = ("program", "pid", "leader", "version", "uptime_s", "state", "last_error")


@dataclass(frozen=True, slots=True)
class Running:
    """A process that answered; `facts` is what its program tells of itself beside what all do."""

    program: str
    pid: int
    leader: int  # the process to signal: another one for a worker
    version: str
    uptime_s: int
    state: str  # starting, ready, draining
    last_error: str  # "": none since it started
    last_error_s: int
    facts: Mapping[str, Any]

    @property
    def licence_fault(self) -> str:
        """Why it wouldn't start again, or lets nothing new begin; "" where its licence is good."""
        if fault := self.facts.get("licence_fault"):
            return str(fault)
        state = self.facts.get("licence", "")
        return "" if not state or state in _USABLE else f"the licence is {state}"


def processes(folder: Path, programs: tuple[str, ...] = PROGRAMS) -> list[Running]:
    """Those of these programs that answer, in the order of programs, then of process ids."""
    found = []
    for program in programs:
        answers = ask_all(folder, program, "status", ASK_SECONDS)
        found += [_running(program, pid, answer) for pid, answer in sorted(answers.items()) if "state" in answer]
    return found


def tell(folder: Path, do: str, programs: tuple[str, ...] = PROGRAMS) -> dict[str, list[int]]:
    """Has these "drain" or "reload"; program → the process ids that are signalled, the parent of workers once."""
    told: dict[str, list[int]] = {}
    for one in processes(folder, programs):
        leaders = told.setdefault(one.program, [])
        if one.leader in leaders:  # a second SIGTERM would end it at once
            continue
        try:
            with closing(ask(folder / f"{one.program}-{one.pid}.sock", do, ASK_SECONDS)) as answers:
                leaders.append(int(next(answers)["pid"]))
        except (OSError, StopIteration, KeyError, ValueError):
            continue  # it has ended meanwhile
    return told


def _running(program: str, pid: int, answer: Mapping[str, Any]) -> Running:
    error = answer.get("last_error") or {}
    return Running(
        program,
        pid,
        int(answer.get("leader", pid)),
        str(answer.get("version", "")),
        int(answer.get("uptime_s", 0)),
        str(answer["state"]),
        str(error.get("text", "")),
        int(error.get("time_s", 0)),
        {name: value for name, value in answer.items() if name not in _COMMON},
    )
