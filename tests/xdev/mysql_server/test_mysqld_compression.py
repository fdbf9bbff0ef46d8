"""Compressed connections: each algorithm both ways, and what happens where the server has none of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from mysqld_tools import Bench, adds

from mubss.xdev.errors import DuplicateId, StoreUnavailable
from mubss.xdev.store import open_store
from mysqld.server import Server

ALGORITHMS = ["zstd", "lz4", "deflate", "zstd,lz4", "zstd_stream"]
RECEIVED, SENT = "Mysqlx_bytes_received_compressed_payload", "Mysqlx_bytes_sent_compressed_payload"


def passed_compressed(bench: Bench) -> tuple[int, int]:
    """Octets that the server has received and sent compressed on the store's connection."""
    rows = bench.store.run(lambda session: session.rows("SHOW STATUS LIKE 'Mysqlx_bytes%'"))  # type: ignore[attr-defined]
    counters = dict(rows)
    return int(counters[RECEIVED]), int(counters[SENT])


@pytest.mark.parametrize("mode", ["preferred", "required"])
@pytest.mark.parametrize("algorithms", ALGORITHMS)
def test_documents_pass_compressed_both_ways(own_url: str, mode: str, algorithms: str) -> None:
    store = open_store(f"{own_url}?compression={mode}&compression-algorithms={algorithms}")
    bench = Bench(store)
    docs = [{"_id": f"{number:04}", "pad": "pad " * 500} for number in range(200)]
    bench.put(*docs)
    for _ in range(3):
        assert bench.store.run(lambda session: session.collection("t").scan(limit=1000)) == docs
    with pytest.raises(DuplicateId):
        bench.charge(adds("0001"))
    bench.charge(adds("9999"), locked=("0001",))
    assert len(bench.ids()) == 201
    received, sent = passed_compressed(bench)
    assert 0 < received < 200 * 2000 / 4 and 0 < sent < 3 * 200 * 2000 / 4
    store.close()


@pytest.fixture
def without(own: Server) -> Iterator[Server]:
    """The server, while it has no algorithm."""
    own.sql("SET GLOBAL mysqlx_compression_algorithms = ''")
    yield own
    own.sql("SET GLOBAL mysqlx_compression_algorithms = DEFAULT")


def test_a_server_without_compression(own_url: str, without: Server) -> None:
    store = open_store(f"{own_url}?compression=preferred")
    bench = Bench(store)
    bench.put({"_id": "a", "pad": "pad " * 2000})
    assert bench.ids() == ["a"] and passed_compressed(bench) == (0, 0)
    store.close()
    store = open_store(f"{own_url}?compression=required")
    with pytest.raises(StoreUnavailable, match="no compression that both sides have: it offers none"):
        Bench(store).ids()
    store.close()


def test_nothing_is_compressed_unless_it_is_asked_for(own_url: str) -> None:
    store = open_store(own_url)
    bench = Bench(store)
    bench.put({"_id": "a", "pad": "pad " * 2000})
    assert bench.ids() == ["a"] and passed_compressed(bench) == (0, 0)
    store.close()
