"""What commands about subscribers and money work with: the store, the tables in force, the charging engine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from functools import cached_property

from mubss.charging.engine import Engine, wall_clock_ms
from mubss.cli.command import Invocation
from mubss.config import Config
from mubss.core.model import Rules
from mubss.core.tariff import Tables
from mubss.refdata.live import Refdata
from mubss.services.auditing import Act, AuditedEngine, plain
from mubss.services.control import FOLDER, GY, ask_all
from mubss.storage.database import Store


class Desk:
    """An open store, and what is made of it when it is first asked for."""

    def __init__(self, config: Config, store: Store, act: Act | None = None) -> None:
        self.config = config
        self.store = store
        self._act = act

    @cached_property
    def tables(self) -> Tables:
        """The reference data in force."""
        return Refdata(self.store, self.config.general.timezone).load()

    @cached_property
    def engine(self) -> Engine:
        """A charging engine that does each command at once, in this thread."""
        charging = self.config.charging
        rules = Rules(
            charging.outcome_history,
            charging.session_supervision_seconds,
            notices=self.config.notifications.rules,
        )
        if self._act is None:
            return Engine(self.store, lambda: self.tables, rules)
        return AuditedEngine(Engine(plain(self.store), lambda: self.tables, rules), self._act)

    def nudge(self) -> None:
        """Sessions' clients may have to be told something: whoever serves them here needn't wait to look."""
        ask_all(self.config.resolve(FOLDER), GY, "nudge")

    @property
    def month(self) -> str:
        """The operator's month: what free units are counted by."""
        return self.tables.calendar.at(wall_clock_ms() // 1000).month

    def time(self, time_s: int) -> str:
        """`2026-11-23 05:14:00` by the operator's clock."""
        return datetime.fromtimestamp(time_s, self.tables.calendar.zone).strftime("%Y-%m-%d %H:%M:%S")


@contextmanager
def open_desk(invocation: Invocation) -> Iterator[Desk]:
    """The desk of this call; its store is closed at the end."""
    with closing(invocation.open_store()) as store:
        yield Desk(invocation.config, store, invocation.act)
