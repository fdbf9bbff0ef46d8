"""Bills become PDF files: each once by one of many processes, whatever is killed when; then they are due.

    take      some bills that wait, by a lease                  a dead process's are taken over when it is over
    render    each, and write its file: temporary, fsync, rename      the same bill gives the same octets
    settle    their states, with where the file is, in one transaction

A bill that can't be rendered is marked with its reason, and the others go on.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from mubss import metrics
from mubss.billfmt.errors import RenderError
from mubss.billfmt.facts import facts_of
from mubss.billfmt.render import Renderer
from mubss.billfmt.view import CREDIT_NOTE, PREPAID
from mubss.config import Config, data_path
from mubss.core.errors import Busy, InputError
from mubss.core.settling import NEW, PAID, VOID, issued_state
from mubss.core.tariff import Tables
from mubss.core.wording import counted
from mubss.services.auditing import Act
from mubss.services.durable import sync
from mubss.storage import bill_documents, bills, subscribers
from mubss.storage.bill_documents import FAILED
from mubss.storage.database import Doc, Store, StoreError

log = logging.getLogger(__name__)

AT_ONCE = 8  # bills that a thread takes together
LOOKED_AT = 512  # waiting bills of which some are chosen, so that processes seldom reach for the same
MAX_FAULT_LETTERS = 500
PARTS = ".parts"  # where files are until they are whole
LEFTOVER_S = 3600


class Formatted(NamedTuple):
    """What came of a bill: where its PDF is, or why it has none."""

    bill: Doc
    path: Path | None
    fault: str = ""


class Formatter:
    """Renders bills of one store by one version of the templates. `clock_s` gives UTC seconds; `act` is a person's."""

    def __init__(
        self,
        store: Store,
        config: Config,
        tables: Callable[[], Tables],
        clock_s: Callable[[], int],
        act: Act | None = None,
    ) -> None:
        options = config.billfmt
        self._store = store
        self._act = act
        self._tables = tables
        self._clock_s = clock_s
        self._options = options
        self._folder = config.resolve(options.invoices)
        own = config.resolve(options.templates) if options.templates else None
        self._renderer = Renderer(options, data_path("templates"), own, tables().calendar.zone)
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._pool = ThreadPoolExecutor(options.threads, "billfmt")

    @property
    def version(self) -> str:
        """What tells the templates, engine and operator's details in force from any others."""
        return self._renderer.version

    def close(self) -> None:
        """Ends the threads, when they have done what they do."""
        self._pool.shutdown()

    def waiting(self, is_stopping: Callable[[], bool] = lambda: False) -> Iterator[Formatted]:
        """All bills that wait, until there are none that nobody has; what is taken is finished."""
        remove_leftovers(self._folder, self._clock_s() - self._options.lease_seconds - LEFTOVER_S)
        while not is_stopping():
            now_s = self._clock_s()
            ids = bill_documents.waiting(self._store, now_s, LOOKED_AT)
            if not ids:
                return
            wanted = self._options.threads * AT_ONCE
            start = secrets.randbelow(len(ids)) if len(ids) > wanted else 0
            chosen = (ids[start:] + ids[:start])[:wanted]
            mine = self._take(chosen, now_s, lambda bill: bill["state"] == NEW)
            yield from self._format(mine)

    def one(self, number: str) -> Formatted:
        """Renders an issued bill again, or one that failed; its figures, and whether it is paid, stay."""
        bill = bills.by_number(self._store, number)
        if bill is None:
            raise InputError(f"number: {number[:40]!r}; expected that of a bill: `mubss bills list` has them")
        now_s = self._clock_s()
        mine = self._take([bill["_id"]], now_s, lambda doc: doc["state"] != VOID)
        if not mine:
            if bill["state"] == VOID:
                raise InputError(f"number: {number} is void; expected a bill that is in force")
            raise Busy(f"bill {number} is being rendered; try again")
        found = list(self._format(mine))
        if not found:
            raise Busy(f"bill {number} was taken over by another process; try again")
        return found[0]

    def failed(self, is_stopping: Callable[[], bool] = lambda: False) -> Iterator[Formatted]:
        """All bills that couldn't be rendered, once more each."""
        ids, wanted = bill_documents.failed(self._store), self._options.threads * AT_ONCE
        for start in range(0, len(ids), wanted):
            if is_stopping():
                return
            part = ids[start : start + wanted]
            yield from self._format(self._take(part, self._clock_s(), lambda bill: bill["state"] == FAILED))

    def _take(self, ids: Sequence[str], now_s: int, wanted: Callable[[Doc], bool]) -> list[Doc]:
        until_s = now_s + self._options.lease_seconds
        return bill_documents.take(self._store, ids, self._owner, now_s, until_s, wanted)

    def _format(self, mine: Sequence[Doc]) -> Iterator[Formatted]:
        """Renders those, and says so in them; what another process took over meanwhile is its own.

        Busy where files can't be written: such bills wait on.
        """
        done = dict(zip((bill["_id"] for bill in mine), self._pool.map(self._document, mine), strict=True))
        changed = self._settle(done)
        for bill in changed:
            fault = done[bill["_id"]].get("fault", "")
            if "document" in done[bill["_id"]] or fault:
                yield Formatted(bill, None if fault else self._folder / bill["document"]["path"], fault)
        for one in done.values():
            if "obstacle" in one:
                raise Busy(f"bills wait: {one['obstacle']}")

    def _settle(self, done: dict[str, Doc]) -> list[Doc]:
        """Says in each bill what came of it, and in the audit if somebody asked for it."""
        act = self._act
        entry = None if act is None else lambda before, after: act.whole(bills.BILLS, before, after)
        changed = bill_documents.settle(
            self._store, list(done), self._owner, lambda doc: settled(doc, done[doc["_id"]]), entry
        )
        if act is not None and any("obstacle" not in done[bill["_id"]] for bill in changed):
            act.written += 1
        return changed

    def _document(self, bill: Doc) -> Doc:
        """Writes a bill's PDF: {"document": what the bill says of it}, or why there is none.

        {"fault": …} is the bill's, {"obstacle": …} one that has nothing to do with it.
        """
        started_s = time.monotonic()
        try:
            usage, postings = self._history(bill)
            facts = (bill.get("document") or {}).get("facts") or self._facts(bill, usage, postings)
            made = self._renderer.render(bill, usage, postings, facts)
            path = path_of(bill, self._tables())
            write_whole(self._folder, path, made.pdf)
            metrics.BILLFMT_SECONDS.observe(time.monotonic() - started_s)
        except (RenderError, InputError) as error:
            return {"fault": str(error)[:MAX_FAULT_LETTERS]}
        except OSError as error:
            return {"obstacle": f"{self._folder} can't be written: {error.strerror or error}"}
        except StoreError:
            raise
        except Exception as error:  # whatever it is, the others go on
            log.exception("bill %s can't be rendered", bill["number"])
            return {"fault": f"{type(error).__name__}: {error}"[:MAX_FAULT_LETTERS]}
        document = {"path": path.as_posix(), "sha256": made.digest, "octets": len(made.pdf), "pages": made.pages}
        return {"document": {**document, "template": made.template, "facts": facts}}

    def _history(self, bill: Doc) -> tuple[list[Doc], list[Doc]]:
        """The usage records and postings that are on a bill; InputError where not all of them are kept any more."""
        ranges = bill.get("usage") or []
        usage: list[Doc] = []
        if ranges:
            low, high = ranges[0][0], ranges[-1][1]
            there = subscribers.usage_between(self._store, bill["account"], low, high)
            usage = [one for one in there if any(first <= one["sequence"] <= last for first, last in ranges)]
            whole = sum(last - first + 1 for first, last in ranges)
            if len(usage) != whole:
                kept = counted(len(usage), "record is", "records are")
                raise InputError(f"usage: {kept} kept; expected the {whole} that the bill is of")
        postings: list[Doc] = []
        if bill["kind"] == PREPAID:
            after, last = bill["postings"]
            postings = subscribers.postings_between(self._store, bill["account"], after + 1, last)
            if len(postings) != last - after:
                raise InputError(f"postings: {len(postings)} are kept; expected the {last - after} that the bill is of")
        return usage, postings

    def _facts(self, bill: Doc, usage: Sequence[Doc], postings: Sequence[Doc]) -> Doc:
        account = subscribers.get_account(self._store, bill["account"])
        members: dict[str, str] = {}
        for member in {one["member"] for one in usage if one.get("member")}:
            person = subscribers.get(self._store, member)
            members[member] = f"+{person['msisdn']}" if person is not None else ""
        return facts_of(bill, account, usage, postings, self._tables(), members, self._clock_s())


