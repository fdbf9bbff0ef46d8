"""Random sequences of calls against a dict: whatever was called before, the store holds what the dict holds."""

from __future__ import annotations

import math
from typing import Any

import pytest
from contract_support import Bench
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mubss.xdev.api import Doc, How, Read, Session, Write
from mubss.xdev.errors import DuplicateId

IDS = st.sampled_from([f"id{n}" for n in range(8)])
INTEGERS = st.integers(-(1 << 63), (1 << 63) - 1)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
SCALARS = st.none() | st.booleans() | INTEGERS | FLOATS | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc.$\"' é", max_size=3), inner, max_size=3),
    max_leaves=6,
)
BODIES = st.fixed_dictionaries({}, optional={"a": JSON, "b": st.integers(-3, 3), "c": JSON})
DOCS = st.builds(lambda document_id, body: {"_id": document_id, **body}, IDS, BODIES)

CALLS = st.one_of(
    st.tuples(st.just("add"), st.lists(DOCS, min_size=1, max_size=4)),
    st.tuples(st.just("put"), st.lists(DOCS, max_size=5)),
    st.tuples(st.just("remove"), st.lists(IDS, max_size=4)),
    st.tuples(st.just("set"), st.tuples(st.integers(-3, 3), JSON)),
    st.tuples(st.just("unset"), st.integers(-3, 3)),
    st.tuples(st.just("delete"), st.integers(-3, 3)),
    st.tuples(st.just("batch"), st.tuples(st.lists(DOCS, max_size=3), st.lists(IDS, max_size=2))),
)


def apply(session: Session, call: tuple[str, Any], model: dict[str, Doc]) -> dict[str, Doc]:
    """Makes one call on the store; returns what it should hold then."""
    name, given_ = call
    t = session.collection("t")
    after = dict(model)
    if name == "add":
        ids = [doc["_id"] for doc in given_]
        if len(set(ids)) < len(ids) or any(document_id in model for document_id in ids):
            with pytest.raises(DuplicateId):
                t.add(*given_)
        else:
            assert t.add(*given_).ids == ids
            after.update((doc["_id"], doc) for doc in given_)
    elif name == "put":
        assert t.put_many(given_) == len(given_)
        after.update((doc["_id"], doc) for doc in given_)
    elif name == "remove":
        assert t.remove_many(given_) == len(set(given_) & set(model))
        after = {document_id: doc for document_id, doc in model.items() if document_id not in given_}
    elif name == "set":
        n, value = given_
        t.modify("$.b = :n").set("$.a", value).bind("n", n).execute()
        after = {document_id: {**doc, "a": value} if doc.get("b") == n else doc for document_id, doc in model.items()}
    elif name == "unset":
        t.modify("$.b >= :n").unset("$.c").bind("n", given_).execute()
        for document_id, doc in model.items():
            if doc.get("b", -9) >= given_:
                after[document_id] = {name: value for name, value in doc.items() if name != "c"}
    elif name == "delete":
        gone = [document_id for document_id, doc in model.items() if doc.get("b", 9) < given_]
        assert t.remove("$.b < :n").bind("n", given_).execute().affected_items_count == len(gone)
        after = {document_id: doc for document_id, doc in model.items() if document_id not in gone}
    else:
        docs, ids = given_
        (read,) = session.begin([Read("t", ids)])
        assert {doc["_id"] for doc in read} == set(ids) & set(model)
        session.finish([Write("t", docs), Write("t", ids, How.REMOVE)])
        after.update((doc["_id"], doc) for doc in docs)
        after = {document_id: doc for document_id, doc in after.items() if document_id not in ids}
    return after


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(CALLS, min_size=1, max_size=8))
def test_any_sequence_of_calls_leaves_what_a_dict_would(bench: Bench, calls: list[tuple[str, Any]]) -> None:
    def work(session: Session) -> None:
        session.collection("t").remove("true").execute()
        model: dict[str, Doc] = {}
        for call in calls:
            model = apply(session, call, model)
        t = session.collection("t")
        assert_same(t.scan(), model)
        ids = [f"id{n}" for n in range(8)]
        assert [doc is not None for doc in t.get_many(ids)] == [document_id in model for document_id in ids]
        assert t.count() == len(model)

    bench.store.run(work)


