"""What others do, for the charts: measured or published figures, with where they are from."""

from __future__ import annotations

from typing import NamedTuple


class Peer(NamedTuple):
    """Another charging system."""

    name: str
    rates: dict[int, float]  # CCR/s by requests in flight
    source: str


# The same load (I + 3 U + T, one MSCC), its generator on the same two shared cores; of another machine than ours was.
SIGSCALE = Peer(
    "SigScale OCS 3.4",
    {1: 3_446, 8: 5_526, 32: 7_956, 128: 8_433},
    "measured beside its load generator on two shared cores of another machine; Erlang, its store in memory: it "
    "answers before anything is on the disk (no fsync), 207 µs of CPU for a CCR at 32 in flight",
)
# 19,700 CCR/s on 31 + 5 cores.
ORACLE_RATE_A_CORE = 547
ORACLE = "Oracle ECE/BRM 15.0.1: 547 CCR/s for each core, as its maker published it (19,700 on 36 cores)"
