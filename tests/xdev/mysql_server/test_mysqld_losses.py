"""The connection breaks at a chosen moment: before COMMIT nothing was done; after it nobody knows, and it is said."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from mysqld_tools import Bench, adds, until

from mubss.xdev.api import Read, Session
from mubss.xdev.errors import StoreUnavailable, UnknownCommit
from mubss.xdev.store import open_store
from mysqld.server import Server
from proxy import Fault, Proxy

DOUBT = "COMMIT was under way"


@pytest.fixture
def proxy(mysql: Server, url: str) -> Iterator[Proxy]:
    """It ends before the schema is dropped, which would wait for what the server still holds for it."""
    mysql.sql("SELECT 1", user="mubss")  # in TLS: from now on the server takes SHA256_MEMORY, and the proxy can read
    with Proxy(mysql.port()) as made:
        yield made


@pytest.fixture
def through(proxy: Proxy, url: str) -> Iterator[Bench]:
    """The store through the proxy, with one connection that is open already."""
    by_proxy = re.sub(r":\d+/", f":{proxy.port}/", url)
    store = open_store(f"{by_proxy}?ssl-mode=disabled&answer-timeout=400")
    made = Bench(store)
    made.put({"_id": "a"})
    yield made
    store.close()


@pytest.mark.parametrize(
    ("fault", "is_done"),
    [(Fault.DROP, False), (Fault.DEAFEN, True), (Fault.SILENCE, True)],
)
def test_a_commit_without_an_answer_is_an_unknown_commit(
    through: Bench, bench: Bench, proxy: Proxy, fault: Fault, is_done: bool
) -> None:
    proxy.arm(b"COMMIT", fault)
    with pytest.raises(UnknownCommit, match=DOUBT):
        through.charge(adds("b"), locked=("a",))
    assert proxy.struck.is_set()
    until(
        lambda: bench.ids() == (["a", "b"] if is_done else ["a"])
    )  # the first octets of an answer come before the last
    through.put({"_id": "c"})  # on a connection of its own
    assert "c" in bench.ids()


@pytest.mark.parametrize("fault", Fault)
def test_what_breaks_before_commit_leaves_nothing_and_is_no_doubt(
    through: Bench, bench: Bench, proxy: Proxy, fault: Fault
) -> None:
    def work(session: Session) -> None:
        with session.transaction():
            session.collection("t").add({"_id": "b"})
            proxy.arm(b'{"_id":"c"}', fault)
            session.collection("t").put_many([{"_id": "c"}])

    with pytest.raises(StoreUnavailable) as caught:
        through.store.run(work)
    assert proxy.struck.is_set() and not isinstance(caught.value, UnknownCommit)
    through.put({"_id": "d"})
    assert bench.ids() == ["a", "d"]


@pytest.mark.parametrize("fault", Fault)
def test_a_read_that_breaks_is_unavailable_and_the_next_one_works(through: Bench, proxy: Proxy, fault: Fault) -> None:
    proxy.arm(b"SELECT", fault)
    with pytest.raises(StoreUnavailable) as caught:
        through.store.run(lambda session: session.begin([Read("t", ["a"])]))
    assert proxy.struck.is_set() and not isinstance(caught.value, UnknownCommit)
    assert through.get("a") == {"_id": "a"}


def test_after_a_loss_the_transaction_of_the_caller_can_not_go_on(through: Bench, bench: Bench, proxy: Proxy) -> None:
    def work(session: Session) -> None:
        with session.transaction():
            session.collection("t").put_many([{"_id": "b"}])
            proxy.arm(b"SELECT", Fault.DEAFEN)
            with pytest.raises(StoreUnavailable):
                session.collection("t").find("true").execute()
            with pytest.raises(StoreUnavailable, match="broke"):
                session.collection("t").put_many([{"_id": "c"}])

    with pytest.raises(StoreUnavailable):
        through.store.run(work)
    assert bench.ids() == ["a"]


@pytest.mark.parametrize("fault", [Fault.DROP, Fault.DEAFEN, Fault.SILENCE])
def test_a_login_that_breaks_is_unavailable(proxy: Proxy, url: str, fault: Fault) -> None:
    store = open_store(f"{re.sub(r':[0-9]+/', f':{proxy.port}/', url)}?ssl-mode=disabled&connect-timeout=400")
    proxy.arm(b"SHA256_MEMORY", fault)
    with pytest.raises(StoreUnavailable):
        Bench(store).ids()
    assert proxy.struck.is_set()
    store.close()
