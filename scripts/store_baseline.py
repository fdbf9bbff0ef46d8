"""The baseline of `scripts/bench store`: the official connector on the collections that our engine made and filled.

One document a call, as its interface has it, `size` of them in a transaction: `get_one`, `add`, and `modify` of the
whole document (what `replace_one` does, and nearest to put_many) and of one field of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mysqlx

from mubss.xdev.mysql.address import parse
from store_cases import World


class Official:
    """A session of the official connector to the store of a mysqlx URL, over the same transport."""

    def __init__(self, url: str) -> None:
        address = parse(url)
        [host] = address.hosts
        where = {"socket": host.name} if host.is_socket else {"host": host.name, "port": host.port}
        if not host.is_socket:
            where["ssl-mode"] = address.ssl_mode
        self._session: Any = mysqlx.get_session(
            {**where, "user": address.user, "password": address.password, "compression": "disabled"}
        )
        self._schema = self._session.get_schema(address.schema)

    def run(self, work: Callable[[Any], object]) -> None:
        """One transaction."""
        self._session.start_transaction()
        work(self._schema)
        self._session.commit()

    def close(self) -> None:
        """Ends the session."""
        self._session.close()


def per_document(world: World, size: int) -> dict[str, Callable[[], Callable[[Any], object]]]:
    """Its calls, each with `size` documents of a transaction."""

    def read() -> Callable[[Any], object]:
        ids = world.some_ids(size)

        def work(schema: Any) -> None:
            accounts = schema.get_collection("bench_accounts")
            for document_id in ids:
                accounts.get_one(document_id)

        return work

    def modify(path: str, field: str) -> Callable[[Any], object]:
        docs = world.accounts(world.some_ids(size))

        def work(schema: Any) -> None:
            accounts = schema.get_collection("bench_accounts")
            for doc in docs:
                changing = accounts.modify("_id = :id").set(path, doc[field] if field else doc)
                changing.bind("id", doc["_id"]).execute()

        return work

    def add() -> Callable[[Any], object]:
        docs = world.postings(world.some_ids(size))

        def work(schema: Any) -> None:
            postings = schema.get_collection("bench_postings")
            for doc in docs:
                postings.add(doc).execute()

        return work

    return {
        "get_one": read,
        "modify, whole document": lambda: modify("$", ""),
        "modify, one field": lambda: modify("balance_micros", "balance_micros"),
        "add": add,
    }
