"""`mubss audit`: every command that writes leaves one entry, what fails leaves none, and no secret is in any."""

from __future__ import annotations

import io
import json
import logging
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from typing import Any

import click
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

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
from mubss.pb.cdr_pb2 import Record
from mubss.refdata.live import Refdata
from mubss.storage.database import Doc, Store, StoreUnavailable, open_database

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
NAMED = ("--name", "Ada Lovelace", "--address", "12 Square")
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

    def entries(self) -> list[Doc]:
        return list(self.shell.json("audit", "list", "--limit", 10_000))

    def __call__(self, what: str, *arguments: object, stdin: str = "", code: int = 0, count: int = 1) -> Any:
        known = {entry["_id"] for entry in self.entries()}
        if stdin:
            self._monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        done = self.shell(*what.split(), *arguments, "--json")
        assert done.code == code, done
        new = [entry for entry in self.entries() if entry["_id"] not in known]
        assert [entry["what"] for entry in new] == [what] * count, (what, new)
        assert all(entry["seq"] and entry["role"] == "cli" and entry["who"] for entry in new), "sealed at the end"
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


def record(name: str, msisdn: str = POST, content: bytes = b"") -> str:
    """A call detail record in suspense."""
    doc = {"_id": session_hash(f"record {name}"), "version": 1, "state": "open", "reason": "UNKNOWN_SUBSCRIBER"}
    doc |= {"text": f"nobody has {msisdn}", "at_s": 1, "source": "msc", "file": "f", "offset": 0, "record_id": name}
    doc |= {"identities": [f"e164:{msisdn}"], "service": "VOICE", "record": b64encode(content).decode()}
    put("cdr_suspense", doc)
    return str(doc["_id"])


@pytest.fixture
def run(demo_shell: Shell, monkeypatch: pytest.MonkeyPatch) -> Iterator[Audited]:
    root = logging.getLogger()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    yield Audited(demo_shell, monkeypatch)
    root.handlers[:], logging.raiseExceptions = handlers, raises  # what `notifications test` sets up is put back
    root.setLevel(level)


def people(run: Audited) -> None:
    run("subscriber add", NEW, "--plan", "demo-prepaid", "--balance", "5", "--imsi", "999700009001000", *NAMED)
    run("subscriber add", MEMBER, "--account", NEW)
    file = run.shell.folder / "people.csv"
    file.write_text("msisdn,plan\n999700009003,demo-prepaid\n999700009004,demo-prepaid\n")
    run("subscriber import", file)
    run("subscriber import", file, "--skip-existing", count=0)
    run("adjust", NEW, "-1", "--reason", "case 7")
    run("subscriber number", NEW, "--imsi", "999810000000077")
    run("topup", NEW, "5", "--reference", f"of {NEW}")
    run("topup", NEW, "0", code=65, count=0)
    run("subscriber suspend", NEW, "--reason", "lost")
    run("subscriber suspend", NEW, count=0)
    run("subscriber bar", NEW, "--reason", "fraud")
    run("subscriber reactivate", NEW)
    more = run.shell.folder / "bundles.toml"
    plans = data_path("conf/refdata/demo.toml").read_text().replace('"demo-prepaid"', '"other-prepaid"')
    more.write_text(plans + BUNDLE)
    run("ref load", more)
    run("topup", NEW, "100")
    run("subscriber bundle", NEW, "TALK")
    run("subscriber bundle", NEW, "TALK", "--stop")
    run("subscriber plan", NEW, "demo-prepaid", count=0)
    run("subscriber plan", NEW, "other-prepaid", "--at-next-cycle")
    run("subscriber plan", NEW, "--cancel-next")
    run("subscriber plan", NEW, "other-prepaid")
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
    run("bills reformat", bill["number"], code=run.shell("bills", "reformat", bill["number"]).code)
    queued = run("billing run", "--cycle", "3", "--dry-run")
    run("billing run", "--cycle", "3", "--dry-run", count=0)
    run("billing cancel", queued["_id"])
    span = ("--charges", "1", "--from", ONE, "--to", ONE)
    run("billing play", "--cycle", "3", *span, code=65, count=0)
    run.setenv("MUBSS_BILLING__DEVELOPER_MODE", "true")
    run("billing play", "--cycle", "3", *span)
    run("stats rebuild")


