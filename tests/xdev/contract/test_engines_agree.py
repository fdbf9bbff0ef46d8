"""The same documents and expressions on both engines: what is found, in which order, and what is changed."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from agreement import BODIES, Made, conditions, sorts, values
from contract_support import Bench
from hypothesis import example, given, note, settings
from hypothesis import strategies as st

from mubss.xdev.api import Doc, Expr
from mubss.xdev.errors import StoreError
from mubss.xdev.store import open_store
from mysqld.server import Server

# What random examples found once.
MIXED_IFNULL = Made("ifnull($.n, :v)", {"v": -1.5})
LARGE = [{"a": number, "n": number, "m": 1} for number in (2**31, 2**32, 2**53 + 1, -(2**53) - 1)]
IS_INTEGER = Made("json_type($.a) = :v", {"v": "INTEGER"})
SUM = Made("$.n + $.m", {})

BODY_LISTS = st.lists(BODIES, min_size=1, max_size=8)


class Both:
    """A collection on each engine, with the same documents."""

    def __init__(self, urls: list[str]) -> None:
        self.benches: list[Bench] = []
        for url in urls:
            store = open_store(url)
            store.make()
            store.run(lambda session: session.create_collection("t"))
            self.benches.append(Bench(store, "t"))

    def fill(self, bodies: list[dict[str, Any]]) -> None:
        """These are all the documents there are."""
        docs = [{"_id": f"{place:02}", **body} for place, body in enumerate(bodies)]
        for bench in self.benches:
            bench.call("remove_many", [f"{place:02}" for place in range(10)])
            bench.call("put_many", docs)

    def same(self, work: Any) -> Any:
        """What both come to: a result, or the class of an error."""
        found = []
        for bench in self.benches:
            try:
                found.append(bench.store.run(lambda session: work(session.collection("t"))))
            except StoreError as error:
                note(f"{type(bench.store).__name__}: {error}")
                found.append(type(error))
        assert exact(found[0]) == exact(found[1])
        return found[0]

    def close(self) -> None:
        for bench in self.benches:
            bench.store.close()


def exact(value: Any) -> str:
    """A result so that 1, 1.0 and true differ, and the order of an object's members doesn't count."""
    if isinstance(value, dict):
        return "{" + ",".join(sorted(f"{name!r}:{exact(member)}" for name, member in value.items())) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(exact, value)) + "]"
    return repr(value)


@pytest.fixture(scope="module")
def both(mysql: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    schema = f"mubss_{secrets.token_hex(6)}"
    made = Both([f"sqlite:///{tmp_path_factory.mktemp('agree')}/store.db", mysql.url(schema=schema)])
    yield made
    made.close()
    mysql.sql(f"DROP SCHEMA {schema}", user="mubss")


@settings(max_examples=200)
@example(bodies=LARGE, made=[IS_INTEGER], order=["$.n DESC"], count=5)
@given(bodies=BODY_LISTS, made=st.lists(conditions, min_size=1, max_size=4), order=sorts, count=st.integers(0, 5))
def test_the_same_documents_are_found_in_the_same_order(
    both: Both, bodies: list[Doc], made: list[Made], order: list[str], count: int
) -> None:
    both.fill(bodies)
    for condition in made:
        note(f"{condition}")
        both.same(lambda t, c=condition: t.find(c.text).bind(c.values).sort(*order).execute())
    last = made[-1]
    both.same(lambda t: t.find(last.text).bind(last.values).sort(*order).limit(count).offset(1).execute())


@settings(max_examples=150)
@example(bodies=LARGE, made=[SUM])
@example(bodies=[{"n": 0}, {"n": 0.5}, {}], made=[MIXED_IFNULL])
@given(bodies=BODY_LISTS, made=st.lists(values, min_size=1, max_size=4))
def test_projections_show_the_same_values(both: Both, bodies: list[Doc], made: list[Made]) -> None:
    both.fill(bodies)
    for value in made:
        note(f"{value}")
        both.same(lambda t, v=value: t.find().bind(v.values).fields(f"{v.text} AS x", "_id").sort("_id").execute())


@settings(max_examples=100)
@given(bodies=BODY_LISTS, condition=conditions, value=values, target=st.sampled_from(["$.a", "$.o.c", "$.l[0]", "$.z"]))
def test_changes_come_to_the_same(both: Both, bodies: list[Doc], condition: Made, value: Made, target: str) -> None:
    both.fill(bodies)
    note(f"{condition} {value}")
    renamed = value.text
    for name in value.values:
        renamed = renamed.replace(f":{name}", f":x{name}")
    bound = condition.values | {f"x{name}": one for name, one in value.values.items()}
    both.same(lambda t: t.modify(condition.text).set(target, Expr(renamed)).bind(bound).execute())
    both.same(lambda t: t.modify(condition.text).bind(condition.values).array_append("$.l", 7).unset("$.b").execute())
    both.same(lambda t: t.scan(limit=100))
    both.same(lambda t: t.remove(condition.text).bind(condition.values).execute())
    both.same(lambda t: t.scan(limit=100))
