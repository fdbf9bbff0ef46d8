"""`mubss cdr make|dump|check` in processes of their own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cdr_samples import entries_of, file_of, record
from mubss.cdr.reader import records, scan
from mubss.config import data_path

Run = Callable[..., subprocess.CompletedProcess[str]]
CSV = "record_id,type,calling,called,start,duration_s\n"
CALL = '{"record_id": "a", "type": "VOICE", "calling": 999700000001, "start": "2026-11-03T10:00:00+01:00"}'
MAKE = ("make", "--source", "msc1", "--sequence", "7", "--out", "out.cdr", "--from")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs `mubss cdr` in an empty folder."""

    def call(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mubss.cli.main", "cdr", *arguments]
        return subprocess.run(command, cwd=tmp_path, input=given, capture_output=True, text=True, check=False)

    return call


def made(folder: Path) -> list[Any]:
    content = (folder / "out.cdr").read_bytes()
    assert scan(io.BytesIO(content)).header.sequence == 7
    return [one.record for one in records(io.BytesIO(content), 0)]


def test_the_sample_is_made_shown_and_right(run: Run, tmp_path: Path) -> None:
    done = run(*MAKE, str(data_path("conf/cdr/sample.csv")))
    size = (tmp_path / "out.cdr").stat().st_size
    assert (done.returncode, done.stdout) == (0, f"out.cdr: 20 records of msc1, sequence 7, {size} bytes\n"), (
        done.stderr
    )
    done = run("check", "out.cdr")
    assert (done.returncode, done.stdout) == (0, "out.cdr: right: 20 records of msc1, sequence 7\n")
    done = run("dump", "out.cdr")
    assert (done.returncode, done.stderr) == (0, "")
    for text in ("MUBSS-CDR", "msc1-000001", "2026-11-05T14:15:00+05:45", "943718400", "1089255545", "blake2b"):
        assert text in done.stdout
    lines = [json.loads(line) for line in run("dump", "--json", "out.cdr").stdout.splitlines()]
    assert [next(iter(line)) for line in lines] == ["header", *["record"] * 20, "trailer"]
    assert lines[3]["record"]["calling"] == "+999700000102"
    assert lines[-1]["trailer"]["octets_down"] == 1_089_255_545
    again = "\n".join(json.dumps(line["record"]) for line in lines[1:-1])
    before = made(tmp_path)
    assert run(*MAKE, "-", given=again).returncode == 0
    assert made(tmp_path) == before


@pytest.mark.parametrize(
    "given",
    [
        CSV + "a,voice,999700000001,,2026-11-03T10:00:00+01:00,\n",
        CSV.replace(",", ";") + "a; VOICE ;999700000001;;2026-11-03T10:00:00+01:00;\r\n\r\n",
        "\ufeffType,start_s,record_id,utc_offset_minutes,calling\nVOICE,1793696400,a,60,999700000001\n",
        CALL,
        CALL + "\n\n",
        f"[{CALL}]",
        f"\n[\n{CALL}\n]\n".lstrip(),
        '{"record_id":"a","type":"VOICE","calling":"999700000001","start_s":1793696400,"utc_offset_minutes":60,"imsi":null}',
    ],
)
def test_the_same_record_in_every_form(run: Run, tmp_path: Path, given: str) -> None:
    done = run(*MAKE, "-", given=given)
    assert done.returncode == 0, done.stderr
    (one,) = made(tmp_path)
    assert (one.record_id, one.type, one.calling) == ("a", 1, "999700000001")
    assert (one.start_s, one.utc_offset_minutes, one.imsi) == (1_793_696_400, 60, "")


START = "2026-11-03T10:00:00+01:00"
FAULTS = [
    ("", "line 1: nothing; expected the names of fields"),
    ("what,type\na,VOICE\n", "line 1: 'what'; expected the names of fields, each once: start, record_id,"),
    ("type,type\n", "line 1: 'type'; expected the names of fields, each once"),
    (CSV + "a,VOICE\n", "line 2: 2 cells; expected 6: record_id, type,"),
    (CSV + f"a,FAX,999700000001,,{START},1\n", "line 2: type: 'FAX'; expected one of VOICE, SMS, MMS, DATA, OTHER"),
    (CSV + f"a,,999700000001,,{START},1\n", "line 2: type: '0'; expected one of VOICE"),
    (CSV + f"a,UNSPECIFIED,999700000001,,{START},1\n", "line 2: type: 'UNSPECIFIED'; expected one of VOICE"),
    (CSV + f"\na,VOICE,999700000001,,{START},1.5\n", "line 3: duration_s: '1.5'; expected an integer of 64 bits"),
    (
        CSV + f"a,VOICE,999700000001,,{START},9223372036854775808\n",
        "line 2: duration_s: '9223372036854775808'",
    ),
    (CSV + "a,VOICE,999700000001,,2026-11-03T10:00:00,1\n", "line 2: start: '2026-11-03T10:00:00'; expected ISO 8601"),
    (CSV + "a,VOICE,999700000001,,yesterday,1\n", "line 2: start: 'yesterday'; expected ISO 8601 with a zone"),
    (CSV + "a,VOICE,999700000001,,1970-01-01T00:00:00Z,1\n", "line 2: start_s: 0; expected from 946684800"),
    (CSV + f"a,VOICE,,,{START},1\n", "line 2: served_msisdn, imsi: missing"),
    (CSV + f"a,VOICE,12345,,{START},1\n" * 2, "line 3: record_id: line 2 has the same one; expected each once"),
    ("record_id,start,start_s\na,2026-11-03T10:00:00Z,1\n", "line 2: start: given beside start_s"),
    ("record_id,is_last_partial\na,perhaps\n", "line 2: is_last_partial: 'perhaps'; expected true or false"),
    (CSV + '"a\n', "line 2: 1 cell; expected 6"),
    ("{", "line 1: no JSON ("),
    (CALL + "\n7\n", "line 2: int; expected an object with fields of a record"),
    ('{"recordid": 1}', "line 1: 'recordid': no such field; expected some of start, record_id,"),
    ('{"record_id": 1.5}', "line 1: record_id: 1.5; expected text"),
    ('{"record_id": ["a"]}', "line 1: record_id: ['a']; expected text"),
    ('{"charging_id": -1}', "line 1: charging_id: -1; expected an integer without a sign, of 32 bits"),
    ('{"duration_s": true}', "line 1: duration_s: True; expected an integer of 64 bits"),
    ('{"duration_s": 18446744073709551616}', "line 1: duration_s: 1.8446744073709552e+19; expected an integer"),
    ('{"type": 1}', "line 1: type: 1; expected one of VOICE"),
    ('{"start": 1}', "line 1: start: 1; expected ISO 8601"),
    (f"[{CALL}, 7]", "record 2: int; expected an object"),
    (f"[\n{CALL},\n", "line 3: no JSON ("),
]


@pytest.mark.parametrize(("given", "text"), FAULTS)
def test_nothing_is_written_when_a_record_is_wrong(run: Run, tmp_path: Path, given: str, text: str) -> None:
    done = run(*MAKE, "-", given=given)
    assert (done.returncode, done.stdout) == (65, "")
    first, *_, last = done.stderr.splitlines()
    assert first.startswith(f"mubss: standard input: {text}")
    assert last == "mubss: standard input: nothing was written"
    assert list(tmp_path.iterdir()) == []


def test_every_wrong_line_is_named_and_an_older_file_stays(run: Run, tmp_path: Path) -> None:
    (tmp_path / "out.cdr").write_text("old")
    (tmp_path / "in.csv").write_text(CSV + "".join(f"{n},VOICE,12345,,{START},{-n}\n" for n in range(200)))
    done = run(*MAKE, "in.csv")
    lines = done.stderr.splitlines()
    assert (done.returncode, len(lines)) == (65, 101)
    assert lines[1] == "mubss: in.csv: line 4: duration_s: -2; expected 0 to 2678400 seconds (31 days)"
    assert (tmp_path / "out.cdr").read_text() == "old"
    assert len(list(tmp_path.iterdir())) == 2


def test_what_cannot_be_opened_or_written(run: Run, tmp_path: Path) -> None:
    assert run(*MAKE, "none.csv").stderr == "mubss: none.csv: No such file or directory\n"
    (tmp_path / "latin.csv").write_bytes(CSV.encode() + b"\xff")
    assert "mubss: latin.csv: not UTF-8, octet 0xff" in run(*MAKE, "latin.csv").stderr
    done = run("make", "--source", "a/b", "--sequence", "1", "--out", "out.cdr", "--from", "-", given=CALL)
    assert (done.returncode, done.stderr) == (65, "mubss: source: 'a/b'; expected 1 to 32 of A-Z a-z 0-9 . _ -\n")
    done = run("make", "--source", "a", "--sequence", "1", "--out", "no/out.cdr", "--from", "-", given=CALL)
    assert (done.returncode, done.stderr) == (65, "mubss: no/out.cdr.tmp: No such file or directory\n")
    os.mkfifo(tmp_path / "fifo.cdr")
    for there in ("fifo.cdr", "/dev/null"):
        done = run("make", "--source", "a", "--sequence", "1", "--out", there, "--from", "-", given=CALL)
        assert done.returncode == 65
        assert done.stderr == f"mubss: {there}: is no plain file; expected one, or a name that is free\n"
    assert (tmp_path / "fifo.cdr").is_fifo() and Path("/dev/null").is_char_device()
    for command in ("dump", "check"):
        assert run(command, "none.cdr").returncode == 65
        assert run(command, ".").returncode == 65


def test_one_record_is_no_records_and_names_are_escaped(run: Run, tmp_path: Path) -> None:
    done = run("make", "--source", "a", "--sequence", "1", "--out", "a\x1b[31m.cdr", "--from", "-", given=CALL)
    assert done.returncode == 0 and done.stdout.startswith(r"a\x1b[31m.cdr: 1 record of a, sequence 1, "), done
    done = run("check", "a\x1b[31m.cdr")
    assert done.stdout == r"a\x1b[31m.cdr: right: 1 record of a, sequence 1" + "\n", done
    assert len(list(tmp_path.iterdir())) == 1


def test_check_says_what_is_wrong_with_each_file(run: Run, tmp_path: Path) -> None:
    right = file_of(record())
    (tmp_path / "right.cdr").write_bytes(right)
    (tmp_path / "half.cdr").write_bytes(right[:50])
    odd = [record(record_id=str(number), start_s=number) for number in range(25)]
    (tmp_path / "odd.cdr").write_bytes(file_of(record(), *odd))
    done = run("check", "right.cdr", "half.cdr", "odd.cdr", "none.cdr")
    lines = done.stdout.splitlines()
    assert (done.returncode, done.stderr, len(lines)) == (65, "", 25)
    assert lines[0] == "right.cdr: right: 1 record of msc1, sequence 7"
    assert lines[1].startswith("half.cdr: truncated at byte 30: the file ends with 20 bytes of an entry")
    assert lines[2] == "odd.cdr: right: 26 records of msc1, sequence 7; 25 would be refused"
    offset = sum(map(len, entries_of(file_of(record()))[:2]))
    assert lines[3].startswith(f"  record 2 at byte {offset}: bad-time: start_s: 0; expected from 946684800")
    assert lines[-2:] == ["  and 5 more", "none.cdr: can't be read: No such file or directory"]
    found = json.loads(run("check", "odd.cdr", "half.cdr", "--json").stdout)
    assert (found[0]["refused"], len(found[0]["first_refused"]), found[0]["fault"]) == (25, 20, "")
    assert found[1]["fault"].startswith("truncated at byte 30")


def test_dump_shows_what_can_be_read(run: Run, tmp_path: Path) -> None:
    content = file_of(*(record(record_id=f"r{number}", start_s=2**63 - 1 - number) for number in range(150)))
    (tmp_path / "a.cdr").write_bytes(content)
    done = run("dump", "a.cdr")
    assert (done.returncode, done.stderr) == (0, "more records than 100 are there: --limit shows more of them\n")
    assert "9223372036854775807" in done.stdout
    assert " r99 " in done.stdout
    assert " r100 " not in done.stdout
    assert " r149 " in run("dump", "a.cdr", "--limit", "150").stdout
    assert run("dump", "a.cdr", "--json", "--limit", "2").stdout.count('{"record"') == 2
    (tmp_path / "half.cdr").write_bytes(content[:200])
    for arguments in (["dump", "half.cdr"], ["dump", "half.cdr", "--json"]):
        done = run(*arguments)
        assert done.returncode == 65
        assert "r1" in done.stdout
        assert done.stderr.startswith("mubss: half.cdr: truncated at byte ")
