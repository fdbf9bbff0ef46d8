"""Usage and postings of closed months go from the store to Parquet files: nothing is lost, and nothing is there twice.

 1. whatever an earlier run began is ended; drafts that no manifest names are removed;
 2. account by account, what no bill, session or open month needs is written to drafts, one for each kind and month;
 3. each draft is synced, read back and compared: count, sum, SHA-256;
 4. one transaction writes the manifests: from here on the files count;
 5. each draft gets its name, is compared again, and its documents leave the store, a page in a transaction, with the
    sums that are carried forward (storage/archives.py).
Killed before 4 a run has left drafts alone; behind it the next run goes on from the page that is noted in the manifest.
A file that has its name is never removed or replaced: it may be the only copy, as where an older store was put back.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta, tzinfo
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, cast

from mubss.core.archive import (
    SETTLED,
    Needs,
    carry,
    leaving_postings,
    leaving_usage,
    nothing,
    staying_postings,
    staying_usage,
)
from mubss.core.bill_period import checked_label, start_of
from mubss.core.calendar import OperatorCalendar
from mubss.core.errors import Busy, InputError
from mubss.core.model import POSTPAID, PREPAID, Account
from mubss.core.wording import counted
from mubss.services import archive_files as files
from mubss.storage import archives, stats, subscribers
from mubss.storage.archives import KINDS, WRITTEN, Owner
from mubss.storage.database import Doc, Store
from mubss.storage.subscribers import POSTINGS, USAGE

log = logging.getLogger(__name__)

PAGE_DOCUMENTS = 200  # that leave in one transaction: on SQLite others' charges wait for it
BEAT_ACCOUNTS = 200  # looked at between two renewals of the lease
_TRIES = 5  # for an account that stands still while it is looked at
_MAX_NUMBER = 9999


class Through(NamedTuple):
    """The last month that may leave, and its end in UTC seconds; none where `month` is ""."""

    month: str
    end_s: int


class Moved(NamedTuple):
    """What went, or would go, to a file."""

    kind: str
    month: str
    rows: int
    micros: int
    path: str = ""
    octets: int = 0


class Stays(NamedTuple):
    """Documents from before the end of the months that stay, and why."""

    kind: str
    why: str
    rows: int


def through(month: str, zone: tzinfo, now_s: int) -> Through:
    """A month that is over; InputError for one that isn't, or that is no month."""
    first = date.fromisoformat(f"{checked_label(month)}-01")
    try:
        end_s = start_of((first + timedelta(32)).replace(day=1), zone)
    except OverflowError:  # the last one there is
        end_s = now_s + 1
    if end_s > now_s:
        raise InputError(f"month: {month}; expected one that is over")
    return Through(month, end_s)


def kept(months: int, calendar: OperatorCalendar, now_s: int) -> Through:
    """What retention says: the last month that isn't kept, where so many closed ones are; 0: all are."""
    if not months:
        return Through("", 0)
    year, month = map(int, calendar.at(now_s).month.split("-"))
    place = year * 12 + month - 1 - (months + 1)
    return through(f"{place // 12:04}-{place % 12 + 1:02}", calendar.zone, now_s)


