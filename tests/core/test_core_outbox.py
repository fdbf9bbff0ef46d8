"""What sessions' clients must be told, from the change that makes an entry to the answer that ends it."""

from __future__ import annotations

from typing import Any

import pytest

from core_builders import (
    DATA,
    INITIAL,
    MB,
    NOW_S,
    TERMINATE,
    UPDATE,
    ccr,
    demo_tables,
    flat,
    make_account,
    make_tables,
    mscc,
    plan,
    plan_service,
)
from core_world import World
from mubss.core import outbox
from mubss.core.errors import LedgerError
from mubss.core.identity import session_hash
from mubss.core.model import EndSession, Movement, SetPlan, SetState, Tell

DEMO = demo_tables()
S1, S2 = session_hash("s1"), session_hash("s2")
NOW_MS = NOW_S * 1000


def two_sessions() -> World:
    """s1 of a client with a connection of its own, s2 of one behind an agent."""
    world = World(DEMO, make_account())
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB), peer="PGW.example"))
    behind = {"peer": "smf.example", "via": "dra.example", "realm": "visited"}
    world.ask(ccr(DEMO, INITIAL, 0, mscc(1, asks=MB), session="s2", **behind))
    assert not world.outbox
    return world


def one_entry(world: World, key: str = S1) -> dict[str, Any]:
    [entry] = [entry for entry in world.outbox.values() if entry["session"] == key]
    return entry


@pytest.mark.conforms("Rule 13", "what each change tells every open session")
@pytest.mark.parametrize(
    ("command", "kind", "cause"),
    [
        (Movement("topup", 5_000_000), "reauth", "topup"),
        (Movement("payment", 1), "reauth", "payment"),
        (Movement("adjustment", -1), "", ""),
        (SetState("suspended"), "abort", "suspended"),
        (SetState("barred"), "abort", "barred"),
        (SetState("terminated"), "abort", "terminated"),
        (SetState("active"), "", ""),
        (SetPlan("demo-prepaid"), "", ""),
        (EndSession(S1), "", ""),
    ],
)
def test_what_each_change_tells_every_open_session(command: Any, kind: str, cause: str) -> None:
    world = two_sessions()
    world.do(command)
    told = {(entry["session"], entry["kind"], entry["cause"], entry["peer"]) for entry in world.outbox.values()}
    expected = {(S1, kind, cause, "pgw.example"), (S2, kind, cause, "dra.example")}
    assert told == (expected if kind else set())


def test_names_on_the_way_to_a_client() -> None:
    world = two_sessions()
    world.do(Movement("topup", 1))
    direct, behind = one_entry(world), one_entry(world, S2)
    assert (direct["peer"], direct["host"], direct.get("realm")) == ("pgw.example", "PGW.example", None)
    assert (behind["peer"], behind["host"], behind["realm"]) == ("dra.example", "smf.example", "visited")
    world.ask(ccr(DEMO, UPDATE, 1, session="s2", peer="smf.example"))  # now it comes by a connection of its own
    session = world.session(S2)
    assert "via" not in session and "realm" not in session
    after, sends = outbox.take(behind, world.account, NOW_MS, 5000, 7)
    assert (after["peer"], after["due_ms"], sends) == ("smf.example", NOW_MS, False)


def test_ended_sessions_are_told_nothing() -> None:
    world = two_sessions()
    world.ask(ccr(DEMO, TERMINATE, 1, session="s2"))
    world.do(Movement("topup", 1))
    assert [entry["session"] for entry in world.outbox.values()] == [S1]


def test_another_cause_begins_anew() -> None:
    world = two_sessions()
    world.do(Movement("topup", 1))
    sent, _ = outbox.take(one_entry(world), world.account, NOW_MS, 5000, 7)
    done = outbox.answered(sent, 7, 2001)
    world.do(Movement("payment", 1), now_s=NOW_S + 9)
    again = one_entry(world)
    assert again["_id"] == done["_id"]
    assert (again["state"], again["tries"], again["cause"], again["due_ms"]) == ("waiting", 0, "payment", NOW_MS + 9000)
    assert outbox.answered(again, 7, 2001) is again, "that is the answer to the one before"


@pytest.mark.conforms("RFC 6733 §3", "an RAR is repeated under one End-to-End Identifier")
def test_three_tries_each_waiting_longer_under_one_identifier() -> None:
    world = two_sessions()
    world.do(SetState("suspended"))
    entry, now_ms = one_entry(world), NOW_MS
    for tries, wait_ms in enumerate((5_000, 15_000, 45_000), 1):
        entry, sends = outbox.take(entry, world.account, now_ms, 5000, 100 + tries)
        assert sends and entry["tries"] == tries and entry["due_ms"] == now_ms + wait_ms
        assert entry["end_to_end"] == 101 and outbox.is_repeat(entry, 100 + tries) is (tries > 1)
        now_ms = entry["due_ms"]
    entry, sends = outbox.take(entry, world.account, now_ms, 5000, 104)
    assert (entry["state"], entry["why"], sends) == ("given up", "no answer", False)
    assert "peer" not in entry and "due_ms" not in entry