def suspense(run: Audited) -> None:
    run("gy suspense charge", report("a"))
    run("gy suspense discard", report("b"), "--reason", "test")
    run("cdr suspense reprocess", record("a"), code=1, count=0)
    call = Record(record_id="c", type=Record.VOICE, calling=POST, called="999700000102", duration_s=60)
    call.start_s = wall_clock_ms() // 1000 - 600
    run("cdr suspense reprocess", record("c", content=call.SerializeToString()))
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
    run("backup", run.shell.folder / "copy.db", count=0)
    run("restore", run.shell.folder / "copy.db")
    run("license keygen", "lk1")
    licence_key = (folder / "lk1.key").read_text().strip()
    terms = ("--licensee", "x", "--serial", "S1", "--expires", "2990-01-01", "--subscribers", "5", "--out", "lic")
    run("license issue", "--key", "lk1.key", "--machine", "ab" * 16, *terms)
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
    private = rsa.generate_private_key(65537, 2048)
    pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (folder / "printer.pem").write_bytes(pem)
    (folder / "printer.pin").write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    worth = ("--value", "5", "--currency", "EUR", "--expires", FAR, "--recipient", folder / "printer.pem")
    run("vouchers make", "--count", "1", *worth, "--file", folder / "sealed")
    run("vouchers decrypt", folder / "sealed", "--key", folder / "printer.pin", "--out", folder / "plain.csv")
    run("vouchers block", "1", "--reason", "test")
    run("vouchers block", "1", count=0)
    run("vouchers unblock", "1")
    run("vouchers block", "--serial", "000001-0000001")
    run("vouchers block", "--serial", "000001-0000001", count=0)
    run("vouchers unblock", "--serial", "000001-0000001")
    run("vouchers redeem", ONE, stdin=f"{pins[0]}\n")
    run("vouchers redeem", ONE, stdin=f"{pins[0]}\n", code=65, count=0)
    keys = [line for file in (folder / "var").rglob("*.key") for line in file.read_text().split()]
    return [issued["token"], licence_key, *pins, *(key for key in keys if len(key) > 20)]


def told(run: Audited) -> None:
    for number in range(2):
        doc = {"_id": f"{number:032x}", "version": 1, "kind": "topup", "subscriber": "x", "language": "", "values": {}}
        put("notifications", {**doc, "made_s": 1, "state": "dead", "tries": 1, "due_s": 1})
    run("notifications retry", f"{0:032x}")
    run("notifications retry", f"{0:032x}", code=65, count=0)
    run("notifications acknowledge", f"{1:032x}")
    run("notifications test", ONE)


def tariffs(run: Audited) -> None:
    tariff = run.shell.folder / "dearer.toml"
    tariff.write_text(data_path("conf/refdata/demo.toml").read_text().replace('price = "0.08"', 'price = "0.10"'))
    run("ref load", tariff, "--check", count=0)
    run("ref load", tariff)
    run("ref load", tariff, count=0)
    number = run.shell.json("ref", "list")["version"]["number"]
    run("ref rollback", number - 1, "--check", count=0)
    run("ref rollback", number - 1)
    run("ref rollback", number - 1, count=0)
    run("ref rollback", number)
    span = ("--from", "2020-01-01", "--to", "2100-01-01")
    corrected = [one for one in run.shell.json("rerate", *span, "--dry-run")["subscribers"] if one["corrections"]]
    run("rerate", *span, "--subscriber", corrected[0]["identities"][0].removeprefix("e164:"))


def archived(run: Audited) -> None:
    month = (date.today().replace(day=1) - timedelta(1)).isoformat()[:7]  # the last that is over
    run("archive run", "--month", month, "--dry-run", count=0)
    run("archive run", "--month", month)
    run("archive run", "--month", month, count=0)


