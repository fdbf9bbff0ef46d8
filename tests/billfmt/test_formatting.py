"""Bills become files once, whoever is killed when, and are due then; on both stores."""

from __future__ import annotations

import hashlib
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bill_world import World, text_of
from mubss.core.errors import Busy, InputError
from mubss.services import formatting
from mubss.services.formatting import Formatted, first_state, settled, write_whole
from mubss.storage import bill_documents
from mubss.storage.database import open_database

FIGURES = ("number", "lines", "taxes", "net", "tax", "total", "due", "paid", "previous_due", "usage", "postings")


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("postpaid", "BILL_STATUS_UNPAID"),
        ("prepaid", "BILL_STATUS_PAID"),
        ("credit_note", "BILL_STATUS_PAID"),
    ],
)
def test_a_bill_has_its_file_and_is_due(world: World, kind: str, state: str) -> None:
    before = world.add(kind)
    [done] = world.run()
    after = world.get(before)
    assert done == Formatted(after, world.folder / "invoices" / after["document"]["path"])
    assert after["state"] == state and after["version"] == before["version"] + 2
    assert "lease" not in after and "fault" not in after
    assert {name: after.get(name) for name in FIGURES} == {name: before.get(name) for name in FIGURES}
    assert done.path is not None and world.files() == [f"2026/11/bc_3/{before['_id']}.pdf"]
    pdf = done.path.read_bytes()
    assert hashlib.sha256(pdf).hexdigest() == after["document"]["sha256"]
    assert len(pdf) == after["document"]["octets"] and before["number"] in text_of(pdf)
    assert world.run() == []


def test_rendered_again_it_is_the_same_octets_and_stays_paid(world: World) -> None:
    bill = world.add()
    [done] = world.run()
    assert done.path is not None
    first = done.path.read_bytes()
    paid = {**world.get(bill), "state": "BILL_STATUS_PAID", "payments": [1]}
    world.put(paid)
    done.path.unlink()
    world.now_s += 90 * 86_400
    # Names have changed, and free units are used up: the document says what it said.
    world.tables = replace(world.tables, services={}, plans={})
    with world.formatter() as formatter:
        again = formatter.one(bill["number"])
    assert done.path.read_bytes() == first
    assert again.bill == {**paid, "version": paid["version"] + 2}


def test_a_bad_bill_is_marked_and_the_others_go_on(world: World) -> None:
    good = [world.add() for _ in range(3)]
    bad = world.add(currency=17)
    good += [world.add() for _ in range(3)]
    found = {one.bill["_id"]: one for one in world.run()}
    assert all(found[bill["_id"]].fault == "" for bill in good)
    assert found[bad["_id"]].fault.startswith("bill: TypeError: ")
    marked = world.get(bad)
    assert marked["state"] == "BILL_STATUS_FAILED" and marked["fault"] == found[bad["_id"]].fault
    assert world.run() == [], "a failed one waits for who mends it"
    world.put({**marked, "currency": "EUR"})
    with world.formatter() as formatter:
        done = formatter.one(bad["number"])
    assert done.bill["state"] == "BILL_STATUS_UNPAID" and "fault" not in done.bill and done.path is not None


def test_usage_that_isnt_kept_any_more_is_no_bill(world: World) -> None:
    bill = world.add(count=6)
    gone = world.all("usage")[2]["_id"]
    world.store.run(lambda session: session.collection("usage").remove_many([gone]))
    [done] = world.run()
    assert done.fault == "usage: 5 records are kept; expected the 6 that the bill is of"
    assert world.get(bill)["state"] == "BILL_STATUS_FAILED" and world.files() == []


def test_a_dead_process_s_bills_are_taken_over_when_its_lease_is_over(world: World) -> None:
    bill = world.add()
    until_s = world.now_s + 120
    assert len(bill_documents.take(world.store, [bill["_id"]], "dead", world.now_s, until_s, lambda _: True)) == 1
    world.now_s = until_s - 1
    assert world.run() == []
    with world.formatter() as formatter, pytest.raises(Busy, match="is being rendered"):
        formatter.one(bill["number"])
    world.now_s = until_s
    [done] = world.run()
    assert done.fault == "" and world.get(bill)["state"] == "BILL_STATUS_UNPAID"
    late = bill_documents.settle(world.store, [bill["_id"]], "dead", lambda doc: {**doc, "state": "wrong"})
    assert late == [] and world.get(bill) == done.bill


def test_several_at_once_do_the_work_once(world: World) -> None:
    bills = [world.add(count=3) for _ in range(40)]
    found: list[Formatted] = []
    faults: list[Exception] = []

    def work() -> None:
        store = open_database(world.url)
        try:
            with world.formatter(store) as formatter:
                found.extend(formatter.waiting())
        except Exception as error:
            faults.append(error)
        finally:
            store.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert sorted(one.bill["_id"] for one in found) == [bill["_id"] for bill in bills]
    assert all(world.get(bill)["version"] == bill["version"] + 2 for bill in bills)
    assert len(world.files()) == len(bills)


