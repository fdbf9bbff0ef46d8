#!/usr/bin/env python3
"""Where a CCR's CPU goes: read, decode, charge, store, encode, write, by a profile of mubss-gy under load.

The load runs twice: alone, for what a CCR costs, and with py-spy beside it, for the shares. A sample counts where a
thread of the server ran, not where it waited. What no rule of scripts/benching/layers.py names is "unclassified"; its
innermost frames are told at the end. Compiled modules (scripts/compiled) have no frames that py-spy sees: what they do
would count for who called them, so that is refused.

    scripts/bench layers [--store mysql|mysql-tls|URL] [--depths 64] [--seconds 10] [--accounts 20000]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benching.gy import Running, checked, generator, load, server
from benching.layers import MEANING, Profile, profile_of
from benching.places import Place, add_store, place
from benching.rows import Row, add_json, show
from gy_reckoning import make_store
from mubss.gy import avp

PY_SPY = Path(sys.executable).parent / "py-spy"
SAMPLES_A_SECOND = 200
TOLD = 5  # strangers


def profile(running: Running, at: Place, arguments: list[str], seconds: float) -> Profile:
    """One run of the load with py-spy beside it."""
    file = at.folder / "profile.txt"
    command = [str(PY_SPY), "record", "--pid", str(running.pid), "--format", "raw", "--function"]
    command += ["--rate", str(SAMPLES_A_SECOND), "--duration", str(max(1, int(seconds) - 1)), "--output", str(file)]
    with generator(running, 2, arguments) as process:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert process.stdout is not None
        process.stdout.read()
    if done.returncode or not file.exists():
        sys.exit(f"bench layers: py-spy: {done.stderr.strip()}")
    return profile_of(file.read_text().splitlines())


def measure(at: Place, options: argparse.Namespace) -> Iterator[Row]:
    """A table for each depth."""
    make_store(at.url, options.accounts).close()
    at.settle()
    common = ["--accounts", str(options.accounts), "--seconds", str(options.seconds), "--warm-up", options.warm_up]
    for depth in options.depths.split(","):
        with server(at.url, {}, at.mysqld) as running:
            arguments = [*common, "--in-flight", depth]
            spent_us = checked(depth, load(running, 1, arguments))["server CPU µs/CCR"]
            found = profile(running, at, arguments, options.seconds)
        for layer, share in found.shares.items():
            figures = {"% of the server's CPU": share * 100, "CPU µs/CCR": share * spent_us}
            yield Row(f"a CCR's CPU by layer, {depth} in flight", f"{layer}: {MEANING[layer]}", figures)
        total = {"% of the server's CPU": 100, "CPU µs/CCR": spent_us}
        yield Row(f"a CCR's CPU by layer, {depth} in flight", "all", total)
        print(f"{found.samples.total()} samples; unclassified: {found.strangers.most_common(TOLD)}", file=sys.stderr)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_store(parser)
    add_json(parser)
    parser.add_argument("--depths", default="64", help="requests in flight, several by commas")
    parser.add_argument("--accounts", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--warm-up", default="2", help="seconds")
    options = parser.parse_args()
    if not PY_SPY.exists():
        sys.exit("bench layers: there is no py-spy in .venv; expected it: .venv/bin/pip install -e '.[dev]'")
    if avp.__file__.endswith(".so"):
        sys.exit("bench layers: the hot modules are compiled; expected plain Python, whose frames py-spy sees")
    with place(options.store) as at:
        show(measure(at, options), as_json=options.json)


if __name__ == "__main__":
    main()
