#!/usr/bin/env python3
"""Every benchmark in turn, round by round, on both stores: raw results, FIGURES.md with medians and spread, charts.

Results are written to raw.jsonl in the folder when each job is done. --resume goes on where a run was cut off, and does
again what failed; without it the chosen jobs are measured anew, and the results of others stay. --report measures
nothing. A whole run takes some hours: each round is reckoned to take half an hour.

    scripts/bench all [--resume] [--only gy,crm] [--stores sqlite,mysql] [--rounds 5] [--quick] [--report]
        [--folder docs/benchmarks]
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from benching.charts import draw
from benching.machine import facts
from benching.plan import Job, jobs
from benching.raw import Raw, Result, to_do
from benching.report import report
from benching.rows import Row, from_line

ROOT = Path(__file__).parents[1]
FIGURES, RAW = "FIGURES.md", "raw.jsonl"
TOLD_LINES = 5  # of what a failed job said last


def run(job: Job, number: int, machine: dict[str, str]) -> Result:
    """One round of one job, in a process of its own."""
    began, started = datetime.now(UTC).isoformat(timespec="seconds"), time.perf_counter()
    rows: list[Row] = []
    error = ""
    with tempfile.TemporaryFile("w+") as told:
        with subprocess.Popen(
            job.command, stdout=subprocess.PIPE, stderr=told, text=True, start_new_session=True
        ) as process:
            assert process.stdout is not None
            try:
                rows = [from_line(line) for line in process.stdout]
            except KeyboardInterrupt:
                process.send_signal(signal.SIGTERM)  # it stops what it started, and never ignores this one
                process.wait()
                raise
        if process.returncode or not rows:
            told.seek(0)
            last = " / ".join(told.read().strip().splitlines()[-TOLD_LINES:])
            error = f"exit code {process.returncode}: {last}"
    seconds = round(time.perf_counter() - started, 1)
    return Result(job.name, number, job.told, began, seconds, machine, [] if error else rows, error)


def measure(raw: Raw, chosen: list[Job], rounds: int) -> bool:
    """Does what isn't there yet; whether nothing failed."""
    waiting = to_do(chosen, rounds, raw.results())
    print(f"{len(waiting)} of {len(chosen) * rounds} jobs to do, into {raw.path}", file=sys.stderr)
    machine = facts() if waiting else {}
    fine = True
    for done, (number, job) in enumerate(waiting, 1):
        result = run(job, number, machine)
        raw.append(result)
        fine = fine and not result.error
        how = f"FAILED, {result.error}" if result.error else f"{len(result.rows)} rows"
        print(f"{done}/{len(waiting)} round {number}, {job.name}: {how}, {result.seconds:.0f} s", file=sys.stderr)
    return fine


def write(folder: Path, results: list[Result], command: str) -> None:
    """The report and the charts."""
    good = {(one.job, one.round) for one in results if not one.error}
    failed = {f"{one.job}, round {one.round}: {one.error}" for one in results if (one.job, one.round) not in good}
    measured = [one for one in results if not one.error]
    if not measured:
        print(f"nothing measured: {folder / FIGURES} stays as it is", file=sys.stderr)
        return
    charts = draw(measured, folder)
    if not charts:
        print(
            "no charts: no figures for them, or no matplotlib (.venv/bin/pip install -e '.[charts]')", file=sys.stderr
        )
    (folder / FIGURES).write_text(report(measured, charts, command, sorted(failed)))
    print(f"{folder / FIGURES}: {len(measured)} results, {len(charts)} charts", file=sys.stderr)


def is_kept(commands: dict[str, str], result: Result, *, resume: bool) -> bool:
    """Whether a result stays: of a job that isn't measured now, or a good one by the same command to go on from."""
    if result.error:
        return False
    return result.job not in commands or (resume and result.command == commands[result.job])


def parsed() -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--resume", action="store_true", help="go on: what is in raw.jsonl isn't measured again")
    parser.add_argument("--only", default="", help="these benchmarks, by commas")
    parser.add_argument("--stores", default="", help="sqlite, mysql or both by a comma")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="tiny settings, to see that it works: no measurement")
    parser.add_argument("--report", action="store_true", help="write the report and charts of what is there")
    parser.add_argument("--folder", type=Path, help="docs/benchmarks, with --quick .bench/quick")
    options = parser.parse_args()
    options.folder = options.folder or ROOT / (".bench/quick" if options.quick else "docs/benchmarks")
    only, stores = ([one for one in text.split(",") if one] for text in (options.only, options.stores))
    try:
        options.jobs = jobs(only, stores, quick=options.quick)
    except ValueError as error:
        parser.error(str(error))
    return options


def main() -> int:
    """Exit code 1 where a job failed, 130 after Ctrl-C or SIGTERM; the report is written in any case."""
    options = parsed()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    options.folder.mkdir(parents=True, exist_ok=True)
    raw = Raw(options.folder / RAW)
    code = 0
    try:
        if not options.report:
            raw.keep(partial(is_kept, {job.name: job.told for job in options.jobs}, resume=options.resume))
            code = 0 if measure(raw, options.jobs, options.rounds) else 1
    except KeyboardInterrupt:
        print("interrupted; --resume goes on", file=sys.stderr)
        code = 130
    write(options.folder, raw.results(), "scripts/bench all --quick" if options.quick else "scripts/bench all")
    return code


if __name__ == "__main__":
    sys.exit(main())
