"""What rating and charging one request costs in µs of CPU, without wire or store: bench_rate.py [--profile]."""

from __future__ import annotations

import argparse
import cProfile
import pstats
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "core")]

from benching.rows import Row, add_json, show  # noqa: E402 (the path comes first)
from core_builders import (  # noqa: E402
    DATA,
    INITIAL,
    MB,
    NIGHT,
    NOW_S,
    PEAK,
    TERMINATE,
    UPDATE,
    VOICE,
    ccr,
    demo_tables,
    make_account,
    make_tables,
    mscc,
    plan,
    plan_service,
)
from mubss.core import ledger  # noqa: E402
from mubss.core.allowance import Allowance, Bucket  # noqa: E402
from mubss.core.model import Account, CreditControl, Rules  # noqa: E402
from mubss.core.rater import rate_usage  # noqa: E402
from mubss.core.tariff import Tables  # noqa: E402

RULES = Rules()
NOW_MS = NOW_S * 1000
TABLE = "rating and ledger"


def best_us(once: Callable[[], object], seconds: float) -> float:
    """The best µs of ten rounds in CPU time: the least disturbed one says what the code costs."""
    count = 1
    while True:
        began = time.process_time()
        for _ in range(count):
            once()
        if (took := time.process_time() - began) > 0.02:
            break
        count *= 2
    count = max(1, int(count * seconds / 10 / took))
    best = float("inf")
    for _ in range(10):
        began = time.process_time()
        for _ in range(count):
            once()
        best = min(best, (time.process_time() - began) / count)
    return best * 1e6


def banded_tables() -> Tables:
    """Bands, setup fee, minimum and free units together."""
    rates = [("any", "peak", 30_000, MB, 10_000, 20_000), ("any", "any", 10_000, MB, 0, 0)]
    calls = [("any", "peak", 120_000, 60, 50_000, 0), ("any", "any", 60_000, 60, 20_000, 0)]
    return make_tables(
        plan("banded", plan_service(DATA, *rates, free_units=50 * MB), plan_service(VOICE, *calls, free_units=600)),
        bands=(PEAK, NIGHT),
    )


def warmed(tables: Tables, account: Account, updates: int = 8, sessions: int = 1) -> tuple[Account, CreditControl]:
    """An account with open sessions in their stride, and the next update of the first."""
    for number in range(sessions):
        account = do(account, ccr(tables, INITIAL, 0, mscc(1, asks=MB), session=f"session {number}"))
    for number in range(1, updates + 1):
        account = do(account, ccr(tables, UPDATE, number, mscc(1, used=700_000, asks=MB), session="session 0"))
    return account, ccr(tables, UPDATE, updates + 1, mscc(1, used=700_000, asks=MB), session="session 0")


def do(account: Account, command: CreditControl) -> Account:
    """The account after a request."""
    applied = ledger.apply(account, command, None, NOW_MS, RULES, command.tables)
    assert applied.account is not None
    return applied.account


def cases() -> dict[str, Callable[[], object]]:
    """Each case by its name."""
    demo, banded = demo_tables(), banded_tables()
    plain, plain_u = warmed(demo, make_account(balance="1000"))
    few, few_u = warmed(demo, make_account(balance="1000"), sessions=5)
    free, free_u = warmed(banded, make_account("banded", "1000"))
    spent, spent_u = warmed(banded, make_account("banded", "1000"), updates=100)
    idle = make_account(balance="1000")
    first = ccr(demo, INITIAL, 0, mscc(1, asks=MB))
    last = ccr(demo, TERMINATE, 9, mscc(1, used=700_000), session="session 0")
    many = ccr(demo, UPDATE, 9, *(mscc(group, used=700_000, asks=MB) for group in range(1, 9)), session="session 0")

    data, voice = demo.plans["demo-prepaid"].services["DATA"], banded.plans["banded"].services["VOICE"]
    unused = Allowance()
    buckets: list[Bucket] = [
        {"id": f"TALK:{number}", "services": ["VOICE"], "zones": [], "units": 900, "left": 900, "from_s": 0,
         "until_s": NOW_S + 7 * 3600 + number, "priority": number}
        for number in (1, 2)
    ]  # fmt: skip
    bundled = Allowance({"2026-11": 300}, {}, buckets)
    used_rates = {data.rate_keys["any", "any"]: 5 * MB}
    numbers = random.Random(1)
    prefixes: dict[str, str] = {}
    while len(prefixes) < 100_000:
        prefixes[str(numbers.randrange(10, 10 ** numbers.randint(4, 9)))] = "zone"
    routed = make_tables(prefixes=prefixes)
    called = [str(numbers.randrange(10**11, 10**12)) for _ in range(1000)]

    def apply(account: Account, command: CreditControl) -> Callable[[], object]:
        return lambda: ledger.apply(account, command, None, NOW_MS, RULES, command.tables)

    return {
        "apply, CCR-I of a data session": apply(idle, first),
        "apply, CCR-U of a data session": apply(plain, plain_u),
        "apply, CCR-U, one of five open sessions": apply(few, few_u),
        "apply, CCR-U, bands and free units left": apply(free, free_u),
        "apply, CCR-U, bands and free units spent": apply(spent, spent_u),
        "apply, CCR-U of eight rating groups": apply(plain, many),
        "apply, CCR-T of a data session": apply(plain, last),
        "rate_usage, one band": lambda: rate_usage(demo, data, "any", 700_000, NOW_S, used_rates, unused),
        "rate_usage, an hour's call across a band's edge": lambda: rate_usage(
            banded, voice, "any", 3600, NOW_S + 6 * 3600 + 1800, {}, unused
        ),
        "rate_usage, an hour's call, bands, free units, two bundles": lambda: rate_usage(
            banded, voice, "any", 3600, NOW_S + 6 * 3600 + 1800, {}, bundled
        ),
        "zone of 1,000 numbers among 100,000 prefixes": lambda: [routed.zone(number) for number in called],
    }


def main() -> None:
    """Measures every case, or says where the time of the ordinary one goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_json(parser)
    parser.add_argument("--seconds", type=float, default=1.0, help="per case")
    parser.add_argument("--profile", action="store_true", help="profile the ordinary CCR-U instead")
    options = parser.parse_args()
    if not options.profile:
        rows = (Row(TABLE, name, {"CPU µs": best_us(once, options.seconds)}) for name, once in cases().items())
        show(rows, as_json=options.json)
        return
    once = cases()["apply, CCR-U of a data session"]
    profile = cProfile.Profile()
    profile.enable()
    for _ in range(20_000):
        once()
    profile.disable()
    pstats.Stats(profile).sort_stats("tottime").print_stats(20)


if __name__ == "__main__":
    main()
