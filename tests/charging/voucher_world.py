"""A store with a subscriber, a pepper, and batches made in it."""

from __future__ import annotations

import csv
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from charging_world import World
from mubss.charging.provision import NewAccount, open_accounts
from mubss.core.tariff import Bundle
from mubss.core.vouchers import LockRules
from mubss.services.pepper import Pepper, make_pepper, read_pepper
from mubss.services.redeeming import Doors, Redeemed, redeem
from mubss.services.vouchers import NewBatch, make
from mubss.storage.database import Store

TALK = Bundle("TALK", "Talk", "EUR", 2_000_000, ("VOICE",), (), 100, 86_400, 100, renews=True)
TODAY = date(2026, 11, 16)
MSISDN = "491700000001"
DOORS = Doors(LockRules(5, 60, 86_400, 3600), LockRules(100, 60, 86_400, 60))


class VoucherWorld(World):
    """Where vouchers are made and redeemed."""

    def __init__(self, url: str, folder: Path) -> None:
        super().__init__(url)
        self.folder = folder
        self.tables = replace(self.tables, bundles={"TALK": TALK})
        self.pepper_file = folder / "pepper"
        make_pepper(self.pepper_file, self.store)
        self.subscriber(MSISDN)

    @property
    def now_s(self) -> int:
        return self.clock.now_ms // 1000

    @property
    def pepper(self) -> Pepper:
        return read_pepper(self.pepper_file, self.store)

    def subscriber(self, msisdn: str, currency: str = "EUR") -> str:
        person = {"msisdn": msisdn, "language": "en"}
        new = NewAccount("prepaid", "demo-prepaid", currency, (f"e164:{msisdn}",), 0, 0, person)
        return open_accounts(self.store, [new], self.clock.now_ms)[0]

    def batch(self, count: int = 3, **more: Any) -> tuple[dict[str, Any], list[str]]:
        """A batch and its PINs; worth 10.00 EUR unless told otherwise."""
        worth = {} if "bundle" in more else {"value_micros": 10_000_000, "currency": "EUR"}
        new = NewBatch(count, **{"last_day": TODAY + timedelta(30), **worth, **more})
        file = self.folder / f"pins-{len(list(self.folder.iterdir()))}.csv"
        made = make(self.store, self.tables, self.pepper, new, file, self.now_s)
        with file.open() as rows:
            return made, [row["pin"] for row in csv.DictReader(rows)]

    def redeem(self, pin: str, msisdn: str = MSISDN, store: Store | None = None, **more: Any) -> Redeemed:
        chosen = store or self.store
        return redeem(
            self.engine(chosen), chosen, self.pepper, more.pop("doors", DOORS), msisdn, pin, self.clock.now_ms, **more
        )

    def balance(self, msisdn: str = MSISDN) -> int:
        identity = self.get("identities", f"e164:{msisdn}")
        assert identity is not None
        account = self.get("accounts", identity["account"])
        assert account is not None
        return int(account["balance_micros"])
