"""From the demo's usage to PDF files: a run, a statement and a credit note, each with its document."""

from __future__ import annotations

import io

from click.testing import CliRunner
from pypdf import PdfReader

from billing_process import billing, let_be_old
from cli_tools import Shell
from mubss.runtime import ExitCode
from mubss.workers.billfmt import cli


def texts(desk: Shell) -> dict[str, tuple[str, str]]:
    """Of each document by its number: its state, and what is on it."""
    found = {}
    for bill in desk.json("bills", "list"):
        pdf = (desk.folder / "invoices" / bill["document"]["path"]).read_bytes()
        text = " ".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf), strict=True).pages)
        found[bill["number"]] = bill["state"], " ".join(text.split())
    return found


def test_all_kinds_of_documents_from_real_runs(demo_shell: Shell) -> None:
    who = "4915112345678"
    demo_shell.ok("subscriber", "add", who, "--plan", "demo-prepaid", "--balance", "5", "--bill-cycle", 15)
    let_be_old(demo_shell, who)
    for cycle in ("3", "15"):
        assert billing("--cycle", cycle, "--once")[0] == ExitCode.OK
    demo_shell("billing", "run", "--cycle", 15, "--subscriber", who)
    assert billing("--cycle", "15", "--once")[0] == ExitCode.OK
    assert CliRunner().invoke(cli, ["--once"]).exit_code == ExitCode.OK
    first, *_, paid, credited = sorted(bill["number"] for bill in demo_shell.json("bills", "list", "--cycle", 3))
    demo_shell.ok("bills", "credit", credited, "--amount", "10", "--reason", "A day without network")
    demo_shell.ok("bills", "pay", paid, "1", "--reference", "bank 1")
    assert CliRunner().invoke(cli, ["--once"]).exit_code == ExitCode.OK
    found = texts(demo_shell)
    [statement] = [number for number in found if number.startswith("STM")]
    [note] = [number for number in found if number.startswith("CRN")]
    assert len(found) == 12
    assert found[first][0] == "BILL_STATUS_UNPAID" and found[note][0] == "BILL_STATUS_PAID"
    assert found[paid][0] == found[credited][0] == "BILL_STATUS_PARTLY_PAID"
    assert "Account statement" in found[statement][1] and found[statement][0] == "BILL_STATUS_PAID"
    for wanted in ("Credit note", f"For invoice {credited}", "A day without network", "€10.00"):
        assert wanted in found[note][1]
    before = texts(demo_shell)
    demo_shell.ok("bills", "reformat", paid)
    assert texts(demo_shell) == before
