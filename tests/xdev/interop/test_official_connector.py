"""Documents, collections, indexes and statements, written by one client and read by the other on the same server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import mysqlx
import pytest

from mubss.xdev.api import Doc, Session, Store
from mubss.xdev.mysql.address import parse
from mubss.xdev.store import open_store

DOCUMENTS: list[Doc] = [
    {"_id": "01", "empty": {}, "none": [], "text": "", "null": None},
    {"_id": "02", "true": True, "false": False, "zero": 0, "one": 1, "minus": -1},
    {"_id": "03", "big": 2**63 - 1, "least": -(2**63), "exact": 2**53 + 1, "money": 5_000_000_001},
    {"_id": "04", "fraction": 0.1, "whole": 2.0, "tiny": 5e-324, "huge": 1.7976931348623157e308, "minus": -0.5},
    {"_id": "05", "é": "ü€😀", "quote": '"', "backslash": "\\", "newline": "a\nb\tc", "zero": "\0", "percent": "%_"},
    {"_id": "06", "deep": {"list": [1, [2, [3, {"four": [None, True, "5"]}]]], "a b": {"c.d": 6}}},
    {"_id": "07", "long": "x" * 100_000, "many": list(range(2_000))},
    {"_id": "é" * 8, "id": "of 16 octets"},
]


@pytest.fixture
def store(mysql_url: str) -> Iterator[Store]:
    opened = open_store(mysql_url)
    opened.make()
    yield opened
    opened.close()


@pytest.fixture
def official(mysql_url: str, store: Store) -> Iterator[Any]:
    """The schema as the official connector has it."""
    address = parse(mysql_url)
    [host] = address.hosts
    session = mysqlx.get_session(
        {"host": host.name, "port": host.port, "user": address.user, "password": address.password}
    )
    yield session.get_schema(address.schema)
    session.close()


def plain(value: Any) -> Any:
    """A value of the connector's as plain Python's: its DbDoc and arrays are classes of its own."""
    if isinstance(value, mysqlx.DbDoc):
        value = value.as_dict() if hasattr(value, "as_dict") else value.__dict__
    if isinstance(value, dict):
        return {name: plain(member) for name, member in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def typed(value: Any) -> str:
    """A value so that 1, 1.0 and true differ; MySQL keeps no order of members."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name!r}:{typed(value[name])}" for name in sorted(value)) + "}"
    return "[" + ",".join(map(typed, value)) + "]" if isinstance(value, list) else repr(value)


def ours(store: Store, work: Callable[[Any], Any]) -> Any:
    return store.run(lambda session: work(session.collection("t")))


def make(store: Store) -> None:
    store.run(lambda session: session.create_collection("t"))


def test_documents_written_here_are_read_there(store: Store, official: Any) -> None:
    make(store)
    ours(store, lambda t: t.add_many(DOCUMENTS[:4]))
    ours(store, lambda t: t.put_many(DOCUMENTS[4:]))
    found = official.get_collection("t").find().sort("_id").execute().fetch_all()
    assert [typed(plain(doc)) for doc in found] == [typed(doc) for doc in DOCUMENTS]


def test_documents_written_there_are_read_here(store: Store, official: Any) -> None:
    collection = official.create_collection("t")
    collection.add(*DOCUMENTS).execute()
    # The connector writes 2.0 as 2.
    expected = [typed(doc).replace("'whole':2.0", "'whole':2") for doc in DOCUMENTS]
    for found in (
        ours(store, lambda t: t.scan(limit=100)),
        ours(store, lambda t: t.get_many([doc["_id"] for doc in DOCUMENTS])),
        ours(store, lambda t: t.find("true").sort("_id").execute()),
    ):
        assert [typed(doc) for doc in found] == expected


def test_ids_made_by_either_are_good_for_the_other(store: Store, official: Any) -> None:
    make(store)
    [own] = ours(store, lambda t: t.add({"by": "us"})).ids
    [theirs] = official.get_collection("t").add({"by": "them"}).execute().get_generated_ids()
    assert plain(official.get_collection("t").get_one(own))["by"] == "us"
    assert ours(store, lambda t: t.get_one(theirs))["by"] == "them"


def test_a_collection_made_here_is_an_ordinary_one(store: Store, official: Any, mysql_url: str) -> None:
    make(store)
    assert [one.get_name() for one in official.get_collections()] == ["t"]
    assert official.get_collection("t").exists_in_database() and official.get_collection("t").count() == 0
    theirs = official.create_collection("theirs")
    assert theirs.count() == 0
    assert store.run(lambda session: session.list_collections()) == ["t", "theirs"]
    sql = (
        "SELECT column_name, column_type, generation_expression, column_key FROM information_schema.columns "
        "WHERE table_schema = ? AND table_name = '{}' ORDER BY ordinal_position"
    )
    schema = parse(mysql_url).schema

    def columns(name: str) -> list[tuple[Any, ...]]:
        return store.run(lambda session: session.rows(sql.format(name), [schema]))  # type: ignore[attr-defined]

    assert columns("t") == columns("theirs") and len(columns("t")) == 3


