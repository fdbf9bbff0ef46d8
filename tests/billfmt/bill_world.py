"""A store with bills that wait, and formatters on it with a clock of their own."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pypdf import PdfReader

import bill_samples
from core_builders import demo_tables
from mubss.charging.provision import NewAccount, open_accounts
from mubss.config import Config, GeneralOptions
from mubss.config_billfmt import BillfmtOptions
from mubss.core.identity import sequence_id
from mubss.services.formatting import Formatted, Formatter
from mubss.storage.database import Doc, Store, create_collections, open_database

NOW_S = bill_samples.START_S + 31 * bill_samples.DAY_S + 8_000


def reader(pdf: bytes) -> PdfReader:
    """A PDF, read without any leniency."""
    return PdfReader(io.BytesIO(pdf), strict=True)


def text_of(pdf: bytes) -> str:
    """All that is written in it, with single spaces."""
    return " ".join(" ".join(page.extract_text() for page in reader(pdf).pages).split())


class World:
    """Accounts, each with one bill of some usage."""

    def __init__(self, url: str, folder: Path, **options: Any) -> None:
        self.url, self.folder = url, folder
        self.now_s = NOW_S
        self.tables = demo_tables()
        self.store: Store = open_database(url)
        create_collections(self.store)
        self.config = Config(GeneralOptions(data_dir=str(folder)), billfmt=BillfmtOptions(**options))

    def add(self, kind: str = "postpaid", count: int = 6, **more: Any) -> Doc:
        """One more bill in state NEW, with its account and usage or postings."""
        number = len(self.all("bills")) + 1
        msisdn = f"4917{number:07}"
        new = NewAccount("postpaid", "demo-postpaid", "EUR", (f"e164:{msisdn}",), 0, 0, {"msisdn": msisdn})
        [account] = open_accounts(self.store, [new], bill_samples.START_S * 1000)
        make = getattr(bill_samples, kind)
        bill, usage, postings = make() if kind == "credit_note" else make("en", count)
        bill |= {"_id": f"{number:032x}", "number": f"INV-2026-{number:07}", "account": account, "msisdn": msisdn}
        bill |= {"plan": "demo-postpaid", **more}
        rows = {"usage": usage, "postings": postings}

        def write(session: Any) -> None:
            for collection, docs in rows.items():
                whole = [{**doc, "_id": sequence_id(account, doc["sequence"]), "account": account} for doc in docs]
                session.collection(collection).put_many(whole)
            session.collection("bills").add_many([bill])

        self.store.run(write)
        return bill

    def clear(self) -> None:
        """Removes all bills, and what they are of."""
        for name in ("bills", "usage", "postings", "accounts", "subscribers", "identities"):
            self.store.run(lambda session, name=name: session.collection(name).remove("true").execute())

    def put(self, bill: Doc) -> None:
        """What another program does to a bill."""
        self.store.run(lambda session: session.collection("bills").put_many([bill]))

    def get(self, bill: Doc) -> Doc:
        """A bill as it is now."""
        found = self.store.run(lambda session: session.collection("bills").get_one(bill["_id"]))
        assert found is not None
        return found

    def all(self, collection: str) -> list[Doc]:
        return self.store.run(lambda session: session.collection(collection).scan(limit=100_000))

    @contextmanager
    def formatter(self, store: Store | None = None) -> Iterator[Formatter]:
        made = Formatter(store or self.store, self.config, lambda: self.tables, lambda: self.now_s)
        try:
            yield made
        finally:
            made.close()

    def run(self) -> list[Formatted]:
        """One pass."""
        with self.formatter() as formatter:
            return list(formatter.waiting())

    def files(self) -> list[str]:
        """All files there are under the folder of invoices, hidden ones too."""
        folder = self.folder / "invoices"
        return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
