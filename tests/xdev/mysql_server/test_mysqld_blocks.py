"""Many messages in one write: after one that fails nothing has effect, COMMIT included."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from mysqld_tools import Bench, adds

from mubss.xdev.api import How, Write
from mubss.xdev.errors import DuplicateId, NoSuchCollection, StoreError, StoreUnavailable
from mubss.xdev.mysql import messages
from mubss.xdev.mysql.errors import EXPECTATION_FAILED
from mubss.xdev.mysql.link import Link
from mubss.xdev.mysql.replies import Reply
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
    codes = codes_of(link.exchange_in_block(batch))
    assert codes[:2] == [0, 0] and codes[2] in (DUPLICATE, 1062) and codes[3:] == [EXPECTATION_FAILED] * 2
    link.exchange([messages.ROLLBACK])
    assert bench.ids() == ["there"]
    link.bid_farewell()


def codes_of(replies: list[Reply]) -> list[int]:
    return [reply.error.code if reply.error else 0 for reply in replies]


def test_a_block_stays_open_until_something_fails_in_it(
    url: str, bench: Bench, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.put({"_id": "there"})
    sent: list[int] = []
    exchange = link._exchange

    def counted(requests: Sequence[messages.Request], timeout_s: float) -> list[Reply]:
        sent.append(len(requests))
        return exchange(requests, timeout_s)

    monkeypatch.setattr(link, "_exchange", counted)
    for id in ("a", "b"):
        assert codes_of(link.exchange_in_block([insert(url, id)])) == [0]
    assert sent == [2, 1]
    assert codes_of(link.exchange_in_block([insert(url, "there"), insert(url, "c")]))[1] == EXPECTATION_FAILED
    assert codes_of(link.exchange_in_block([insert(url, "d")])) == [0]
    assert sent[2:] == [2, 3]  # the failed block is closed, another one opened
    assert bench.ids() == ["a", "b", "d", "there"]
    link.bid_farewell()


@pytest.mark.parametrize("fails", [False, True])
def test_outside_of_a_block_each_message_is_by_itself(url: str, bench: Bench, link: Link, fails: bool) -> None:
    bench.put({"_id": "there"})
    link.exchange_in_block([insert(url, "there" if fails else "a")])
    codes = codes_of(link.exchange([insert(url, "there"), insert(url, "b")]))
    assert codes[0] in (DUPLICATE, 1062) and codes[1] == 0
    assert bench.ids() == (["b", "there"] if fails else ["a", "b", "there"])
    link.bid_farewell()


def test_where_no_block_can_be_opened_nothing_is_done(url: str, bench: Bench, link: Link) -> None:
    bench.put({"_id": "there"})
    link.exchange([messages.OPEN_BLOCK, insert(url, "there")])  # in a block that failed no other one can be opened
    with pytest.raises(StoreUnavailable, match="opens no block of messages"):
        link.exchange_in_block([insert(url, "a")])
    assert link.broken and bench.ids() == ["there"]


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