@pytest.mark.conforms("Rule 13", "2001 and 2002 are fine, the others mean what they say")
@pytest.mark.parametrize(
    ("result_code", "state"),
    [
        (2001, "done"), (2002, "done"), (2999, "done"), (5002, "done"),
        (3002, "waiting"), (3004, "waiting"), (3005, "waiting"), (4002, "waiting"),
        (3001, "given up"), (3010, "given up"), (5012, "given up"), (0, "given up"), (2**32 - 1, "given up"),
    ],
)  # fmt: skip
def test_what_an_answer_means(result_code: int, state: str) -> None:
    world = two_sessions()
    world.do(Movement("topup", 1))
    entry, _ = outbox.take(one_entry(world), world.account, NOW_MS, 5000, 7)
    assert outbox.answered(entry, 8, result_code) is entry, "an answer to something else"
    after = outbox.answered(entry, 7, result_code)
    assert (after["state"], after["result"]) == (state, result_code)
    assert ("peer" in after) is ("due_ms" in after) is (state == "waiting")
    if state == "waiting":
        again, sends = outbox.take(after, world.account, after["due_ms"], 5000, 9)
        assert sends and again["end_to_end"] == 9 and not outbox.is_repeat(again, 9), "a request of its own"
        assert outbox.answered(after, 7, 2001) is after
    else:
        assert outbox.answered(after, 7, 2001) is after


def test_what_needs_no_telling_any_more() -> None:
    world = two_sessions()
    world.do(SetState("suspended"))
    entry = one_entry(world)
    world.do(SetState("active"))
    assert outbox.take(entry, world.account, NOW_MS, 5000, 7)[0]["why"] == "the subscriber is active again"
    world.do(SetState("suspended"))
    world.do(EndSession(S1, only_if_expired=False))
    assert outbox.take(entry, world.account, NOW_MS, 5000, 7)[0]["why"] == "the session has ended"
    assert outbox.take(entry, None, NOW_MS, 5000, 7) == ({**_gone(entry), "why": "the session has ended"}, False)


def _gone(entry: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if name not in ("peer", "due_ms")} | {"state": "dropped"}


def test_an_operator_tells_one_session_or_one_rating_group() -> None:
    world = two_sessions()
    world.do(Tell(S1, "reauth", 32))
    world.do(Tell(S1, "reauth"))
    world.do(Tell(S2, "abort"))
    assert len(world.outbox) == 3
    assert {entry.get("group") for entry in world.outbox.values()} == {32, None}
    assert outbox.take(one_entry(world, S2), world.account, NOW_MS, 5000, 7)[1], "also of an active subscriber"
    with pytest.raises(LedgerError, match=r"session: 0+ isn't open; expected an open session"):
        world.do(Tell("0" * 32, "abort"))


# ── another plan ───────────────────────────────────────────────────────────────────────────────────

PLANS = make_tables(
    plan("dear", plan_service(DATA, flat(20_000, MB)), credit_limit_micros=500_000),
    plan("cheap", plan_service(DATA, flat(5_000, MB)), credit_limit_micros=100_000),
    plan("other-kind", plan_service(DATA, flat(5_000, MB)), type="postpaid"),
)


def test_another_plan_prices_what_is_reported_from_then_on() -> None:
    world = World(PLANS, make_account("dear", credit="0.50"))
    world.ask(ccr(PLANS, INITIAL, 0, mscc(1, asks=5 * MB)))
    world.ask(ccr(PLANS, UPDATE, 1, mscc(1, used=2 * MB, asks=5 * MB)))
    assert world.account["reserved_micros"] == 5 * 20_000
    world.do(SetPlan("cheap"), now_s=NOW_S + 60)
    assert (world.account["plan"], world.account["credit_limit_micros"]) == ("cheap", 100_000)
    assert world.account["reserved_micros"] == 5 * 20_000, "the grant was made at the old price"
    assert [(one["plan"], one["units"], one["charge_micros"]) for one in world.usage] == [("dear", 2 * MB, 40_000)]
    assert one_entry(world)["cause"] == "plan"
    world.ask(ccr(PLANS, TERMINATE, 2, mscc(1, used=3 * MB)), now_s=NOW_S + 90)
    assert world.account["balance_micros"] == 10_000_000 - 40_000 - 15_000
    assert [(one["plan"], one["units"], one["charge_micros"]) for one in world.usage[1:]] == [("cheap", 3 * MB, 15_000)]


def test_a_credit_limit_of_the_operators_own_stays() -> None:
    world = World(PLANS, make_account("dear", credit="7"))
    world.do(SetPlan("cheap"))
    assert world.account["credit_limit_micros"] == 7_000_000


@pytest.mark.parametrize(
    ("state", "code", "text"),
    [
        ("active", "none", r"plan: 'none'; expected one of cheap, dear, other-kind"),
        ("active", "other-kind", r"plan: other-kind is postpaid in EUR; expected prepaid in EUR"),
        ("terminated", "cheap", r"state: terminated; a terminated subscriber has no other plan"),
    ],
)
def test_plans_that_an_account_cant_have(state: str, code: str, text: str) -> None:
    world = World(PLANS, make_account("dear", state=state))
    with pytest.raises(LedgerError, match=text):
        world.do(SetPlan(code))
