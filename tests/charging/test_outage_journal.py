"""The journal of the outage mode: what of it can be read whatever happened to it, who has it, a disk that is full."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_builders import EVENT, INITIAL, UPDATE, ccr, demo_tables, mscc
from mubss.charging.journal import MAGIC, MAX_PAYLOAD, adopt, create, frame, records
from mubss.charging.outage_record import Entry, decode, encode
from mubss.core.model import Outcome, UnitAnswer
from tiny_disk import tiny_disk

ONE, TWO, THREE = b"one", b"two" * 50, b""
WHOLE = frame(ONE) + frame(TWO) + frame(THREE)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :]


@pytest.mark.parametrize(
    ("data", "payloads", "lost", "tail"),
    [
        (b"", [], 0, 0),
        (WHOLE, [ONE, TWO, THREE], 0, 0),
        (WHOLE + frame(b"four")[:-1], [ONE, TWO, THREE], 0, 15),
        (WHOLE + b"\0" * 4096, [ONE, TWO, THREE], 0, 4096),
        (WHOLE + MAGIC + b"\xff" * 8, [ONE, TWO, THREE], 0, 12),
        (WHOLE + MAGIC + (MAX_PAYLOAD + 1).to_bytes(4, "big") + bytes(4), [ONE, TWO, THREE], 0, 12),
        (flipped(WHOLE, 12), [TWO, THREE], len(frame(ONE)), 0),
        (flipped(WHOLE, len(frame(ONE)) + 7), [ONE, THREE], len(frame(TWO)), 0),
        (flipped(WHOLE, len(frame(ONE)) + 40), [ONE, THREE], len(frame(TWO)), 0),
        (frame(MAGIC + frame(ONE)) + WHOLE, [MAGIC + frame(ONE), ONE, TWO, THREE], 0, 0),
    ],
)
def test_what_can_be_read_of_a_file(data: bytes, payloads: list[bytes], lost: int, tail: int) -> None:
    found = records(data)
    assert (found.payloads, found.lost, found.tail) == (payloads, lost, tail)
    assert all(data.startswith(frame(one), at) for at, one in zip(found.places, payloads, strict=True))


@given(st.lists(st.binary(max_size=30), max_size=6), st.data())
def test_a_tail_torn_anywhere_costs_only_what_it_was_torn_from(payloads: list[bytes], data: st.DataObject) -> None:
    framed = [frame(payload) for payload in payloads]
    whole = b"".join(framed)
    cut = data.draw(st.integers(0, len(whole)))
    ends = [sum(map(len, framed[: count + 1])) for count in range(len(framed))]
    assert records(whole[:cut]).payloads == payloads[: sum(end <= cut for end in ends)]
    assert records(whole[:cut]).lost == 0


def test_a_journal_is_adopted_only_when_its_process_is_gone(tmp_path: Path) -> None:
    mine = create(tmp_path / "outage")
    assert mine.path.stat().st_mode & 0o777 == 0o600
    places = mine.append([ONE, TWO]) + mine.append([THREE])
    assert adopt(tmp_path / "outage") == []
    mine.close()
    [adopted] = adopt(tmp_path / "outage")
    assert adopt(tmp_path / "outage") == [] and adopt(tmp_path / "outage", [adopted.name]) == []
    assert adopted.read() == ([ONE, TWO, THREE], places, 0, 0)
    adopted.remove()
    assert list((tmp_path / "outage").iterdir()) == []


def test_one_that_was_damaged_is_kept_and_adopted_by_nobody(tmp_path: Path) -> None:
    made = create(tmp_path)
    made.keeps = True
    made.remove()
    assert [path.suffix for path in tmp_path.iterdir()] == [".damaged"]
    assert adopt(tmp_path) == []


def test_a_full_disk_takes_all_of_a_write_or_nothing(tmp_path: Path) -> None:
    with tiny_disk(tmp_path / "outage", "size=16k") as disk:
        journal = create(disk)
        journal.append([ONE])
        with pytest.raises(OSError, match="No space"):
            journal.append([TWO, os.urandom(40_000), THREE])
        assert not journal.is_broken and records(journal.path.read_bytes()) == ([ONE], [0], 0, 0)
        journal.append([TWO])
        assert records(journal.path.read_bytes()) == ([ONE, TWO], [0, len(frame(ONE))], 0, 0)
        journal.close()


def test_what_the_disk_may_not_have_ends_a_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = create(tmp_path)
    journal.append([ONE])

    def fails(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("mubss.charging.journal.os.fdatasync", fails)
    with pytest.raises(OSError):
        journal.append([TWO])
    assert journal.is_broken and records(journal.path.read_bytes()) == ([ONE], [0], 0, 0)
    journal.close()


def test_a_request_is_kept_as_it_came() -> None:
    tables = demo_tables()
    answer = UnitAnswer(False, 1, [7], 2001, "octets", 1000, 3600, "", 100, None, None, [1, 2, -3])
    requests = [mscc(1, 5, 10), mscc(service=None, foreign_units=("seconds", 4))]
    commands = [
        ccr(tables, INITIAL, 0, mscc(1), facts={"apn": "internet"}, via="agent", state_id=4, retransmitted=True),
        ccr(tables, UPDATE, 2**32 - 1, *requests, end_to_end=2**32 - 1),
        ccr(tables, EVENT, 0, mscc(service="SMS", money_micros=5)),
    ]
    for command in commands:
        entry = Entry(1, "acc1", "EUR", -5, 7, Outcome(command.key, 5, 2001, [answer]), command)
        back = decode(encode(entry))
        assert not back.command.tables.services
        back.command.tables = tables
        assert back == entry


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x80", b"\x81\xa7version\x02", encode.__name__.encode()])
def test_what_is_no_request_is_refused(payload: bytes) -> None:
    with pytest.raises(ValueError, match="expected"):
        decode(payload)
