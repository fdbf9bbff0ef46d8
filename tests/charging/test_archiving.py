"""The archive on both stores: what leaves, what stays, what is carried forward, and what a kill or a fault leaves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from archive_office import (
    NOVEMBER,
    NOW_S,
    OCTOBER,
    SEPTEMBER,
    archive,
    archiving_of,
    call,
    killed,
    past,
    proved,
    top_up,
)
from bill_office import FIRST, bill, format_all, people, put, run
from charging_world import World
from core_builders import BERLIN, utc
from mubss.config_stats import StatsOptions
from mubss.core.archive import OPEN_SESSION, TOGETHER, UNBILLED, UNCOUNTED, UNSETTLED
from mubss.core.errors import Busy, InputError, LedgerError
from mubss.core.periods import Periods
from mubss.services import archive_files, archiving
from mubss.services.archiving import kept, through, verify
from mubss.services.audit_ledger import check
from mubss.services.rerating import Wanted, rerate
from mubss.services.stats_pass import Counter
from mubss.storage import archives, stats
from tiny_disk import tiny_disk

ONE, TWO = "999700000001", "999700000002"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


def why(world: World, folder: Path) -> dict[tuple[str, str], int]:
    """(kind, reason) → how many documents stay for it."""
    return {(one.kind, one.why): one.rows for one in archiving_of(world, folder).staying()}


def made(world: World) -> list[str]:
    """Two prepaid accounts without a bill cycle, with three months' postings and usage."""
    world.clock.now_ms = SEPTEMBER * 1000
    accounts = [world.account(ONE), world.account(TWO)]
    for number, month_s in enumerate((SEPTEMBER, OCTOBER, NOVEMBER)):
        for msisdn, account in zip((ONE, TWO), accounts, strict=True):
            top_up(world, account, month_s + 60)
            call(world, msisdn, month_s + 3600, f"{msisdn} {number} a")
            call(world, msisdn, month_s + 7200, f"{msisdn} {number} b")
    world.clock.now_ms = NOW_S * 1000
    return accounts


def test_what_is_of_closed_months_goes_to_files(world: World, folder: Path) -> None:
    accounts = made(world)
    before, balances = past(world, folder), [world.get("accounts", one) for one in accounts]
    look = archiving_of(world, folder).look()
    assert not folder.exists() and world.all("archives") == [], "a look writes nothing"
    moved = archive(world, folder)
    assert [one[:4] for one in moved] == [one[:4] for one in look]
    assert {(one.kind, one.month) for one in moved} == {
        (kind, month) for kind in ("postings", "usage") for month in ("2026-09", "2026-10")
    }
    assert {doc["from_s"] for doc in world.all("usage")} == {NOVEMBER + 3600, NOVEMBER + 7200}
    assert all(doc["at_ms"] >= NOVEMBER * 1000 for doc in world.all("postings"))
    assert [world.get("accounts", one) for one in accounts] == balances, "no account is touched"
    proved(world, folder, before)
    assert archive(world, folder) == [] and len(world.all("carried")) == 2
    top_up(world, accounts[0], NOW_S + 1)
    assert check(world.store)[1] == []


