"""`mubss audit`: every command that writes leaves one entry, what fails leaves none, and no secret is in any."""

from __future__ import annotations

import io
import json
from contextlib import closing
from typing import Any

import click
import pytest

from billing_process import billing
from cli_tools import Shell
from core_builders import ccr
from mubss.charging.engine import Engine, wall_clock_ms
from mubss.charging.order import Order
from mubss.cli.acts import KINDS, READS
from mubss.cli.main import cli
from mubss.config import data_path, load
from mubss.core.identity import session_hash
from mubss.core.model import RequestType, Rules, UnitRequest
from mubss.refdata.live import Refdata
from mubss.storage.database import Doc, Store, open_database

ONE, POST, NEW, MEMBER = "999700000001", "999700000101", "999700009001", "999700009002"
BUNDLE = """
[[bundles]]
code = "TALK"
name = "200 minutes a month"
currency = "EUR"
price = "6.00"
services = ["VOICE"]
units = 12_000
validity = "month"
renews = true
"""
FAR = "2035-12-31"


def commands(group: click.Group, context: click.Context, path: str = "") -> set[str]:
    found = set()
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        inner = f"{path} {name}".strip()
        found |= commands(command, context, inner) if isinstance(command, click.Group) else {inner}
    return found


def test_every_command_is_known_as_one_that_reads_or_writes() -> None:
    there = commands(cli, click.Context(cli))
    assert there == set(KINDS) | READS and not set(KINDS) & READS