def assert_same(found: list[Doc], model: dict[str, Doc]) -> None:
    """Equal in value and type, whatever the order of members and the sign of a zero."""

    def key(value: Any) -> Any:
        if isinstance(value, dict):
            return ("object", sorted((name, key(part)) for name, part in value.items()))
        if isinstance(value, list):
            return ("array", [key(part) for part in value])
        return (type(value).__name__, repr(value + 0 if isinstance(value, float) else value))

    assert [key(doc) for doc in found] == [key(model[document_id]) for document_id in sorted(model)]


# Three-valued logic and MySQL's order of types, in Python: None is unknown.

_MISSING = object()


def rank(value: Any) -> tuple[int, Any]:
    """What a scalar sorts by."""
    if value is None:
        return (0, 0)
    if isinstance(value, bool):
        return (3, value)
    return (2, value.encode()) if isinstance(value, str) else (1, value)


def holds(condition: Any, doc: Doc) -> bool | None:
    """Whether the condition (a tuple of operator and operands) is true of the document."""
    operator, *operands = condition
    if operator in ("AND", "OR"):
        sides = [holds(operand, doc) for operand in operands]
        decided = operator == "OR"
        if decided in sides:
            return decided
        return None if None in sides else not decided
    if operator == "NOT":
        side = holds(operands[0], doc)
        return None if side is None else not side
    path, value = operands
    found = doc.get(path, _MISSING)
    if operator == "IS NULL":
        return found is _MISSING
    if found is _MISSING or value is None:
        return None
    left, right = rank(found), rank(value)
    return {
        "=": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }[operator]


def written(condition: Any, values: dict[str, Any]) -> str:
    """The condition as text; its values are bound."""
    operator, *operands = condition
    if operator in ("AND", "OR"):
        return "(" + f" {operator} ".join(written(operand, values) for operand in operands) + ")"
    if operator == "NOT":
        return f"NOT ({written(operands[0], values)})"
    path, value = operands
    if operator == "IS NULL":
        return f"$.{path} IS NULL"
    name = f"v{len(values)}"
    values[name] = value
    return f"$.{path} {operator} :{name}"


# MySQL compares whole numbers with fractions as doubles: both stay where doubles are exact.
COMPARED = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.integers(-(1 << 53), 1 << 53)
    | st.sampled_from([0.5, -0.0, 1e-9, 2.0, 1e300])
    | st.text("aAbé\U0001f30d", max_size=2)
)
CONDITIONS = st.recursive(
    st.tuples(st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "IS NULL"]), st.sampled_from(["a", "b"]), COMPARED),
    lambda inner: st.tuples(st.sampled_from(["AND", "OR"]), inner, inner, inner) | st.tuples(st.just("NOT"), inner),
    max_leaves=5,
)
COMPARED_DOCS = st.lists(st.fixed_dictionaries({}, optional={"a": COMPARED, "b": COMPARED}), min_size=1, max_size=12)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=COMPARED_DOCS, conditions=st.lists(CONDITIONS, min_size=1, max_size=6), indexed=st.booleans())
def test_find_finds_what_the_meaning_says(bench: Bench, bodies: list[Doc], conditions: Any, indexed: bool) -> None:
    docs = [{"_id": f"{n:02}", **body} for n, body in enumerate(bodies)]

    def work(session: Session) -> None:
        t = session.collection("t")
        t.drop_index("by_a")
        if indexed:
            t.create_index("by_a", ["$.a"])
        with session.transaction():
            t.remove("true").execute()
            t.put_many(docs)
            for condition in conditions:
                values: dict[str, Any] = {}
                text = written(condition, values)
                found = [doc["_id"] for doc in t.find(text).bind(values).execute()]
                assert sorted(found) == [doc["_id"] for doc in docs if holds(condition, doc) is True], text
            ordered = [doc.get("a", math.nan) for doc in t.find("$.a IS NOT NULL").sort("$.a").execute()]
            assert [rank(value) for value in ordered] == sorted(rank(value) for value in ordered)

    bench.store.run(work)
