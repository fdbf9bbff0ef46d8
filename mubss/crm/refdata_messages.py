"""Rows, faults and changes of reference data as messages of proto/crm.proto."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from mubss.pb import crm_pb2 as pb
from mubss.refdata.load import RowChange
from mubss.refdata.next_version import Loaded
from mubss.storage.database import Doc
from mubss.storage.refdata import Documents

FIELD = "toml"  # that a text stands in
MAX_DIFF_ROWS, MAX_DIFF_LETTERS, MAX_DIFF_OCTETS = 1000, 4000, 400_000


def row(key: str, doc: Doc) -> pb.RefdataRow:
    """One row."""
    return pb.RefdataRow(key=key, json=_json(doc))


def _json(doc: Doc | None) -> str:
    return "" if doc is None else json.dumps(doc, ensure_ascii=False, separators=(",", ":"))


def lines(documents: Documents) -> bytes:
    """All rows as lines of JSON."""
    rows = ((table, key, doc) for table, docs in documents.items() for key, doc in docs.items())
    return "".join(f"{_json({'table': table, 'key': key, 'row': doc})}\n" for table, key, doc in rows).encode()


def fault(text: str) -> pb.RefdataFault:
    """A fault as load has it, "toml: taxes[VAT].rate: what is wrong"; what the whole text has is of `toml`."""
    field, _, what = text.removeprefix(f"{FIELD}: ").partition(": ")
    return pb.RefdataFault(field=field, what=what) if what else pb.RefdataFault(field=FIELD, what=field)


def put(loaded: Loaded) -> pb.PutRefdataResponse:
    """What became of the version in force."""
    return pb.PutRefdataResponse(
        version=loaded.version.number, changed=loaded.changed, changes=changes(loaded), lost_services=lost(loaded)
    )


def changes(loaded: Loaded) -> list[pb.TableChange]:
    """What a load does to each table."""
    return _table_changes({table: list(one) for table, one in loaded.changes.items() if any(one)})


def _table_changes(counts: Mapping[str, Sequence[int]]) -> list[pb.TableChange]:
    return [
        pb.TableChange(table=table, added=added, updated=updated, removed=removed)
        for table, (added, updated, removed) in counts.items()
    ]


def lost(loaded: Loaded) -> dict[str, str]:
    """The services that plans in use don't price any more."""
    return {plan: ", ".join(services) for plan, services in loaded.lost.items()}


def version(doc: Doc) -> pb.RefdataVersion:
    """What is known of a version."""
    names = ("version", "loaded_s", "digest", "who", "what", "rolled_back_to")
    known = {name: doc[name] for name in names if name in doc}
    return pb.RefdataVersion(**known, changes=_table_changes(doc.get("changes", {})))


def row_changes(found: Sequence[RowChange]) -> list[pb.RowChange]:
    """The first rows that differ; without what they say where that is too long."""
    rows: list[pb.RowChange] = []
    octets = 0
    for change in found[:MAX_DIFF_ROWS]:
        one = _row_change(change)
        octets += one.ByteSize()
        if octets > MAX_DIFF_OCTETS:
            one.before_json = one.after_json = ""
        rows.append(one)
    return rows


def _row_change(change: RowChange) -> pb.RowChange:
    before, after = _json(change.before), _json(change.after)
    kind = "added" if change.before is None else "removed" if change.after is None else "updated"
    return pb.RowChange(
        table=change.table,
        key=change.key,
        kind=kind,
        before_json=before if len(before) <= MAX_DIFF_LETTERS else "",
        after_json=after if len(after) <= MAX_DIFF_LETTERS else "",
    )
