"""`mubss cdr`: files of call detail records, made, shown and checked."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, TextIO

import click

from mubss.cdr import texts
from mubss.cdr.frames import FileFault
from mubss.cdr.reader import Scan, read_header, records, scan
from mubss.cdr.records import to_cdr
from mubss.cdr.writer import writing
from mubss.cli.cdr_loaded import files, suspense
from mubss.cli.command import Group, Invocation
from mubss.cli.output import counted, print_json, print_table, say
from mubss.core.cdr import CdrFault
from mubss.core.errors import InputError
from mubss.pb.cdr_pb2 import Record
from mubss.runtime import ExitCode

MAX_FAULTS = 100
MAX_REFUSED = 20
TABLE_LIMIT = 100
_SPARE = ("imsi", "imei", "cell", "network", "session_id", "call_id", "charging_id", "partial_sequence", "offset")


class FaultyText(InputError):
    """What is wrong with records to be written, a line for each fault; nothing was written."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


@click.group("cdr", cls=Group)
def cdr() -> None:
    """CDR files: make, dump, check; files that were loaded, and records in suspense."""


cdr.add_command(files)
cdr.add_command(suspense)


@cdr.command("make")
@click.option("--from", "given", required=True, metavar="FILE", help="Records as CSV or JSON; - reads standard input.")
@click.option("--source", required=True, help="Network element or mediation that the file is of.")
@click.option("--sequence", required=True, type=click.IntRange(0, 2**63 - 1), help="Its number among that source's.")
@click.option("--out", required=True, metavar="FILE.cdr", help="The file to write; it appears when it is complete.")
@click.pass_obj
def make(invocation: Invocation, /, given: str, source: str, sequence: int, out: str) -> None:
    """Makes a CDR file of records in CSV or JSON; nothing is written unless every one is right.

    CSV begins with a line that names the fields; JSON is a list of objects, or one object a line. The fields are those
    of proto/cdr.proto; `start`, ISO 8601 with a zone, may stand for start_s and utc_offset_minutes.
    """
    now_s = int(time.time())
    name = "standard input" if given == "-" else given
    try:
        with _text(given) as file, writing(out, source, sequence, now_s) as writer:
            faults: list[str] = []
            seen: dict[str, str] = {}
            for row in texts.rows(file):
                record, fault = _record(row, seen, now_s)
                if fault:
                    faults.append(f"{name}: {row.where}: {fault}")
                elif not faults:
                    writer.write(record)
                if len(faults) == MAX_FAULTS:
                    break
            if faults:
                raise FaultyText([*faults, f"{name}: nothing was written"])
    except UnicodeDecodeError as error:
        raise InputError(f"{name}: not UTF-8, octet {error.object[error.start]:#04x}; expected text in UTF-8") from None
    except OSError as error:
        raise InputError(f"{error.filename or name}: {error.strerror}") from None
    if invocation.as_json:
        made = {"file": out, "source": source, "sequence": sequence, "records": writer.count, "bytes": writer.size}
        print_json({**made, **writer.totals._asdict()})
    else:
        say(f"{out}: {counted(writer.count, 'record')} of {source}, sequence {sequence}, {writer.size} bytes")


def _record(row: texts.Row, seen: dict[str, str], now_s: int) -> tuple[Record, str]:
    """A row's record, and what is wrong with it."""
    record = Record()
    if row.fault:
        return record, row.fault
    try:
        record = texts.to_record(row.fields)
        to_cdr(record, now_s)
    except InputError as error:
        return record, str(error)
    first = seen.setdefault(record.record_id, row.where)
    return record, "" if first is row.where else f"record_id: {first} has the same one; expected each once"


@contextmanager
def _text(given: str) -> Iterator[TextIO]:
    """The records' text with its newlines as they are."""
    if given == "-":
        stdin = sys.stdin
        stdin.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
        yield stdin
        return
    with open(given, encoding="utf-8", newline="") as file:
        yield file


@cdr.command("dump")
@click.argument("path", metavar="FILE")
@click.option("--limit", type=click.IntRange(1), help=f"At most so many records; {TABLE_LIMIT} in a table, else all.")
@click.pass_obj
def dump(invocation: Invocation, /, path: str, limit: int | None) -> None:
    """Shows a CDR file: header, records, trailer; as JSON one object a line.

    Of a damaged file what can be read is shown, then what is wrong.
    """
    fault, found = None, None
    with _opened(path) as file:
        try:
            found = scan(file)
        except FileFault as error:
            fault = error
        header = {field.name: value for field, value in read_header(file).ListFields()}
        if invocation.as_json:
            _print_line("header", header)
            for place, (_, fields) in enumerate(_fields_of(file)):
                if place == limit:
                    break
                _print_line("record", fields)
            if found:
                _print_line("trailer", _trailer(found))
        else:
            _print_tables(file, header, limit or TABLE_LIMIT, found)
        if fault:
            raise fault


