"""find with fields, sort, limit and offset; modify; remove; indexes."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from agreement import LISTS, SCALARS, TEXTS
from contract_support import Bench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mubss.xdev.api import Collection, Expr, ModifyStatement, Store
from mubss.xdev.errors import InvalidDocument, InvalidExpression, StoreError

ANYTHING = "true"


def found(bench: Bench, *sort: str, condition: str = "", limit: int | None = None, offset: int = 0) -> list[str]:
    """Ids in the order in which they are found."""

    def work(session: Any) -> list[str]:
        statement = session.collection(bench.name).find(condition).sort(*sort).offset(offset)
        if limit is not None:
            statement = statement.limit(limit)
        return [doc["_id"] for doc in statement.execute()]

    return bench.store.run(work)


def test_sort_follows_the_order_of_json_types(bench: Bench) -> None:
    values = [None, -3, 0, 1.5, 2, "", "A", "a", "é", {"x": 1}, [1], False, True]
    bench.add(*({"_id": f"{n:02}", "v": value} for n, value in enumerate(values)), {"_id": "missing"})
    order = ["missing", *(f"{n:02}" for n in range(len(values)))]
    assert found(bench, "$.v") == order
    assert found(bench, "v ASC") == order
    assert found(bench, "$.v DESC") == order[::-1]


def test_sort_by_several_and_by_an_expression(bench: Bench) -> None:
    bench.add(*({"_id": name, "a": a, "b": b} for name, a, b in [("p", 1, 2), ("q", 1, 1), ("r", 0, 3), ("s", 2, 0)]))
    assert found(bench, "$.a, $.b DESC") == ["r", "p", "q", "s"]
    assert found(bench, "$.a DESC", "$.b") == ["s", "q", "p", "r"]
    assert found(bench, "$.a + $.b DESC, $._id") == ["p", "r", "q", "s"]
    assert found(bench, "_id DESC") == ["s", "r", "q", "p"]


@pytest.mark.parametrize(
    "criterion", ["", "$.a DESCENDING", "$.a,", ":x", "$.a = 1 DESC x", "selected", "$.a[*]", "rand()"]
)
def test_a_bad_sort_is_refused(bench: Bench, criterion: str) -> None:
    with pytest.raises(InvalidExpression):
        found(bench, criterion)


def test_limit_and_offset(bench: Bench) -> None:
    bench.add(*({"_id": str(n), "n": n} for n in range(10)))
    assert found(bench, "$.n", limit=3) == ["0", "1", "2"]
    assert found(bench, "$.n", limit=3, offset=8) == ["8", "9"]
    assert found(bench, "$.n", offset=7) == ["7", "8", "9"]
    assert found(bench, "$.n", limit=0) == []
    assert found(bench, "$.n", condition="$.n > 4", limit=2, offset=1) == ["6", "7"]
    assert len(found(bench, limit=4)) == 4
    for bad in (-1, 1.5, "1", True, 1 << 63):
        with pytest.raises(InvalidExpression, match="limit"):
            found(bench, limit=bad)  # type: ignore[arg-type]
        with pytest.raises(InvalidExpression, match="offset"):
            found(bench, offset=bad)  # type: ignore[arg-type]


def counts(bench: Bench, path: str, condition: str = "", **values: Any) -> dict[str, int]:
    def work(session: Any) -> dict[str, int]:
        statement = session.collection(bench.name).find(condition)
        return dict((statement.bind(values) if values else statement).count_by(path))

    return bench.store.run(work)


@pytest.mark.parametrize("is_indexed", [False, True])
def test_counts_by_a_text(bench: Bench, is_indexed: bool) -> None:
    if is_indexed:
        bench.store.run(lambda session: session.collection(bench.name).create_index("v", ["$.v", "$.s"]))
    assert counts(bench, "$.v") == {}
    values = ["a", "a", "A", "é", "", " a", "a ", "1", "null", "x" * 100, "x" * 100 + "y", 'q"\\', "a"]
    others = [1, 1.5, None, True, False, [], ["a"], {"a": 1}]
    bench.add(
        *({"_id": f"{n:02}", "v": value, "s": n % 2} for n, value in enumerate([*values, *others])), {"_id": "none"}
    )
    assert counts(bench, "$.v") == {**dict.fromkeys(values, 1), "a": 3}
    assert counts(bench, "v", "$.s = 0") == {value: values[::2].count(value) for value in values[::2]}
    assert counts(bench, "$.v", "$.v IN (:x, :y, :z) AND $.s = :s", x="a", y="é", z="nobody", s=1) == {"a": 1, "é": 1}
    assert counts(bench, "_id", "$.v = 'a'") == {"00": 1, "01": 1, "12": 1}
    for narrow in (lambda one: one.limit(1), lambda one: one.sort("$.v"), lambda one: one.fields("v")):
        with pytest.raises(InvalidExpression, match="count_by: expected neither"):
            bench.store.run(
                lambda session, narrow=narrow: narrow(session.collection(bench.name).find()).count_by("$.v")
            )


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(st.fixed_dictionaries({"v": st.one_of(SCALARS, TEXTS, LISTS)}), max_size=8))
def test_counts_are_those_of_python(bench: Bench, bodies: list[Any]) -> None:
    bench.store.run(lambda session: session.collection(bench.name).remove(ANYTHING).execute())
    bench.add(*({"_id": str(number), **body} for number, body in enumerate(bodies)))
    assert counts(bench, "$.v") == Counter(body["v"] for body in bodies if isinstance(body["v"], str))


def fields(bench: Bench, *projection: str) -> list[Any]:
    return bench.store.run(lambda session: session.collection("t").find().fields(*projection).sort("_id").execute())


def test_fields(bench: Bench) -> None:
    inner = {"c": [1, {"d": None}], "t": True, "f": False}
    bench.add({"_id": "1", "a": "it's", "b": inner, "n": 2}, {"_id": "2", "n": 1.5})
    assert fields(bench, "a") == [{"a": "it's"}, {"a": None}]
    assert fields(bench, "$.a") == [{"$.a": "it's"}, {"$.a": None}]
    assert fields(bench, "$.b AS whole", "_id") == [{"whole": inner, "_id": "1"}, {"whole": None, "_id": "2"}]
    assert fields(bench, "$.b.t AS t", "b.f as f") == [{"t": True, "f": False}, {"t": None, "f": None}]
    assert fields(bench, "$.b.c[1] AS d") == [{"d": {"d": None}}, {"d": None}]
    assert fields(bench, "$.n * 2 AS double", "upper($.a) AS loud") == [
        {"double": 4, "loud": "IT'S"},
        {"double": 3, "loud": None},
    ]
    assert fields(bench, 'concat($.a, ",") AS x', "1 AS one", "true AS yes", "null AS none")[0] == {
        "x": "it's,",
        "one": 1,
        "yes": True,
        "none": None,
    }


BAD_FIELDS = [
    ["a", "a"],
    ["$.a AS x", "$.b AS x"],
    ["a, b"],
    [""],
    ["$.a = 1"],
    [":x"],
    ["{'a': $.a}"],
    ["*"],
    ["$.a AS"],
]


@pytest.mark.parametrize("projection", [*BAD_FIELDS, [f"$.a AS a{n}" for n in range(61)]])
def test_bad_fields_are_refused(bench: Bench, projection: list[str]) -> None:
    with pytest.raises(InvalidExpression):
        fields(bench, *projection)


def modified(bench: Bench, doc: dict[str, Any], *changes: tuple[str, ...], **values: Any) -> tuple[int, Any]:
    """Documents changed and the document after `changes` were made to it: (method, path, value…)."""

    def work(session: Any) -> int:
        statement: ModifyStatement = session.collection("t").modify(ANYTHING)
        for method, *args in changes:
            statement = getattr(statement, method)(*args)
        return statement.bind(values).execute().affected_items_count

    bench.call("put_many", [{"_id": "d", **doc}])
    count = bench.store.run(work)
    after = bench.get("d")
    assert after is not None
    del after["_id"]
    return count, after


DOC = {"a": 1, "o": {"x": 1}, "l": [1, 2], "s": "t", "n": None}

# What the changes leave of DOC, as MySQL 9.7 has it.
CHANGES: list[tuple[list[tuple[Any, ...]], dict[str, Any]]] = [
    ([("set", "$.a", 2)], {"a": 2}),
    ([("set", "b", [1, {"k": None}])], {"b": [1, {"k": None}]}),
    ([("set", "$.a", True)], {"a": True}),
    ([("set", "$.a", None)], {"a": None}),
    ([("set", "$.o.y", 2)], {"o": {"x": 1, "y": 2}}),
    ([("set", "$.l[1]", 9)], {"l": [1, 9]}),
    ([("set", "$.l[7]", 9)], {"l": [1, 2, 9]}),
    ([("set", "$.a[0]", 9)], {"a": 9}),
    ([("set", "$.a[1]", 9)], {"a": [1, 9]}),
    ([("set", "$.o[1]", 9)], {"o": [{"x": 1}, 9]}),
    ([("set", "$.n[1]", 9)], {"n": [None, 9]}),
    ([("set", "$.q.r", 1)], {}),
    ([("set", "$.a.r", 1)], {}),
    ([("set", "$.o.r.s", 1)], {}),
    ([("set", "$.l[1].x", 1)], {}),
    ([("set", "$.a", 1)], {}),
    ([("set", "$.a", Expr("$.a + 1"))], {"a": 2}),
    ([("set", "$.a", Expr("$.a + :by"))], {"a": 6}),
    ([("set", "$.a", Expr("$.o")), ("set", "$.b", Expr("$.a"))], {"a": {"x": 1}, "b": 1}),
    ([("set", "$.u", Expr("upper($.s)")), ("set", "$.v", Expr("$.missing"))], {"u": "T", "v": None}),
    ([("set", "$.v", Expr("$.l[0] = 1"))], {}),
    ([("unset", "$.a", "$.o.x", "$.l[0]", "$.missing", "$.a.b", "$.l[9]")], {"a": ..., "o": {}, "l": [2]}),
    ([("array_append", "$.l", 3)], {"l": [1, 2, 3]}),
    ([("array_append", "$.l", [3])], {"l": [1, 2, [3]]}),
    ([("array_append", "$.l[0]", 3)], {"l": [[1, 3], 2]}),
    ([("array_append", "$.a", 3)], {"a": [1, 3]}),
    ([("array_append", "$.o", 3)], {"o": [{"x": 1}, 3]}),
    ([("array_append", "$.n", {"x": 1})], {"n": [None, {"x": 1}]}),
    ([("array_append", "$.missing", 3)], {}),
    ([("set", "$.z", []), ("array_append", "$.z", 1), ("array_append", "$.z", 2)], {"z": [1, 2]}),
    ([("unset", "$.a"), ("set", "$.a", 5)], {"a": 5}),
]


def test_the_table_of_changes(bench: Bench) -> None:
    for changes, difference in CHANGES:
        if changes == [("set", "$.v", Expr("$.l[0] = 1"))]:
            with pytest.raises(InvalidExpression, match="a value, got a condition"):
                modified(bench, DOC, *changes)
            continue
        values = {"by": 5} if ":by" in str(changes) else {}
        expected = {name: value for name, value in {**DOC, **difference}.items() if value is not ...}
        assert (changes, *modified(bench, DOC, *changes, **values)) == (
            changes,
            int(repr(expected) != repr(DOC)),
            expected,
        )


def test_true_and_one_are_different_values(bench: Bench) -> None:
    count, after = modified(bench, {"a": 1, "b": False}, ("set", "$.a", True), ("set", "$.b", 0))
    assert (count, after["a"] is True, after["b"] is False) == (1, True, False)


def test_modify_only_what_the_condition_finds(bench: Bench) -> None:
    bench.add(*({"_id": f"{n:03}", "n": n, "l": []} for n in range(600)))

    def work(session: Any) -> list[int]:
        t: Collection = session.collection("t")
        return [
            t.modify("$.n >= :n").set("$.big", True).bind("n", 300).execute().affected_items_count,
            t.modify("$.n >= :n").set("$.big", True).bind("n", 299).execute().affected_items_count,
            t.modify(ANYTHING).array_append("$.l", 7).execute().affected_items_count,
            t.modify(ANYTHING).sort("$.n DESC").limit(2).set("$.last", True).execute().affected_items_count,
            t.modify("$.n < 9").set("$.z", []).array_append("$.z", 1).execute().affected_items_count,
            t.modify("$.n = 1000").set("$.big", True).execute().affected_items_count,
        ]

    assert bench.store.run(work) == [300, 1, 600, 2, 9, 0]
    assert len(bench.find("$.big = true")) == 301
    assert all(doc["l"] == [7] for doc in bench.all())
    assert bench.ids("$.last = true") == ["598", "599"]
    assert [doc["z"] for doc in bench.find("$.n < 9")] == [[1]] * 9


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ([], InvalidExpression),
        ([("set", "$._id", "x")], InvalidExpression),
        ([("unset", "_id")], InvalidExpression),
        ([("set", "$", {})], InvalidExpression),
        ([("set", "$.a[*]", 1)], InvalidExpression),
        ([("set", "$.a = 1", 1)], InvalidExpression),
        ([("set", "", 1)], InvalidExpression),
        ([("set", "$.a", float("nan"))], InvalidDocument),
        ([("set", "$.a", {"x": b""})], InvalidDocument),
        ([("set", "$.a", [Expr("1")])], InvalidDocument),
        ([("set", "$.a", Expr("$.a +"))], InvalidExpression),
        ([("set", "$.a", Expr(":nobody"))], InvalidExpression),
        ([("array_append", "$.a", 1 << 64)], InvalidDocument),
    ],
)
def test_bad_changes_are_refused(bench: Bench, changes: list[tuple[Any, ...]], error: type[StoreError]) -> None:
    with pytest.raises(error):
        modified(bench, DOC, *changes)
    assert bench.get("d") == {"_id": "d", **DOC}


def test_modify_and_remove_need_a_condition(bench: Bench) -> None:
    for method in ("modify", "remove"):
        for condition in ("", "  "):
            with pytest.raises(InvalidExpression, match="expected a condition"):
                bench.call(method, condition)


def test_remove(bench: Bench) -> None:
    bench.add(*({"_id": f"{n:02}", "n": n} for n in range(20)))

    def work(session: Any) -> list[int]:
        t: Collection = session.collection("t")
        return [
            t.remove("$.n < :n").bind({"n": 5}).execute().affected_items_count,
            t.remove(ANYTHING).sort("$.n DESC").limit(3).execute().affected_items_count,
            t.remove("$.n = 100").execute().affected_items_count,
            t.count(),
            t.remove(ANYTHING).execute().affected_items_count,
            t.count(),
        ]

    assert bench.store.run(work) == [5, 3, 0, 12, 12, 0]


def test_indexes_are_made_once_and_dropped(bench: Bench) -> None:
    bench.add({"_id": "a", "plan": "x"})
    bench.call("create_index", "by_plan", ["$.plan", "$.state[0].since_s"])
    bench.call("create_index", "by_plan", ["$.plan", "$.state[0].since_s"])
    with pytest.raises(StoreError, match="by_plan already"):
        bench.call("create_index", "by_plan", ["$.plan"])
    bench.store.run(lambda session: session.create_collection("u").create_index("by_plan", ["$.other"]))
    bench.call("put_many", [{"_id": "a", "plan": "y"}, {"_id": "b", "plan": "y"}])
    assert bench.ids('$.plan = "y"') == ["a", "b"]
    bench.call("drop_index", "by_plan")
    bench.call("drop_index", "by_plan")
    bench.call("create_index", "by_plan", ["$.plan"])
    assert bench.ids('$.plan = "y"') == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "paths"),
    [("", ["$.a"]), ("a b", ["$.a"]), ('"', ["$.a"]), ("i", []), ("i", "$.a"), ("i", ["$.a[*]"]), ("i", ["$.a = 1"])],
)
def test_a_bad_index_is_refused(bench: Bench, name: str, paths: Any) -> None:
    with pytest.raises(StoreError):
        bench.call("create_index", name, paths)


def test_an_expression_bound_twice_takes_the_last(store: Store) -> None:
    store.run(lambda session: session.create_collection("t"))
    bench = Bench(store, "t")
    bench.add({"_id": "1", "n": 1}, {"_id": "2", "n": 2})
    found_docs = store.run(lambda session: session.collection("t").find("$.n = :n").bind("n", 1).bind("n", 2).execute())
    assert [doc["_id"] for doc in found_docs] == ["2"]


def test_count_is_of_what_the_condition_chooses(bench: Bench) -> None:
    def count(condition: str = "", **values: Any) -> Any:
        return bench.store.run(lambda session: session.collection(bench.name).find(condition).bind(values).count())

    assert count() == count("$.n > 1") == 0
    bench.add(*({"_id": str(n), "n": n, "text": "it's"} for n in range(300)))
    assert count() == 300
    assert count("$.n >= :low AND $.text = :text", low=290, text="it's") == 10
    assert count("$.missing = 1") == 0
    with pytest.raises(InvalidExpression):
        count("$.n > :low", high=1)
    find = bench.store.run(lambda session: session.collection(bench.name).find().sort("$.n").limit(7).offset(3).count())
    assert find == 300