class Archiving:
    """One run; `wanted` says for each kind through which month, `clock_s` gives UTC seconds."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        calendar: OperatorCalendar,
        wanted: Mapping[str, Through],
        clock_s: Callable[[], int],
        progress: Callable[[str], None] = lambda text: None,
        *,
        statements: bool = True,
    ) -> None:
        """`statements`: prepaid subscribers of a bill cycle get statements, so what is on none yet is needed."""
        self._store = store
        self._types = (POSTPAID, PREPAID) if statements else (POSTPAID,)
        self._folder = folder
        self._calendar = calendar
        self._wanted = wanted
        self._clock_s = clock_s
        self._progress = progress
        self._owner = Owner(f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}", clock_s)

    def look(self) -> list[Moved]:
        """What would go where; nothing is written."""
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for kind, month, doc in self._leaving():
            rows, micros = found.get((kind, month), (0, 0))
            found[kind, month] = rows + 1, micros + doc[files.SUMMED[kind]]
        return [Moved(kind, month, *found[kind, month]) for kind, month in sorted(found)]

    def staying(self) -> list[Stays]:
        """What is from before the end of the months and stays, and why; nothing is written."""
        found: Counter[tuple[str, str]] = Counter()
        for account in subscribers.all_accounts(self._store):
            leaving: dict[str, dict[str, int]] = {POSTINGS: {}, USAGE: {}}
            for kind, _, doc in self._of_account(account["_id"]):
                leaving[kind][doc["_id"]] = doc["sequence"]
            read = self._account(account["_id"])
            if read is None:
                continue
            needs, end_s = read[1], self._wanted[POSTINGS].end_s
            if end_s:
                left = max(leaving[POSTINGS].values(), default=0)
                there = subscribers.walk_postings(self._store, account["_id"])
                found.update((POSTINGS, why) for why in staying_postings(there, left, needs, end_s))
            end_s = self._wanted[USAGE].end_s
            if end_s:
                usage = subscribers.usage(self._store, account["_id"])
                found.update((USAGE, why) for why in staying_usage(usage, leaving[USAGE], needs, end_s))
        return [Stays(kind, why, rows) for (kind, why), rows in sorted(found.items())]

    def run(self) -> list[Moved]:
        """Does it; Busy where another process does. The files that were written, and those of an earlier run ended."""
        files.pyarrow()
        archives.take(self._store, self._owner)
        try:
            known = archives.manifests(self._store)
            begun = [one for one in known if one["state"] == WRITTEN]
            ended = [one for one in begun if self._finish(one)]
            self._tidy()
            new = self._write({one["_id"] for one in known})
            for manifest in new:
                self._finish(manifest)
        finally:
            with suppress(Busy):  # it is another's: nothing to leave
                archives.leave(self._store, self._owner)
        return [
            Moved(one["kind"], one["month"], one["rows"], one["micros"], one["path"], one["octets"])
            for one in [*ended, *new]
        ]

    def _tidy(self) -> None:
        """Drafts that a run left which was killed before its manifests."""
        for draft in self._folder.rglob(".*.parquet.part"):
            log.info("%s: of a run that broke off; removed", draft)
            draft.unlink(missing_ok=True)

    def _leaving(self, beat: Callable[[], None] = lambda: None) -> Iterator[tuple[str, str, Doc]]:
        """(kind, month, document) of all that may leave, in order of accounts and sequences."""
        for count, account in enumerate(subscribers.all_accounts(self._store), 1):
            yield from self._of_account(account["_id"])
            if count % BEAT_ACCOUNTS == 0:
                beat()
                self._progress(f"{counted(count, 'account')} looked at")

    def _of_account(self, account_id: str) -> Iterator[tuple[str, str, Doc]]:
        found = self._account(account_id)
        if found is None:
            return  # erased, or changing all the time: the next run sees to it
        account, needs = found
        month_of: Callable[[int], str] = lambda time_s: self._calendar.at(time_s).month  # noqa: E731
        end_s = self._wanted[POSTINGS].end_s
        if end_s:
            carried = archives.carried_of(self._store, account_id) or nothing(account_id)
            behind = subscribers.walk_postings(self._store, account_id)
            for month, doc in leaving_postings(behind, carried, needs, end_s, month_of):
                yield POSTINGS, month, cast(Doc, doc)
        end_s = self._wanted[USAGE].end_s
        if end_s and account["usage_sequence"]:
            for month, doc in leaving_usage(subscribers.usage(self._store, account_id), needs, end_s, month_of):
                yield USAGE, month, cast(Doc, doc)

    def _account(self, account_id: str) -> tuple[Account, Needs] | None:
        """An account and what its bills need, of one moment: a bill that is voided needs its past again."""
        for _ in range(_TRIES):
            account = subscribers.get_account(self._store, account_id)
            if account is None:
                return None
            bills = archives.unsettled_bills(self._store, account_id, SETTLED)
            person = subscribers.get(self._store, account_id)
            again = subscribers.get_account(self._store, account_id)
            if again is not None and again["version"] == account["version"]:
                known = cast(Account, account)
                has_cycle = person is None or person.get("bill_cycle") is not None
                has_cycle = has_cycle and known["type"] in self._types
                return known, Needs(known, bills, has_cycle=has_cycle, counted=stats.counted(self._store, account_id))
        return None

    def _write(self, taken: set[str]) -> list[Doc]:
        """Writes and compares the drafts, then the manifests, all of them or none."""
        writers: dict[tuple[str, str], files.Writer] = {}
        try:
            for kind, month, doc in self._leaving(lambda: archives.beat(self._store, self._owner)):
                if (kind, month) not in writers:
                    writers[kind, month] = files.Writer(kind, self._path(kind, month, taken))
                writers[kind, month].add(doc)
            new = []
            for (kind, month), writer in sorted(writers.items()):
                new.append(self._manifest(kind, month, writer))
                archives.beat(self._store, self._owner)
        except BaseException:
            for writer in writers.values():
                writer.abandon()
            raise
        if new:
            ends = {kind: self._wanted[kind].end_s for kind in {one["kind"] for one in new}}
            archives.add(self._store, self._owner, new, ends)
        return new

    def _path(self, kind: str, month: str, taken: set[str]) -> Path:
        """A name that neither a manifest nor a file has."""
        folder = self._folder / kind / month[:4]
        for number in range(1, _MAX_NUMBER + 1):
            name = f"{kind}-{month}-{number:04}"
            path = folder / f"{name}.parquet"
            if name not in taken and not path.exists():
                return path
        raise InputError(f"{folder}: {_MAX_NUMBER} files of {month}; expected less")

    def _manifest(self, kind: str, month: str, writer: files.Writer) -> Doc:
        sums, digest, octets = writer.close()
        return {
            "_id": writer.path.stem,
            "kind": kind,
            "month": month,
            "path": writer.path.relative_to(self._folder).as_posix(),
            "rows": sums.rows,
            "micros": sums.micros,
            "digest": sums.digest,
            "sha256": digest,
            "octets": octets,
            "made_s": self._clock_s(),
            "state": WRITTEN,
            "done": 0,  # rows whose documents have left the store
            "staying": [],  # documents that were changed since: they are in the store, and don't count here
        }

    def _finish(self, manifest: Doc) -> bool:
        """Names a file and has its documents leave the store; False where there is none, and none has left."""
        path = self._folder / manifest["path"]
        if not manifest["done"] and not path.exists() and not files.draft_of(path).exists():
            log.warning("%s is gone, and nothing of it has left the store: it is written anew", path)
            archives.drop(self._store, self._owner, manifest["_id"])
            return False
        files.name(path)
        check_octets(path, manifest, "nothing more leaves the store")
        done = manifest["done"]
        for docs in files.pages(path, PAGE_DOCUMENTS, done):
            done = archives.remove_page(self._store, self._owner, manifest["_id"], done, docs)
            self._progress(f"{manifest['_id']}: {done:,} of {manifest['rows']:,} have left the store")
        return True


def check_octets(path: Path, manifest: Doc, otherwise: str) -> None:
    """InputError where a file isn't there, or isn't as it was written; it says what isn't done then."""
    if not path.exists():
        raise InputError(f"{path}: isn't there; expected the file of the archive, or its copy: {otherwise}")
    if files.digest_of(path) != manifest["sha256"]:
        raise InputError(f"{path}: not as it was written; expected its copy: {otherwise}")


