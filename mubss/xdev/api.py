"""The one store interface: the shape of X DevAPI, with the set operations that speed needs.

Both engines implement these protocols; the contract suite (tests/xdev/contract) holds them to it.
A document is a plain dict of JSON values whose `_id` is text of 1 to 32 bytes; `add` makes a
time-ordered `_id` where there is none. Integers are exact to 64 bits.

    store = open_store("sqlite:///var/mubss.db")
    def work(session):
        with session.transaction():
            session.collection("accounts").modify("plan = :p").set("state", "active").bind("p", "x").execute()
    store.run(work)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol, TypeVar

Doc = dict[str, Any]
T = TypeVar("T")
Offload = Callable[[Callable[[], Any]], Any]


def call_directly(work: Callable[[], T]) -> T:
    """The `offload` of a process without an event loop: the calling thread does the work."""
    return work()


class Lock(Enum):
    """How `get_many` and `Read` lock what they read; all are one lock on the file in the SQLite engine."""

    NONE = "none"
    UPDATE = "update"
    SKIP_LOCKED = "skip_locked"


class How(Enum):
    """What `Write` does: ADD refuses an `_id` that is there (DuplicateId), PUT replaces or adds, REMOVE takes ids."""

    ADD = "add"
    PUT = "put"
    REMOVE = "remove"


class Read(NamedTuple):
    """One set of documents to read by id, as part of `Session.begin`."""

    collection: str
    ids: Sequence[str]
    lock: Lock = Lock.NONE


class Write(NamedTuple):
    """One set of documents to write, as part of `Session.finish`; `docs` are ids where `how` is REMOVE."""

    collection: str
    docs: Sequence[Any]
    how: How = How.PUT


@dataclass(frozen=True, slots=True)
class Expr:
    """An expression as the value of `modify(…).set`: `set("count", Expr("$.count + :n"))`; it sees the old document."""

    text: str


class Result(NamedTuple):
    """What a write statement did: documents added, removed or really changed, and the ids that `add` made or took."""

    affected_items_count: int
    ids: list[str]


class Inspection(NamedTuple):
    """What an engine tells of itself for who looks after it."""

    engine: str  # "SQLite 3.40.1", "MySQL 9.7.0"
    missing_indexes: tuple[str, ...]  # "collection.index": not there, or over other fields
    log_octets: int  # what waits in the write-ahead log to be moved; 0 where the server minds its own
    clock_ms: int  # the server's clock, UTC; 0 where the store has none but this machine's


class FindStatement(Protocol):
    """`collection.find(condition)`, to be narrowed and executed."""

    def fields(self, *projection: str) -> FindStatement: ...
    def sort(self, *sort_criteria: str) -> FindStatement: ...
    def limit(self, count: int) -> FindStatement: ...
    def offset(self, count: int) -> FindStatement: ...
    def bind(self, name: str | Mapping[str, Any], value: Any = None) -> FindStatement: ...
    def execute(self) -> list[Doc]: ...
    def count(self) -> int:
        """How many documents the condition chooses; sort, limit, offset and fields don't matter."""

    def count_by(self, doc_path: str) -> dict[str, int]:
        """How many of the documents have each text at a path; those without a text there count nowhere.

        The condition counts, and what is bound; fields, sort, limit and offset don't go with it.
        """
        ...


class ModifyStatement(Protocol):
    """`collection.modify(condition)` with its changes; the condition is required ("true" is all)."""

    def set(self, doc_path: str, value: Any) -> ModifyStatement: ...
    def unset(self, *doc_paths: str) -> ModifyStatement: ...
    def array_append(self, doc_path: str, value: Any) -> ModifyStatement: ...
    def sort(self, *sort_criteria: str) -> ModifyStatement: ...
    def limit(self, count: int) -> ModifyStatement: ...
    def bind(self, name: str | Mapping[str, Any], value: Any = None) -> ModifyStatement: ...
    def execute(self) -> Result: ...


