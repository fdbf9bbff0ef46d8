"""Random lives of small accounts, for property tests: steps, and what plays them.

Blocks, prices, free units and balances are small, so that every edge (a block, the last micro, the last free unit)
is met all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

from core_builders import (
    ALL_WEEK,
    EVENT,
    INITIAL,
    NOW_S,
    PEAK,
    TERMINATE,
    UPDATE,
    ccr,
    flat,
    make_account,
    make_tables,
    mscc,
    plan,
    plan_service,
)
from core_world import World
from mubss.core.errors import LedgerError
from mubss.core.identity import session_hash
from mubss.core.model import (
    Action,
    Applied,
    Command,
    CreditControl,
    EndSession,
    Movement,
    RequestType,
    Rules,
    SetNextPlan,
    SetPlan,
    SetState,
    UnitRequest,
)
from mubss.core.tariff import ANY, Band, Quota, Service, Tables, Unit

DATA = Service("DATA", Unit.OCTETS, "", Quota(40, 200, 60))
VOICE = Service("VOICE", Unit.SECONDS, "", Quota(30, 500, 60))
SMS = Service("SMS", Unit.EVENTS, "", Quota(2, 10, 60))
NIGHT = Band("night", ALL_WEEK, 0, 24)
RULES = Rules(outcome_history=3, supervision_s=300)
ACCOUNTS = (("flat", "0.0003", "0"), ("rich", "0.0004", "0"), ("rich", "0", "0.0005"), ("free", "0.0001", "0.0001"))


def small_tables() -> Tables:
    """`flat`: one rate a service; `free`: with free units; `rich`: bands, zones, setup fees, minimums as well."""
    data = (ANY, "peak", 9, 10, 3, 25), (ANY, ANY, 4, 7, 20, 0)
    voice = (
        ("home", "peak", 9, 6, 30, 0),
        ("home", ANY, 2, 60, 0, 50),
        ("far", "night", 5, 1, 0, 0),  # nobody sells calls abroad by day
    )
    return make_tables(
        plan("flat", *(plan_service(*one) for one in ((DATA, flat(7, 10)), (VOICE, flat(13, 6)), (SMS, flat(11, 1))))),
        plan(
            "free",
            plan_service(DATA, flat(7, 10), free_units=50),
            plan_service(VOICE, flat(13, 6, 5, 20), free_units=100),
            plan_service(SMS, flat(0, 1)),
        ),
        plan(
            "rich",
            plan_service(DATA, *data, free_units=60),
            plan_service(VOICE, *voice, free_units=90),
            plan_service(SMS, flat(11, 1), free_units=3),
        ),
        plan("few", plan_service(DATA, flat(5, 8), free_units=20), credit_limit_micros=300),
        bands=(PEAK, NIGHT),
        prefixes={"49": "home", "33": "far"},
        services={service.code: service for service in (DATA, VOICE, SMS)},
    )


TABLES = small_tables()


class Step(NamedTuple):
    """One command at one account; `numbers` is what the request number skips."""

    account: int
    kind: RequestType | str  # "use" opens the session or updates it, as a client would
    session: int
    requests: list[tuple[int, str | None, int | None, int | None, bool]]  # group, service, used, asks, wants
    after_s: int
    called: str = "49"
    action: int = 0
    amount: int = 0
    skips: int = 0


def steps(units: st.SearchStrategy[int]) -> st.SearchStrategy[list[Step]]:
    """Lists of steps at up to four accounts."""
    service = st.sampled_from(["DATA", "DATA", "VOICE", "SMS", None])
    maybe = st.one_of(st.none(), units)
    request = st.tuples(st.integers(1, 3), service, maybe, maybe, st.booleans())
    step = st.builds(
        Step,
        st.sampled_from([0, 1, 1, 2, 3]),
        st.sampled_from(
            ["use"] * 12
            + [TERMINATE] * 2
            + [INITIAL, UPDATE, EVENT, EVENT, "topup", "state", "plan", "next plan", "expire"]
        ),
        st.integers(0, 1),
        st.lists(request, max_size=3, unique_by=lambda one: one[0]),
        st.sampled_from([0, 1, 30, 60, 4000, 30_000, 20 * 86_400]),
        st.sampled_from(["49", "33", ""]),
        st.sampled_from(list(Action)),
        st.integers(-300, 500),
        st.sampled_from([0, 0, 0, 2]),
    )
    some = st.lists(step, min_size=1, max_size=12)  # lists of lists are longer on the average, and shrink as well
    return st.lists(some, min_size=1, max_size=12).map(lambda lists: [one for several in lists for one in several])


def new_world(**more: Any) -> World:
    """Four accounts with hardly any money."""
    return World(
        TABLES, *(make_account(*row, account_id=f"acc{n}") for n, row in enumerate(ACCOUNTS)), rules=RULES, **more
    )


class Timed(NamedTuple):
    """A command with the account and the second it comes to."""

    account: str
    command: Command
    now_s: int


def timed(given: Sequence[Step]) -> list[Timed]:
    """The commands that steps stand for: their numbers count up within each session."""
    numbers: dict[str, int] = {}
    opened: set[str] = set()
    now_s, found = NOW_S, list[Timed]()
    for position, step in enumerate(given):
        now_s += step.after_s
        session = f"{step.account}-{step.session}"
        if step.kind == EVENT:
            session = f"event {position}"
        if step.kind == "use":
            step = step._replace(kind=UPDATE if session in opened else INITIAL)
        if step.kind == INITIAL:
            opened.add(session)
        elif step.kind == TERMINATE:
            opened.discard(session)
        number = numbers[session] = numbers.get(session, -1) + 1 + step.skips
        found.append(Timed(f"acc{step.account}", _command(step, session, number), now_s))
    return found


def _command(step: Step, session: str, number: int) -> Command:
    if step.kind == "topup":
        return Movement("topup" if step.amount > 0 else "adjustment", step.amount or 1)
    if step.kind == "state":
        return SetState("suspended" if step.amount < 0 else "active")
    if step.kind == "plan":
        return SetPlan(sorted(TABLES.plans)[step.amount % len(TABLES.plans)])
    if step.kind == "next plan":
        return SetNextPlan(sorted(TABLES.plans)[step.amount % len(TABLES.plans)], 20 if step.amount < 0 else None)
    if step.kind == "expire":
        return EndSession(session_hash(session), only_if_expired=step.amount < 0)
    assert isinstance(step.kind, RequestType)
    requests: list[UnitRequest] = [
        mscc(group, used, asks, service=service, wants=wants) for group, service, used, asks, wants in step.requests
    ]
    return ccr(
        TABLES, step.kind, number, *requests, session=session, called=step.called, action=step.action, end_to_end=number
    )


def play(world: World, commands: Sequence[Timed]) -> list[Applied | str]:
    """What came of each command; of one that was refused, its error."""
    results: list[Applied | str] = []
    for account, command, now_s in commands:
        try:
            results.append(world.do(command, account, now_s))
        except LedgerError as error:
            results.append(str(error))
    return results


def end_all(world: World) -> None:
    """Ends every session that is open."""
    for account_id in world.accounts:
        for key in list(world.accounts[account_id]["sessions"]):
            world.do(EndSession(key, only_if_expired=False), account_id)


def without_grants(command: CreditControl) -> CreditControl:
    """The same request, wanting no quota."""
    requests = [mscc(one.rating_group, one.used_units, service=one.service, wants=False) for one in command.requests]
    return ccr(
        command.tables, command.type, command.number, *requests, session=command.session_id, called=command.called
    )


def balances(world: World) -> dict[str, tuple[int, int]]:
    """Balance and reservation by account."""
    return {key: (one["balance_micros"], one["reserved_micros"]) for key, one in world.accounts.items()}
