"""`mubss subscriber import`: all or nothing as far as faults can be seen, each fault with its line and field."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli_tools import Shell
from mail_server import mail_server
from mubss.core.calendar import OperatorCalendar
from mubss.core.errors import InputError
from mubss.core.tariff import Tables
from mubss.runtime import ExitCode
from mubss.services import importing

HEADER = "msisdn,imsi,type,plan,balance,bill_cycle,language\n"
GOOD = "4917000001,262010000000001,prepaid,demo-prepaid,10.00,,de\n"
OTHER = "4917000002,,postpaid,demo-postpaid,,3,\n"


def write(shell: Shell, text: str | bytes) -> Path:
    file = shell.folder / "subs.csv"
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


def test_names_and_addresses(demo_shell: Shell) -> None:
    file = write(demo_shell, "msisdn,plan,name,address\n4917000009,demo-prepaid,Ada L.,12 Rd | Town |UK\n")
    demo_shell.ok("subscriber", "import", file)
    doc = demo_shell.json("subscriber", "show", "4917000009")
    assert (doc["name"], doc["address"]) == ("Ada L.", "12 Rd\nTown\nUK")
    add = (
        "subscriber",
        "add",
        "4917000010",
        "--plan",
        "demo-prepaid",
        "--name",
        "Bo",
        "--address",
        "a",
        "--address",
        "b",
    )
    assert demo_shell.json(*add)["address"] == "a\nb"
    shown = demo_shell.ok("subscriber", "show", "4917000010").out
    assert [line.split()[1:] for line in shown.splitlines() if line.startswith(("name", "address"))] == [
        ["Bo"],
        ["a,", "b"],
    ]
    faults = (("--name", "x" * 81), ("--name", "a\tb"), ("--address", "x" * 81), ("--address", "x") * 7)
    for more in (*faults, ("--email", "nobody"), ("--email", "a@b.example\n"), ("--email", f"{'a' * 65}@b.example")):
        done = demo_shell("subscriber", "add", "4917000011", "--plan", "demo-prepaid", *more)
        assert done.code == ExitCode.INPUT and f"{more[0].removeprefix('--')}: " in done.err


@pytest.mark.usefixtures("root_logger")
def test_addresses_of_mail(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(
        demo_shell, "msisdn,plan,email\n4917000009,demo-prepaid, ada+x@mail.example \n4917000010,demo-prepaid,\n"
    )
    demo_shell.ok("subscriber", "import", file)
    assert demo_shell.json("subscriber", "show", "4917000009")["email"] == "ada+x@mail.example"
    assert "ada+x@mail.example" in demo_shell.ok("subscriber", "show", "4917000009").out
    assert "email" not in demo_shell.json("subscriber", "show", "4917000010")
    faulty = write(demo_shell, "msisdn,plan,email\n4917000012,demo-prepaid,ada@mail\n")
    done = demo_shell("subscriber", "import", faulty)
    assert "subs.csv:2: email: 8 letters; expected an address like someone@mail.example" in done.err
    added = demo_shell.json("subscriber", "add", "4917000011", "--plan", "demo-prepaid", "--email", "bo@mail.example")
    assert added["email"] == "bo@mail.example"
    with mail_server() as mails:
        options = {"SINKS": "smtp", "SMTP_HOST": "127.0.0.1", "SMTP_PORT": mails.port, "SMTP_TLS": "none"}
        for name, value in {**options, "SMTP_FROM": "bss@op.example"}.items():
            monkeypatch.setenv(f"MUBSS_NOTIFICATIONS__{name}", str(value))
        for msisdn in ("4917000009", "4917000011"):
            done = demo_shell("notifications", "test", msisdn, "--json")
            assert done.json == [{"sink": "smtp", "fault": None}] and "ada+x@" not in done.err
        assert [mail["To"] for mail in mails.taken] == ["ada+x@mail.example", "bo@mail.example"]
    demo_shell.ok("subscriber", "terminate", "4917000011", "--yes")
    demo_shell.ok("subscriber", "erase", "4917000011", "--yes")
    assert "email" not in demo_shell.json("subscriber", "show", f"id:{added['account']}")
    assert "mail.example" not in demo_shell.ok("audit", "export").out


def count(shell: Shell) -> int:
    return int(shell.json("status")["subscribers"]["active"])


def test_what_a_file_holds_is_added(demo_shell: Shell) -> None:
    file = write(demo_shell, HEADER + GOOD + OTHER)
    done = demo_shell.json("subscriber", "import", file)
    assert (done["added"], done["right"], done["skipped"]) == (2, 2, 0)
    first = demo_shell.json("subscriber", "show", "4917000001")
    assert (first["imsi"], first["type"], first["language"]) == ("262010000000001", "prepaid", "de")
    assert first["balance_micros"] == 10_000_000
    second = demo_shell.json("subscriber", "show", "4917000002")
    assert (second["type"], second["bill_cycle"], second["language"]) == ("postpaid", 3, "en")
    assert (second["balance_micros"], second["credit_limit_micros"]) == (0, 100_000_000)
    assert demo_shell.json("ledger", "check")["findings"] == []
    again = demo_shell("subscriber", "import", file)
    assert again.code == ExitCode.INPUT
    assert "subs.csv:2: msisdn: '4917000001'; expected one that no subscriber has yet" in again.err
    resumed = demo_shell.json("subscriber", "import", file, "--skip-existing")
    assert (resumed["added"], resumed["skipped"]) == (0, 2)


@pytest.mark.parametrize(
    "text",
    [
        "﻿" + HEADER + GOOD,
        (HEADER + GOOD).replace(",", ";"),
        (HEADER + GOOD).replace(",", "\t"),
        (HEADER + GOOD).replace(",", ", "),
        (HEADER + GOOD).replace("\n", "\r\n"),
        HEADER.upper() + GOOD,
        HEADER + "\n" + GOOD + ",,,,,,\n",
        HEADER + GOOD.strip(),
        HEADER + '"4917000001","262010000000001",prepaid,"demo-prepaid",10,,de\n',
        "plan,msisdn\ndemo-prepaid,4917000001\n",
    ],
)
def test_files_as_people_make_them(demo_shell: Shell, text: str) -> None:
    assert demo_shell.json("subscriber", "import", write(demo_shell, text))["added"] == 1
    assert demo_shell.json("subscriber", "show", "4917000001")["plan"] == "demo-prepaid"


@pytest.mark.parametrize(
    ("text", "faults"),
    [
        ("", ["subs.csv:1: no column 'msisdn'", "subs.csv:1: no column 'plan'"]),
        ("msisdn,plan,colour\n", ["subs.csv:1: column 'colour'; expected msisdn, imsi,"]),
        ("msisdn,plan,plan\n", ["subs.csv:1: column 'plan' stands twice"]),
        (HEADER + "4917000001,,prepaid\n", ["subs.csv:2: 3 cells; expected 7"]),
        (HEADER + GOOD + "12,,prepaid,demo-prepaid,1,,\n", ["subs.csv:3: msisdn: '12'; expected 6 to 15 digits"]),
        (HEADER + "4917000001,1,prepaid,demo-prepaid,1,,\n", ["subs.csv:2: imsi: '1'; expected 14 or 15 digits"]),
        (HEADER + "4917000001,,gold,demo-prepaid,1,,\n", ["subs.csv:2: type: 'gold'; expected prepaid or postpaid"]),
        (HEADER + "4917000001,,prepaid,gold,1,,\n", ["subs.csv:2: plan: 'gold'; expected one of demo-postpaid"]),
        (HEADER + "4917000001,,prepaid,demo-prepaid,ten,,\n", ["subs.csv:2: balance: 'ten'; expected an amount"]),
        (HEADER + "4917000001,,postpaid,demo-postpaid,,,\n", ["subs.csv:2: bill_cycle: none; expected one of 1, 3"]),
        (HEADER + "4917000001,,postpaid,demo-postpaid,,9,\n", ["subs.csv:2: bill_cycle: 9; expected one of 1, 3"]),
        (HEADER + "4917000001,,postpaid,demo-postpaid,,x,\n", ["subs.csv:2: bill_cycle: 'x'; expected the number"]),
        (HEADER + "4917000001,,prepaid,demo-prepaid,1,,Klingon\n", ["subs.csv:2: language: 'Klingon'; expected"]),
        (HEADER + "1,2,prepaid,gold,x,,\n" + GOOD, [":2: balance", ":2: msisdn: '1'", ":2: imsi: '2'", ":2: plan"]),
        (HEADER + GOOD + OTHER + GOOD, ["subs.csv:4: msisdn: '4917000001' is on line 2 too", "subs.csv:4: imsi: '262"]),
        (
            HEADER + GOOD + "999700000003,999700000000009,prepaid,demo-prepaid,1,,\n",
            ["subs.csv:3: msisdn: '999700000003'; expected one that", "subs.csv:3: imsi: '999700000000009'; expected"],
        ),
        (HEADER + '"4917000001,' + "x" * 200_000, ["subs.csv:2: field larger than field limit"]),
    ],
)  # fmt: skip
def test_every_faulty_line_is_named_and_nothing_written(demo_shell: Shell, text: str, faults: list[str]) -> None:
    done = demo_shell("subscriber", "import", write(demo_shell, text))
    assert done.code == ExitCode.INPUT
    lines = done.err.splitlines()
    for fault, line in zip(faults, lines, strict=False):
        assert fault in line
    assert len(lines) == len(faults) + 1
    assert lines[-1].endswith("subs.csv: nothing was written")
    assert count(demo_shell) == 20


def test_skipping_takes_only_the_same_subscriber(demo_shell: Shell) -> None:
    """The MSISDN of one and the IMSI of another is a fault, not a line to pass over."""
    mixed = "999700000003,999700000000009,prepaid,demo-prepaid,1,,\n"
    same = "999700000003,999700000000003,prepaid,demo-prepaid,1,,\n"
    done = demo_shell("subscriber", "import", write(demo_shell, HEADER + same + mixed), "--skip-existing")
    assert done.code == ExitCode.INPUT
    assert "subs.csv:3: msisdn: '999700000003' is on line 2 too" in done.err
    assert "subs.csv:3: imsi: '999700000000009'; expected one that no subscriber has yet" in done.err
    assert "subs.csv:2:" not in done.err
    done = demo_shell("subscriber", "import", write(demo_shell, HEADER + same + GOOD), "--skip-existing", "--json")
    assert (done.json["added"], done.json["skipped"]) == (1, 1)


@pytest.mark.parametrize("rows", ["", "\n\n", ",,,,,,\n"])
@pytest.mark.parametrize("options", [[], ["--check"], ["--skip-existing"]])
def test_a_file_without_rows_is_said(demo_shell: Shell, rows: str, options: list[str]) -> None:
    file = write(demo_shell, HEADER + rows)
    said = f"{file}: no rows below the first line; nothing was added\n"
    assert demo_shell.ok("subscriber", "import", file, *options).out == said
    assert demo_shell.json("subscriber", "import", file, *options)["right"] == 0


def test_checking_writes_nothing(demo_shell: Shell) -> None:
    done = demo_shell.ok("subscriber", "import", write(demo_shell, HEADER + GOOD + OTHER), "--check")
    assert "2 lines are right; nothing was written" in done.out
    assert count(demo_shell) == 20


def test_files_that_cannot_be_read(demo_shell: Shell) -> None:
    done = demo_shell("subscriber", "import", demo_shell.folder / "no.csv")
    assert (done.code, "can't be read: No such file" in done.err) == (ExitCode.INPUT, True)
    done = demo_shell("subscriber", "import", demo_shell.folder)
    assert "can't be read: Is a directory" in done.err
    done = demo_shell("subscriber", "import", write(demo_shell, HEADER.encode() + b"49170\xff00001,,,,,,\n"))
    assert "not UTF-8, octet 0xff" in done.err
    assert count(demo_shell) == 20


def test_many_faults_are_counted(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MAX_FAULTS", 10)
    done = demo_shell("subscriber", "import", write(demo_shell, HEADER + "1,,,demo-prepaid,,,\n" * 25))
    lines = done.err.splitlines()
    assert len(lines) == 12
    assert "and 15 faults more" in lines[-2]


def test_too_many_lines_are_refused(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MAX_LINES", 2)
    done = demo_shell("subscriber", "import", write(demo_shell, HEADER + GOOD + OTHER + OTHER))
    assert "subs.csv:4: expected up to 2 lines" in done.err


def test_many_lines_go_in_by_chunks(demo_shell: Shell) -> None:
    lines = [f"4917{n:07},26201{n:010},prepaid,demo-prepaid,1.00,,\n" for n in range(2_345)]
    done = demo_shell.json("subscriber", "import", write(demo_shell, HEADER + "".join(lines)))
    assert done["added"] == 2_345
    assert demo_shell.json("ledger", "check")["accounts"] == 2_365
    listed = demo_shell.json("subscriber", "list", "--limit", 10_000)
    assert [one["msisdn"] for one in listed[20:]] == [line[:11] for line in lines]  # in the file's order


def test_what_another_process_adds_meanwhile_is_named(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the check and the write somebody else takes a number: what was written stays, and can be skipped."""
    monkeypatch.setattr(importing, "CHUNK", 100)
    lines = [f"4917{n:07},,prepaid,demo-prepaid,1.00,,\n" for n in range(250)]
    file = write(demo_shell, HEADER + "".join(lines))
    create = importing.create

    def overtaken(store, tables, new, now_ms, progress):  # type: ignore[no-untyped-def]
        if new[0].msisdn == "49170000100":
            create(store, tables, [new[5]], now_ms)
        return create(store, tables, new, now_ms, progress)

    monkeypatch.setattr(importing, "create", overtaken)
    done = demo_shell("subscriber", "import", file)
    assert done.code == ExitCode.INPUT
    assert "msisdn: '49170000105'; expected one that no subscriber has yet" in done.err
    assert "run it again with --skip-existing" in done.err
    assert count(demo_shell) == 20 + 101
    monkeypatch.setattr(importing, "create", create)
    done = demo_shell("subscriber", "import", file, "--skip-existing", "--json")
    assert (done.json["added"], done.json["skipped"]) == (149, 101)
    assert demo_shell.json("ledger", "check")["findings"] == []


class Nowhere:
    """A store in which nothing is."""

    def run(self, _work: object) -> list[None]:
        return []


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rest=st.binary(max_size=300), with_header=st.booleans())
def test_any_bytes_are_read_or_refused(tmp_path: Path, rest: bytes, with_header: bool) -> None:
    file = tmp_path / "any.csv"
    file.write_bytes((HEADER.encode() if with_header else b"") + rest)
    tables = Tables(1, OperatorCalendar(ZoneInfo("UTC")), {}, {})
    try:
        assert importing.read(Nowhere(), tables, str(file)).new == []  # type: ignore[arg-type]
    except InputError as error:
        assert str(file) in str(error)
