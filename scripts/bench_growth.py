#!/usr/bin/env python3
"""How the cost of a CCR grows: with accounts, sessions of an account, rating groups, peers, workers.

Each axis has a store of its own. But for what the axis changes it is 20,000 accounts, one rating group, 4 peers, one
worker and 64 in flight; the axis of peers has 1,024, so that each of 1,000 connections has one. "sessions" are those
open on each of 1,000 accounts, all but the last of them idle.

    scripts/bench growth [--store mysql|URL] [--axes accounts,sessions,groups,peers,workers] [--seconds 6]
        [--accounts 1000,10000,100000,1000000] [--sessions 1,4,16] [--groups 1,2,4,8] [--peers 1,10,100,1000]
        [--workers 1,2]
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator
from typing import NamedTuple

from benching.gy import checked, load, server
from benching.places import Place, add_store, allow_descriptors, place
from benching.rows import Row, add_json, show
from gy_reckoning import make_store

ACCOUNTS, FEW_ACCOUNTS = 20_000, 1_000
DEPTH, MANY = 64, 1_024  # requests in flight
DESCRIPTORS = 8192


class Axis(NamedTuple):
    """One thing that grows."""

    name: str
    title: str  # of a value
    default: str
    accounts: int = ACCOUNTS
    depth: int = DEPTH

    @property
    def table(self) -> str:
        """The title of its table."""
        return f"growth with {self.name}"


AXES = (
    Axis("accounts", "accounts", "1000,10000,100000,1000000"),
    Axis("sessions", "open sessions an account", "1,4,16", FEW_ACCOUNTS),
    Axis("groups", "rating groups a request", "1,2,4,8"),
    Axis("peers", "peers", "1,10,100,1000", depth=MANY),
    Axis("workers", "workers", "1,2"),
)


def arguments_of(axis: Axis, value: int, most: int) -> tuple[list[str], dict[str, str]]:
    """What the load generator and the server are told for one value."""
    told: dict[str, list[str]] = {
        "sessions": ["--parked", str(value - 1)],
        "groups": ["--groups", str(value)],
        "peers": ["--peers", str(value)],
    }
    settings = {"MUBSS_GY__WORKERS": str(value)} if axis.name == "workers" else {}
    return [*told.get(axis.name, []), "--in-flight", str(min(axis.depth, most))], settings


def measure(axis: Axis, values: list[int], options: argparse.Namespace) -> Iterator[Row]:
    """A row for each value; a store for all of them but where it is the store that grows."""
    with contextlib.ExitStack() as stack:
        at: Place | None = None
        for value in values:
            accounts = value if axis.name == "accounts" else axis.accounts
            if at is None or axis.name in ("accounts", "sessions"):
                stack.close()
                at = stack.enter_context(place(options.store))
                make_store(at.url, min(accounts, options.most_accounts)).close()
                at.settle()
            arguments, settings = arguments_of(axis, value, options.most_in_flight)
            arguments += ["--accounts", str(min(accounts, options.most_accounts))]
            arguments += ["--seconds", str(options.seconds), "--warm-up", options.warm_up]
            with server(at.url, settings, at.mysqld) as running:
                found = load(running, value, arguments)
            yield Row(axis.table, f"{value:,} {axis.title}", checked(f"{axis.table}, {value}", found))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_store(parser)
    add_json(parser)
    parser.add_argument("--axes", default=",".join(axis.name for axis in AXES))
    for axis in AXES:
        parser.add_argument(f"--{axis.name}", default=axis.default, help=f"{axis.title}, by commas")
    parser.add_argument("--most-accounts", type=int, default=10_000_000, help="where there would be more: so many")
    parser.add_argument("--most-in-flight", type=int, default=MANY, help="where there would be more: so many")
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--warm-up", default="2", help="seconds")
    options = parser.parse_args()
    wanted = options.axes.split(",")
    if unknown := set(wanted) - {axis.name for axis in AXES}:
        sys.exit(f"bench growth: --axes: {', '.join(sorted(unknown))}; expected {', '.join(one.name for one in AXES)}")
    allow_descriptors(DESCRIPTORS)
    for axis in AXES:
        if axis.name in wanted:
            values = [int(one) for one in getattr(options, axis.name).split(",")]
            show(measure(axis, values, options), as_json=options.json)


if __name__ == "__main__":
    main()