def settled(bill: Doc, done: Doc) -> Doc:
    """A bill with what came of its document. One that waited, or had failed, is due now; any other keeps its state."""
    if "obstacle" in done:
        return bill
    if "fault" in done:
        state = FAILED if bill["state"] in (NEW, FAILED) else bill["state"]
        return {**bill, "state": state, "fault": done["fault"]}
    state = first_state(bill) if bill["state"] in (NEW, FAILED) else bill["state"]
    rest = {name: value for name, value in bill.items() if name != "fault"}
    return {**rest, "state": state, "document": done["document"]}


def first_state(bill: Doc) -> str:
    """The state of a document that its subscriber has now; of a bill by what was paid of it before (`settled`)."""
    return PAID if bill["kind"] in (PREPAID, CREDIT_NOTE) else issued_state(bill)


def path_of(bill: Doc, tables: Tables) -> Path:
    """Where the PDF of a bill is, under the folder of invoices: year and month of its issue by the operator's clock."""
    issued = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=bill["issued_s"])).astimezone(tables.calendar.zone)
    return Path(f"{issued.year:04}", f"{issued.month:02}", f"bc_{int(bill.get('cycle') or 0)}", f"{bill['_id']}.pdf")


def write_whole(folder: Path, path: Path, content: bytes) -> None:
    """Writes a file under a folder so that there is either all of it or none, also after a loss of power."""
    whole, parts = folder / path, folder / PARTS
    parts.mkdir(parents=True, exist_ok=True)
    whole.parent.mkdir(parents=True, exist_ok=True)
    temporary = parts / f"{path.name}.{secrets.token_hex(8)}"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(whole)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync(whole.parent)


def remove_leftovers(folder: Path, before_s: int) -> None:
    """Removes what processes that were killed had written of files, where it is older than that."""
    try:
        for path in (folder / PARTS).iterdir():
            if path.stat().st_mtime < before_s:
                path.unlink(missing_ok=True)
    except OSError:  # there are none, or another process removes them
        pass
