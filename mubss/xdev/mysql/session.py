"""A session: one unit of work on one connection that the pool lent.

A link keeps its settings and its prepared statements for its whole life: nothing here changes them, and it is never
reset (a reset would lose both). What a unit of work leaves behind is a transaction at most, and `end` rolls it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import orjson

from mubss.xdev.api import Doc, How, Inspection, Read, Write
from mubss.xdev.documents import check_name
from mubss.xdev.errors import StoreConflict, StoreError, StoreUnavailable, UnknownCommit
from mubss.xdev.mysql import messages, results, sets
from mubss.xdev.mysql.collection import MysqlCollection
from mubss.xdev.mysql.errors import (
    COLLECTION_EXISTS,
    CONFLICTS,
    EXPECTATION_FAILED,
    NO_SUCH_COLLECTION,
    TOO_MANY_STATEMENTS,
    ServerError,
    store_error,
)
from mubss.xdev.mysql.link import Link, LinkLost
from mubss.xdev.mysql.messages import Argument, Json, Request
from mubss.xdev.mysql.replies import Reply
from mubss.xdev.mysql.sets import Step

_MOST_PREPARED = 500  # of one connection; the server's max_prepared_stmt_count is 16,382 by default
_DDL_TIMEOUT_S = 600

# Tables of a document and what is generated of it, as the X Plugin knows collections; 4 ms for 40 of them.
_COLLECTIONS = (
    "SELECT table_name FROM information_schema.columns WHERE table_schema = ? GROUP BY table_name "
    "HAVING SUM(column_name = 'doc' AND data_type = 'json') = 1 AND SUM(column_name = '_id') = 1 "
    "AND SUM(column_name <> 'doc' AND generation_expression = '') = 0"
)


class MysqlSession:
    """See `mubss.xdev.api.Session`."""

    def __init__(self, link: Link, schema: str, indexed: dict[str, frozenset[tuple[str | int, ...]]]) -> None:
        self.schema = schema
        self._link: Link | None = link
        self._indexed = indexed  # of the whole store, filled when it is first asked for
        self._collections: dict[str, MysqlCollection] = {}
        self._savepoints = 0
        self._in_transaction = False
        self._lost = False  # the server has ended the transaction that the caller believes open

    @property
    def link(self) -> Link:
        """The connection that is lent for this unit of work."""
        if self._link is None:
            raise StoreError("the session has ended: it is only good within Store.run")
        return self._link

    @property
    def in_transaction(self) -> bool:
        """Whether the caller has a transaction open."""
        return self._in_transaction

    def end(self) -> None:
        """Takes the connection away, without the transaction that was left open."""
        self.rollback()
        self._link = None
        self._collections.clear()  # each knows its session: without end, only the garbage collector would free them

    # ── collections ────────────────────────────────────────────────────────────────────────────────

    def collection(self, name: str) -> MysqlCollection:
        found = self._collections.get(name)
        if found is None:
            found = self._collections[name] = MysqlCollection(self, check_name(name))
        return found

    def create_schema(self) -> None:
        """Makes the schema unless it is there."""
        if not self.rows("SELECT 1 FROM information_schema.schemata WHERE schema_name = ?", [self.schema]):
            self.define([messages.statement(f"CREATE SCHEMA IF NOT EXISTS `{self.schema}`")], self.schema)

    def create_collection(self, name: str) -> MysqlCollection:
        made = self.collection(name)
        self.define([messages.admin("create_collection", schema=self.schema, name=made.name)], name, COLLECTION_EXISTS)
        if name not in self.list_collections():  # the same error for a table that somebody else has made
            raise StoreError(
                f"{self.link.host}/{self.schema}: there is a table {name} that is no collection: "
                "another program's; name a schema of its own for this store"
            )
        return made

    def create_collections(self, wanted: Mapping[str, Mapping[str, Sequence[str]]]) -> None:
        """For what is there no right to make it is needed. One by one, 45 collections took twice as long."""
        from mubss.xdev.mysql.indexes import create_many

        there = self.list_collections()
        missing = [check_name(name) for name in wanted if name not in there]
        makes = [messages.admin("create_collection", schema=self.schema, name=name) for name in missing]
        if makes:
            self.define(makes, "", COLLECTION_EXISTS)
            for name in set(missing) - set(self.list_collections()):
                self.create_collection(name)  # it says what is in the way
        create_many(self, wanted)

    def drop_collection(self, name: str) -> None:
        command = messages.admin("drop_collection", schema=self.schema, name=check_name(name))
        self.define([command], name, NO_SUCH_COLLECTION)

    def list_collections(self) -> list[str]:
        found = sorted(_text(name) for (name,) in self.rows(_COLLECTIONS, [self.schema]))
        return found or self._listed()

    def _listed(self) -> list[str]:
        """As the X Plugin tells it, or why it doesn't: without the schema, or a right. 40 collections take it 0.6 s."""
        [reply] = self._perform([messages.admin("list_objects", schema=self.schema)], "")
        found = [(_text(name), _text(kind)) for name, kind, *_ in results.rows(reply)]
        return sorted(name for name, kind in found if kind == "COLLECTION")

    def inspect(self, wanted: Mapping[str, Mapping[str, Sequence[str]]]) -> Inspection:
        from mubss.xdev.mysql.indexes import missing_of

        # SYSDATE: NOW is when the statement began. In text, since the type of the number differs between versions.
        sql = "SELECT VERSION(), CAST(FLOOR(UNIX_TIMESTAMP(SYSDATE(3)) * 1000) AS CHAR)"
        [(version, clock_ms)] = self.rows(sql)
        return Inspection(f"MySQL {_text(version)}", missing_of(self, wanted), 0, int(_text(clock_ms)))

    def fault(self) -> str:
        return ""

    def table(self, name: str) -> str:
        """A collection's table, quoted, with its schema."""
        return f"`{self.schema}`.`{check_name(name)}`"

    def indexed(self, collection: str) -> frozenset[tuple[str | int, ...]]:
        """The paths that stand first in an index of the collection; read once for all collections of the store."""
        if not self._indexed:
            from mubss.xdev.mysql.indexes import read_indexed

            self._indexed.update({"": frozenset(), **read_indexed(self)})
        return self._indexed.get(collection, frozenset())

    def forget_indexes(self) -> None:
        """They are read anew when they are next asked for."""
        self._indexed.clear()

    # ── transactions ───────────────────────────────────────────────────────────────────────────────

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self._check_none_open()
        self._perform([messages.BEGIN], "")
        self._in_transaction = True
        try:
            yield
        except BaseException:
            self.rollback()
            raise
        self._commit([])

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        if not self._in_transaction:
            raise StoreError("savepoint: no transaction is open")
        self._savepoints += 1
        name = f"s{self._savepoints}"
        self._perform([messages.statement(f"SAVEPOINT {name}")], "")
        try:
            yield
        except BaseException:
            if self._in_transaction and not self._lost and not self.link.broken:
                undo = f"ROLLBACK TO SAVEPOINT {name}", f"RELEASE SAVEPOINT {name}"
                self._perform([messages.statement(sql) for sql in undo], "")
            raise
        self._perform([messages.statement(f"RELEASE SAVEPOINT {name}")], "")

    @contextmanager
    def whole(self, parts: int) -> Iterator[None]:
        """Makes a call of several statements all or nothing."""
        if parts < 2:
            yield
        elif self._in_transaction:
            with self.savepoint():
                yield
        else:
            with self.transaction():
                yield

    def begin(self, reads: Iterable[Read]) -> list[list[Doc]]:
        self._check_none_open()
        steps: list[Step] = []
        counts = []
        for read in reads:
            made = sets.find(read.collection, self.table(read.collection), read.ids, read.lock)
            counts.append(len(made))
            steps += made
        self._in_transaction = True
        try:
            replies = iter(self.run_steps(steps, first=[messages.BEGIN]))
            return [self.documents([next(replies) for _ in range(count)]) for count in counts]
        except BaseException:
            self.rollback()
            raise

    def finish(self, writes: Iterable[Write]) -> None:
        if not self._in_transaction:
            raise StoreError("finish: no transaction is open; begin one first")
        try:
            steps: list[Step] = []
            for write in writes:
                table, most = self.table(write.collection), self.link.max_packet_octets
                if write.how is How.PUT:
                    steps += sets.put(write.collection, table, write.docs, most)
                elif write.how is How.ADD:
                    steps += sets.add(write.collection, table, write.docs, most)
                else:
                    steps += sets.remove(write.collection, table, write.docs)
            self._commit(steps)
        except BaseException:
            self.rollback()
            raise

    def rollback(self) -> None:
        was_open, self._in_transaction = self._in_transaction and not self._lost, False
        self._lost = False
        if was_open and not self.link.broken:
            try:
                [reply] = self.link.exchange([messages.ROLLBACK])
            except StoreError:
                return
            if reply.error is not None:
                self.link.close()

    def _check_none_open(self) -> None:
        if self._in_transaction:
            raise StoreError("a transaction is open already: they don't nest, use a savepoint")

    def _commit(self, steps: list[Step]) -> None:
        """Writes and COMMIT, in one block; whatever goes wrong, no transaction is open afterwards."""
        try:
            self.run_steps(steps, last=[messages.COMMIT])
        except BaseException:
            self.rollback()
            raise
        self._in_transaction = False

    # ── statements ─────────────────────────────────────────────────────────────────────────────────

    def run_steps(
        self, steps: Sequence[Step], first: Sequence[Request] = (), last: Sequence[Request] = ()
    ) -> list[Reply]:
        """Prepared statements in one write, all or (in a transaction) none of which count; a reply for each.

        `first` may be BEGIN and `last` COMMIT. After a message that fails none has effect.
        """
        link = self.link
        requests: list[Request] = [*first]
        collections = [""] * len(requests)
        places = []
        fresh: list[tuple[int, str, int]] = []
        for step in steps:
            number = link.prepared.get(step.sql)
            if number is None and link.may_prepare and len(link.prepared) + len(fresh) < _MOST_PREPARED:
                number = next((number for _, sql, number in fresh if sql == step.sql), None)
                if number is None:
                    number = len(link.prepared) + len(fresh) + 1
                    fresh.append((len(requests), step.sql, number))
                    requests.append(messages.prepare(number, step.sql))
                    collections.append(step.collection)
            places.append(len(requests))
            collections.append(step.collection)
            if number is None:
                values = [Json(text) for text in step.values] if step.are_json else step.values
                requests.append(messages.statement(step.sql, values))
            else:
                requests.append(messages.execute(number, step.values, are_json=step.are_json))
        requests += last
        replies = self._exchange(requests, in_block=True, commits=bool(last))
        for place, sql, number in fresh:
            if replies[place].error is None:
                link.prepared[sql] = number
        self._raise_first(replies, collections, commit_at=len(requests) - 1 if last else -1)
        return [replies[place] for place in places]

    def docs(self, sql: str, values: Sequence[Argument | Json], collection: str) -> list[Any]:
        """The JSON values in the one column of a SELECT."""
        return self.documents(self._perform([messages.statement(sql, values)], collection))

    def rows(self, sql: str, values: Sequence[Argument | Json] = (), collection: str = "") -> list[tuple[Any, ...]]:
        """The rows of a SELECT, see `results.rows`."""
        return results.rows(self._perform([messages.statement(sql, values)], collection)[0])

    def define(self, requests: Sequence[Request], collection: str, forgiven: int = 0) -> None:
        """DDL, which MySQL would commit an open transaction for; `forgiven` is the error that is none."""
        if self._in_transaction:
            raise StoreError(f"{collection}: collections and indexes can't be changed within a transaction")
        replies = self._exchange(requests, timeout_s=_DDL_TIMEOUT_S)
        errors = [reply for reply in replies if reply.error is None or reply.error.code != forgiven]
        self._raise_first(errors, [collection] * len(errors))

    def documents(self, replies: Sequence[Reply]) -> list[Any]:
        """The JSON values in the one column of each reply."""
        texts = [text for reply in replies for text in results.json_texts(reply)]
        if not texts:
            return []
        found: list[Any] = orjson.loads(b"[" + b",".join(texts) + b"]")
        return found

    def _perform(self, requests: Sequence[Request], collection: str) -> list[Reply]:
        replies = self._exchange(requests)
        self._raise_first(replies, [collection] * len(requests))
        return replies

    def _exchange(
        self, requests: Sequence[Request], *, in_block: bool = False, commits: bool = False, timeout_s: float = 0
    ) -> list[Reply]:
        link = self.link
        if self._lost:
            raise StoreError(f"{link.host}: the transaction was ended by an earlier error")
        if link.broken:
            raise StoreUnavailable(f"{link.host}: the connection of this unit of work broke")
        try:
            return link.exchange_in_block(requests, timeout_s) if in_block else link.exchange(requests, timeout_s)
        except LinkLost as error:
            if commits:
                raise UnknownCommit(f"{error}; COMMIT was under way") from None
            raise

    def _raise_first(self, replies: Sequence[Reply], collections: Sequence[str], commit_at: int = -1) -> None:
        """Raises the first error as the store's own; those of the block behind it only say that it came."""
        for place, reply in enumerate(replies):
            if reply.error is not None and reply.error.code != EXPECTATION_FAILED:
                named = collections[place] if place < len(collections) else ""
                raise self._store_error(reply.error, named, is_commit=place == commit_at)

    def _store_error(self, error: ServerError, collection: str, *, is_commit: bool) -> StoreError:
        link = self.link
        where = f"{link.host}/{self.schema}"
        if error.code == TOO_MANY_STATEMENTS:
            link.may_prepare = False  # the next try does without
            return StoreConflict(f"{where}: {error}: raise max_prepared_stmt_count")
        if error.ends_link:
            link.close()
        elif error.code in CONFLICTS and self._in_transaction:
            self.rollback()  # a deadlock has done so already, a lock wait only undid its own statement
            self._in_transaction = self._lost = True
        if is_commit and error.code not in CONFLICTS:
            link.close()
            return UnknownCommit(f"{where}: COMMIT was answered by {error}")
        return store_error(error, where, collection)


def _text(value: Any) -> str:
    """A name that the server gives as octets or as text, by the kind of table it reads it from."""
    return value.decode() if isinstance(value, bytes) else str(value)
