"""The Refdata service of proto/crm.proto."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from mubss.core.errors import Busy, InputError, LedgerError, RefdataError
from mubss.crm import fields
from mubss.crm.audited import audited_store
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.crm.statuses import NotFound
from mubss.pb import crm_pb2 as pb
from mubss.refdata import load as service
from mubss.refdata.form import parse
from mubss.refdata.live import operator_calendar
from mubss.storage import refdata as storage
from mubss.storage.database import Doc, Store
from mubss.storage.refdata import TABLES, Documents, Version

T = TypeVar("T")
MAX_PAGE_OCTETS = 400_000  # of a page's rows: well within an answer
MAX_DIFF_ROWS, MAX_DIFF_LETTERS, MAX_DIFF_OCTETS = 1000, 4000, 400_000
_FIELD = "toml"


class Refdata:
    """What is sold, and for how much."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._calendar = operator_calendar(office.config.general.timezone)
        self._read: tuple[Version, Documents] | None = None
        self._working = threading.Lock()  # a text of a megabyte takes a second of a processor

    def list_tables(self, _request: Any, _call: Call) -> pb.ListTablesResponse:
        """The tables of the version in force."""
        version, documents = self._documents()
        rows = {table: len(documents[table]) for table in TABLES}
        return pb.ListTablesResponse(
            version=version.number, loaded_s=version.loaded_s, digest=version.digest, rows=rows
        )

    def get_refdata(self, request: Any, _call: Call) -> pb.GetRefdataResponse:
        """Rows of a table."""
        if request.table not in TABLES:
            raise InputError(f"table: {request.table[:40]!r}; expected one of {', '.join(TABLES)}")
        size, after = fields.page_size(request), fields.page_after(request)
        version, documents = self._documents()
        rows = documents[request.table]
        if request.key:
            if request.key not in rows:
                raise NotFound(f"key: {request.key[:40]!r}; expected that of a row of {request.table}")
            return pb.GetRefdataResponse(version=version.number, rows=[_row(request.key, rows[request.key])])
        start = _start(request, after, version)
        found: list[pb.RefdataRow] = []
        octets, keys = 0, list(rows)
        for key in keys[start : start + size]:
            row = _row(key, rows[key])
            octets += row.ByteSize()
            if found and octets > MAX_PAGE_OCTETS:
                break
            found.append(row)
        end = start + len(found)
        token = fields.page_token(f"{version.number}:{end}") if end < len(keys) else ""
        return pb.GetRefdataResponse(version=version.number, rows=found, next_page_token=token)

    def validate_refdata(self, request: Any, _call: Call) -> pb.ValidateRefdataResponse:
        """What is wrong with a text, and what it would change."""
        try:
            loaded = self._alone(lambda: self._load(self._office.store, request, dry_run=True))
        except RefdataError as error:
            number = self._office.store.run(storage.read_version).number
            return pb.ValidateRefdataResponse(version=number, faults=map(_fault, error.faults))
        return pb.ValidateRefdataResponse(
            version=loaded.version.number, changes=_changes(loaded), lost_services=_lost(loaded)
        )

    def diff_refdata(self, request: Any, _call: Call) -> pb.DiffRefdataResponse:
        """What a text would change, row by row."""
        source = parse(_FIELD, request.toml.encode())
        version, found = self._alone(
            lambda: service.diff(self._office.store, [source], self._calendar, replace=request.replace)
        )
        rows: list[pb.RowChange] = []
        octets = 0
        for change in found[:MAX_DIFF_ROWS]:
            row = _row_change(change)
            octets += row.ByteSize()
            if octets > MAX_DIFF_OCTETS:
                row.before_json = row.after_json = ""
            rows.append(row)
        return pb.DiffRefdataResponse(version=version.number, rows=rows, of=len(found))

    def put_refdata(self, request: Any, call: Call) -> pb.PutRefdataResponse:
        """Makes a text the next version."""
        if not request.HasField("version"):
            raise InputError("version: not set; expected that of ListTables, as it was read")
        store = audited_store(self._office, call)
        loaded = self._alone(lambda: self._load(store, request, version=request.version))
        self._office.refdata.poll()
        return pb.PutRefdataResponse(
            version=loaded.version.number,
            changed=loaded.changed,
            changes=_changes(loaded),
            lost_services=_lost(loaded),
        )

    def _load(self, store: Store, request: Any, *, dry_run: bool = False, version: int | None = None) -> service.Loaded:
        return service.load(
            store,
            [parse(_FIELD, request.toml.encode())],
            self._calendar,
            self._office.now_s,
            replace=request.replace,
            dry_run=dry_run,
            version=version,
        )

    def _alone(self, work: Callable[[], T]) -> T:
        if not self._working.acquire(blocking=False):
            raise Busy("other reference data is being looked at; try again")
        try:
            return work()
        finally:
            self._working.release()

    def _documents(self) -> tuple[Version, Documents]:
        """All rows of the version in force; kept until there is another."""
        store, read = self._office.store, self._read
        if read is None or read[0] != store.run(storage.read_version):
            read = self._read = service.read_documents(store)
        return read


def _start(request: Any, after: str, version: Version) -> int:
    """Where a page begins."""
    number, _, place = (after or f"{version.number}:0").partition(":")
    if not (number.isdigit() and place.isdigit() and len(after) < 30):
        raise InputError(f"page_token: {request.page_token[:40]!r}; expected the next_page_token of the page before")
    if int(number) != version.number:
        raise LedgerError(f"page_token: of version {number}; {version.number} is in force now: begin anew")
    return int(place)


def _row(key: str, doc: Doc) -> pb.RefdataRow:
    return pb.RefdataRow(key=key, json=_json(doc))


def _json(doc: Doc | None) -> str:
    return "" if doc is None else json.dumps(doc, ensure_ascii=False, separators=(",", ":"))


def _fault(text: str) -> pb.RefdataFault:
    """A fault as load has it, "toml: taxes[VAT].rate: what is wrong"; what the whole text has is of `toml`."""
    field, _, what = text.removeprefix(f"{_FIELD}: ").partition(": ")
    return pb.RefdataFault(field=field, what=what) if what else pb.RefdataFault(field=_FIELD, what=field)


def _changes(loaded: service.Loaded) -> list[pb.TableChange]:
    return [pb.TableChange(table=table, **one._asdict()) for table, one in loaded.changes.items() if any(one)]


def _lost(loaded: service.Loaded) -> dict[str, str]:
    return {plan: ", ".join(services) for plan, services in loaded.lost.items()}


def _row_change(change: service.RowChange) -> pb.RowChange:
    before, after = _json(change.before), _json(change.after)
    kind = "added" if change.before is None else "removed" if change.after is None else "updated"
    return pb.RowChange(
        table=change.table,
        key=change.key,
        kind=kind,
        before_json=before if len(before) <= MAX_DIFF_LETTERS else "",
        after_json=after if len(after) <= MAX_DIFF_LETTERS else "",
    )
