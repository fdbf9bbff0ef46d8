"""Loading into a real store: merged by key, all or nothing, one version per change."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import cast

import pytest

from mubss.core.errors import RefdataError
from mubss.refdata.form import read_files
from mubss.refdata.load import load, read_documents
from mubss.refdata.next_version import Changes, Loaded
from mubss.storage.database import Doc, How, Session, Store, StoreConflict, Write, open_database
from mubss.storage.refdata import TABLES, Version, join, read_all, split, write_all
from refdata_samples import BAND, CALENDAR, CURRENCY, CYCLE, MAP, PLAN, RATE, SERVICES, TARIFF, ZONE, source

ROOT = Path(__file__).parents[2]
NOTHING = dict.fromkeys(TABLES, Changes(0, 0, 0))

ROWS = {
    "services": 2,
    "networks": 0,
    "holidays": 0,
    "bundles": 0,
    "bill_discounts": 0,
    "dunning": 0,
}  # of the sample, one of the others


def put(store: Store, *texts: str, replace: bool = False, dry_run: bool = False) -> Loaded:
    """Loads texts as files at the second 1000."""
    sources = [source(text, f"{number}.toml") for number, text in enumerate(texts)]
    return load(store, sources, CALENDAR, 1000, replace=replace, dry_run=dry_run)


def everything(store: Store) -> dict[str, list[Doc]]:
    """Every document that reference data has in the store, its version too."""
    names = ["meta", *TABLES.values()]
    return store.run(lambda session: {name: session.collection(name).scan(limit=100_000) for name in names})


def test_a_load_is_a_version_and_the_same_again_is_none(store: Store) -> None:
    first = put(store, TARIFF)
    assert (first.changed, first.version.number, first.version.loaded_s) == (True, 1, 1000)
    assert first.changes == {table: Changes(ROWS.get(table, 1), 0, 0) for table in TABLES}
    before = everything(store)
    reordered = "# the same, otherwise written\n" + CYCLE + TARIFF.replace(CYCLE, "").replace('"49170"', '"+49170"')
    for again in (TARIFF, reordered, CURRENCY, ""):
        assert put(store, again) == Loaded(first.version, False, NOTHING, {})
    assert everything(store) == before


def test_a_bad_load_changes_nothing(store: Store) -> None:
    put(store, TARIFF)
    before = everything(store)
    with pytest.raises(RefdataError) as caught:
        put(store, CURRENCY.replace("EUR", "USD"), PLAN.replace("EUR", "GBP") + RATE.replace("DATA", "DATAX"))
    assert caught.value.faults == [
        "1.toml: price_plans[basic].currency: 'GBP'; expected one of EUR, USD",
        "1.toml: price_plans[basic].rates[1].service: 'DATAX'; expected one of DATA, VOICE",
    ]
    with pytest.raises(RefdataError) as caught:  # what was stored is part of what must be right
        put(store, ZONE.replace("home", "away"))
    assert caught.value.faults == [
        "0.toml: destinations[away].prefixes: '49' is in stored: destinations[home] too",
        "0.toml: destinations[away].prefixes: '49170' is in stored: destinations[home] too",
    ]
    assert everything(store) == before


def test_rows_are_merged_by_key(store: Store) -> None:
    put(store, TARIFF)
    loaded = put(
        store,
        CURRENCY.replace("EUR", "USD") + ZONE.replace('"49", ', ""),
        PLAN.replace('"EUR"', '"USD"') + '[[price_plans]]\ncode = "gold"\ntype = "postpaid"\ncurrency = "EUR"\n' + RATE,
        MAP.replace("1-99", "5"),
    )
    assert loaded.version.number == 2
    assert {table: change for table, change in loaded.changes.items() if any(change)} == {
        "currencies": Changes(1, 0, 0),
        "destinations": Changes(0, 1, 0),
        "price_plans": Changes(1, 1, 0),
        "service_map": Changes(0, 1, 0),
    }
    version, documents = read_documents(store)
    assert version == loaded.version
    assert list(documents["currencies"]) == ["EUR", "USD"]
    assert documents["destinations"]["home"]["prefixes"] == ["49170"]
    assert documents["price_plans"]["basic"]["rates"] == []
    assert documents["service_map"]["32251"]["rules"][0]["rating_groups"] == [[5, 5]]
    assert list(documents["services"]) == ["DATA", "VOICE"]


def test_replace_removes_what_no_file_names(store: Store) -> None:
    put(store, TARIFF)
    loaded = put(store, CURRENCY + PLAN.replace("basic", "other"), replace=True)
    assert loaded.changes["price_plans"] == Changes(1, 0, 1)
    _, documents = read_documents(store)
    assert {table: list(rows) for table, rows in documents.items() if rows} == {
        "currencies": ["EUR"],
        "price_plans": ["other"],
    }
    with pytest.raises(RefdataError, match=r"price_plans\[basic\]\.currency: 'EUR'; there is none"):
        put(store, PLAN, replace=True)


def test_bands_keep_the_order_of_their_file(store: Store) -> None:
    def order(text: str) -> str:
        put(store, "".join(BAND.replace("peak", code) for code in text))
        return "".join(read_documents(store)[1]["bands"])

    assert [order(text) for text in ("abc", "ca", "db", "abcd")] == ["abc", "cba", "cdab", "abcd"]


def test_a_dry_run_writes_nothing(store: Store) -> None:
    before = everything(store)
    assert put(store, TARIFF, dry_run=True).changed
    assert put(store, CURRENCY, dry_run=True).version == Version(0, 0, "")
    assert everything(store) == before


PLAN_STAYS = "price_plans[basic]: was prepaid in EUR; subscribers have it, or will, so it must stay that"


def subscribe(store: Store, **fields: str | int) -> None:
    doc = {"_id": "s1", "plan": "basic", "bill_cycle": 3, "state": "terminated", **fields}
    store.run(lambda session: session.collection("subscribers").add(doc))


def test_a_plan_that_waits_for_a_subscriber_stays(store: Store) -> None:
    put(store, TARIFF)
    subscribe(store, plan="gone", next_plan="basic", next_plan_from_s=1)
    with pytest.raises(RefdataError, match="subscribers have it, or will") as caught:
        put(store, CURRENCY + SERVICES + CYCLE, replace=True)
    assert caught.value.faults == [f"stored: {PLAN_STAYS}"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            CURRENCY + SERVICES + CYCLE,
            PLAN_STAYS,
        ),
        (
            TARIFF.replace("prepaid", "postpaid"),
            PLAN_STAYS,
        ),
        (
            TARIFF.replace("EUR", "USD"),
            PLAN_STAYS,
        ),
        (TARIFF.replace(CYCLE, ""), "bill_cycles[3]: subscribers are in it, so it must stay"),
        (
            TARIFF.replace('"seconds"', '"events"'),
            "services[VOICE].unit: was seconds and usage is counted in it; give a service in events a new code",
        ),
    ],
    ids=["plan removed", "plan type", "plan currency", "cycle removed", "unit"],
)
def test_what_subscribers_have_stays(store: Store, text: str, fault: str) -> None:
    put(store, TARIFF)
    subscribe(store)
    before = everything(store)
    with pytest.raises(RefdataError) as caught:
        put(store, text, replace=True)
    assert caught.value.faults == [f"stored: {fault}"]
    assert everything(store) == before
    put(store, TARIFF.replace("0.02", "0.03"), replace=True)  # prices may change at any time


def test_without_subscribers_anything_may_go(store: Store) -> None:
    put(store, TARIFF)
    put(store, TARIFF.replace('"seconds"', '"events"').replace("prepaid", "postpaid"))
    assert put(store, "", replace=True).version.number == 3
    _, documents = read_documents(store)
    assert not any(documents.values())


def test_replace_mends_a_damaged_store(store: Store) -> None:
    put(store, TARIFF)
    store.run(lambda session: session.collection("ref_bands").modify("true").unset("$.position").execute())
    with pytest.raises(RefdataError, match="stored: KeyError 'position'; --replace writes it anew"):
        put(store, TARIFF)
    put(store, TARIFF, replace=True)
    assert read_documents(store)[1]["bands"]["peak"]["from_quarter"] == 32


@pytest.mark.parametrize("count", [1, 999, 1000, 1001, 2500])
def test_zones_of_any_size_come_back_whole(store: Store, count: int) -> None:
    prefixes = sorted(str(10**8 + number) for number in range(count))
    zone = f'[[destinations]]\nzone = "zone-with-a-name-of-24ch"\nname = "Far"\nprefixes = {prefixes}\n'
    assert put(store, zone).changed
    assert not put(store, zone).changed
    snapshot = store.run(read_all)
    assert len(snapshot.stored["destinations"]) == -(-count // 1000)
    documents = join(snapshot.stored)
    [row] = documents["destinations"].values()
    assert row == {"_id": "zone-with-a-name-of-24ch", "name": "Far", "prefixes": prefixes}
    assert split(documents) == snapshot.stored


def test_a_hundred_thousand_prefixes(store: Store) -> None:
    text = "".join(
        f'[[destinations]]\nzone = "z{zone}"\nprefixes = {[f"{zone}{number:04}" for number in range(5000)]}\n'
        for zone in range(10, 30)
    )
    put(store, text)
    assert put(store, '[[destinations]]\nzone = "z10"\nprefixes = ["1"]\n').changes["destinations"] == Changes(0, 1, 0)
    assert sum(len(row["prefixes"]) for row in read_documents(store)[1]["destinations"].values()) == 95_001


def test_only_what_differs_is_written(store: Store) -> None:
    """On SQLite the transaction holds up all charging, so it must stay short."""
    put(store, TARIFF)
    base = store.run(read_all)
    documents = join(base.stored)
    documents["taxes"] = {"NEW": {"_id": "NEW", "name": "", "rate_ppm": 1}}
    written: list[Write] = []

    class Recorder:
        def begin(self, _reads: object) -> list[list[Doc]]:
            return [[everything(store)["meta"][0]]]

        def finish(self, writes: list[Write]) -> None:
            written.extend(writes)

    version = write_all(cast(Session, Recorder()), base, documents, 2000, "d")
    assert version == Version(2, 2000, "d")
    assert written == [
        Write("ref_taxes", [documents["taxes"]["NEW"]], How.PUT),
        Write("ref_taxes", ["VAT"], How.REMOVE),
        Write("meta", [{"_id": "refdata", "version": 2, "loaded_s": 2000, "digest": "d"}], How.PUT),
    ]


def test_the_digest_is_that_of_what_is_said(store: Store) -> None:
    first = put(store, TARIFF).version.digest
    second = put(store, TARIFF.replace("0.02", "0.03")).version.digest
    put(store, "", replace=True)
    put(store, CYCLE + BAND, CURRENCY + ZONE)
    third = put(store, TARIFF).version.digest
    assert first == third != second


def test_loads_at_the_same_time_all_count(store: Store, store_url: str) -> None:
    def load_codes(letter: str) -> None:
        own = open_database(store_url)
        codes = [f"{letter}{number}" for number in range(10)]
        while codes:
            try:
                put(own, f'[[taxes]]\ncode = "{codes[-1]}"\nrate_percent = "1"\n')
                codes.pop()
            except StoreConflict:  # overtaken again and again: nothing was done
                continue
        own.close()

    threads = [threading.Thread(target=load_codes, args=(letter,)) for letter in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    version, documents = read_documents(store)
    assert (version.number, len(documents["taxes"])) == (30, 30)


def test_a_reader_sees_one_version(store: Store, store_url: str) -> None:
    """Two tables change together, over and over; whoever reads meanwhile never sees one new and one old."""

    def text(number: int) -> str:
        return "".join(
            f'[[{table}]]\ncode = "X"\nname = "{number}"\n{rest}\n'
            for table, rest in (("taxes", 'rate_percent = "1"'), ("price_plans", 'type = "prepaid"\ncurrency = "EUR"'))
        )

    put(store, CURRENCY + text(0))
    done = threading.Event()

    def change() -> None:
        own = open_database(store_url)
        for number in range(1, 40):
            put(own, text(number))
        own.close()
        done.set()

    writer = threading.Thread(target=change)
    writer.start()
    seen = set()
    while not done.is_set():
        version, documents = read_documents(store)
        names = {documents[table]["X"]["name"] for table in ("taxes", "price_plans")}
        assert names == {str(version.number - 1)}
        seen |= names
    writer.join()
    assert seen


def test_the_samples_load_alone_and_together(store: Store) -> None:
    demo, example = (read_files([ROOT / "conf" / "refdata" / name]) for name in ("demo.toml", "example.toml"))
    assert load(store, example, CALENDAR, 1000).version.number == 1
    assert load(store, demo, CALENDAR, 1000).version.number == 2
    assert load(store, demo, CALENDAR, 1000, replace=True).version.number == 3
    version = load(store, example, CALENDAR, 1000, replace=True).version
    assert load(store, example, CALENDAR, 2000).version == version