def _is_old(doc: dict[str, Any]) -> bool:
    return bool(doc.get("at_ms", 0) // 1000 + doc.get("from_s", 0) < utc(2026, 10, 31, 23))


def test_what_statistics_have_not_counted_stays(world: World, folder: Path) -> None:
    made(world)

    def count() -> None:
        Counter(world.store, Periods(world.tables.calendar), "Europe/Berlin", StatsOptions(), lambda: NOW_S).run(NOW_S)

    count()
    call(world, ONE, OCTOBER + 86_400, "late")
    before = past(world, folder)
    stats.ask_rebuild(world.store)
    count_of = {kind: len([one for one in world.all(kind) if _is_old(one)]) for kind in ("postings", "usage")}
    assert why(world, folder) == {(kind, UNCOUNTED): count for kind, count in count_of.items()}
    assert archive(world, folder) == [], "all is to be counted again"
    count()
    call(world, TWO, OCTOBER + 86_400, "later")
    assert archive(world, folder)
    assert [doc["session_id"] for doc in world.all("usage") if doc["from_s"] < NOVEMBER] == ["later"]
    count()
    assert [(one.kind, one.month, one.rows) for one in archive(world, folder)] == [("usage", "2026-10", 1)]
    assert len(past(world, folder)["usage"]) == len(before["usage"]) + 1
    assert check(world.store)[1] == [] and list(verify(world.store, folder)) == []


def test_month_by_month_is_the_same(world: World, folder: Path) -> None:
    made(world)
    before = past(world, folder)
    assert {one.month for one in archive(world, folder, "2026-09")} == {"2026-09"}
    proved(world, folder, before)
    assert {one.month for one in archive(world, folder, "2026-10")} == {"2026-10"}
    proved(world, folder, before)


def test_columns_that_others_can_read(world: World, folder: Path) -> None:
    import pyarrow.parquet

    [account, _] = made(world)
    archive(world, folder)
    table = pyarrow.parquet.read_table(folder / "usage/2026/usage-2026-10-0001.parquet").to_pylist()
    assert [row["service"] for row in table] == ["VOICE"] * 4 and {row["units"] for row in table} == {600}
    assert sum(row["charge_micros"] for row in table) == 4 * 900_000
    assert [row["account"] for row in table] == sorted(row["account"] for row in table) and account in str(table)


def change(world: World, collection: str, document_id: str, **fields: Any) -> None:
    doc = world.get(collection, document_id)
    assert doc is not None
    put(world, [{**doc, **fields}], collection)


@pytest.mark.parametrize(
    "fields",
    [
        {"balance_micros": 1},
        {"sequence": 2},
        {"bought": {"TALK:1": 5}},
        {"drawn": {"2026-11": {"VOICE": 7}}},
        {"shared": {"2026-11": {"a/VOICE": 7}}},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_sums_that_somebody_changed_are_found(world: World, folder: Path, fields: Any) -> None:
    accounts = made(world)
    archive(world, folder)
    change(world, "carried", accounts[0], **fields)
    assert {one.account for one in check(world.store)[1]} == {accounts[0]}
    assert [one.where for one in verify(world.store, folder)] == [accounts[0]]


def test_sums_that_are_gone_or_too_many_are_found(world: World, folder: Path) -> None:
    accounts = made(world)
    archive(world, folder)
    doc = world.get("carried", accounts[0])
    assert doc is not None
    world.store.run(lambda session: session.collection("carried").remove_many([accounts[0]]))
    assert {one.account for one in check(world.store)[1]} == {accounts[0]}
    assert [one.where for one in verify(world.store, folder)] == [accounts[0]]
    put(world, [doc, {**doc, "_id": "0nobody"}, {**doc, "_id": "znobody"}], "carried")
    assert [one.account for one in check(world.store)[1]] == ["0nobody", "znobody"]
    assert [one.where for one in verify(world.store, folder)] == ["0nobody", "znobody"]


def test_all_of_an_account_may_be_archived(world: World, folder: Path) -> None:
    world.clock.now_ms = SEPTEMBER * 1000
    account = world.account(ONE)
    archive(world, folder)
    assert world.all("postings") == [] and check(world.store) == (1, [])
    top_up(world, account, NOW_S)
    assert [doc["sequence"] for doc in world.all("postings")] == [2] and check(world.store) == (1, [])


def test_an_open_session_keeps_what_it_used(world: World, folder: Path) -> None:
    account = made(world)[0]
    call(world, ONE, OCTOBER + 9000, "long", ends=False)
    world.clock.now_ms = NOW_S * 1000
    [session] = world.get("accounts", account)["sessions"]  # type: ignore[index]
    record = next(doc for doc in world.all("usage") if doc["account"] == account)
    put(world, [{**record, "session": session}], "usage")  # a part of it that was written at a month's turn
    assert why(world, folder) == {("usage", OPEN_SESSION): 1}
    archive(world, folder)
    assert world.get("usage", record["_id"]) is not None and check(world.store)[1] == []


def test_what_is_priced_together_leaves_together(world: World, folder: Path) -> None:
    made(world)
    docs = world.all("usage")
    last = next(doc for doc in docs if doc["from_s"] > NOVEMBER)
    first = next(doc for doc in docs if doc["account"] == last["account"] and doc["from_s"] < OCTOBER)
    put(world, [{**first, "session": last["session"]}], "usage")
    assert why(world, folder) == {("usage", TOGETHER): 1}
    archive(world, folder)
    assert world.get("usage", first["_id"]) is not None


# ── bills ──


def billed(world: World, state: str = "BILL_STATUS_PAID") -> str:
    """A postpaid account with a bill of FIRST, in a state; its postings and usage are of October."""
    [account] = people(world, 1)
    call(world, world.get("subscribers", account)["msisdn"], FIRST.start_s + 3600, "of the period")  # type: ignore[index]
    run(world)
    put(world, [{**one, "state": state} for one in world.all("bills")])
    world.clock.now_ms = NOW_S * 1000
    return account


@pytest.mark.parametrize("state", ["BILL_STATUS_NEW", "BILL_STATUS_UNPAID", "BILL_STATUS_PARTLY_PAID"])
def test_what_a_bill_needs_that_is_not_settled_stays(world: World, folder: Path, state: str) -> None:
    billed(world, state)
    usage = world.all("usage")
    assert why(world, folder)["usage", UNSETTLED] == len(usage)
    assert archive(world, folder) == [] and world.all("usage") == usage
    put(world, [{**one, "state": "BILL_STATUS_PAID"} for one in world.all("bills")])
    assert {one.kind for one in archive(world, folder)} >= {"usage"}
    assert check(world.store)[1] == []


def test_what_no_bill_has_yet_stays(world: World, folder: Path) -> None:
    billed(world)
    account = world.all("accounts")[0]["_id"]
    record = world.all("usage")[-1]
    late = {
        **record,
        "_id": record["_id"][:-1] + "f",
        "sequence": 15,
        "session": "x",
    }  # written late, of the period that is billed
    put(world, [late], "usage")
    change(world, "accounts", account, usage_sequence=15)
    archive(world, folder)
    assert [doc["_id"] for doc in world.all("usage")] == [late["_id"]]


def test_a_cycle_without_a_bill_yet_keeps_all(world: World, folder: Path) -> None:
    [account] = people(world, 1)
    top_up(world, account, FIRST.start_s + 60)
    assert why(world, folder) == {("postings", UNBILLED): 1}
    assert archive(world, folder) == []


def test_who_gets_no_statements_needs_nothing_for_them(world: World, folder: Path) -> None:
    [account] = people(world, 1, "prepaid")
    top_up(world, account, FIRST.start_s + 60)
    assert archive(world, folder) == []
    [moved] = archiving_of(world, folder, statements=False).run()
    assert (moved.kind, moved.rows) == ("postings", 1) and check(world.store)[1] == []


def test_charges_go_on_meanwhile(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = made(world)
    before = past(world, folder)
    monkeypatch.setattr(archiving, "PAGE_DOCUMENTS", 2)
    real = archives.remove_page

    def charged(*given: Any) -> int:
        top_up(world, accounts[0], NOW_S)
        assert check(world.store)[1] == [], "between any two pages"
        return real(*given)

    monkeypatch.setattr(archives, "remove_page", charged)
    archive(world, folder)
    after = past(world, folder)
    assert after["usage"] == before["usage"]
    new = [doc for doc in after["postings"] if doc not in before["postings"]]
    assert {doc["at_ms"] for doc in new} == {NOW_S * 1000} and len(after["postings"]) == len(before["postings"]) + len(
        new
    )
    proved(world, folder, after)


def test_the_bill_behind_what_was_archived_is_the_same(world: World, folder: Path) -> None:
    accounts = [billed(world)]
    archive(world, folder)
    from bill_office import SECOND

    found = run(world, SECOND)
    assert found[accounts[0]]["previous_due"] == bill(world, "INV-2026-0000001")["due"]
    format_all(world)
    assert check(world.store)[1] == []


def test_the_first_statement_of_who_had_no_cycle_opens_with_the_balance(world: World, folder: Path) -> None:
    from bill_office import CYCLE, SECOND

    [account, _] = made(world)
    archive(world, folder)
    change(world, "subscribers", account, bill_cycle=CYCLE, language="en")
    found = run(world, SECOND)[account]  # 4 November to 3 December
    assert found["opening_balance"] == 1000 + 200 - 4 * 90 and found["topped_up"] == 100
    assert found["closing_balance"] == found["opening_balance"] + 100 - 180


# ── kills ──

STEPS = [
    ("storage", "take", 1, True),
    ("writer", "add", 3, False),
    ("writer", "close", 1, False),
    ("writer", "close", 2, True),
    ("storage", "add", 1, False),
    ("storage", "add", 1, True),
    ("files", "name", 1, False),
    ("files", "name", 1, True),
    ("files", "name", 3, True),
    ("storage", "remove_page", 1, False),
    ("storage", "remove_page", 1, True),
    ("storage", "remove_page", 4, True),
    ("storage", "leave", 1, False),
]


@pytest.mark.parametrize(("module", "step", "count", "behind"), STEPS)
def test_a_kill_loses_nothing_and_doubles_nothing(
    world: World, folder: Path, module: str, step: str, count: int, behind: bool
) -> None:
    made(world)
    before = past(world, folder)
    assert killed(world, folder, module, step, count, behind=behind) == -9
    assert past(world, folder) == before and check(world.store)[1] == []
    with pytest.raises(Busy, match="should it have ended"):
        archive(world, folder)
    archiving_of(world, folder, now_s=NOW_S + archives.LEASE_SECONDS + 1).run()
    proved(world, folder, before)
    assert len(world.all("usage")) == 4 and not list(folder.rglob(".*"))
    assert all(doc["state"] == "done" for doc in archives.manifests(world.store))


# ── faults ──


def test_who_lost_its_turn_writes_nothing(world: World, folder: Path) -> None:
    made(world)
    before = past(world, folder)
    late = archiving_of(world, folder)
    archives.take(world.store, late._owner)
    other = archives.Owner("another", lambda: NOW_S + 1000)
    archives.take(world.store, other)
    with pytest.raises(Busy, match="another process"):
        late._write(set())
    with pytest.raises(Busy):
        late.run()
    assert world.all("usage") and past(world, folder) == before and not list(folder.rglob("*.parquet"))


def begun(world: World, folder: Path, files: int = 4) -> Path | None:
    """A run that was killed with so many files named, before the documents of the last one left; October's usage."""
    assert killed(world, folder, "files", "name", files, behind=True) == -9
    world.store.run(lambda session: session.collection("archives").modify("_id = 'run'").set("until_s", 0).execute())
    return next(folder.rglob("usage-2026-10-0001.parquet"), None)


def test_a_file_that_changed_keeps_its_documents_in_the_store(world: World, folder: Path) -> None:
    made(world)
    count = len(world.all("usage"))
    file = begun(world, folder)
    assert file is not None
    octets = file.read_bytes()
    file.write_bytes(octets[:-9] + b"x" + octets[-8:])
    october = [doc for doc in world.all("usage") if OCTOBER < doc["from_s"] < NOVEMBER]
    with pytest.raises(InputError, match="not as it was written"):
        archive(world, folder)
    assert [doc for doc in world.all("usage") if OCTOBER < doc["from_s"] < NOVEMBER] == october
    file.write_bytes(octets)
    archive(world, folder)
    assert len(world.all("usage")) == count // 3 and list(verify(world.store, folder)) == []


def test_a_file_that_is_gone_before_anything_left_is_written_anew(world: World, folder: Path) -> None:
    made(world)
    before = past(world, folder)
    file = begun(world, folder)
    assert file is not None
    file.unlink()
    archive(world, folder)
    proved(world, folder, before)


def test_a_file_that_is_gone_or_damaged_is_told(world: World, folder: Path) -> None:
    made(world)
    archive(world, folder)
    first, second, third, *_ = sorted(folder.rglob("*.parquet"))
    first.unlink()
    second.write_bytes(b"PAR1")
    third.rename(third.with_name("postings-2026-09-0077.parquet"))
    found = {one.where: one.text for one in verify(world.store, folder)}
    assert len(found) == 4 and "isn't there" in found["postings/2026/postings-2026-09-0001.parquet"]
    assert "no manifest" in found[third.with_name("postings-2026-09-0077.parquet").relative_to(folder).as_posix()]


def test_what_was_changed_meanwhile_stays_in_the_store(world: World, folder: Path) -> None:
    made(world)
    begun(world, folder)
    record = next(doc for doc in world.all("usage") if OCTOBER < doc["from_s"] < NOVEMBER)
    put(world, [{**record, "called": "erased"}], "usage")
    before = past(world, folder)
    archive(world, folder)
    assert past(world, folder) == before
    assert world.get("usage", record["_id"]) is None, "the same call took it to a file of its own"
    assert {one["_id"] for one in archives.manifests(world.store)} >= {"usage-2026-10-0002"}


def test_a_posting_that_changed_stops_it(world: World, folder: Path) -> None:
    made(world)
    begun(world, folder, 1)
    posting = next(doc for doc in world.all("postings") if doc["sequence"] == 2)
    put(world, [{**posting, "at_ms": posting["at_ms"] + 1}], "postings")
    with pytest.raises(LedgerError, match="not as in"):
        archive(world, folder)


def test_a_folder_that_cannot_be_written(world: World, folder: Path) -> None:
    made(world)
    before = past(world, folder)
    folder.write_text("a file")
    with pytest.raises(InputError, match="can't be written"):
        archive(world, folder)
    folder.unlink()
    assert past(world, folder) == before and archives.manifests(world.store) == []
    archive(world, folder)
    proved(world, folder, before)


def test_a_full_disk_leaves_all_in_the_store(world: World, folder: Path) -> None:
    made(world)
    before = past(world, folder)
    with tiny_disk(folder, "size=16k"):
        with pytest.raises(InputError, match="No space left"):
            archive(world, folder)
        assert not [path for path in folder.rglob("*") if path.is_file()], "not even drafts"
    assert past(world, folder) == before and archives.manifests(world.store) == []
    archive(world, folder)
    proved(world, folder, before)


def test_a_file_of_that_name_is_never_replaced(world: World, folder: Path) -> None:
    made(world)
    there = folder / "usage/2026/usage-2026-10-0001.parquet"
    there.parent.mkdir(parents=True)
    there.write_text("another store's")
    archive(world, folder)
    assert there.read_text() == "another store's" and (there.parent / "usage-2026-10-0002.parquet").exists()


def test_archived_usage_is_not_priced_again(world: World, folder: Path) -> None:
    made(world)
    archive(world, folder)
    with pytest.raises(InputError, match="usage before it is archived"):
        list(rerate(world.store, world.tables, Wanted(OCTOBER, NOW_S)))
    assert len(list(rerate(world.store, world.tables, Wanted(NOVEMBER, NOW_S)))) == 2


@pytest.mark.parametrize("month", ["2026-11", "2027-01", "2026-13", "x", ""])
def test_months_that_are_none_or_not_over(month: str) -> None:
    with pytest.raises(InputError):
        through(month, BERLIN, NOW_S)


def test_what_retention_keeps(world: World) -> None:
    calendar = world.tables.calendar
    assert kept(0, calendar, NOW_S).month == ""
    assert kept(1, calendar, NOW_S) == ("2026-09", utc(2026, 9, 30, 22))
    assert kept(11, calendar, NOW_S).month == "2025-11"


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(0, 200), st.booleans(), st.integers(0, 1)), max_size=12), st.data())
def test_any_past_adds_up_after_any_runs(tmp_path_factory: Any, days: list[tuple[int, bool, int]], data: Any) -> None:
    place = tmp_path_factory.mktemp("past")
    world, folder = World(f"sqlite:///{place}/store.db"), place / "archive"
    world.clock.now_ms = utc(2026, 4, 1) * 1000
    accounts = [world.account(ONE), world.account(TWO)]
    for number, (day, calls, who) in enumerate(sorted(days)):
        at_s = utc(2026, 4, 2) + day * 86_400 + number * 700
        if calls:
            call(world, (ONE, TWO)[who], at_s, f"call {number}", seconds=60)
        else:
            top_up(world, accounts[who], at_s)
    world.clock.now_ms = NOW_S * 1000
    before, balances = past(world, folder), [world.get("accounts", one) for one in accounts]
    months = st.sampled_from([f"2026-{month:02}" for month in range(3, 11)])
    for month in data.draw(st.lists(months, max_size=3)):
        archive(world, folder, month)
        proved(world, folder, before)
    assert [world.get("accounts", one) for one in accounts] == balances
    world.store.close()


def test_a_run_without_pyarrow_says_what_to_install(
    world: World, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(world)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(Exception, match=r"mubss\[parquet\]"):
        archive(world, folder)
    assert archive_files.SUMMED and archiving.KINDS