def test_every_command_that_writes_leaves_one_entry(run: Audited) -> None:
    never = secrets(run)
    people(run)
    suspense(run)
    told(run)
    tariffs(run)
    money(run)
    archived(run)
    assert run.seen >= set(KINDS) - {"init", "migrate"}  # tests/cli/test_migrate_command.py has that
    lines = run.shell.ok("audit", "export").out.splitlines()
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, len(lines) + 1))
    for secret in (*never, NEW, MEMBER, ONE, "999700009001000", "Lovelace", "Square"):
        assert not [line for line in lines if secret in line], secret
    assert "the chain holds" in run.shell.ok("audit", "verify").out
    assert "all add up" in run.shell.ok("ledger", "check").out


def test_the_first_entry_says_who_made_the_store(shell: Shell) -> None:
    shell.ok("init", "--demo")
    shell.ok("init")
    [entry] = shell.json("audit", "list")
    assert (entry["what"], entry["fields"], entry["seq"]) == ("init", {"with_demo": True}, 1)


@pytest.mark.parametrize("change", [{"who": "nobody"}, {"hash": "0" * 64}])
def test_verify_says_what_does_not_fit(run: Audited, change: Doc) -> None:
    for _ in range(2):
        run("topup", ONE, "1")
    entry = run.entries()[1]
    put("audit", {**entry, **change})
    done = run.shell("audit", "verify", "--json")
    assert (done.code, done.json["fault"]["seq"], done.json["seq"]) == (1, entry["seq"], entry["seq"] + 1)
    done = run.shell("audit", "verify")
    assert done.code == 1 and f"entry {entry['seq']} isn't as it was sealed: it was changed" in done.out


def test_the_list_is_by_subscriber_user_and_time(run: Audited) -> None:
    run("topup", ONE, "1")
    run("topup", POST, "2")
    mine = run.shell.json("audit", "list", "--subscriber", ONE)
    assert [entry["what"] for entry in mine] == ["topup"]
    who = mine[0]["who"]
    assert len(run.shell.json("audit", "list", "--who", who)) == 2
    for options in (("--who", "else"), ("--since", "2100-01-01"), ("--until", "2020-01-01")):
        assert run.shell.json("audit", "list", *options) == []
    assert len(run.shell.json("audit", "list", "--limit", 1)) == 1
    assert ONE in run.shell.ok("audit", "list").out, "people read numbers, the entry has none"
    assert run.shell.json("audit", "seal") == {"sealed": 0}


def everything() -> dict[str, list[Doc]]:
    def read(store: Store) -> dict[str, list[Doc]]:
        names = store.run(lambda session: session.list_collections())
        return {
            name: store.run(lambda session, name=name: session.collection(name).scan(limit=100_000)) for name in names
        }

    return in_store(read)


def test_a_person_is_erased_and_the_books_stay(run: Audited) -> None:
    shell = run.shell
    assert billing("--cycle", "3", "--once")[0] == 0
    reports = [report("p", POST), report("q", POST, identities=[f"e164:{POST}", f"e164:{ONE}"])]
    records = [record("p"), record("q")]
    [doc] = [doc for doc in everything()["subscribers"] if doc["msisdn"] == POST]
    put("subscribers", {**doc, "name": "Ada Lovelace", "address": "12 Square", "email": "ada@example.net"})
    shell.ok("topup", POST, "1")
    assert "expected a terminated subscriber" in shell("subscriber", "erase", POST, "--yes").err
    shell.ok("subscriber", "terminate", POST, "--yes", "--reason", f"{POST} moved")
    assert "Missing option '--yes'" in shell("subscriber", "erase", POST).err
    person = shell.json("subscriber", "show", POST)
    before = everything()
    done = run("subscriber erase", POST, "--yes")
    after = everything()
    assert done["usage"] > 0 and (done["suspense"], done["identities"]) == (4, 2 if person["imsi"] else 1)
    kept = {name for name, docs in after.items() if POST in json.dumps(docs)}
    assert kept <= {"bills"}, "issued bills alone"
    for text in ("Lovelace", "Square", "ada@"):
        assert text not in json.dumps(after)
    for name in ("postings", "bills", "payments", "counters", "vouchers", "gy_sessions"):
        assert after[name] == before[name], name
    money = ("_id", "units", "free_units", "charge_micros", "sequence", "from_s", "service", "zone")
    for name in ("usage", "suspense"):
        assert [[doc.get(one) for one in money] for doc in after[name]] == [
            [doc.get(one) for one in money] for doc in before[name]
        ]
    mine = [doc for doc in after["usage"] if doc["_id"].startswith(person["account"])]
    assert mine and not any("called" in doc or "facts" in doc for doc in mine)
    assert any("called" in doc for doc in after["usage"]), "those of others stay"
    states = {doc["_id"]: doc["state"] for doc in after["suspense"] + after["cdr_suspense"]}
    assert [states[one] for one in (*reports, *records)] == ["open", "open", "discarded", "discarded"]
    assert "all add up" in shell.ok("ledger", "check").out
    assert "the chain holds" in shell.ok("audit", "verify").out
    assert shell("subscriber", "show", POST).code == 65
    again = run("subscriber erase", f"id:{person['account']}", "--yes", count=0)
    assert again == {**dict.fromkeys(again, 0), "subscriber": person["account"]}
    shell.ok("subscriber", "add", POST, "--plan", "demo-prepaid")
    first = shell("subscriber", "list", "--plan", "demo-postpaid", "--limit", 1)
    assert first.err == f"more: --after id:{person['account']}\n"
    assert shell.json("subscriber", "show", POST)["balance_micros"] == 0, "the number is another's now"
    assert shell.ok("subscriber", "show", f"id:{person['account']}").out
    assert shell.ok("rerate", "--from", "2020-01-01", "--to", "2100-01-01", "--dry-run").code == 0


