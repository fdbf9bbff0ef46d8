"""Subscribers that are told something, and a sink that keeps what it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from charging_world import World
from mubss.charging.order import Order
from mubss.charging.provision import NewAccount, open_accounts
from mubss.config import Config, load
from mubss.core.model import Movement, Rules
from mubss.core.notice_kinds import KINDS, NoticeRules
from mubss.core.tariff import Bundle
from mubss.services.notice_sinks import Message, Sink, open_sinks
from mubss.services.notice_texts import load_texts
from mubss.services.notifying import (
    Post,
)

MSISDN = "491700000001"
DAY_S = 86_400
TALK = Bundle("TALK", "", "EUR", 0, ("DATA",), (), 1_000, 30 * DAY_S, 100, renews=True)
OPTIONS = {
    "MUBSS_NOTIFICATIONS__TRIES": "4",
    "MUBSS_NOTIFICATIONS__RETRY_SECONDS": "30",
    "MUBSS_NOTIFICATIONS__RETRY_LIMIT_SECONDS": "100",
}


class Shelf:
    """A sink that keeps what it takes; of each that comes the next of `faults` is raised first."""

    def __init__(self, name: str = "shelf", *faults: Exception) -> None:
        self.name, self.faults = name, list(faults)
        self.taken: list[Message] = []
        self.offered: list[str] = []

    def send(self, message: Message, now_s: int) -> None:
        self.offered.append(message.id)
        if self.faults:
            raise self.faults.pop(0)
        self.taken.append(message)


class Office:
    """A world with subscribers that are told something."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world, self.folder = world, folder
        world.tables = replace(world.tables, bundles={"TALK": TALK})
        self.account = self.subscriber(MSISDN)
        self.engine = world.engine(rules=Rules(notices=NoticeRules(frozenset(KINDS), 2_000_000)))

    def subscriber(self, msisdn: str, **more: Any) -> str:
        person = {"msisdn": msisdn, "language": "en", **more}
        new = NewAccount("prepaid", "demo-prepaid", "EUR", (f"e164:{msisdn}",), 10_000_000, 0, person)
        return open_accounts(self.world.store, [new], self.world.clock.now_ms)[0]

    def config(self, **options: object) -> Config:
        named = {f"MUBSS_NOTIFICATIONS__{name}".upper(): str(value) for name, value in options.items()}
        return load(None, {"MUBSS_GENERAL__DATA_DIR": str(self.folder), **OPTIONS, **named})

    def post(self, *sinks: Sink, config: Config | None = None) -> Post:
        config = config or self.config()
        return Post(
            self.world.store,
            lambda: self.world.tables,
            load_texts(config),
            sinks or open_sinks(config),
            config.notifications,
            lambda: self.world.clock.now_ms // 1000,
        )

    def do(self, *commands: Any, account: str = "") -> None:
        for command in commands:
            [order] = self.engine.execute([Order(command, account=account or self.account)])
            assert order.error is None

    def top_up(self, times: int = 1) -> None:
        self.do(*[Movement("topup", 1_000_000)] * times)

    def docs(self) -> list[dict[str, Any]]:
        return self.world.all("notifications")

    def pass_time(self, seconds: int) -> None:
        self.world.clock.now_ms += seconds * 1000
