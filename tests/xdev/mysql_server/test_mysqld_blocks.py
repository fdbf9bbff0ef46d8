"""Many messages in one write: after one that fails nothing has effect, COMMIT included."""

from __future__ import annotations

import pytest
from mysqld_tools import Bench, adds

from mubss.xdev.api import How, Write
from mubss.xdev.errors import DuplicateId, NoSuchCollection, StoreError
from mubss.xdev.mysql import messages
from mubss.xdev.mysql.errors import EXPECTATION_FAILED
from mubss.xdev.mysql.link import Link
from mysqld.server import Server

DUPLICATE = 5116  # ER_X_DOC_ID_DUPLICATE, which the X plugin makes of MySQL's 1062 on a collection
INSERT = 'INSERT INTO {table} (doc) VALUES (\'{{"_id": "{id}"}}\')'


def insert(url: str, document_id: str) -> messages.Request:
    schema = url.rpartition("/")[2]
    return messages.statement(INSERT.format(table=f"`{schema}`.`t`", id=document_id))


@pytest.fixture
def link(mysql: Server) -> Link:
    return mysql.link("mubss")


def test_without_a_block_a_commit_behind_a_failed_write_commits_the_rest(url: str, bench: Bench, link: Link) -> None:
    bench.put({"_id": "there"})
    batch = [messages.BEGIN, insert(url, "before"), insert(url, "there"), insert(url, "after"), messages.COMMIT]
    replies = link.exchange(batch)
    assert [reply.error is not None for reply in replies] == [False, False, True, False, False]
    assert bench.ids() == ["after", "before", "there"]
    link.bid_farewell()


def test_in_a_block_nothing_happens_after_a_failed_write(url: str, bench: Bench, link: Link) -> None:
    bench.put({"_id": "there"})
    batch = [messages.BEGIN, insert(url, "before"), insert(url, "there"), insert(url, "after"), messages.COMMIT]
    replies = link.exchange([messages.OPEN_BLOCK, *batch, messages.CLOSE_BLOCK])
    codes = [reply.error.code if reply.error else 0 for reply in replies]
    assert codes[:3] == [0, 0, 0] and codes[3] in (DUPLICATE, 1062) and set(codes[4:]) == {EXPECTATION_FAILED}
    link.exchange([messages.ROLLBACK])
    assert bench.ids() == ["there"]
    link.bid_farewell()


@pytest.mark.parametrize(
    ("writes", "error"),
    [
        ([adds("a"), adds("there"), adds("b")], DuplicateId),
        ([adds("a", "a")], DuplicateId),
        ([adds("a"), Write("nowhere", [{"_id": "b"}], How.ADD), adds("c")], NoSuchCollection),
        ([adds("a"), Write("nowhere", [{"_id": "b"}])], NoSuchCollection),
        ([Write("t", ["there"], How.REMOVE), adds("a"), adds("a")], DuplicateId),
    ],
)
def test_a_finish_that_fails_leaves_nothing_of_the_transaction(
    bench: Bench, writes: list[Write], error: type[StoreError]
) -> None:
    bench.put({"_id": "there"})
    with pytest.raises(error):
        bench.charge(*writes, locked=("there",))
    assert bench.ids() == ["there"]
    bench.charge(adds("next"), locked=("there",))
    assert bench.ids() == ["next", "there"]