class Audited:
    """Runs commands, and keeps what entries each of them left."""

    def __init__(self, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shell, self._monkeypatch = shell, monkeypatch
        self.setenv = monkeypatch.setenv
        self.seen: set[str] = set()
        self.known: set[str] = {entry["_id"] for entry in self.entries()}

    def entries(self) -> list[Doc]:
        return list(self.shell.json("audit", "list", "--limit", 10_000))

    def __call__(self, what: str, *arguments: object, stdin: str = "", code: int = 0, count: int = 1) -> Any:
        if stdin:
            self._monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        done = self.shell(*what.split(), *arguments, "--json")
        assert done.code == code, done
        new = [entry for entry in self.entries() if entry["_id"] not in self.known]
        assert [entry["what"] for entry in new] == [what] * count, (what, new)
        assert all(entry["seq"] and entry["role"] == "cli" and entry["who"] for entry in new), "sealed at the end"
        self.known |= {entry["_id"] for entry in new}
        if count:
            self.seen.add(what)
        return done.json if done.out else None


def in_store(work: Any) -> Any:
    with closing(open_database(load().store_url)) as store:
        return work(store)


def put(collection: str, doc: Doc) -> None:
    in_store(lambda store: store.run(lambda session: session.collection(collection).put_many([doc])))


def open_session(name: str) -> None:
    """A session of ONE's, as its client opens it."""

    def work(store: Store) -> None:
        tables = Refdata(store, load().general.timezone).load()
        command = ccr(tables, RequestType.INITIAL, 0, UnitRequest("7", "DATA", requested_units=1000), session=name)
        command.identities = [f"e164:{ONE}"]
        order = Order(command, identities=[f"e164:{ONE}"])
        Engine(store, lambda: tables, Rules()).execute([order])
        assert order.error is None and order.outcome is not None

    in_store(work)


def report(name: str, msisdn: str = ONE, **more: Any) -> str:
    """A report in suspense."""
    now_ms = wall_clock_ms()
    doc = {"_id": session_hash(f"report {name}"), "version": 1, "kind": "gy", "state": "open", "taken": False}
    doc |= {"reason": "UNKNOWN_SESSION_ID", "at_s": now_ms // 1000, "at_ms": now_ms, "session": session_hash(name)}
    doc |= {"session_id": name, "peer": "pgw", "type": 3, "number": 1, "identities": [f"e164:{msisdn}"]}
    doc |= {"service": "DATA", "rating_group": 1, "service_identifiers": [], "units": 1000}
    put("suspense", {**doc, **more})
    return str(doc["_id"])


def record(name: str, msisdn: str = POST) -> str:
    """A call detail record in suspense, whose content is gone."""
    doc = {"_id": session_hash(f"record {name}"), "version": 1, "state": "open", "reason": "UNKNOWN_SUBSCRIBER"}
    doc |= {"text": f"nobody has {msisdn}", "at_s": 1, "source": "msc", "file": "f", "offset": 0, "record_id": name}
    doc |= {"identities": [f"e164:{msisdn}"], "service": "VOICE", "record": ""}
    put("cdr_suspense", doc)
    return str(doc["_id"])


@pytest.fixture
def run(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Audited:
    return Audited(demo_shell, monkeypatch)


def people(run: Audited) -> None:
    run("subscriber add", NEW, "--plan", "demo-prepaid", "--balance", "5", "--imsi", "999700009001000")
    run("subscriber add", MEMBER, "--account", NEW)
    file = run.shell.folder / "people.csv"
    file.write_text("msisdn,plan\n999700009003,demo-prepaid\n999700009004,demo-prepaid\n")
    run("subscriber import", file)
    run("subscriber import", file, "--skip-existing", count=0)
    run("topup", NEW, "5", "--reference", f"of {NEW}")
    run("topup", NEW, "0", code=65, count=0)
    run("subscriber suspend", NEW, "--reason", "lost")
    run("subscriber suspend", NEW, count=0)
    run("subscriber reactivate", NEW)
    more = run.shell.folder / "bundles.toml"
    more.write_text(BUNDLE)
    run("ref load", more)
    run("topup", NEW, "100")
    run("subscriber bundle", NEW, "TALK")
    run("subscriber bundle", NEW, "TALK", "--stop")
    run("subscriber plan", NEW, "demo-prepaid", count=0)
    run("subscriber discount", POST, "--none")
    run("subscriber terminate", MEMBER, "--yes")
    run("subscriber erase", MEMBER, "--yes")


def money(run: Audited) -> None:
    assert billing("--cycle", "3", "--once")[0] == 0
    [bill] = run.shell.json("bills", "list", "--subscriber", POST)
    run("bills void", bill["number"], "--reason", "test")
    assert billing("--cycle", "3", "--once")[0] == 0
    bill = run.shell.json("bills", "list", "--subscriber", POST)[0]
    put("bills", {**bill, "state": "BILL_STATUS_UNPAID", "version": bill["version"] + 1})
    run("bills credit", bill["number"], "--reason", "sorry", "--amount", "1.00")
    run("bills pay", bill["number"], "1.00", "--reference", "r1")
    run("bills pay", bill["number"], "1.00", "--reference", "r1", count=0)
    run("bills reformat", bill["number"], code=run.shell("bills", "reformat", bill["number"]).code, count=2)
    queued = run("billing run", "--cycle", "3", "--dry-run")
    run("billing run", "--cycle", "3", "--dry-run", count=0)
    run("billing cancel", queued["_id"])
    span = ("--charges", "1", "--from", ONE, "--to", ONE)
    run("billing play", "--cycle", "3", *span, code=65, count=0)
    run.setenv("MUBSS_BILLING__DEVELOPER_MODE", "true")
    run("billing play", "--cycle", "3", *span)


def suspense(run: Audited) -> None:
    run("gy suspense charge", report("a"))
    run("gy suspense discard", report("b"), "--reason", "test")
    run("cdr suspense reprocess", record("a"), code=1, count=0)
    run("cdr suspense discard", record("b"), "--reason", "test")
    open_session("s1")
    run("sessions reauth", "s1")
    run("sessions abort", "s1")
    run("sessions abort", "s1", "--here")


def secrets(run: Audited) -> list[str]:
    """What must be in no entry."""
    folder = run.shell.folder
    run("token key", "--kid", "k1")
    issued = run("token issue", "--subject", "bob", "--role", "agent")
    run("token revoke", issued["jti"])
    run("token revoke", issued["jti"], count=0)
    run("tls init")
    run("tls client", "shop")
    run(
        "vouchers make",
        "--count",
        "3",
        "--value",
        "5",
        "--currency",
        "EUR",
        "--expires",
        FAR,
        "--file",
        folder / "pins.csv",
    )
    pins = [line.split(",")[1] for line in (folder / "pins.csv").read_text().splitlines()[1:]]
    run("vouchers block", "1", "--reason", "test")
    run("vouchers block", "1", count=0)
    run("vouchers unblock", "1")
    run("vouchers redeem", ONE, stdin=f"{pins[0]}\n")
    run("vouchers redeem", ONE, stdin=f"{pins[0]}\n", code=65, count=0)
    keys = [line for file in (folder / "var").rglob("*.key") for line in file.read_text().split()]
    return [issued["token"], *pins, *(key for key in keys if len(key) > 20)]


def told(run: Audited) -> None:
    for number in range(2):
        doc = {"_id": f"n{number}", "version": 1, "kind": "topup", "subscriber": "x", "language": "", "values": {}}
        put("notifications", {**doc, "made_s": 1, "state": "dead", "tries": 1, "due_s": 1})
    run("notifications retry", "n0")
    run("notifications retry", "n0", count=0)
    run("notifications acknowledge", "n1")
    run("notifications test", ONE)


def tariffs(run: Audited) -> None:
    tariff = run.shell.folder / "dearer.toml"
    tariff.write_text(data_path("conf/refdata/demo.toml").read_text().replace('price = "0.08"', 'price = "0.10"'))
    run("ref load", tariff, "--check", count=0)
    run("ref load", tariff)
    run("ref load", tariff, count=0)
    span = ("--from", "2020-01-01", "--to", "2100-01-01")
    corrected = [one for one in run.shell.json("rerate", *span, "--dry-run")["subscribers"] if one["corrections"]]
    run("rerate", *span, "--subscriber", corrected[0]["identities"][0].removeprefix("e164:"))


def test_every_command_that_writes_leaves_one_entry(run: Audited) -> None:
    never = secrets(run)
    people(run)
    suspense(run)
    told(run)
    tariffs(run)
    money(run)
    assert run.seen >= set(KINDS) - {"init", "vouchers decrypt", "cdr suspense reprocess"}
    lines = run.shell.ok("audit", "export").out.splitlines()
    assert len(lines) == len(run.known)
    assert json.loads(lines[0])["what"] == "init"
    for secret in (*never, NEW, MEMBER, ONE, "999700009001000"):
        assert not [line for line in lines if secret in line], secret
    assert "the chain holds" in run.shell.ok("audit", "verify").out
    assert "all add up" in run.shell.ok("ledger", "check").out