class Fault(NamedTuple):
    """What is wrong with a file, or with what is carried forward of an account."""

    where: str
    text: str


def verify(store: Store, folder: Path, progress: Callable[[str], None] = lambda text: None) -> Iterator[Fault]:
    """Reads every file: its octets, its count and sum, and that what is carried forward is the sum of the postings."""
    known = archives.manifests(store)
    sound = []
    for manifest in known:
        progress(manifest["_id"])
        if fault := _file_fault(manifest, folder):
            yield Fault(manifest["path"], fault)
        else:
            sound.append(manifest)
    names = {one["path"] for one in known}
    for path in sorted(folder.rglob("*.parquet")):
        name = path.relative_to(folder).as_posix()
        if name not in names:
            yield Fault(name, "no manifest names it: it is of another store, or of this one before it was put back")
    postings = [one for one in known if one["kind"] == POSTINGS]
    if all(one in sound for one in postings):
        yield from _carried_faults(store, folder, postings)


def _file_fault(manifest: Doc, folder: Path) -> str:
    path = folder / manifest["path"]
    if manifest["state"] == WRITTEN:
        return "its run broke off: `mubss archive run` ends it"
    try:
        if not path.exists():
            return "isn't there: put its copy back"
        if files.digest_of(path) != manifest["sha256"]:
            return "its octets aren't those that were written: put its copy back"
        found = files.sums_of(path, manifest["kind"])
    except InputError as error:
        return str(error)
    wanted = files.Sums(manifest["rows"], manifest["micros"], manifest["digest"])
    return "" if found == wanted else f"holds {found}; its manifest says {wanted}"