def test_bills_lose_the_person_only_when_told(run: Audited) -> None:
    shell = run.shell
    assert billing("--cycle", "3", "--once")[0] == 0
    [bill] = shell.json("bills", "list", "--subscriber", POST)
    path = load().resolve(load().billfmt.invoices) / "x.pdf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"%PDF")
    put(
        "bills",
        {
            **bill,
            "customer": {"name": "Ada Lovelace"},
            "document": {"path": "x.pdf", "facts": {"members": {"a": f"+{POST}"}, "left": []}},
        },
    )
    shell.ok("subscriber", "terminate", POST, "--yes")
    run("subscriber erase", POST, "--yes")
    assert path.exists()
    run("subscriber erase", f"id:{bill['account']}", "--yes", "--bills", count=0)
    after = shell.json("bills", "show", bill["number"])
    assert not path.exists()
    for text in (POST, "Lovelace"):
        assert text not in json.dumps(everything())
    assert (after["total"], after["lines"], after["msisdn"]) == (bill["total"], bill["lines"], "")


STEPS = ("change_usage", "change_named", "remove_notifications", "finish")


@pytest.mark.parametrize("step", STEPS)
def test_an_erasure_that_broke_off_goes_on(run: Audited, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    shell = run.shell
    report("p", POST)
    shell.ok("subscriber", "terminate", POST, "--yes")

    def breaks(*_given: object) -> int:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(f"mubss.storage.erasing.{step}", breaks)
        assert shell("subscriber", "erase", POST, "--yes").code != 0
    shell.ok("subscriber", "erase", POST, "--yes")
    assert POST not in json.dumps(everything())
    assert [entry["what"] for entry in run.entries()].count("subscriber erase") == 1
    assert "all add up" in shell.ok("ledger", "check").out


def test_of_those_who_share_an_account_one_is_erased(run: Audited) -> None:
    shell = run.shell
    shell.ok("subscriber", "add", MEMBER, "--account", ONE)
    shell.ok("subscriber", "terminate", MEMBER, "--yes")
    usage = in_store(lambda store: store.run(lambda session: session.collection("usage").scan(limit=100_000)))
    shell.ok("subscriber", "erase", MEMBER, "--yes")
    assert MEMBER not in json.dumps(everything())
    assert everything()["usage"] == usage, "what the other used stays"
    assert shell.json("subscriber", "show", ONE)["state"] == "active"
    shell.ok("topup", ONE, "1")


def test_who_has_an_open_session_is_not_erased(run: Audited) -> None:
    open_session("s9")
    run.shell.ok("subscriber", "terminate", ONE, "--yes")
    done = run.shell("subscriber", "erase", ONE, "--yes")
    assert done.code == 65 and "sessions: one is open" in done.err
    assert ONE in json.dumps(everything()["identities"])
