"""Versions of the reference data: noted, read back, compared, put again; how many are kept, and what refuses one."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mubss.core.errors import AccountChanged, RefdataError
from mubss.refdata.history import UnknownVersion, diff, rollback, versions
from mubss.refdata.load import RowChange, load, read_documents
from mubss.refdata.next_version import Loaded, Maker
from mubss.storage import refdata_versions as kept
from mubss.storage.database import Doc, Store, create_collections, open_database
from mubss.storage.refdata import Documents
from refdata_samples import BAND, CALENDAR, CYCLE, PLAN, TARIFF, source

ANNA = Maker("anna", "test", 50)


def put(store: Store, text: str, *, replace: bool = False, maker: Maker = ANNA, now_s: int = 1000) -> Loaded:
    return load(store, [source(text, "0.toml")], CALENDAR, now_s, replace=replace, maker=maker)


def back(
    store: Store, number: int, maker: Maker = ANNA, *, dry_run: bool = False, version: int | None = None
) -> Loaded:
    return rollback(store, CALENDAR, number, 5000, maker, dry_run=dry_run, version=version)


def tax(code: str, percent: str) -> str:
    return f'[[taxes]]\ncode = "{code}"\nname = "{code}"\nrate_percent = "{percent}"\n'


def docs(store: Store, name: str) -> list[Doc]:
    return store.run(lambda session: session.collection(name).scan(limit=10_000))


def rows(store: Store) -> Documents:
    return read_documents(store)[1]


def test_each_version_is_noted_with_who_made_it(store: Store) -> None:
    assert versions(store, 50) == []
    first = put(store, TARIFF)
    second = put(store, tax("T1", "7") + tax("T2", "7"), maker=Maker("bo", "Refdata/PutRefdata"), now_s=2000)
    put(store, tax("T1", "7"))
    assert len(versions(store, 50)) == 2, "what changes nothing makes none"
    two, one = versions(store, 50)
    assert (two["version"], two["who"], two["what"], two["loaded_s"]) == (2, "bo", "Refdata/PutRefdata", 2000)
    assert (two["digest"], two["changes"]) == (second.version.digest, {"taxes": [2, 0, 0]})
    assert (one["version"], one["who"], one["digest"]) == (1, "anna", first.version.digest)
    assert [doc["version"] for doc in versions(store, 50, before=2)] == [1]
    assert [doc["version"] for doc in versions(store, 50, limit=1)] == [2]


def test_an_old_version_is_put_again_as_a_new_one(store: Store) -> None:
    put(store, TARIFF)
    before = rows(store)
    put(store, tax("T1", "7"))
    put(store, tax("T1", "8") + BAND.replace("20:00", "19:00"))
    changed = rows(store)
    assert back(store, 1, dry_run=True).changed and read_documents(store)[0].number == 3
    done = back(store, 1)
    assert (done.changed, done.version.number, done.version.loaded_s) == (True, 4, 5000)
    assert done.changes["taxes"].removed == 1 and rows(store) == before
    last = versions(store, 50)[0]
    assert (last["rolled_back_to"], last["digest"]) == (1, versions(store, 50)[3]["digest"])
    assert not back(store, 1).changed and not back(store, 4).changed, "it is so already"
    assert back(store, 3).version.number == 5 and rows(store) == changed, "and what came between is there"
    assert [doc["version"] for doc in versions(store, 50)] == [5, 4, 3, 2, 1]


def test_versions_are_compared_row_by_row(store: Store) -> None:
    put(store, TARIFF)
    put(store, tax("T1", "7"))
    put(store, tax("T1", "8"))
    seven, eight = ({"_id": "T1", "name": "T1", "rate_ppm": ppm} for ppm in (70_000, 80_000))
    before, after, found = diff(store, 1)
    assert (before.number, after.number, found) == (1, 3, [RowChange("taxes", "T1", None, eight)])
    assert diff(store, 2, 3)[2] == [RowChange("taxes", "T1", seven, eight)]
    assert diff(store, 3, 1)[2] == [RowChange("taxes", "T1", eight, None)]
    assert diff(store, 2, 2)[2] == diff(store, 3)[2] == []


@pytest.mark.parametrize("number", [0, -1, 4, 10**12])
def test_a_version_that_there_is_not(store: Store, number: int) -> None:
    for text in (TARIFF, tax("T1", "7"), tax("T1", "8")):
        put(store, text)
    with pytest.raises(UnknownVersion, match=f"version: {number}; expected 1 to 3, the one in force"):
        back(store, number)


def test_only_so_many_are_kept(store: Store) -> None:
    few = Maker("anna", "test", 2)
    put(store, TARIFF, maker=few)
    for percent in range(1, 6):
        put(store, tax("T1", str(percent)), maker=few)
    assert [doc["version"] for doc in versions(store, 2)] == [6, 5, 4]
    assert {doc["version"] for doc in docs(store, kept.VERSIONS)} == {4, 5, 6}
    assert {doc["version"] for doc in docs(store, kept.CHANGES)} == {5, 6}
    with pytest.raises(UnknownVersion, match="version: 3; expected one that is kept"):
        diff(store, 3)
    assert back(store, 4, maker=few).version.number == 7
    assert rows(store)["taxes"]["T1"]["rate_ppm"] == 30_000
    put(store, tax("T1", "9"), maker=Maker("anna", "test", 0))
    assert [doc["version"] for doc in docs(store, kept.VERSIONS)] == [8] and not docs(store, kept.CHANGES)
    assert [doc["version"] for doc in versions(store, 0)] == [8]


def test_a_store_from_before_versions_were_kept(store: Store) -> None:
    put(store, TARIFF)
    put(store, tax("T1", "7"))
    before = rows(store)
    for name in (kept.VERSIONS, kept.CHANGES):
        store.run(lambda session, name=name: session.collection(name).remove("true").execute())  # type: ignore[misc]
    [only] = versions(store, 50)
    assert (only["version"], only.get("who"), only["digest"]) == (2, None, read_documents(store)[0].digest)
    put(store, tax("T1", "8"))
    assert [(doc["version"], doc.get("who")) for doc in versions(store, 50)] == [(3, "anna"), (2, None)]
    assert back(store, 2).version.number == 4 and rows(store) == before
    with pytest.raises(UnknownVersion, match="version: 1; expected one that is kept"):
        back(store, 1)


def test_what_is_in_use_now_refuses_an_old_version(store: Store) -> None:
    put(store, TARIFF)
    put(store, PLAN.replace("basic", "newer") + CYCLE.replace("= 3", "= 9"))
    person = {"_id": "p1", "plan": "newer", "bill_cycle": 9, "state": "active", "version": 1}
    store.run(lambda session: session.collection("subscribers").add_many([person]))
    with pytest.raises(RefdataError) as caught:
        back(store, 1)
    assert [fault.partition(";")[2] for fault in caught.value.faults] == [
        " subscribers have it, or will, so it must stay that",
        "",
    ]
    assert "price_plans[newer]" in caught.value.faults[0] and "bill_cycles[9]" in caught.value.faults[1]
    assert read_documents(store)[0].number == 2 and len(versions(store, 50)) == 2


def test_what_another_put_meanwhile_is_not_overwritten(store: Store) -> None:
    put(store, TARIFF)
    put(store, tax("T1", "7"))
    with pytest.raises(AccountChanged, match="version: 1; expected 2"):
        back(store, 1, version=1)
    assert back(store, 1, version=2).version.number == 3


@pytest.mark.parametrize("damage", ["changed", "removed"])
def test_what_was_damaged_is_not_put(store: Store, damage: str) -> None:
    put(store, TARIFF)
    put(store, tax("VAT", "9"))
    [chunk] = docs(store, kept.CHANGES)
    if damage == "removed":
        store.run(lambda session: session.collection(kept.CHANGES).remove_many([chunk["_id"]]))
        with pytest.raises(UnknownVersion, match="version: 1; expected one that is kept"):
            back(store, 1)
        return
    chunk["rows"][0][2]["rate_ppm"] += 1
    store.run(lambda session: session.collection(kept.CHANGES).put_many([chunk]))
    with pytest.raises(RefdataError, match="version 1 can't be read back: it isn't as its digest says"):
        back(store, 1)


def test_a_version_with_many_rows(store: Store) -> None:
    def zones(first: int) -> str:
        numbers = {zone: [f"{zone}{first + number:04}" for number in range(2500)] for zone in range(10, 14)}
        return "".join(f'[[destinations]]\nzone = "z{zone}"\nprefixes = {some}\n' for zone, some in numbers.items())

    put(store, zones(0))
    before = rows(store)
    put(store, zones(2500))
    put(store, zones(5000), replace=True)
    assert [doc["version"] for doc in docs(store, kept.CHANGES)] == [2, 2, 3, 3], "each change is in several documents"
    assert back(store, 1).changed and rows(store) == before


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    yield tmp_path_factory.mktemp("history")


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), keep=st.integers(0, 8))
def test_any_version_that_is_kept_is_read_back_as_it_was(folder: Path, seed: int, keep: int) -> None:
    chosen = random.Random(seed)
    with closing(open_database(f"sqlite:///{folder}/{seed}-{keep}.db")) as store:
        create_collections(store)
        was: dict[int, Documents] = {}
        maker = Maker("any", "test", keep)
        for _ in range(10):
            current = read_documents(store)[0].number
            if current and chosen.random() < 0.3:
                loaded = back(store, chosen.randint(max(1, current - keep), current), maker=maker)
            else:
                codes = chosen.sample("ABCDEF", 3)
                text = TARIFF + "".join(tax(code, str(chosen.randint(1, 3))) for code in codes)
                loaded = put(store, text, replace=chosen.random() < 0.5, maker=maker)
            was.setdefault(loaded.version.number, rows(store))
        last = max(was)
        assert [doc["version"] for doc in versions(store, keep)] == list(range(last, max(0, last - keep - 1), -1))
        for number in range(max(1, last - keep), last + 1):
            there = {(one.table, one.key): one for one in diff(store, number)[2]}
            for table, old in was[number].items():
                for key in old.keys() | was[last][table].keys():
                    one = there.pop((table, key), None)
                    found = (one.before, one.after) if one else (was[last][table].get(key),) * 2
                    assert found == (old.get(key), was[last][table].get(key))
            assert not there