def _fields_of(file: BinaryIO) -> Iterator[tuple[int, dict[str, Any]]]:
    """The byte offset and the fields of each record; those before a fault where there is one."""
    try:
        for entry in records(file, 0):
            yield entry.offset, texts.to_fields(entry.record)
    except FileFault:
        return  # the scan has found it


def _trailer(found: Scan) -> dict[str, Any]:
    return {"records": found.count, **found.totals._asdict(), "bytes": found.size, "blake2b": found.digest}


def _print_line(name: str, value: dict[str, Any]) -> None:
    import orjson

    click.echo(orjson.dumps({name: value}).decode())


def _print_tables(file: BinaryIO, header: dict[str, Any], limit: int, found: Scan | None) -> None:
    columns = {"field": "field", "value": "value"}
    created = texts.start_text(header["created_s"], 0)
    print_table(_pairs({**header, "created_s": f"{header['created_s']} ({created})"}), columns, "Header")
    rows: list[dict[str, Any]] = []
    for number, (offset, fields) in enumerate(_fields_of(file), 1):
        if number > limit:
            click.echo(f"more records than {limit} are there: --limit shows more of them", err=True)
            break
        start = texts.start_text(fields.pop("start_s", 0), fields.pop("utc_offset_minutes", 0))
        rows.append({"number": number, "offset": offset, **fields, "start": start})
    if rows:
        used = {name for row in rows for name in row}
        names = [name if name != "start_s" else "start" for name in ("number", "offset", *texts.FIELDS)]
        click.echo()
        spare = [name for name in _SPARE if name in used]
        print_table(rows, {name: name for name in names if name in used}, "Records", spare=spare)
    if found:
        click.echo()
        print_table(_pairs(_trailer(found)), columns, "Trailer")


def _pairs(fields: dict[str, Any]) -> list[dict[str, str]]:
    return [{"field": name, "value": str(value)} for name, value in fields.items()]


@cdr.command("check")
@click.argument("paths", metavar="FILE...", nargs=-1, required=True)
@click.pass_obj
def check(invocation: Invocation, /, paths: tuple[str, ...]) -> ExitCode:
    """Checks CDR files: a line for each, and the first records that would be refused.

    The exit code is 65 if a file, or a record in one, can't be taken.
    """
    now_s = int(time.time())
    results = [_check(path, now_s) for path in paths]
    if invocation.as_json:
        print_json(results)
    else:
        for result in results:
            _print_result(result)
    right = all(not result["fault"] and not result["refused"] for result in results)
    return ExitCode.OK if right else ExitCode.INPUT


def _check(path: str, now_s: int) -> dict[str, Any]:
    """What is known of one file; `refused` counts the records that can't be taken, `first_refused` has some of them."""
    result: dict[str, Any] = {"file": path, "fault": "", "refused": 0, "first_refused": []}
    try:
        with _opened(path) as file:
            found = scan(file)
            header = found.header
            result |= {"source": header.source, "sequence": header.sequence, **_trailer(found)}
            for number, entry in enumerate(records(file, 0), 1):
                try:
                    to_cdr(entry.record, now_s)
                except CdrFault as fault:
                    result["refused"] += 1
                    if len(result["first_refused"]) < MAX_REFUSED:
                        refused = {"number": number, "offset": entry.offset, "reason": fault.reason, "text": str(fault)}
                        result["first_refused"].append(refused)
    except InputError as error:
        result["fault"] = str(error).removeprefix(f"{path}: ")
    return result


def _print_result(result: dict[str, Any]) -> None:
    path = result["file"]
    if result["fault"]:
        say(f"{path}: {result['fault']}")
        return
    about = f"{counted(result['records'], 'record')} of {result['source']}, sequence {result['sequence']}"
    refused = f"; {result['refused']} would be refused" if result["refused"] else ""
    say(f"{path}: right: {about}{refused}")
    for one in result["first_refused"]:
        click.echo(f"  record {one['number']} at byte {one['offset']}: {one['reason']}: {one['text']}")
    if (more := result["refused"] - len(result["first_refused"])) > 0:
        click.echo(f"  and {more} more")


@contextmanager
def _opened(path: str) -> Iterator[BinaryIO]:
    """A CDR file; InputError where it can't be read."""
    try:
        with open(path, "rb") as file:
            yield file
    except FileFault as fault:
        raise InputError(f"{path}: {fault}") from None
    except OSError as error:
        if error.filename is None:  # of our output
            raise
        raise InputError(f"{path}: can't be read: {error.strerror}") from None
