"""A replication group of three: the primary is found, followed when it moves or dies, and missed when there is none."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mysqld_tools import Bench, adds, until

from mubss.xdev.api import Store
from mubss.xdev.errors import StoreConflict, StoreUnavailable
from mubss.xdev.store import open_store
from mysqld.binaries import find_or_fetch
from mysqld.group import Group
from mysqld.server import Server


@pytest.fixture(scope="module")
def group(mysql: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    made = Group(tmp_path_factory.mktemp("group"), find_or_fetch(), fast=True)
    made.start()
    store = open_store(made.url(schema="mubss_group"))
    store.make()
    store.run(lambda session: session.create_collection("t"))
    store.close()
    yield made
    made.remove()


@pytest.fixture
def store(group: Group) -> Iterator[Store]:
    """A store with a connection that is open already, on a group that is whole."""
    group.start()
    opened = open_store(f"{group.url(schema='mubss_group')}?answer-timeout=2000&connect-timeout=2000")
    until(lambda: written(Bench(opened), "before"))
    yield opened
    opened.close()


def written(bench: Bench, *ids: str) -> bool:
    """Whether documents could be written."""
    try:
        bench.put(*({"_id": one} for one in ids))
    except StoreUnavailable:
        return False
    return True


def refused(bench: Bench) -> str:
    """Why they can't."""
    try:
        bench.charge(adds("never"), locked=("before",))
    except (StoreUnavailable, StoreConflict) as error:  # a COMMIT that hangs keeps its locks
        return str(error)
    return ""


def others(group: Group) -> list[Server]:
    primary = group.primary()
    return [member for member in group.members if member is not primary]


def test_only_the_primary_is_written_wherever_it_stands_in_the_url(group: Group, store: Store) -> None:
    primary = group.primary()
    for first in group.members:
        hosts = [first, *(member for member in group.members if member is not first)]
        names = ",".join(f"127.0.0.1:{member.port()}" for member in hosts)
        url = group.url(schema="mubss_group")
        opened = open_store(f"{url.partition('[')[0]}[{names}]/mubss_group")
        [(port,)] = opened.run(lambda session: session.rows("SELECT @@mysqlx_port"))  # type: ignore[attr-defined]
        assert port == primary.port()
        opened.close()
    alone = open_store(others(group)[0].url(schema="mubss_group"))
    assert "isn't the primary of its group" in refused(Bench(alone))
    alone.close()


def test_a_primary_that_is_moved_is_followed(group: Group, store: Store) -> None:
    target = others(group)[0]
    [(uuid,)] = target.sql("SELECT @@server_uuid")
    target.sql(f"SELECT group_replication_set_as_primary('{uuid}')")
    until(lambda: written(Bench(store), "moved"))
    assert group.primary() is target
    assert Bench(store).get("moved") and Bench(store).get("before")


def test_a_primary_that_is_killed_is_replaced(group: Group, store: Store) -> None:
    victim = group.primary()
    victim.kill()
    until(lambda: written(Bench(store), "survived"))
    assert group.primary() is not victim
    group.start()
    assert Bench(store).get("survived") and Bench(store).get("before")


def test_without_a_quorum_nothing_hangs_and_afterwards_it_goes_on(group: Group, store: Store) -> None:
    bench = Bench(store)
    frozen = others(group)
    for member in frozen:
        member.freeze()
    try:
        assert refused(bench)  # the COMMIT that no majority hears of, and what comes behind it
        until(lambda: "ERROR in its group" in refused(bench))  # it gave up, and would take no write again by itself
    finally:
        for member in frozen:
            member.thaw()
    group.start()
    until(lambda: written(bench, "after"))
    assert bench.get("before")