class RemoveStatement(Protocol):
    """`collection.remove(condition)`; the condition is required ("true" is all)."""

    def sort(self, *sort_criteria: str) -> RemoveStatement: ...
    def limit(self, count: int) -> RemoveStatement: ...
    def bind(self, name: str | Mapping[str, Any], value: Any = None) -> RemoveStatement: ...
    def execute(self) -> Result: ...


class Collection(Protocol):
    """One collection within a session."""

    name: str

    def add(self, *docs: Doc) -> Result: ...
    def find(self, condition: str = "") -> FindStatement: ...
    def modify(self, condition: str) -> ModifyStatement: ...
    def remove(self, condition: str) -> RemoveStatement: ...
    def get_one(self, document_id: str) -> Doc | None: ...
    def get_many(self, ids: Sequence[str], *, for_update: bool = False) -> list[Doc | None]:
        """The documents of `ids`, in their order, None for one that isn't there."""
        ...

    def put_many(self, docs: Sequence[Doc]) -> int: ...
    def add_many(self, docs: Sequence[Doc]) -> int: ...
    def remove_many(self, ids: Sequence[str]) -> int: ...
    def count(self) -> int: ...
    def scan(self, *, after: str = "", until: str = "", limit: int = 1000) -> list[Doc]:
        """Documents in `_id` order with after < _id < until ("" = open end): the way to walk a collection."""
        ...

    def create_index(self, index_name: str, fields: Sequence[str]) -> None:
        """A plain index over document paths (`$.plan`); the same name again with the same fields is no error."""
        ...

    def drop_index(self, index_name: str) -> None: ...


class Session(Protocol):
    """One unit of work on one connection; never shared between greenlets or threads."""

    def collection(self, name: str) -> Collection: ...
    def create_collection(self, name: str) -> Collection:
        """Makes the collection unless it is there; never within a transaction, no more than an index."""
        ...

    def create_collections(self, wanted: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """Makes many at once, collection → {index: document paths}, as far as they aren't there; else as one by one."""
        ...

    def drop_collection(self, name: str) -> None: ...
    def list_collections(self) -> list[str]: ...
    def inspect(self, wanted: Mapping[str, Mapping[str, Sequence[str]]]) -> Inspection:
        """How the store is; `wanted` as for `create_collections`. Nothing is written."""
        ...

    def fault(self) -> str:
        """The first fault that the engine finds in all that it holds, "" where it finds none: SQLite reads the whole
        file; a server checks its pages whenever it reads them, and says nothing here."""
        ...

    def transaction(self) -> AbstractContextManager[None]:
        """BEGIN … COMMIT, or ROLLBACK when an exception leaves the block. SQLite: BEGIN IMMEDIATE."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Within a transaction: what the block did is undone when an exception leaves it."""
        ...

    def begin(self, reads: Iterable[Read]) -> list[list[Doc]]:
        """BEGIN and every read, in one write to the store; for each Read the documents found, in no order."""
        ...

    def finish(self, writes: Iterable[Write]) -> None:
        """Every write and COMMIT, in one write to the store; any error rolls the whole transaction back."""
        ...

    def rollback(self) -> None:
        """Ends the transaction that `begin` opened, if one is open; never raises."""
        ...


class Store(Protocol):
    """A store of one process: lends sessions to units of work."""

    url: str
    side_by_side: bool  # whether write transactions run side by side; SQLite does them one after the other

    def make(self) -> None:
        """Makes what collections live in, unless it is there: MySQL's schema. SQLite makes its file by itself."""
        ...

    def run(self, work: Callable[[Session], T]) -> T:
        """Calls `work(session)`, through `offload` where the engine would block; safe from any thread or greenlet."""
        ...

    def copy_to(self, file: str) -> None:
        """Copies the store, as it is at one moment, into a new file, blocking, with the writers at work.

        NotOffered by a server: its own tools do that.
        """
        ...

    def close(self) -> None: ...