def test_collections_made_there_and_dropped_here_and_the_other_way_round(store: Store, official: Any) -> None:
    official.create_collection("t")
    store.run(lambda session: session.drop_collection("t"))
    assert official.get_collections() == []
    make(store)
    official.drop_collection("t")
    assert store.run(lambda session: session.list_collections()) == []


def test_indexes_of_either_are_used_and_disturb_nobody(store: Store, official: Any, mysql_url: str) -> None:
    make(store)
    docs = [{"_id": f"{n:04}", "n": n, "name": f"name {n}", "nested": {"n": n % 7}} for n in range(1000)]
    ours(store, lambda t: t.put_many(docs))
    ours(store, lambda t: t.create_index("by_name", ("$.name",)))
    field = {"field": "$.nested.n", "type": "INT", "required": False}
    official.get_collection("t").create_index("by_nested", {"fields": [field]}).execute()
    for condition in ('$.name = "name 17"', "$.nested.n = 3", '$.name = "name 17" AND $.nested.n = 3'):
        here = ours(store, lambda t, c=condition: t.find(c).sort("_id").execute())
        there = official.get_collection("t").find(condition.replace("$.", "")).sort("_id").execute().fetch_all()
        assert here == [plain(doc) for doc in there] and here
    ours(store, lambda t: t.put_many([{"_id": "x", "name": 5, "nested": {"n": 9}}]))
    official.get_collection("t").add({"_id": "y", "nested": {"n": 9}}).execute()
    assert len(ours(store, lambda t: t.find("$.nested.n = 9").execute())) == 2
    official.get_collection("t").drop_index("by_name")
    store.run(lambda session: session.collection("t").drop_index("by_nested"))
    assert len(ours(store, lambda t: t.find('$.name = "name 17"').execute())) == 1


CONDITIONS: dict[str, dict[str, Any]] = {
    "n = :n": {"n": 3},
    "n > 2 AND n <= 5": {},
    "name = :name OR n = 0": {"name": "name 2"},
    "name LIKE 'name %'": {},
    "nested.list[1] = 4": {},
    "n IN (1, 2, 30)": {},
    "n NOT IN (1, 2, 30)": {},
    "n BETWEEN 2 AND 4": {},
    ":n IN nested.list": {"n": 4},
    "missing IS NULL": {},
    "NOT (n = 3)": {},
    "n + 1 = 3 * 2": {},
    "upper(name) = 'NAME 4'": {},
    "amount = 5000000001": {},
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_same_expressions_find_the_same_documents(store: Store, official: Any, condition: str) -> None:
    make(store)
    docs = [
        {"_id": f"{n}", "n": n, "name": f"name {n}", "nested": {"list": [n, n + 1]}, "amount": 5_000_000_000 + n}
        for n in range(8)
    ]
    ours(store, lambda t: t.put_many(docs))
    values = CONDITIONS[condition]
    here = ours(store, lambda t: t.find(condition).bind(values).sort("n DESC").limit(5).execute())
    asking = official.get_collection("t").find(condition).sort("n DESC").limit(5)
    for name, value in values.items():
        asking.bind(name, value)
    assert here == [plain(doc) for doc in asking.execute().fetch_all()] and here


def test_the_same_changes_come_to_the_same(store: Store, official: Any) -> None:
    docs = [{"_id": f"{n}", "n": n, "list": [n], "gone": True} for n in range(4)]

    def change(t: Any) -> None:
        t.modify("n > 1").set("$.n", 10).set("$.new", "é").unset("$.gone").execute()
        t.modify("n = 1").array_append("$.list", 7).execute()
        t.remove("n = 0").execute()

    make(store)
    other = official.create_collection("other")
    ours(store, lambda t: t.put_many(docs))
    other.add(*docs).execute()
    ours(store, change)
    change(other)
    here = ours(store, lambda t: t.scan(limit=10))
    there = [plain(doc) for doc in other.find().sort("_id").execute().fetch_all()]
    assert [typed(doc) for doc in here] == [typed(doc) for doc in there]


def test_a_transaction_of_one_is_not_seen_by_the_other_before_it_commits(store: Store, official: Any) -> None:
    make(store)

    def work(session: Session) -> None:
        with session.transaction():
            session.collection("t").put_many([{"_id": "a"}])
            assert official.get_collection("t").count() == 0

    store.run(work)
    assert official.get_collection("t").count() == 1
