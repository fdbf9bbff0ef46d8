"""Reference data over gRPC: read in pages, proved, compared and put, never over what another put meanwhile."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest

from crm_world import CrmWorld, refused
from mubss.refdata.form import parse
from mubss.refdata.live import operator_calendar
from mubss.refdata.load import load
from mubss.storage.refdata import TABLES

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
DEMO = (Path(__file__).parents[2] / "conf/refdata/demo.toml").read_text("utf-8")


def tax(code: str, percent: str = "7") -> str:
    return f'[[taxes]]\ncode = "{code}"\nname = "A tax <b>"\nrate_percent = "{percent}"\n'


def version_of(crm: CrmWorld) -> int:
    return int(crm.call("Refdata/ListTables").version)


def test_tables_and_rows_in_pages(crm: CrmWorld) -> None:
    tables = crm.call("Refdata/ListTables")
    assert set(tables.rows) == set(TABLES) and tables.version and tables.digest and tables.loaded_s
    for table, count in tables.rows.items():
        found: list[Any] = []
        token = ""
        while True:
            page = crm.call("Refdata/GetRefdata", table=table, page_size=2, page_token=token)
            found += page.rows
            token = page.next_page_token
            if not token:
                break
        assert len(found) == len({one.key for one in found}) == count
        for row in found[:2]:
            assert json.loads(row.json)["_id"] == row.key
            assert list(crm.call("Refdata/GetRefdata", table=table, key=row.key).rows) == [row]


def test_a_text_is_proved_compared_and_put(crm: CrmWorld) -> None:
    before = version_of(crm)
    text = tax("NEW1") + tax("NEW2")
    proved = crm.call("Refdata/ValidateRefdata", toml=text)
    assert not proved.faults and [(one.table, one.added) for one in proved.changes] == [("taxes", 2)]
    diff = crm.call("Refdata/DiffRefdata", toml=text)
    assert [(one.table, one.key, one.kind, one.before_json) for one in diff.rows] == [
        ("taxes", "NEW1", "added", ""),
        ("taxes", "NEW2", "added", ""),
    ]
    assert json.loads(diff.rows[0].after_json)["name"] == "A tax <b>" and diff.of == 2
    assert version_of(crm) == before == diff.version, "nothing was written"

    put = crm.call("Refdata/PutRefdata", version=before, toml=text)
    assert (put.version, put.changed) == (before + 1, True) and crm.office.tables.version == before + 1
    again = crm.call("Refdata/PutRefdata", version=before, toml=text)
    assert (again.version, again.changed) == (before + 1, False), "a repeat changes nothing"
    code, message = refused(lambda: crm.call("Refdata/PutRefdata", version=before, toml=tax("NEW3")))
    assert code is grpc.StatusCode.ABORTED and f"expected {before + 1}" in message
    [row] = crm.call("Refdata/DiffRefdata", toml=tax("NEW1", "8")).rows
    assert row.kind == "updated" and json.loads(row.before_json)["rate_ppm"] == 70_000

    gone = crm.call("Refdata/DiffRefdata", toml=DEMO, replace=True)
    assert {(one.key, one.kind, one.after_json) for one in gone.rows} == {
        ("NEW1", "removed", ""),
        ("NEW2", "removed", ""),
    }
    whole = crm.call("Refdata/PutRefdata", version=before + 1, toml=DEMO, replace=True)
    assert [(one.table, one.removed) for one in whole.changes] == [("taxes", 2)]


def test_a_page_of_another_version_is_refused(crm: CrmWorld) -> None:
    token = crm.call("Refdata/GetRefdata", table="currencies", page_size=1).next_page_token
    crm.call("Refdata/PutRefdata", version=version_of(crm), toml=tax("PAGED"))
    code, text = refused(lambda: crm.call("Refdata/GetRefdata", table="currencies", page_size=1, page_token=token))
    assert code is grpc.StatusCode.FAILED_PRECONDITION and text.startswith("page_token: ")


def test_faults_are_told_by_field(crm: CrmWorld) -> None:
    before = version_of(crm)
    text = tax("BAD1", "101") + tax("B D") + '[[nope]]\ncode = "x"\n'
    faults = crm.call("Refdata/ValidateRefdata", toml=text).faults
    assert len(faults) == 3 and all(one.field and "expected" in one.what for one in faults), faults
    assert any(one.field == "taxes[BAD1].rate_percent" for one in faults), faults
    for broken in ("x", "[[taxes]", "a." * 20_000 + "b = 1", "x = " + "[" * 5000, "x = 1" + "0" * 5000):
        [fault] = crm.call("Refdata/ValidateRefdata", toml=broken).faults[:1]
        assert fault.what
        for name, fields in (("DiffRefdata", {}), ("PutRefdata", {"version": before})):
            code, message = refused(lambda name=name, fields=fields, broken=broken: crm.call(
                f"Refdata/{name}", toml=broken, **fields
            ))  # fmt: skip
            assert code is INVALID and message.startswith("toml: ")
    code, message = refused(lambda: crm.call("Refdata/PutRefdata", version=before, toml="", replace=True))
    assert code is INVALID and "subscribers have it, or will" in message
    assert version_of(crm) == before


@pytest.mark.parametrize(
    ("name", "fields", "code", "named"),
    [
        ("GetRefdata", {"table": ""}, INVALID, "table: "),
        ("GetRefdata", {"table": "subscribers"}, INVALID, "table: "),
        ("GetRefdata", {"table": "taxes", "key": "nope"}, NOT_FOUND, "key: "),
        ("GetRefdata", {"table": "taxes", "page_size": 501}, INVALID, "page_size: "),
        ("GetRefdata", {"table": "taxes", "page_token": "eHg="}, INVALID, "page_token: "),
        ("PutRefdata", {"toml": ""}, INVALID, "version: "),
    ],
)
def test_fields_that_cant_be_taken(
    crm: CrmWorld, name: str, fields: dict[str, Any], code: grpc.StatusCode, named: str
) -> None:
    found, text = refused(lambda: crm.call(f"Refdata/{name}", **fields))
    assert found is code and text.startswith(named), text


def put(crm: CrmWorld, text: str) -> int:
    return int(crm.call("Refdata/PutRefdata", version=version_of(crm), toml=text).version)


def test_versions_are_listed_in_pages(crm: CrmWorld) -> None:
    for percent in range(3):
        last = put(crm, tax("LISTED", str(percent)))
    found: list[Any] = []
    token = ""
    while True:
        page = crm.call("Refdata/ListRefdataVersions", page_size=2, page_token=token)
        found += page.versions
        token = page.next_page_token
        if not token:
            break
    assert [one.version for one in found] == list(range(last, 0, -1))
    first, *_, oldest = found
    assert (first.who, first.what, first.rolled_back_to) == ("tester", "Refdata/PutRefdata", 0)
    assert [(one.table, one.added, one.updated, one.removed) for one in first.changes] == [("taxes", 0, 1, 0)]
    assert first.loaded_s and first.digest == crm.call("Refdata/ListTables").digest and oldest.what == "init"


def test_an_old_version_is_compared_and_put_again(crm: CrmWorld) -> None:
    old = put(crm, tax("AGAIN", "7"))
    digest = crm.call("Refdata/ListTables").digest
    new = put(crm, tax("AGAIN", "8") + tax("AGAIN2"))
    diff = crm.call("Refdata/DiffRefdata", from_version=old)
    assert (diff.version, diff.to_version, diff.of) == (old, new, 2)
    assert [(one.key, one.kind) for one in diff.rows] == [("AGAIN", "updated"), ("AGAIN2", "added")]
    same = crm.call("Refdata/DiffRefdata", from_version=new, to_version=old)
    assert [(one.key, one.kind) for one in same.rows] == [("AGAIN", "updated"), ("AGAIN2", "removed")]
    wanted = {"version": new, "to_version": old}
    dry = crm.call("Refdata/RollbackRefdata", **wanted, dry_run=True)
    assert (dry.version, dry.changed) == (new, True) and version_of(crm) == new
    done = crm.call("Refdata/RollbackRefdata", **wanted)
    assert (done.version, done.changed) == (new + 1, True) and list(done.changes) == list(dry.changes)
    assert crm.office.tables.version == new + 1 and crm.call("Refdata/ListTables").digest == digest
    again = crm.call("Refdata/RollbackRefdata", **wanted)
    assert (again.version, again.changed) == (new + 1, False), "a repeat changes nothing"
    code, text = refused(lambda: crm.call("Refdata/RollbackRefdata", version=new, to_version=new))
    assert code is grpc.StatusCode.ABORTED and f"expected {new + 1}" in text
    [last] = crm.call("Refdata/ListRefdataVersions", page_size=1).versions
    assert (last.version, last.what, last.rolled_back_to) == (new + 1, "Refdata/RollbackRefdata", old)


@pytest.mark.parametrize(
    ("name", "fields", "status", "text"),
    [
        ("RollbackRefdata", {"to_version": 1}, INVALID, "version: not set"),
        ("RollbackRefdata", {"version": 1}, INVALID, "to_version: 0; expected 1 to"),
        ("RollbackRefdata", {"version": 1, "to_version": -1}, INVALID, "to_version: -1"),
        ("RollbackRefdata", {"version": 1, "to_version": 2**63 - 1}, INVALID, "to_version: 9223"),
        ("RollbackRefdata", {"version": 1, "to_version": 99_999}, NOT_FOUND, "version: 99999; expected 1 to"),
        ("DiffRefdata", {"from_version": 1, "toml": "x"}, INVALID, "toml, replace: "),
        ("DiffRefdata", {"to_version": 1}, INVALID, "from_version: 0"),
        ("DiffRefdata", {"from_version": 1, "to_version": -5}, INVALID, "to_version: -5"),
        ("DiffRefdata", {"from_version": 99_999}, NOT_FOUND, "version: 99999"),
        ("ListRefdataVersions", {"page_size": 501}, INVALID, "page_size: "),
        ("ListRefdataVersions", {"page_token": "AAAA"}, INVALID, "page_token: "),
    ],
)
def test_versions_that_there_are_not(
    crm: CrmWorld, name: str, fields: dict[str, Any], status: grpc.StatusCode, text: str
) -> None:
    code, message = refused(lambda: crm.call(f"Refdata/{name}", **fields))
    assert code is status and message.startswith(text), (code, message)


def test_what_subscribers_have_refuses_a_roll_back(crm: CrmWorld) -> None:
    before = version_of(crm)
    plan = '[[price_plans]]\ncode = "{}"\nname = "x"\ntype = "prepaid"\ncurrency = "EUR"\n'
    now = put(crm, plan.format("used-now"))
    crm.write("Subscribers/CreateSubscriber", msisdn="999730000001", plan="used-now")
    code, message = refused(lambda: crm.call("Refdata/RollbackRefdata", version=now, to_version=before))
    assert code is INVALID and "price_plans[used-now]" in message and version_of(crm) == now


def downloaded(crm: CrmWorld, **fields: Any) -> tuple[Any, list[Any]]:
    head, *chunks = crm.client().stream("Refdata/DownloadRefdata", **fields)
    content = b"".join(one.data for one in chunks)
    assert (head.octets, head.sha256, head.data) == (len(content), sha256(content).hexdigest(), b"")
    assert all(0 < len(one.data) <= 64_000 and not one.sha256 for one in chunks)
    return head, [json.loads(line) for line in content.decode().splitlines()]


def test_a_version_comes_whole_as_a_stream(crm: CrmWorld) -> None:
    old = put(crm, tax("FILE", "7"))
    new = put(crm, tax("FILE", "8"))
    head, rows = downloaded(crm)
    tables = crm.call("Refdata/ListTables")
    assert head.version == new and len(rows) == sum(tables.rows.values())
    [before], [after] = (
        [one["row"]["rate_ppm"] for one in downloaded(crm, version=number, table="taxes")[1] if one["key"] == "FILE"]
        for number in (old, new)
    )
    assert (before, after) == (70_000, 80_000)
    assert {one["table"] for one in downloaded(crm, table="taxes")[1]} == {"taxes"}
    for fields, status in (({"version": 99_999}, NOT_FOUND), ({"version": -1}, INVALID), ({"table": "x"}, INVALID)):
        assert (
            refused(lambda fields=fields: list(crm.client().stream("Refdata/DownloadRefdata", **fields)))[0] is status
        )


def test_a_row_that_no_answer_holds_comes_as_a_stream(crm: CrmWorld) -> None:
    """A zone with more prefixes than a request may bring, as a command loads it."""
    numbers = [str(number) for number in range(1_000_000, 1_110_000)]
    source = parse("x.toml", f'[[destinations]]\nzone = "huge"\nprefixes = {numbers}\n'.encode())
    load(crm.store, [source], operator_calendar("UTC"), crm.office.now_s)
    crm.office.refdata.poll()
    for fields in ({"key": "huge"}, {}):
        code, text = refused(lambda fields=fields: crm.call("Refdata/GetRefdata", table="destinations", **fields))
        assert (
            code is grpc.StatusCode.FAILED_PRECONDITION and text.startswith("key: 'huge' has 1") and "Download" in text
        )
    [row] = [one for one in downloaded(crm, table="destinations")[1] if one["key"] == "huge"]
    assert row["row"]["prefixes"] == numbers
