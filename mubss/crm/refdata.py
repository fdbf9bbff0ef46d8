"""The Refdata service of proto/crm.proto."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, TypeVar

from mubss.core.errors import Busy, InputError, LedgerError, RefdataError
from mubss.crm import fields
from mubss.crm import refdata_messages as messages
from mubss.crm.audited import audited_store
from mubss.crm.call import Call
from mubss.crm.office import Office
from mubss.crm.refdata_messages import FIELD
from mubss.crm.statuses import NotFound
from mubss.pb import crm_pb2 as pb
from mubss.refdata import history
from mubss.refdata import load as service
from mubss.refdata.form import parse
from mubss.refdata.live import operator_calendar
from mubss.refdata.next_version import Loaded, Maker
from mubss.storage import refdata as storage
from mubss.storage.database import Doc, Store
from mubss.storage.refdata import TABLES, Documents, Version

T = TypeVar("T")
MAX_PAGE_OCTETS = 400_000  # of a page's rows: well within an answer
CHUNK_OCTETS = 64_000
_HEAD_OCTETS = 200  # of an answer, beside its one row


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
        _check_table(request)
        size, after = fields.page_size(request), fields.page_after(request)
        version, documents = self._documents()
        rows = documents[request.table]
        if request.key:
            if request.key not in rows:
                raise NotFound(f"key: {request.key[:40]!r}; expected that of a row of {request.table}")
            return pb.GetRefdataResponse(version=version.number, rows=[self._row(request.key, rows[request.key])])
        start = _start(request, after, version)
        found: list[pb.RefdataRow] = []
        octets, keys = 0, list(rows)
        for key in keys[start : start + size]:
            row = self._row(key, rows[key])
            octets += row.ByteSize()
            if found and octets > MAX_PAGE_OCTETS:
                break
            found.append(row)
        end = start + len(found)
        token = fields.page_token(f"{version.number}:{end}") if end < len(keys) else ""
        return pb.GetRefdataResponse(version=version.number, rows=found, next_page_token=token)

    def download_refdata(self, request: Any, _call: Call) -> Iterator[pb.RefdataFile]:
        """All rows of a version, or of one table."""
        if request.table:
            _check_table(request)
        number = _version(request, "version", least=0)
        try:
            version, documents = self._alone(lambda: history.read(self._office.store, number))
        except history.UnknownVersion as error:
            raise NotFound(str(error)) from None
        content = messages.lines({table: documents[table] for table in TABLES if request.table in ("", table)})
        yield pb.RefdataFile(version=version.number, octets=len(content), sha256=sha256(content).hexdigest())
        for start in range(0, len(content), CHUNK_OCTETS):
            yield pb.RefdataFile(data=content[start : start + CHUNK_OCTETS])

    def validate_refdata(self, request: Any, _call: Call) -> pb.ValidateRefdataResponse:
        """What is wrong with a text, and what it would change."""
        try:
            loaded = self._alone(lambda: self._load(self._office.store, request, Maker(), dry_run=True))
        except RefdataError as error:
            number = self._office.store.run(storage.read_version).number
            return pb.ValidateRefdataResponse(version=number, faults=map(messages.fault, error.faults))
        return pb.ValidateRefdataResponse(
            version=loaded.version.number, changes=messages.changes(loaded), lost_services=messages.lost(loaded)
        )

    def diff_refdata(self, request: Any, _call: Call) -> pb.DiffRefdataResponse:
        """What a text would change, or what differs between two versions, row by row."""
        if request.from_version or request.to_version:
            return self._differ(request)
        source = parse(FIELD, request.toml.encode())
        version, found = self._alone(
            lambda: service.diff(self._office.store, [source], self._calendar, replace=request.replace)
        )
        return pb.DiffRefdataResponse(version=version.number, rows=messages.row_changes(found), of=len(found))

    def _differ(self, request: Any) -> pb.DiffRefdataResponse:
        if request.toml or request.replace:
            raise InputError("toml, replace: set, and versions too; expected a text, or versions")
        former, other = _version(request, "from_version"), _version(request, "to_version", least=0)
        try:
            before, after, found = self._alone(lambda: history.diff(self._office.store, former, other))
        except history.UnknownVersion as error:
            raise NotFound(str(error)) from None
        rows = messages.row_changes(found)
        return pb.DiffRefdataResponse(version=before.number, rows=rows, of=len(found), to_version=after.number)

    def put_refdata(self, request: Any, call: Call) -> pb.PutRefdataResponse:
        """Makes a text the next version."""
        _check_read(request)
        store = audited_store(self._office, call)
        loaded = self._alone(lambda: self._load(store, request, self._maker(call), version=request.version))
        self._office.refdata.poll()
        return messages.put(loaded)

    def list_refdata_versions(self, request: Any, _call: Call) -> pb.ListRefdataVersionsResponse:
        """The versions that are kept, in pages."""
        size, office = fields.page_size(request), self._office
        found = history.versions(office.store, self._keep, fields.page_number(request), size)
        token = fields.page_token(str(found[-1]["version"])) if len(found) == size else ""
        return pb.ListRefdataVersionsResponse(versions=map(messages.version, found), next_page_token=token)

    def rollback_refdata(self, request: Any, call: Call) -> pb.PutRefdataResponse:
        """Makes what a former version said the next one."""
        _check_read(request)
        number, office, store = _version(request, "to_version"), self._office, audited_store(self._office, call)
        maker = self._maker(call)

        def work() -> Loaded:
            return history.rollback(
                store, self._calendar, number, office.now_s, maker, dry_run=request.dry_run, version=request.version
            )

        try:
            loaded = self._alone(work)
        except history.UnknownVersion as error:
            raise NotFound(str(error)) from None
        office.refdata.poll()
        return messages.put(loaded)

    def _row(self, key: str, doc: Doc) -> pb.RefdataRow:
        row, most = messages.row(key, doc), self._office.config.crm.max_message_octets - _HEAD_OCTETS
        if row.ByteSize() > most:
            octets = row.ByteSize()
            raise LedgerError(f"key: {key!r} has {octets} octets; expected up to {most}: DownloadRefdata has it")
        return row

    @property
    def _keep(self) -> int:
        return self._office.config.refdata.keep_versions

    def _maker(self, call: Call) -> Maker:
        return Maker(call.principal.subject, call.method, self._keep)

    def _load(
        self, store: Store, request: Any, maker: Maker, *, dry_run: bool = False, version: int | None = None
    ) -> Loaded:
        return service.load(
            store,
            [parse(FIELD, request.toml.encode())],
            self._calendar,
            self._office.now_s,
            replace=request.replace,
            dry_run=dry_run,
            version=version,
            maker=maker,
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


def _check_table(request: Any) -> None:
    if request.table not in TABLES:
        raise InputError(f"table: {request.table[:40]!r}; expected one of {', '.join(TABLES)}")


def _check_read(request: Any) -> None:
    if not request.HasField("version"):
        raise InputError("version: not set; expected that of ListTables, as it was read")


def _version(request: Any, name: str, least: int = 1) -> int:
    number = int(getattr(request, name))
    if not least <= number <= history.MAX_NUMBER:
        raise InputError(f"{name}: {number}; expected {least} to {history.MAX_NUMBER}")
    return number
