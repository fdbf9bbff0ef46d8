"""Loading one CDR file: checked whole, then charged window by window.

    scan      frame, sums, CRC, digest; which records can't be  nothing is written; a file with too many is refused
              rated, and who pays
    charge    windows through the charging engine               each record once, whatever is killed when
    advance   the file's document says how far all is done      a restart goes on there

Records say themselves that they were charged, in the charge's own transaction; how far a file is taken saves work.
Two windows are under way at once: while the store is at work on one, the next is read and judged.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from mubss.cdr.reader import Entry, Scan, records, scan
from mubss.charging.engine import Engine
from mubss.core.errors import InputError
from mubss.core.identity import session_hash
from mubss.core.tariff import Tables
from mubss.core.wording import counted
from mubss.services.cdr_payers import Payers, Rejects
from mubss.services.cdr_window import Judged, Lanes, Under, judge, settle
from mubss.storage import cdr as storage
from mubss.storage.cdr import DONE, LOADING, REFUSED
from mubss.storage.database import Doc, Store

log = logging.getLogger(__name__)

AHEAD = 2  # windows under way
NOTED_EACH = 10  # windows: on the embedded store each note waits for the transaction under way


@dataclass(frozen=True, slots=True)
class LoadRules:
    """What the operator's configuration says about loading."""

    window: int = 4000  # records
    max_reject_percent: int = 10
    charges_prepaid: bool = False
    lanes: int = 1


class TooManyRejects(InputError):
    """A file that is refused whole: more of its records than allowed can't be rated."""

    reason = "too-many-rejects"


class Loader:
    """Loads files, one after the other."""

    def __init__(
        self,
        store: Store,
        engine: Engine,
        tables: Callable[[], Tables],
        rules: LoadRules,
        clock_ms: Callable[[], int],
        progress: Callable[[str, int, int], None] = lambda _what, _done, _of: None,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._store = store
        self._engine = engine
        self._tables = tables
        self._rules = rules
        self._clock_ms = clock_ms
        self._progress = progress
        self._is_stopping = is_stopping
        self._noted_each = NOTED_EACH * rules.window

    def load(self, file: BinaryIO, name: str) -> Doc:
        """Loads a file, or goes on with it; returns its document: done, or still loading where it was told to stop.

        FileFault or TooManyRejects: it can't be taken, and nothing of it was. StoreError: it goes on next time.
        """
        payers = Payers(self._store, self._now_s())
        prepaid = self._rules.charges_prepaid
        rejects = Rejects(self._tables(), payers, self._now_s(), charges_prepaid=prepaid)
        found = scan(file, rejects.take)
        doc = self._document(found, name)
        if doc["state"] == DONE:
            return doc
        if doc["state"] != LOADING:
            rejects.look()
            self._refuse_bad_ones(doc, rejects.reasons)
            doc = {**doc, "state": LOADING}
            storage.put_file(self._store, doc)
        return self._charge(file, doc, payers)

    def _now_s(self) -> int:
        return self._clock_ms() // 1000

    def _document(self, found: Scan, name: str) -> Doc:
        """What the store knows of the file; a new document where that is nothing."""
        header = found.header
        file_id = session_hash(f"{header.source}\0{header.sequence}\0{found.digest}")
        known = storage.get_file(self._store, file_id)
        if known is not None and known["state"] != REFUSED:
            return known
        if known is None and storage.has_sequence(self._store, header.source, header.sequence):
            text = (
                "%s: number %d of %s came before with other content; records of an id that was taken stay as they are"
            )
            log.warning(text, name, header.sequence, header.source)
        return {
            "_id": file_id,
            "source": header.source,
            "sequence": header.sequence,
            "digest": found.digest,
            "name": name,
            "size": found.size,
            "records": found.count,
            "state": "new",
            "offset": 0,
            "counts": {},
            "started_ms": self._clock_ms(),
        }

    def _refuse_bad_ones(self, doc: Doc, reasons: Counter[str]) -> None:
        total, most = reasons.total(), self._rules.max_reject_percent
        if total * 100 <= doc["records"] * most:
            return
        why = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        text = f"{total} of {counted(doc['records'], 'record')} can't be rated ({why}); expected up to {most} %"
        text += " (cdr.max_reject_percent); none was taken"
        storage.put_file(self._store, {**doc, "state": REFUSED, "text": text, "ended_s": self._now_s()})
        raise TooManyRejects(f"{TooManyRejects.reason}: {text}")

    def _windows(self, file: BinaryIO, doc: Doc) -> Iterator[list[Entry]]:
        rest = records(file, doc["offset"])
        while entries := list(islice(rest, self._rules.window)):
            yield entries

    def _charge(self, file: BinaryIO, doc: Doc, payers: Payers) -> Doc:
        under_way: deque[tuple[Judged, Under]] = deque()
        with closing(Lanes(self._engine, self._rules.lanes)) as lanes:
            for entries in self._windows(file, doc):
                judged = judge(doc["source"], entries, payers, self._now_s())
                wait = lanes.submit(doc["_id"], judged, charges_prepaid=self._rules.charges_prepaid)
                under_way.append((judged, wait))
                if len(under_way) == AHEAD:
                    doc = self._advance(doc, *under_way.popleft())
                if self._is_stopping():
                    break
            while under_way:
                doc = self._advance(doc, *under_way.popleft())
        if self._is_stopping() and sum(doc["counts"].values()) < doc["records"]:
            storage.put_file(self._store, doc)
            return doc
        doc = {**doc, "state": DONE, "ended_s": self._now_s()}
        storage.finish_file(self._store, doc)
        return doc

    def _advance(self, doc: Doc, judged: Judged, wait: Under) -> Doc:
        counts = settle(judged, wait(), doc, self._store, self._now_s())
        before, doc = doc, {**doc, "offset": judged.end, "counts": dict(Counter(doc["counts"]) + counts)}
        done = sum(doc["counts"].values())
        if done // self._noted_each > sum(before["counts"].values()) // self._noted_each:
            storage.put_file(self._store, doc)
        self._progress("charging", done, doc["records"])
        return doc
