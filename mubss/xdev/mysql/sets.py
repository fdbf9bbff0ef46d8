"""Whole sets of documents as prepared statements, several of them in one write.

REPLACE writes in 61 µs of server CPU what INSERT … ON DUPLICATE KEY UPDATE does in 73 (64 documents of 1 KB in a
transaction, MySQL 9.7). It would remove a stranger that shares another unique key: a collection has none but `_id`.
Reads are told to take the primary key: a small table would be scanned whole, and every row of it locked.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

from mubss.xdev.api import Doc, Lock
from mubss.xdev.documents import check_ids, document_id, encode_octets
from mubss.xdev.errors import InvalidDocument

CHUNK = 256
_MOST_OCTETS = 4 << 20  # of documents in one statement
_SPARE_OCTETS = 4096  # of a packet, for what is around the documents

# Every size is a statement to prepare: a set is cut into some of these, 100 into 96 and 4. The small ones are all
# there: 13 cut into 12 and 1 cost batches of 16 requests 8 % of their rate (mubss-gy, 32 in flight). In mysqld all
# sizes of one statement take 3 MB of a connection's memory.
_SIZES: tuple[int, ...] = (*range(1, 33), 40, 48, 56, 64, 96, 128, 192, 256)
_LOCKS = {Lock.NONE: "", Lock.UPDATE: " FOR UPDATE", Lock.SKIP_LOCKED: " FOR UPDATE SKIP LOCKED"}


class Step(NamedTuple):
    """One statement on one collection, to be prepared and executed."""

    sql: str
    values: Sequence[bytes]  # ids, or documents as JSON text
    collection: str
    are_json: bool = False


def find(collection: str, table: str, ids: Sequence[str], lock: Lock) -> list[Step]:
    """Reads the documents of `ids` that are there."""
    octets = [one.encode() for one in check_ids(ids)]
    steps = []
    for start in range(0, len(octets), CHUNK):
        chunk = octets[start : start + CHUNK]
        chunk += chunk[-1:] * (_fitting(len(chunk)) - len(chunk))  # an id twice in IN is read once
        steps.append(Step(_find_sql(table, len(chunk), lock), chunk, collection))
    return steps


def put(collection: str, table: str, docs: Sequence[Doc], max_packet_octets: int) -> list[Step]:
    """Adds or replaces the documents; of two with one `_id` the later stays."""
    return [
        Step(_write_sql("REPLACE", table, len(chunk)), chunk, collection, are_json=True)
        for chunk in _chunks(collection, docs, max_packet_octets)
    ]


def add(collection: str, table: str, docs: Sequence[Doc], max_packet_octets: int) -> list[Step]:
    """Adds the documents."""
    return [
        Step(_write_sql("INSERT", table, len(chunk)), chunk, collection, are_json=True)
        for chunk in _chunks(collection, docs, max_packet_octets)
    ]


def remove(collection: str, table: str, ids: Sequence[str]) -> list[Step]:
    """Removes the documents of `ids`."""
    octets = [one.encode() for one in check_ids(ids)]
    steps = []
    for start in range(0, len(octets), CHUNK):
        chunk = octets[start : start + CHUNK]
        chunk += chunk[-1:] * (_fitting(len(chunk)) - len(chunk))
        steps.append(Step(_remove_sql(table, len(chunk)), chunk, collection))
    return steps


def _chunks(collection: str, docs: Sequence[object], max_packet_octets: int) -> Iterator[list[bytes]]:
    """The documents in sets of a size in `_SIZES`, each of which fits a packet."""
    for doc in docs:
        document_id(doc)
    texts = [encode_octets(doc, "document") for doc in docs]
    most = min(_MOST_OCTETS, max_packet_octets - _SPARE_OCTETS)
    start = 0
    while start < len(texts):
        size = _SIZES[bisect_right(_SIZES, len(texts) - start) - 1]
        chunk = texts[start : start + size]
        while sum(map(len, chunk)) > most and size > 1:
            size = _SIZES[bisect_right(_SIZES, size - 1) - 1]
            chunk = chunk[:size]
        if len(chunk[0]) > max_packet_octets - _SPARE_OCTETS:
            raise InvalidDocument(
                f"{collection}: document: expected up to {max_packet_octets - _SPARE_OCTETS} bytes of JSON "
                f"(mysqlx_max_allowed_packet), got {len(chunk[0])}"
            )
        yield chunk
        start += size


def _fitting(count: int) -> int:
    """The least of `_SIZES` that holds `count`."""
    return _SIZES[bisect_right(_SIZES, count - 1)]


@lru_cache(maxsize=4096)
def _find_sql(table: str, size: int, lock: Lock) -> str:
    return f"SELECT doc FROM {table} FORCE INDEX (PRIMARY) WHERE _id IN ({','.join('?' * size)}){_LOCKS[lock]}"


@lru_cache(maxsize=4096)
def _remove_sql(table: str, size: int) -> str:
    return f"DELETE FROM {table} WHERE _id IN ({','.join('?' * size)})"


@lru_cache(maxsize=4096)
def _write_sql(verb: str, table: str, size: int) -> str:
    return f"{verb} INTO {table} (doc) VALUES {','.join(['(?)'] * size)}"
