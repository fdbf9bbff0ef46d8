"""A real store with subscribers, a loader, and a folder that files are dropped into."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cdr_samples import NOW_S, file_of
from core_builders import demo_tables
from mubss.charging.engine import Engine, Limits
from mubss.charging.provision import NewAccount, open_accounts
from mubss.core.model import Rules
from mubss.pb.cdr_pb2 import Record
from mubss.services.audit_ledger import check
from mubss.services.cdr_load import Loader, LoadRules
from mubss.services.cdr_pass import Pass, Passed
from mubss.storage.database import Doc, Store, create_collections, open_database

POSTPAID, PREPAID = "999700000101", "999700000001"


class World:
    """Postpaid subscribers 9997000001NN and prepaid ones 9997000000NN, as many of each as are asked for."""

    def __init__(self, url: str, folder: Path, count: int = 3) -> None:
        self.url, self.folder = url, folder
        self.now_s = NOW_S
        self.tables = demo_tables()
        self.store: Store = open_database(url)
        create_collections(self.store)
        self.accounts: dict[str, str] = {}
        for type, plan, first in (("postpaid", "demo-postpaid", 101), ("prepaid", "demo-prepaid", 1)):
            for number in range(first, first + count):
                self.add(f"9997{number:08}", type, plan)

    def close(self) -> None:
        self.store.close()

    def add(self, msisdn: str, type: str = "postpaid", plan: str = "demo-postpaid") -> str:
        """Opens an account with 10.00 EUR; its IMSI is its MSISDN with 999 in front."""
        identities = f"e164:{msisdn}", f"imsi:999{msisdn}"
        new = NewAccount(type, plan, "EUR", identities, 10_000_000, 0, {"msisdn": msisdn})
        [account] = open_accounts(self.store, [new], NOW_S * 1000)
        self.accounts[msisdn] = account
        return account

    def clock(self) -> int:
        return self.now_s * 1000

    def engine(self, **rules: Any) -> Engine:
        return Engine(self.store, lambda: self.tables, Rules(**rules), Limits(batch=50), self.clock)

    def loader(self, engine: Engine | None = None, stop: Callable[[], bool] = lambda: False, **rules: Any) -> Loader:
        defaults = {"window": 4, "max_reject_percent": 50, "lanes": 2}
        load_rules = LoadRules(**{**defaults, **rules})
        return Loader(
            self.store, engine or self.engine(), lambda: self.tables, load_rules, self.clock, is_stopping=stop
        )

    def load(self, *records: Record, name: str = "a.cdr", sequence: int = 1, **rules: Any) -> Doc:
        """Loads a file of these records."""
        return self.loader(**rules).load(io.BytesIO(file_of(*records, sequence=sequence)), name)

    def drop(self, name: str, content: bytes) -> Path:
        """Puts a file into the folder."""
        path = self.folder / name
        path.write_bytes(content)
        return path

    def run(self, settle_s: int = 60, loader: Loader | None = None) -> Passed:
        """A pass over the folder."""
        return Pass(self.folder, loader or self.loader(), settle_s, lambda: False).run(self.now_s)

    def there(self) -> list[str]:
        """What lies in the folder."""
        found = (path.relative_to(self.folder) for path in self.folder.rglob("*") if path.name[0] != ".")
        return sorted(str(path) for path in found if str(path) not in ("processed", "error"))

    def all(self, collection: str) -> list[Doc]:
        return self.store.run(lambda session: session.collection(collection).scan(limit=100_000))

    def spent(self, msisdn: str = POSTPAID) -> int:
        """What an account has lost since it was opened, in micros."""
        account = self.store.run(lambda session: session.collection("accounts").get_one(self.accounts[msisdn]))
        assert account is not None
        return 10_000_000 - int(account["balance_micros"])

    def used(self) -> Counter[str]:
        """How often each record is among the usage."""
        return Counter(record["record_id"] for record in self.all("usage") if "record_id" in record)

    def add_up(self) -> None:
        """Every balance is the sum of its postings."""
        assert check(self.store)[1] == []