def _carried_faults(store: Store, folder: Path, postings: Sequence[Doc]) -> Iterator[Fault]:
    """Whether the sums of each account are those of its postings in the files, in the order of months."""

    def rows(manifest: Doc) -> Iterator[tuple[str, int, str, Doc]]:
        for page in files.pages(folder / manifest["path"], files.GROUP_ROWS):
            yield from ((doc["account"], doc["sequence"], manifest["month"], doc) for doc in page)

    streams = map(rows, postings)
    there = archives.all_carried(store)
    stored = next(there, None)
    for account, found in groupby(merge(*streams, key=lambda row: row[:2]), key=lambda row: row[0]):
        while stored is not None and stored["_id"] < account:
            yield Fault(stored["_id"], f"carried forward up to posting {stored['sequence']}; no file has any of it")
            stored = next(there, None)
        mine = stored if stored is not None and stored["_id"] == account else None
        if mine is not None:
            stored = next(there, None)
        sums: Doc = nothing(account)
        try:
            for _, _, month, doc in found:
                sums = carry(sums, doc, month)
        except ValueError as error:
            yield Fault(account, str(error))
            continue
        if mine is None:
            yield Fault(account, f"nothing is carried forward; the files have postings up to {sums['sequence']}")
        elif mine != sums:
            differ = [name for name in sums if mine.get(name) != sums[name]]
            yield Fault(account, f"{', '.join(differ)}: carried forward isn't the sum of the files")
    while stored is not None:
        yield Fault(stored["_id"], f"carried forward up to posting {stored['sequence']}; no file has any of it")
        stored = next(there, None)


def read(store: Store, folder: Path, kind: str, account_id: str, month: str = "") -> Iterator[Doc]:
    """An account's documents of a kind in the archive, in order of months; of one month, or all.

    InputError where a file isn't as it was written: its octets are compared first.
    """
    if kind not in KINDS:
        raise InputError(f"kind: {kind[:20]!r}; expected one of {', '.join(KINDS)}")
    for manifest in archives.manifests(store):
        if manifest["kind"] != kind or month not in ("", manifest["month"]) or not manifest["done"]:
            continue  # without any done, all is in the store, and the file may not even have its name yet
        path = folder / manifest["path"]
        check_octets(path, manifest, "nothing is shown of it")
        found = files.of_account(path, account_id)
        if manifest["state"] == WRITTEN:  # some of them are in the store still
            ids = [doc["_id"] for doc in found]
            there = store.run(lambda session, ids=ids: session.collection(kind).get_many(ids))  # type: ignore[misc]
            staying = {doc["_id"] for doc in there if doc is not None}
        else:
            staying = set(manifest["staying"])
        yield from (doc for doc in found if doc["_id"] not in staying)
