"""The documents that stand beside accounts in a batch of CDRs: records taken before, calls in parts, Gy's sessions.

They are read in the batch's first round trip, behind the accounts' locks, and written in its last.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mubss.core.cdr import CALLS, RECORDS, ChargeCdrs
from mubss.core.cdr_charging import links
from mubss.core.model import Beside
from mubss.storage.accounts import SESSIONS
from mubss.storage.database import Doc, How, Write


class CdrDocs:
    """Of one batch; empty where it has no CDRs."""

    def __init__(self) -> None:
        self.wanted: dict[str, dict[str, None]] = {}
        self.beside: Beside | None = None
        self._written: dict[tuple[str, str], tuple[Doc, bool]] = {}

    def want(self, account_id: str, command: ChargeCdrs) -> None:
        """Notes what must be read for a command."""
        for item in command.items:
            self._want(RECORDS, item.key)
            if item.call:
                self._want(CALLS, item.call)
            for link in links(account_id, item.cdr):
                self._want(SESSIONS, link)

    def _want(self, collection: str, key: str) -> None:
        self.wanted.setdefault(collection, {})[key] = None

    def found(self, docs: Mapping[tuple[str, str], Doc]) -> None:
        """What was there."""
        if self.wanted:
            by_name: dict[str, dict[str, Doc]] = {RECORDS: {}, CALLS: {}, SESSIONS: {}}
            for (collection, key), doc in docs.items():
                if collection in by_name:
                    by_name[collection][key] = doc
            self.beside = Beside(by_name[RECORDS], by_name[CALLS], by_name[SESSIONS])  # type: ignore[arg-type]

    def take(self, noted: Sequence[tuple[str, Doc, bool]]) -> None:
        """What a command wrote: those after it in the batch see it."""
        assert self.beside is not None
        for collection, doc, is_new in noted:
            (self.beside.records if collection == RECORDS else self.beside.calls)[doc["_id"]] = doc
            self._written[collection, doc["_id"]] = doc, is_new

    def writes(self) -> list[Write]:
        """One set for each collection and way."""
        sets: dict[tuple[str, How], list[Doc]] = {}
        for (collection, _), (doc, is_new) in self._written.items():
            sets.setdefault((collection, How.ADD if is_new else How.PUT), []).append(doc)
        return [Write(collection, docs, how) for (collection, how), docs in sets.items()]
