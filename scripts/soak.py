#!/usr/bin/env python3
"""All programs under mixed load for a while: flat memory, no error, and as fast at the end as at the start?

Gy sessions at an offered rate, CDR files dropped in, new subscribers billed round and round with PDFs of their bills,
and calls of a CRM over TLS, against the real programs over one store. Samples of each program's memory, descriptors and
threads, latencies by the minute. At the end a verdict as Markdown on standard output, all figures as JSON in --json
FILE; Ctrl-C or SIGTERM ends it early with what it has. Exit code 1 if something isn't as it should be.

    scripts/soak [--minutes 30] [--store mysql|sqlite] [--ccr-per-s 300] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "clients" / "python"))

from mubss_crm import Crm

from benching.crm import credentials
from benching.machine import facts
from benching.places import Place, add_store, place
from benching.rows import line
from bill_accounts import CYCLE
from soaking.play import Amounts, Players, make
from soaking.programs import Programs
from soaking.samples import look
from soaking.verdict import Finding, Minute, Sample, flat, steady, without_errors

ENDS = (signal.SIGINT, signal.SIGTERM)
MYSQLD = "mysqld"
UNJUDGED = (MYSQLD,)  # its buffer pool fills with the data, up to its own bound


def play(at: Place, amounts: Amounts, options: argparse.Namespace) -> tuple[list[Sample], list[Minute], list[str]]:
    """The whole soak; what it saw, also when it is interrupted."""
    settings = {
        "MUBSS_STORE__URL": at.url,
        "MUBSS_GENERAL__DATA_DIR": str(at.folder),
        "MUBSS_CDR__POLL_SECONDS": "1",
        "MUBSS_BILLFMT__POLL_SECONDS": "1",
        "MUBSS_BILLING__POLL_SECONDS": "1",
    }
    print(f"a store with {amounts.prepaid} prepaid and {amounts.postpaid} postpaid subscribers", file=sys.stderr)
    store = make(at.url, at.folder, amounts)
    authority, token = credentials(settings)
    programs = Programs(at.folder, settings)
    players = Players(store, at.folder, amounts)
    samples: list[Sample] = []
    is_interrupted = True
    try:
        programs.start(CYCLE)
        port = programs.port("mubss-crm", r":(\d+) with TLS")
        seconds = options.minutes * 60
        players.start(
            programs.port("mubss-gy", r"listening on \S*:(\d+)"),
            seconds,
            lambda: Crm(f"localhost:{port}", token, authority),
        )
        watch(samples, programs, at, seconds, options.every)
        is_interrupted = False
    except KeyboardInterrupt:
        print("interrupted: what there is so far", file=sys.stderr)
    finally:
        for one in ENDS:
            signal.signal(one, signal.SIG_IGN)  # a second Ctrl-C must not leave programs behind
        players.stop(at_once=is_interrupted)
        gone = programs.ended()
        faults = [*players.faults, *(f"{name} ended by itself" for name in gone), *programs.stop()]
        faults += programs.odd_lines()
        store.close()
    return samples, players.minutes(), faults


def watch(samples: list[Sample], programs: Programs, at: Place, seconds: float, every: float) -> None:
    """Looks at all programs again and again."""
    began = time.monotonic()
    pids = {name: process.pid for name, process in programs.running.items()} | dict.fromkeys(
        [MYSQLD] if at.mysqld else [], at.mysqld[0] if at.mysqld else 0
    )
    while (at_s := time.monotonic() - began) < seconds:
        found = [look(at_s, name, pid) for name, pid in pids.items()]
        samples += [one for one in found if one is not None]
        if programs.ended():
            return
        time.sleep(min(every, max(0.0, seconds - at_s)))


def verdict(samples: list[Sample], minutes: list[Minute], faults: list[str]) -> list[Finding]:
    """All that was looked at."""
    return [without_errors(minutes, faults), *flat(samples, UNJUDGED), *steady(minutes)]


def told(findings: list[Finding], samples: list[Sample], minutes: list[Minute]) -> str:
    """The verdict, then programs and work, as Markdown."""
    lines = ["## Verdict", "", line(["", "", ""]), "|---|---|---|"]
    lines += [line(["fine" if one.is_fine else "**not fine**", one.what, one.text]) for one in findings]
    lines += ["", "## Programs", "", line(["program", "memory MB, first, most, last", "descriptors", "threads"])]
    lines.append("|---|---|---|---|")
    for program in dict.fromkeys(one.program for one in samples):
        mine = [one for one in samples if one.program == program]
        memory = f"{mine[0].memory_mb}, {max(one.memory_mb for one in mine)}, {mine[-1].memory_mb}"
        lines.append(line([program, memory, f"{mine[0].descriptors}, {mine[-1].descriptors}", str(mine[-1].threads)]))
    lines += ["", "## Work by the minute", "", line(["minute", "work", "count", "p50 ms", "p99 ms", "errors"])]
    lines.append("|---|---|---|---|---|---|")
    lines += [
        line([str(one.minute + 1), one.work, f"{one.count:,}", f"{one.p50_ms}", f"{one.p99_ms}", str(one.errors)])
        for one in sorted(minutes)
    ]
    return "\n".join(lines)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_store(parser)
    parser.set_defaults(store="mysql")
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--ccr-per-s", type=int, default=300, help="offered")
    parser.add_argument("--prepaid", type=int, default=20_000, help="subscribers of Gy and the CRM")
    parser.add_argument("--postpaid", type=int, default=500, help="subscribers of CDR files")
    parser.add_argument("--file-records", type=int, default=500)
    parser.add_argument("--file-seconds", type=float, default=10, help="at least, from one CDR file to the next")
    parser.add_argument("--bills", type=int, default=50, help="new postpaid subscribers of each bill run")
    parser.add_argument("--bill-seconds", type=float, default=20, help="at least, from one bill run to the next")
    parser.add_argument("--calls-per-s", type=float, default=10, help="of the CRM, half of them top-ups")
    parser.add_argument("--every", type=float, default=5, help="seconds from one sample to the next")
    parser.add_argument("--json", type=Path, metavar="FILE", help="all figures, too")
    return parser.parse_args()


def main() -> int:
    """Exit code 0 where all is fine."""
    options = parsed()
    amounts = Amounts(
        options.prepaid,
        options.postpaid,
        options.ccr_per_s,
        options.file_records,
        options.file_seconds,
        options.bills,
        options.bill_seconds,
        options.calls_per_s,
    )
    for one in ENDS:
        signal.signal(one, signal.default_int_handler)
    machine = facts()
    with place(options.store) as at:
        samples, minutes, faults = play(at, amounts, options)
    findings = verdict(samples, minutes, faults)
    print(f"`scripts/soak {' '.join(sys.argv[1:])}`, commit {machine['commit']}, {machine['processor']}\n")
    print(told(findings, samples, minutes))
    if options.json:
        found: dict[str, Any] = {
            "machine": machine,
            "amounts": amounts._asdict(),
            "findings": [one._asdict() for one in findings],
            "samples": [one._asdict() for one in samples],
            "minutes": [one._asdict() for one in minutes],
        }
        options.json.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    return 0 if all(one.is_fine for one in findings) else 1


if __name__ == "__main__":
    sys.exit(main())
