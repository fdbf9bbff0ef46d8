"""Documents by id: add, get, put, remove, scan, count, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from contract_support import Bench

from mubss.xdev.api import Store
from mubss.xdev.errors import DuplicateId, InvalidDocument, NoSuchCollection, StoreError

VALUES = {
    "null": None,
    "true": True,
    "zero": 0,
    "most": (1 << 63) - 1,
    "least": -(1 << 63),
    "float": 1.5,
    "big float": 1e300,
    "text": 'Grüße, 世界 🌍 "quoted" \\ back\nslash \x00 \x7f',
    "empty": "",
    "list": [1, [2, [3]], {"a": []}],
    "object": {"a": {"b": {"c": None}}, "": 1, "$.x": 2, "a.b": 3, 'q"uote': 4},
}


def test_a_value_comes_back_as_it_went_in(bench: Bench) -> None:
    for name, value in VALUES.items():
        bench.add({"_id": name, "value": value})
        found = bench.get(name)
        assert found == {"_id": name, "value": value}
        assert type(found["value"]) is type(value)


IDS = ["a", "x" * 32, "ü" * 16, "'", '"', "%_", "a b", ",", "[]", "{}", "?", "0", "\x01"]


def test_an_id_of_any_text_up_to_32_bytes(bench: Bench) -> None:
    for document_id in IDS:
        bench.call("add_many", [{"_id": document_id, "n": 1}])
        bench.call("put_many", [{"_id": document_id, "n": 2}])
        assert bench.get(document_id) == {"_id": document_id, "n": 2}
        assert bench.all() == [{"_id": document_id, "n": 2}]
        assert bench.call("remove_many", [document_id]) == 1
        assert bench.all() == []


BAD_DOCUMENTS = {
    "empty id": ({"_id": ""}, "1 to 32 bytes, got 0"),
    "long id": ({"_id": "x" * 33}, "1 to 32 bytes, got 33"),
    "long id in bytes": ({"_id": "ü" * 17}, "1 to 32 bytes, got 34"),
    "number as id": ({"_id": 7}, "_id: expected text"),
    "null as id": ({"_id": None}, "_id: expected text"),
    "surrogate in id": ({"_id": "\ud800"}, "_id: expected text that UTF-8 can hold"),
    "nan": ({"_id": "a", "v": [1, float("nan")]}, r"document\.v\[1\]: expected a finite number"),
    "nan beside null": ({"_id": "a", "u": None, "v": float("nan")}, r"document\.v: expected a finite number"),
    "infinity": ({"_id": "a", "v": float("-inf")}, "finite number"),
    "65 bits": ({"_id": "a", "v": 1 << 64}, "within 64 bits, got one of 65 bits"),
    "number as key": ({"_id": "a", "v": {1: 2}}, "keys of text"),
    "bytes": ({"_id": "a", "v": b"x"}, "got bytes"),
    "set": ({"_id": "a", "v": {1}}, "got set"),
    "surrogate": ({"_id": "a", "v": "\udfff"}, "lone surrogate"),
    "no object": ([1], "expected a dict"),
}


@pytest.mark.parametrize("how", ["add_many", "put_many", "add"])
def test_a_bad_document_is_refused_with_all_of_its_set(bench: Bench, how: str) -> None:
    for name, (doc, message) in BAD_DOCUMENTS.items():
        docs = [{"_id": "good"}, doc]
        with pytest.raises(InvalidDocument, match=message):
            bench.call(how, *docs) if how == "add" else bench.call(how, docs)
            pytest.fail(f"accepted: {name}")
        assert (name, bench.all()) == (name, [])


def test_a_document_nested_too_deep(bench: Bench) -> None:
    def nested(levels: int) -> Any:
        return [] if levels == 1 else [nested(levels - 1)]

    bench.add({"_id": "a", "v": nested(99)})
    assert bench.get("a") == {"_id": "a", "v": nested(99)}
    for levels in (101, 400, 2000):
        value: Any = []
        for _ in range(levels):
            value = [value]
        with pytest.raises(InvalidDocument, match="nesting"):
            bench.add({"_id": "b", "v": value})


def test_only_add_makes_an_id(bench: Bench) -> None:
    doc = {"n": 1}
    ids = bench.add(doc, {"n": 2}).ids
    assert [len(document_id) for document_id in ids] == [20, 20]
    assert doc == {"n": 1}
    assert sorted(document["n"] for document in bench.all()) == [1, 2]
    assert ids[0][:10] <= bench.add({"n": 3}).ids[0][:10]
    for how in ("add_many", "put_many"):
        with pytest.raises(InvalidDocument, match="expected an _id"):
            bench.call(how, [{"n": 1}])


def test_add_counts_and_names_what_it_took(bench: Bench) -> None:
    assert bench.add({"_id": "b"}, {"_id": "a"}) == (2, ["b", "a"])
    assert bench.add() == (0, [])


@pytest.mark.parametrize(
    "docs",
    [[{"_id": "old"}], [{"_id": "new"}, {"_id": "old"}], [{"_id": "new"}, {"_id": "new"}]],
    ids=["old", "new and old", "twice"],
)
def test_a_duplicate_is_named_and_nothing_of_its_set_stays(bench: Bench, docs: list[Any]) -> None:
    bench.add({"_id": "old", "n": 1})
    with pytest.raises(DuplicateId) as caught:
        bench.call("add_many", docs)
    assert (caught.value.collection, caught.value.document_id) == ("t", docs[-1]["_id"])
    assert bench.all() == [{"_id": "old", "n": 1}]


@pytest.mark.parametrize("count", [0, 1, 2, 3, 100, 255, 256, 257, 1000])
def test_sets_of_any_size(bench: Bench, count: int) -> None:
    docs = [{"_id": f"{n:04}", "n": n} for n in range(count)]
    assert bench.call("add_many", docs) == count
    changed = [{**doc, "n": -doc["n"]} for doc in docs] + [{"_id": "extra"}]
    assert bench.call("put_many", changed) == count + 1
    ids = [doc["_id"] for doc in changed]
    assert bench.call("get_many", [*ids, "missing"]) == [*changed, None]
    assert bench.call("count") == count + 1
    assert bench.call("remove_many", [*ids[1:], "missing"]) == count
    assert [doc["_id"] for doc in bench.all()] == ids[:1]


def test_get_many_keeps_the_order_and_repeats(bench: Bench) -> None:
    bench.add({"_id": "a"}, {"_id": "b"})
    assert bench.call("get_many", ["b", "x", "a", "b"]) == [{"_id": "b"}, None, {"_id": "a"}, {"_id": "b"}]
    assert bench.call("get_many", []) == []


def test_of_two_with_one_id_the_later_is_put(bench: Bench) -> None:
    bench.call("put_many", [{"_id": "a", "n": 1}, {"_id": "b"}, {"_id": "a", "n": 2}])
    assert bench.all() == [{"_id": "a", "n": 2}, {"_id": "b"}]


@pytest.mark.parametrize("ids", ["abc", [1], [""], ["x" * 33], [None]])
def test_bad_ids_are_refused(bench: Bench, ids: Any) -> None:
    for method in ("get_many", "remove_many"):
        with pytest.raises(InvalidDocument):
            bench.call(method, ids)


def test_scan_walks_in_the_order_of_ids(bench: Bench) -> None:
    ids = ["", "A", "B", "a", "aa", "b", "ü", "世"]
    bench.add(*({"_id": document_id} for document_id in reversed(ids[1:])))

    def scanned(**bounds: Any) -> list[str]:
        return [doc["_id"] for doc in bench.call("scan", **bounds)]

    assert scanned() == ids[1:]
    assert scanned(after="A", until="b") == ["B", "a", "aa"]
    assert scanned(after="a") == ["aa", "b", "ü", "世"]
    assert scanned(until="a") == ["A", "B"]
    assert scanned(after="b", until="b") == []
    walked, after = [], ""
    while page := scanned(after=after, limit=3):
        walked += page
        after = page[-1]
    assert walked == ids[1:]
    with pytest.raises(StoreError, match="limit"):
        bench.call("scan", limit=0)


def test_scan_is_of_the_order_of_ids_whatever_the_order_of_writes(bench: Bench) -> None:
    ids = [f"{n * 7919 % 1000:04}" for n in range(1000)]
    bench.call("add_many", [{"_id": document_id} for document_id in ids])
    assert [doc["_id"] for doc in bench.call("scan", after="0099", until="0200")] == [
        f"{n:04}" for n in range(100, 200)
    ]


def test_collections_are_made_listed_and_dropped(store: Store) -> None:
    assert store.run(lambda session: session.list_collections()) == []
    for name in ("b", "a", "b"):
        assert store.run(lambda session, name=name: session.create_collection(name).name) == name
    Bench(store, "a").add({"_id": "x"})
    store.run(lambda session: session.create_collection("a"))  # again: what is in it stays
    assert store.run(lambda session: session.list_collections()) == ["a", "b"]
    assert Bench(store, "a").all() == [{"_id": "x"}]
    store.run(lambda session: session.drop_collection("a"))
    store.run(lambda session: session.drop_collection("a"))
    assert store.run(lambda session: session.list_collections()) == ["b"]
    with pytest.raises(NoSuchCollection, match="a: there is no such collection"):
        Bench(store, "a").all()


@pytest.mark.parametrize("name", ["", "1a", "a b", 'a"', "a.b", "sqlite_x", "x" * 64, "ä", "a;", None])
def test_a_bad_collection_name_is_refused(store: Store, name: Any) -> None:
    for method in ("collection", "create_collection", "drop_collection"):
        with pytest.raises(StoreError, match="collection name"):
            store.run(lambda session, method=method: getattr(session, method)(name))


def test_a_collection_that_was_never_made(store: Store) -> None:
    nothing = Bench(store, "nothing")
    for attempt in (
        lambda: nothing.add({"_id": "a"}),
        lambda: nothing.get("a"),
        lambda: nothing.find("$.a = 1"),
        lambda: nothing.call("put_many", [{"_id": "a"}]),
        lambda: nothing.call("remove_many", ["a"]),
        lambda: nothing.call("count"),
        lambda: nothing.call("create_index", "i", ["$.a"]),
    ):
        with pytest.raises(NoSuchCollection):
            attempt()