def test_what_others_do_to_a_bill_meanwhile_stays(world: World) -> None:
    bill = world.add()
    with world.formatter() as formatter:
        document = formatter._document

        def meanwhile(mine: dict[str, Any]) -> dict[str, Any]:
            now = world.get(bill)
            world.put({**now, "version": now["version"] + 1, "state": "BILL_STATUS_VOID", "why": "a mistake"})
            return document(mine)

        formatter._document = meanwhile  # type: ignore[method-assign]
        list(formatter.waiting())
    after = world.get(bill)
    assert (after["state"], after["why"]) == ("BILL_STATUS_VOID", "a mistake") and "lease" not in after
    with world.formatter() as formatter, pytest.raises(InputError, match="is void"):
        formatter.one(bill["number"])


def test_a_folder_that_cant_be_written_leaves_bills_waiting(world: World) -> None:
    bills = [world.add() for _ in range(3)]
    (world.folder / "invoices").write_text("in the way")
    with pytest.raises(Busy, match=r"bills wait: .*invoices can't be written"):
        world.run()
    assert all(world.get(bill)["state"] == "BILL_STATUS_NEW" for bill in bills)
    (world.folder / "invoices").unlink()
    assert [one.fault for one in world.run()] == ["", "", ""]


def test_it_stops_between_two_handfuls(sqlite_world: World) -> None:
    for _ in range(20):
        sqlite_world.add(count=0)
    answers = iter([False, True])
    with sqlite_world.formatter() as formatter:
        done = list(formatter.waiting(lambda: next(answers)))
    assert len(done) == 16 and all("lease" not in bill for bill in sqlite_world.all("bills"))
    assert len(sqlite_world.run()) == 4


def test_a_bill_that_there_isnt(sqlite_world: World) -> None:
    with sqlite_world.formatter() as formatter, pytest.raises(InputError, match="number: 'INV-1'; expected that of"):
        formatter.one("INV-1")


def test_a_file_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a" / "b.pdf"
    write_whole(tmp_path, Path("a/b.pdf"), b"old")

    def broken(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(formatting.os, "fsync", broken)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path, Path("a/b.pdf"), b"new")
    assert path.read_bytes() == b"old"
    assert sorted(one.name for one in tmp_path.rglob("*")) == [".parts", "a", "b.pdf"]


def test_what_a_killed_process_left_goes_in_time(sqlite_world: World) -> None:
    parts = sqlite_world.folder / "invoices/.parts"
    parts.mkdir(parents=True)
    for name, age_s in (("old", 4_000), ("new", 3_000)):
        (parts / name).touch()
        os.utime(parts / name, (sqlite_world.now_s - age_s,) * 2)
    sqlite_world.run()
    assert [path.name for path in parts.iterdir()] == ["new"]


@pytest.mark.parametrize(
    ("state", "done", "expected"),
    [
        ("BILL_STATUS_NEW", {"fault": "x"}, "BILL_STATUS_FAILED"),
        ("BILL_STATUS_FAILED", {"fault": "x"}, "BILL_STATUS_FAILED"),
        ("BILL_STATUS_PAID", {"fault": "x"}, "BILL_STATUS_PAID"),
        ("BILL_STATUS_UNPAID", {"document": {}}, "BILL_STATUS_UNPAID"),
        ("BILL_STATUS_OVERDUE", {"document": {}}, "BILL_STATUS_OVERDUE"),
        ("BILL_STATUS_NEW", {"obstacle": "x"}, "BILL_STATUS_NEW"),
    ],
)
def test_states(state: str, done: dict[str, Any], expected: str) -> None:
    assert settled({"_id": "a", "version": 1, "kind": "postpaid", "state": state}, done)["state"] == expected


@pytest.mark.parametrize(
    ("kind", "paid", "credited", "still_open", "expected"),
    [
        ("postpaid", 0, 0, 500, "BILL_STATUS_UNPAID"),
        ("postpaid", 100, 0, 400, "BILL_STATUS_PARTLY_PAID"),
        ("postpaid", 0, 100, 400, "BILL_STATUS_PARTLY_PAID"),
        ("postpaid", 500, 0, 0, "BILL_STATUS_PAID"),
        ("postpaid", 0, 0, 0, "BILL_STATUS_PAID"),
        ("prepaid", 0, 0, 0, "BILL_STATUS_PAID"),
        ("credit_note", 0, 0, 0, "BILL_STATUS_PAID"),
    ],
)
def test_what_was_paid_before_a_bill_is_known(
    kind: str, paid: int, credited: int, still_open: int, expected: str
) -> None:
    bill = {"kind": kind, "settled": {"paid": paid, "credited": credited, "open": still_open}}
    assert first_state(bill) == expected
