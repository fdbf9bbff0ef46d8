"""The reference data of a running process: one immutable table, replaced whole when a new version is there."""

from __future__ import annotations

import logging
from zoneinfo import ZoneInfo

from mubss.core.calendar import OperatorCalendar
from mubss.core.errors import ConfigError, RefdataError
from mubss.core.tariff import Tables
from mubss.refdata.build import read_stored
from mubss.storage import refdata as storage
from mubss.storage.database import Session, Store, StoreError
from mubss.storage.refdata import TABLES, Snapshot, Version

log = logging.getLogger(__name__)


def operator_calendar(timezone: str) -> OperatorCalendar:
    """The operator's calendar; ConfigError for a name that the IANA time zone database doesn't have."""
    try:
        return OperatorCalendar(ZoneInfo(timezone))
    except (KeyError, ValueError, OSError) as error:  # unknown, a path out of the database, a folder of it
        raise ConfigError(
            f"general.timezone: {timezone[:60]!r}; expected an IANA time zone like Europe/Berlin"
        ) from error


class Refdata:
    """Holds `tables`; a request takes that reference once and keeps it from start to end.

    `load` at the start; then `poll` every few seconds, from one timer.
    """

    def __init__(self, store: Store, timezone: str) -> None:
        self._store = store
        self._store_is_away = False
        self._calendar = operator_calendar(timezone)  # kept over versions: its memo stays good
        empty = Snapshot(Version(0, 0, ""), {table: {} for table in TABLES})
        self._seen = empty.version
        self.tables: Tables = read_stored(empty, self._calendar)

    def load(self) -> Tables:
        """Reads the version in force; RefdataError, with `tables` as they were, if it can't be used.

        In a store without reference data the tables are empty, version 0: nothing is sold.
        """
        self.tables = self._store.run(self._read)
        return self.tables

    def poll(self) -> bool:
        """Swaps in a version other than the one last seen; reads one document where there is none.

        A version that can't be used is logged once, and so is a store that is away; the tables stay.
        """
        try:
            if self._store.run(storage.read_version) == self._seen:
                self._store_is_away = False
                return False
            self.load()
            self._store_is_away = False
        except RefdataError as error:
            log.error("reference data version %d stays in force: %s", self.tables.version, error)
            return False
        except StoreError as error:
            if not self._store_is_away:
                log.warning("reference data can't be read, version %d stays in force: %s", self.tables.version, error)
            self._store_is_away = True
            return False
        log.info("reference data: version %d is in force", self.tables.version)
        return True

    def _read(self, session: Session) -> Tables:
        """Builds within the session's work, which on SQLite is a thread beside the event loop."""
        snapshot = storage.read_all(session)
        self._seen = snapshot.version
        return read_stored(snapshot, self._calendar)
