"""What a server does to a store that stays open: read-only, restart, kill -9, frozen. The same store works again."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from mysqld_tools import Bench, adds, until

from mubss.xdev.errors import StoreAway, StoreUnavailable
from mubss.xdev.mysql import messages
from mubss.xdev.store import open_store
from mysqld.server import Server


@pytest.fixture
def bench(own_url: str) -> Iterator[Bench]:
    store = open_store(f"{own_url}?answer-timeout=500&connect-timeout=500")
    made = Bench(store)
    made.put({"_id": "a"})
    yield made
    store.close()


def works_again(bench: Bench) -> None:
    """It does within a moment: after each failure the servers are left alone for a quarter of a second."""

    def work() -> bool:
        try:
            bench.charge(adds("again"), locked=("a",))
        except StoreUnavailable:
            return False
        return True

    until(work)
    assert bench.ids() == ["a", "again"]


def test_a_read_only_server_is_unavailable_until_it_can_be_written(bench: Bench, own: Server) -> None:
    own.sql("SET GLOBAL super_read_only = ON")
    try:
        for _ in range(2):  # on the open connection, then on a new one
            with pytest.raises(StoreUnavailable, match="read-only"):
                bench.charge(adds("b"), locked=("a",))
    finally:
        own.sql("SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF")
    works_again(bench)


@pytest.mark.parametrize(
    ("setting", "before", "because"),
    [
        ("offline_mode = ON", "offline_mode = OFF", "offline"),
        ("mysqlx_max_connections = 1", "mysqlx_max_connections = 300", "closed the connection"),
    ],
)
def test_a_server_that_takes_nobody_for_now_is_away_and_works_again(
    own: Server, own_url: str, setting: str, before: str, because: str
) -> None:
    """Away is what a program waits for when it starts."""
    made = Bench(open_store(f"{own_url}?answer-timeout=500&connect-timeout=500"))
    made.put({"_id": "a"})
    holder = own.link("root")
    try:
        holder.exchange([messages.statement(f"SET GLOBAL {setting}")])
        newcomer = open_store(f"{own_url}?answer-timeout=500&connect-timeout=500")
        with pytest.raises(StoreAway, match=because):
            Bench(newcomer).ids()
        newcomer.close()
    finally:
        holder.exchange([messages.statement(f"SET GLOBAL {before}")])
        holder.bid_farewell()
    works_again(made)
    made.store.close()


@pytest.mark.parametrize("end", [Server.stop, Server.kill])
def test_a_server_that_ends_is_unavailable_until_it_is_back(
    bench: Bench, own: Server, end: Callable[[Server], None]
) -> None:
    end(own)
    for _ in range(3):
        with pytest.raises(StoreUnavailable) as caught:
            bench.charge(adds("b"), locked=("a",))
        assert "\n" not in str(caught.value)
    own.start()
    works_again(bench)


def test_a_frozen_server_is_unavailable_within_the_timeout_and_goes_on_when_it_thaws(bench: Bench, own: Server) -> None:
    own.freeze()
    try:
        with pytest.raises(StoreUnavailable, match=r"no answer within 0\.5 s"):
            bench.charge(adds("b"), locked=("a",))
        with pytest.raises(StoreUnavailable):  # a new connection isn't answered either
            bench.charge(adds("b"), locked=("a",))
    finally:
        own.thaw()
    works_again(bench)


def test_connections_that_the_server_ended_while_they_were_idle_are_replaced_unnoticed(
    bench: Bench, own: Server
) -> None:
    ids = [row[0] for row in own.sql("SELECT id FROM information_schema.processlist WHERE user = 'mubss'")]
    assert ids
    own.sql(*(f"KILL {one}" for one in ids))
    until(lambda: not own.sql("SELECT 1 FROM information_schema.processlist WHERE user = 'mubss'"))
    works_again(bench)
